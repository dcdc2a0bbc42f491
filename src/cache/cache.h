/* The cache of tenant profiles and slugs: a table in this process, and behind it the Redis cluster.
 *
 * Values are opaque bytes with a version and a rule that says how long they are good.  What a view of epochs
 * vouches for lives long and is judged when it is read (epoch_view.h); the rest is found for `max_age_ns` after
 * its database read began.  On the process that wrote, nothing older than the write is found.
 * None of this depends on Redis: whatever it does (gone, stopped, slow, lying), the answer is "not found"
 * within the command's deadline, and with its breaker open at once. */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "base/ctx.h"
#include "base/epoch.h"
#include "base/id.h"
#include "base/list.h"
#include "base/metrics.h"
#include "base/slice.h"

#include "loop/loop.h"
#include "loop/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoch_view;
struct log;
struct tls_context;

/* --- the table in memory: one per process, shared by all workers ------------------------------- */

struct cache_memory;

struct cache_memory_settings {
    size_t entries;          /* bound; 0: 8192 */
    size_t bytes;            /* bound over keys, values and their books; 0: 16 MiB */
    uint64_t max_age_ns;     /* of CACHE_AGED; 0: 200 ms */
    struct epoch_view *view; /* judges CACHE_EPOCH; NULL: none such is found.  Outlives the table */
    struct metrics *metrics; /* where its gauges stand; NULL: not counted */
};

/* Thread-safe; must outlive every cache that uses it. */
struct cache_memory *cache_memory_new(const struct cache_memory_settings *settings);
void cache_memory_free(struct cache_memory *memory); /* accepts NULL */

/* --- one cache per worker, on its loop --------------------------------------------------------- */

struct cache;

struct cache_settings {
    const char *redis_url; /* rediss://[USER]:PASSWORD@ADDRESS:PORT[,…]; "" or NULL: memory only */
    struct tls_context *tls;     /* client side, referenced; needed for rediss:// */
    struct cache_memory *memory; /* the process's table */
    uint64_t op_timeout_ns;      /* one Redis command; 0: 10 ms */
    struct metrics *metrics;     /* the worker's set */
    const struct log *log;       /* may be NULL */
};

/* Never waits: the nodes are reached in the background, and until then their keys are not found.
 * Fault: FAULT_CONFIG (the URL; the text names the rule, never the password). */
int cache_open(struct ctx *ctx, struct loop *loop, const struct cache_settings *settings,
               struct cache **cache) MUST_CHECK;
/* No task may be inside a cache function (asserted).  Accepts NULL. */
void cache_close(struct cache *cache);

/* From now on connections to Redis begin with the password of this URL.  False, and nothing changes, when
 * the URL differs in anything else, or when one of the two has no password.  Own thread. */
bool cache_renew_password(struct cache *cache, struct ctx *ctx, const char *redis_url);

/* Whether the cluster's map is known and every node in it answers (true without Redis).  Any thread. */
bool cache_is_whole(const struct cache *cache);

/* --- keys -------------------------------------------------------------------------------------- */

#define CACHE_KEY_MAX 256

/* "tenants/{<tenant id>}/profile" and "slugs/{<slug>}", in the ctx's arena.  The texts must have been
 * validated: neither may hold a brace (asserted). */
struct slice cache_key_profile(struct ctx *ctx, struct slice tenant_id);
struct slice cache_key_slug(struct ctx *ctx, struct slice slug);

/* --- reading ----------------------------------------------------------------------------------- */

enum cache_source { CACHE_MEMORY, CACHE_REDIS };

/* How long a value is good. */
enum cache_rule {
    CACHE_AGED,  /* max_age after its database read began */
    CACHE_HINT,  /* ten minutes; it may be wrong, and whoever finds it proves it by other means */
    CACHE_EPOCH, /* ten minutes, and only while the view knows of no later change of its tenant */
};

/* What is asked of a CACHE_EPOCH value. */
struct cache_want {
    struct uuid tenant;    /* whose changes count */
    struct epoch at_least; /* an entry of an earlier epoch is not found; {0, 0}: any */
};

struct cache_found {
    struct slice value; /* in the ctx's arena */
    uint64_t version;
    enum cache_source source;
    enum cache_rule rule;
    uint64_t age_ns; /* AGED: since its database read began; EPOCH: since the look that vouches for it */
};

/* `want` NULL: values of the other two rules alone; else CACHE_EPOCH alone.  False: not found, and *found is
 * untouched.  Any trouble is "not found" and counted.  Suspends, for at most one command's deadline (three when
 * slots are being moved); not when memory or nobody knows. */
bool cache_get(struct cache *cache, struct ctx *ctx, struct slice key,
               const struct cache_want *want, struct cache_found *found);

/* --- writing ----------------------------------------------------------------------------------- */

struct cache_item {
    struct slice key;       /* copied */
    struct slice value;     /* copied; at most CACHE_VALUE_MAX bytes, larger ones are not kept */
    uint64_t version;       /* grows with every change of what the key names */
    uint64_t read_began_ns; /* clock_now() before the read was sent to the database */
    enum cache_rule rule;
    struct uuid tenant;     /* of CACHE_EPOCH: whose value it is … */
    struct epoch_seen seen; /* … and how far that had changed */
};

#define CACHE_VALUE_MAX ((size_t)64 * 1024)

/* Offers what was read from the database.  An older version never replaces a newer one, neither here
 * nor in Redis; Redis drops CACHE_AGED max_age after the read began, also when it hears of it late.  Does
 * not wait for Redis. */
void cache_put(struct cache *cache, const struct cache_item *item);

/* To be called after a commit and before its answer.  read_began_ns: clock_now() before the COMMIT was
 * sent.  From here on no worker of this process finds anything older than this version. */
void cache_written(struct cache *cache, const struct cache_item *item);

/* The same when the new state is not known (a commit of uncertain outcome): from here on only what was
 * read later is found under this key in this process. */
void cache_forget(struct cache *cache, struct slice key);

/* What was found is none of ours, though it was well formed: counted, and not found again before it is read
 * anew. */
void cache_reject(struct cache *cache, struct slice key);

/* --- one reader for many ----------------------------------------------------------------------- */

/* The reading of one key that was not found, on the stack of its reader; CACHE_FLIGHT_NONE: none. */
struct cache_flight {
    struct list_node node; /* in the cache's flights while it leads */
    struct cache *cache;   /* NULL: not leading */
    struct slice key;      /* borrowed */
    struct waitq followers;
};

#define CACHE_FLIGHT_NONE ((struct cache_flight){.cache = NULL})

/* After a miss.  True: another task of this worker was reading the key and has ended: look again, it may have
 * put it.  False: go and read; what others read until cache_flight_end() waits for that.  Nobody waits while
 * the view is stale, when nothing would be found.  `key` lives as long as the flight.  Suspends. */
bool cache_flight_join(struct cache *cache, struct ctx *ctx, struct slice key,
                       struct cache_flight *flight);
/* To be called however the reading went.  Accepts one that leads nothing; also for AUTO. */
void cache_flight_end(struct cache_flight *flight);

#endif
