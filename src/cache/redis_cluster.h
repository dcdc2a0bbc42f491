/* The Redis cluster as one worker sees it: which node has which slot, one connection to each.
 *
 * The map comes from CLUSTER SLOTS, is corrected by MOVED at once and asked for again now and then.  A node
 * that the map no longer names is let go; when no node answers any more, those of the URL are tried. */
#ifndef CACHE_REDIS_CLUSTER_H
#define CACHE_REDIS_CLUSTER_H

#include "base/ctx.h"

#include "cache/cache_metrics.h"
#include "cache/redis_url.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct log;
struct tls_context;
struct redis_cluster;

struct redis_cluster_settings {
    struct loop *loop;
    const struct redis_url *url; /* copied, its strings too */
    struct tls_context *tls;     /* NULL: plain; outlives the cluster */
    const char *script;          /* constant; see redis_cluster_store */
    uint64_t op_timeout_ns;
    struct cache_metrics *counted; /* outlives the cluster */
    const struct log *log;         /* may be NULL */
};

struct redis_cluster *redis_cluster_new(const struct redis_cluster_settings *settings);
/* No task may be waiting in it.  Accepts NULL. */
void redis_cluster_free(struct redis_cluster *cluster);

/* See cache_renew_password(). */
bool redis_cluster_renew_password(struct redis_cluster *cluster, const struct redis_url *url);

/* All slots are known and every node that has some is connected.  Any thread. */
bool redis_cluster_is_whole(const struct redis_cluster *cluster);

struct redis_value {
    bool exists;
    struct slice bytes; /* in the ctx's arena */
    uint64_t asked_ns;  /* clock_now() before it was asked for */
    uint64_t time_us;   /* the node's clock, after the value was looked up */
};

/* GET and TIME in one go, following redirects.  Faults: FAULT_CACHE, FAULT_CANCELLED, FAULT_TIMEOUT (the
 * ctx's own deadline); each counted.  Tasks only.  Suspends. */
int redis_cluster_get(struct redis_cluster *cluster, struct ctx *ctx, struct slice key,
                      struct redis_value *value) MUST_CHECK;

/* The clock of the key's node at our moment `at_ns`, µs, never later than the truth; see redis_conn.h.  0: not
 * known, and *why says what is missing. */
uint64_t redis_cluster_clock_at(struct redis_cluster *cluster, struct slice key, uint64_t at_ns,
                                enum cache_put_fate *why);

/* Runs the script with the key and these arguments, and waits for nothing.  The script answers an integer:
 * 1 stored, 0 a newer one is there, -1 too late.  The fate is counted now or when it is known. */
void redis_cluster_store(struct redis_cluster *cluster, struct slice key,
                         const struct slice *arguments, size_t count);

#endif
