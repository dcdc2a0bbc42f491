/* The inside of a Redis connection, shared by redis_conn.c (requests, deadlines, clock) and redis_link.c
 * (connecting, greeting, bytes). */
#ifndef CACHE_REDIS_CONN_INT_H
#define CACHE_REDIS_CONN_INT_H

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"

#include "cache/breaker.h"
#include "cache/redis_conn.h"
#include "cache/redis_wire.h"

#define REDIS_READ_SIZE 16384
#define REDIS_SHA_SIZE 41

/* redis_link.c has the transitions; in all but READY no request of others is taken. */
enum conn_state { CONN_WAITING, CONN_CONNECTING, CONN_GREETING, CONN_READY };

/* Owned by its connection, in the order in which it was sent; freed when its last answer came
 * or all are lost. */
struct redis_request {
    struct list_node node;
    struct redis_conn *conn;
    redis_done *done; /* NULL: abandoned, or told already */
    void *owner;
    uint64_t began_ns;
    uint64_t deadline_ns;
    unsigned commands; /* queued */
    unsigned answered;
    bool late;   /* counted and told */
    bool failed; /* an answer was an error that speaks against the node */
};

/* Its worker's; freed by redis_conn_free() only, and never from within one of its own
 * callbacks. */
struct redis_conn {
    const struct redis_conn_settings *settings;
    struct redis_address address; /* const */
    enum conn_state state;
    struct redis_wire wire;      /* socket and TLS; closed while WAITING */
    struct redis_parser *parser; /* NULL while WAITING */
    struct buf unsent;           /* commands in RESP, not yet written */
    struct list requests;        /* in the order of their answers */
    struct timer *timer;   /* by state: reconnect, set-up deadline, next deadline or keepalive */
    uint64_t timer_ns;     /* when it is set for */
    uint64_t keepalive_ns; /* when TIME is asked next */
    struct deferred flush;
    struct breaker breaker;
    bool breaker_shown; /* what the gauge says */
    unsigned attempts;  /* connections in a row that failed */
    char refused[128];  /* why the greeting failed; "": it did not */
    char script_sha[REDIS_SHA_SIZE];
    bool script_loading;   /* SCRIPT LOAD is under way again */
    int64_t clock_base_ns; /* node's clock minus ours, at least … */
    uint64_t clock_ns;     /* … as learned then; 0: not yet */
    struct log_interval logged;
    uint8_t inbox[REDIS_READ_SIZE];
};

/* --- redis_link.c ------------------------------------------------------------------------------ */

/* Begins to connect, from WAITING. */
void redis_link_start(struct redis_conn *conn);
/* The connection is of no more use: closes it, ends its requests as lost and sets the timer for the next.
 * The caller may only return. */
void redis_link_fail(struct redis_conn *conn, enum cache_trouble trouble, const char *text);
/* The same when the breaker has just opened. */
void redis_link_leave_alone(struct redis_conn *conn, const char *why);
/* Takes and deals out what the socket holds.  False: the connection failed. */
bool redis_link_read(struct redis_conn *conn);
/* Sends what is queued: the deferred work of a turn. */
void redis_link_flush(void *owner);
/* Ends all requests as lost; only while WAITING. */
void redis_link_lose(struct redis_conn *conn);
/* Brings gauge and counter in line with the breaker; may be called at any time. */
void redis_link_show_breaker(struct redis_conn *conn);

/* --- redis_conn.c ------------------------------------------------------------------------------ */

/* Queues a request whatever the state; the greeting is one too. */
struct redis_request *redis_request_new(struct redis_conn *conn, redis_done *done, void *owner);
/* Takes it out and frees it; nobody is told. */
void redis_request_end(struct redis_request *request);
/* False: the answer is no SHA-1 in hex. */
bool redis_script_learn(struct redis_conn *conn, const struct redis_reply *reply);
/* One timer serves all states: the earliest of what may come due has to be given. */
void redis_timer_arm(struct redis_conn *conn, uint64_t deadline_ns);
/* After the greeting. */
void redis_keepalive_begin(struct redis_conn *conn);

#endif
