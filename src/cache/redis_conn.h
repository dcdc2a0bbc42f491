/* One connection to one Redis node, shared by many tasks: requests are queued, sent together at the end of
 * the turn and answered in order.
 *
 * It connects, greets (AUTH, the script, TIME) and reconnects by itself, with pauses and behind a breaker.
 * While it is not ready no request is taken, so nobody waits for a node that does not answer. */
#ifndef CACHE_REDIS_CONN_H
#define CACHE_REDIS_CONN_H

#include "cache/cache_metrics.h"
#include "cache/redis_reply.h"
#include "cache/redis_url.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct log;
struct tls_context;
struct redis_conn;
struct redis_request;

#define REDIS_IN_FLIGHT_MAX 512                /* requests per connection */
#define REDIS_UNSENT_MAX ((size_t)1024 * 1024) /* bytes; no request is taken beyond */

/* Called when the connection becomes ready (true) or ceases to be. May not free it. */
typedef void redis_conn_change(void *owner, struct redis_conn *conn, bool ready);

/* Shared by the connections of a cluster; must outlive them. */
struct redis_conn_settings {
    struct loop *loop;
    struct tls_context *tls; /* NULL: plain */
    const char *user;        /* NULL: none */
    const char *password;    /* NULL: no AUTH */
    const char *script;      /* loaded on each new connection */
    uint64_t op_timeout_ns;  /* of one request */
    struct cache_metrics *counted;
    const struct log *log; /* may be NULL */
    redis_conn_change *on_change;
    void *owner; /* its argument */
};

/* Starts to connect at once. */
struct redis_conn *redis_conn_new(const struct redis_conn_settings *settings,
                                  const struct redis_address *address);
/* Requests under way end as lost.  Accepts NULL. */
void redis_conn_free(struct redis_conn *conn);

bool redis_conn_is_ready(const struct redis_conn *conn);
const struct redis_address *redis_conn_address(const struct redis_conn *conn);
size_t redis_conn_in_flight(const struct redis_conn *conn);

/* --- requests ---------------------------------------------------------------------------------- */

enum redis_outcome {
    REDIS_ANSWERED,  /* `reply` is the answer of command number `index` */
    REDIS_TIMED_OUT, /* the deadline passed: nothing more comes; reply is NULL */
    REDIS_LOST,      /* the connection ended: likewise */
};

/* Runs on the loop's stack, once per command or once with an outcome that ends the request. */
typedef void redis_done(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                        unsigned index);

/* A request without commands yet; NULL: not ready (TROUBLE_UNREACHABLE) or full (TROUBLE_FULL), and
 * *why tells.  Its commands must be added before anything else is done with the connection. */
struct redis_request *redis_conn_begin(struct redis_conn *conn, redis_done *done, void *owner,
                                       enum cache_trouble *why);
void redis_request_add(struct redis_request *request, const struct slice *words, size_t count);
/* EVALSHA of the connection's script with one key. */
void redis_request_add_script(struct redis_request *request, struct slice key,
                              const struct slice *arguments, size_t count);
/* The owner leaves: it is not called any more, and the answer is dropped when it comes. */
void redis_request_abandon(struct redis_request *request);

/* --- the node's clock -------------------------------------------------------------------------- */

/* From the answer to TIME: microseconds since 1970. */
bool redis_time_read(const struct redis_reply *reply, uint64_t *time_us);
void redis_conn_clock_learn(struct redis_conn *conn, uint64_t time_us);
/* What the node's clock showed at the moment `at_ns` of clock_now(), never later than the truth while the
 * node's clock runs steadily.  False: not learned in the last seconds. */
bool redis_conn_clock_at(const struct redis_conn *conn, uint64_t at_ns, uint64_t *time_us);

/* The script was lost (the node was restarted or flushed): load it again. */
void redis_conn_script_reload(struct redis_conn *conn);

#endif
