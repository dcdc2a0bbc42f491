/* libtenant-events: a consumer of tenant-service's events for C programs, over NATS JetStream.
 *
 *     struct tenant_consumer_settings settings = TENANT_CONSUMER_SETTINGS;
 *     settings.url = "tls://nats:4222"; settings.group = "sync"; settings.handle = apply; …
 *     struct tenant_consumer *consumer = NULL;
 *     if (tenant_consumer_new(&settings, &consumer, &error) == TENANT_CONSUMER_OK)
 *         tenant_consumer_run(consumer);            // until tenant_consumer_stop()
 *     tenant_consumer_free(consumer);
 *
 * A consumer is a member of a group.  The members of a group share the sixteen partitions of
 * docs/events-wire.md fairly; one that joins, leaves or dies hands its partitions over.  Each event of a
 * tenant reaches the handler once its predecessor is done with, and not again once its position is kept.
 *
 * Threads: everything happens in tenant_consumer_run(), on the thread that calls it.  The handler and the
 * other callbacks are called there, one at a time.  For more at once, run several consumers of the same
 * group, each on a thread (or in a process) of its own: a partition is with one of them at a time.  Only
 * stop and snapshot may be called from elsewhere.  Nothing is global, SIGPIPE is never raised, running out
 * of memory aborts.  Texts handed to callbacks live until the callback returns. */
#ifndef TENANT_EVENTS_H
#define TENANT_EVENTS_H

#include "tenant/event.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tenant_consumer;

enum tenant_consumer_result {
    TENANT_CONSUMER_OK = 0,
    TENANT_CONSUMER_INVALID, /* a setting breaks a rule */
    TENANT_CONSUMER_BROKER,  /* NATS cannot be reached, refuses, or lacks a stream */
    TENANT_CONSUMER_BUSY,    /* the group has a living member, and must not */
    TENANT_CONSUMER_FAILED,  /* a callback failed */
};

/* What went wrong, for a person.  The library fills it, also with "". */
struct tenant_consumer_error {
    char text[256];
};

enum tenant_outcome {
    TENANT_EVENT_DONE, /* applied, or of no interest */
    /* It failed: again, attempts_max times in all; its tenant's events wait, others go on. */
    TENANT_EVENT_RETRY,
    TENANT_EVENT_DEAD,  /* never: goes to TENANT_DLQ, and the tenant's next event is handled */
    TENANT_EVENT_STALE, /* the position was not event->before: read it again and decide anew */
    /* Nothing is wrong with the event: what the handler needs is not there.  Everything waits for a while,
     * growing to 10 s, and no attempt is counted. */
    TENANT_EVENT_UNAVAILABLE,
};

/* Why an event was not done.  Empty when the handler is called. */
struct tenant_reason {
    char cause[64];   /* [A-Z][A-Z0-9_]*; "": HANDLER_FAILED */
    char detail[256]; /* one line for a person */
};

/* Handles an event.  May take long, but not longer than ack_wait_ms and lease_ttl_ms: else another member gets
 * the event too, and only one of them can keep the position. */
/* lint-allow typedef: of a function */
typedef enum tenant_outcome tenant_handler(void *context, const struct tenant_event *event,
                                           struct tenant_reason *reason);

/* Reads a tenant's position; *position is {0, 0} when called.  Not 0: TENANT_EVENT_UNAVAILABLE. */
typedef int tenant_position_load(void *context, const char *tenant_id,
                                 struct tenant_position *position);

struct tenant_position_change {
    const char *tenant_id;
    struct tenant_position before; /* what must be kept now, … */
    struct tenant_position after;  /* … and what to keep */
};
#define TENANT_STORE_STALE 1
/* Keeps positions, all or none.  0: kept.  TENANT_STORE_STALE: one was not `before`, nothing was kept. Anything
 * else: TENANT_EVENT_UNAVAILABLE, nothing was kept.  The events are delivered again in both cases. */
typedef int tenant_position_store(void *context, const struct tenant_position_change *changes,
                                  size_t count);

struct tenant_gap {
    const char *tenant_id;
    unsigned partition;
    struct tenant_position last;  /* applied */
    struct tenant_position found; /* the lowest event that came behind the gap */
    uint64_t since_ns;            /* how long it has been there */
};
/* An event is missing for gap_alarm_ms.  False: wait on (the producer's reconciler refills streams).  True:
 * accept the loss and go on behind the gap.  Called again at the same interval while it stays. */
typedef bool tenant_gap_alarm(void *context, const struct tenant_gap *gap);

/* One line about the consumer's own life: level 0 told, 1 warning, 2 error. */
typedef void tenant_notice(void *context, int level, const char *text);

/* Where a group that does not exist yet begins. */
enum tenant_start {
    TENANT_START_ALL,      /* with the oldest event there is */
    TENANT_START_NEW,      /* with those that come */
    TENANT_START_TIME,     /* with those stored since start_value: nanoseconds since 1970 */
    TENANT_START_SEQUENCE, /* in each partition with the stream's sequence start_value */
};

/* Begin with TENANT_CONSUMER_SETTINGS.  0 and NULL mean the default.  Copied; files are read at each
 * connect. */
struct tenant_consumer_settings {
    size_t size; /* of this struct, as the caller was compiled: members behind it count as 0 */
    /* NATS */
    const char *url;       /* "tls://host:port", several separated by commas; must be given */
    const char *seed_file; /* NKey seed */
    const char *ca_file;   /* PEM */
    const char *cert_file; /* PEM, the client's certificate … */
    const char *key_file;  /* … and its key */
    /* the group */
    const char *group;  /* [A-Za-z0-9_-]{1,64}, not "relay"; must be given */
    const char *member; /* unique among the living, the same alphabet; default: made up */
    enum tenant_start start;
    uint64_t start_value;
    /* callbacks; each gets `context` */
    void *context;
    tenant_handler *handle; /* must be given */
    /* Both or none.  Without them nothing but acknowledgements keeps track: an event may come again after a
     * crash. */
    tenant_position_load *load;
    tenant_position_store *store;
    /* The handler keeps the position in the transaction of its effect (tenant/events_postgres.h): then
     * `store` is called for events that no handler was called for (dead letters), else for all, in batches
     * behind them. */
    bool handler_keeps_positions;
    tenant_gap_alarm *gap;
    tenant_notice *notice;
    /* limits */
    unsigned batch;           /* messages asked for at once, per partition; 512 */
    unsigned max_ack_pending; /* unacknowledged ones, per partition; 4,096 */
    unsigned ack_wait_ms;     /* delivered again then; 30,000 */
    unsigned lease_ttl_ms;    /* a member that is silent for so long is dead; 10,000 */
    unsigned attempts_max;    /* then an event is a dead letter; 10 */
    const unsigned
        *backoff_ms;       /* pauses between attempts, the last one repeats, each within 10 % … */
    size_t backoff_count;  /* … 1 s, 5 s, 30 s, 1 min, 5 min; at most 16 */
    unsigned gap_alarm_ms; /* 30,000 */
    size_t positions_max;  /* positions kept in memory; 65,536 */
};
#define TENANT_CONSUMER_SETTINGS                                                                   \
    {                                                                                              \
        .size = sizeof(struct tenant_consumer_settings)                                            \
    }

/* No input or output.  INVALID: the text names the member and its rule. */
enum tenant_consumer_result tenant_consumer_new(const struct tenant_consumer_settings *settings,
                                                struct tenant_consumer **consumer,
                                                struct tenant_consumer_error *error);
/* Consumes until tenant_consumer_stop(); blocks.  NATS may be down, streams may be missing: it goes on
 * trying and says so by `notice` and metrics.  At the end it finishes the event in progress, keeps
 * positions, acknowledges, hands back what was fetched and gives its partitions up: within seconds.  At most
 * once per consumer. */
void tenant_consumer_run(struct tenant_consumer *consumer);
/* From any thread, also from a signal's handler; before run as well. */
void tenant_consumer_stop(struct tenant_consumer *consumer);
/* Not while it runs.  Accepts NULL. */
void tenant_consumer_free(struct tenant_consumer *consumer);

/* The partition of a tenant's events, 0 to 15: those of partition 7 are in stream TENANT_07, under subjects
 * that end in ".07".  Never changes; contracts/partition-vectors.json has vectors.  False: not a tenant id as
 * events have it ("tnt_" and 26 upper-case digits), *partition untouched.  From any thread; no input or
 * output. */
bool tenant_partition_of(const char *tenant_id, unsigned *partition);

#ifdef __cplusplus
}
#endif

#endif
