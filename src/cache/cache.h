/* The cache of tenant profiles and slugs: a table in this process, and behind it the Redis cluster.
 *
 * Values are opaque bytes with a version.  Nothing older than `max_age_ns` is ever found, counted from
 * the moment its database read began; on the process that wrote, nothing older than the write is.
 * Neither depends on Redis: whatever it does (gone, stopped, slow, lying), the answer is "not found"
 * within the command's deadline, and with its breaker open at once. */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "base/ctx.h"
#include "base/metrics.h"
#include "base/slice.h"

#include "loop/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log;
struct tls_context;

/* --- the table in memory: one per process, shared by all workers ------------------------------- */

struct cache_memory;

struct cache_memory_settings {
    size_t entries;          /* bound; 0: 8192 */
    size_t bytes;            /* bound over keys, values and their books; 0: 16 MiB */
    uint64_t max_age_ns;     /* the freshness that is promised; 0: 200 ms */
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

struct cache_found {
    struct slice value; /* in the ctx's arena */
    uint64_t version;
    enum cache_source source;
    uint64_t age_ns; /* since its database read began; below max_age_ns */
};

/* False: not found, and *found is untouched.  Any trouble is "not found" and counted.  Suspends, for at
 * most one command's deadline (three when slots are being moved); not when memory or nobody knows. */
bool cache_get(struct cache *cache, struct ctx *ctx, struct slice key, struct cache_found *found);

/* --- writing ----------------------------------------------------------------------------------- */

struct cache_item {
    struct slice key;       /* copied */
    struct slice value;     /* copied; at most CACHE_VALUE_MAX bytes, larger ones are not kept */
    uint64_t version;       /* grows with every change of what the key names */
    uint64_t read_began_ns; /* clock_now() before the read was sent to the database */
};

#define CACHE_VALUE_MAX ((size_t)64 * 1024)

/* Offers what was read from the database.  An older version never replaces a newer one, neither here
 * nor in Redis; Redis drops it 200 ms after the read began, also when it hears of it late.  Does not
 * wait for Redis. */
void cache_put(struct cache *cache, const struct cache_item *item);

/* To be called after a commit and before its answer.  read_began_ns: clock_now() before the COMMIT was
 * sent.  From here on no worker of this process finds anything older than this version. */
void cache_written(struct cache *cache, const struct cache_item *item);

/* The same when the new state is not known (a commit of uncertain outcome): from here on only what was
 * read later is found under this key in this process. */
void cache_forget(struct cache *cache, struct slice key);

#endif
