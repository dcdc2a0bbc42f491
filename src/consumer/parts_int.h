/* What a consumer consists of: sources, positions, waiting tenants, the batch.  Inner to consumer_int.h. */
#ifndef CONSUMER_PARTS_INT_H
#define CONSUMER_PARTS_INT_H

#include "consumer/event.h"
#include "consumer/id_map.h"
#include "consumer/order.h"
#include "events/pull_consumer.h"
#include "events/subjects.h"

#include <stdatomic.h>

#define GROUP_NAME_MAX 64
#define MEMBER_NAME_MAX 64
#define BACKOFF_STEPS_MAX 16
#define BATCH_MAX 4096
/* a partition's pulls under way: while one is served the next waits at the server */
#define PULLS 2
/* sixteen partitions, and the letters that were sent back */
#define SOURCE_COUNT (PARTITION_COUNT + 1)
#define SOURCE_REQUEUED PARTITION_COUNT

/* What the snapshot counts; as its members, in the same order (metrics.c). */
enum consumer_counter {
    COUNT_DONE,
    COUNT_OLD,
    COUNT_RETRIED,
    COUNT_DEAD,
    COUNT_WAITED,
    COUNT_GAPS,
    COUNT_GAP_ALARMS,
    COUNT_STALE,
    COUNT_REQUEUED,
    COUNT_REDELIVERED,
    COUNT_FOREIGN, /* fetched, but the partition was given up meanwhile */
    COUNT_CALLBACK_FAILURES,
    COUNT_BROKER_FAILURES,
    COUNT_CONNECTS,
    COUNT_TAKEOVERS,
};
#define COUNTER_COUNT 15

struct pull {
    uint64_t tag;         /* 0: not under way */
    unsigned left;        /* messages still to come */
    uint64_t deadline_ns; /* the server must have said something by then */
};

/* What is fetched from. */
struct source {
    struct pull_consumer consumer;
    char stream[sizeof "TENANT_DLQ"];
    bool held;              /* by this member; the requeued letters are with partition 0 */
    bool leaving;           /* no more pulls: it is given up once those under way are over */
    bool ready;             /* its consumer is known to be there */
    uint64_t not_before_ns; /* after a failure: not before then */
    unsigned failures;      /* in a row */
    struct pull pulls[PULLS];
    unsigned silences;  /* of pulls in a row of which nobody said anything */
    bool inherits;      /* it, or its connection, is new here: what it inherits is not known */
    uint64_t served_ns; /* until then nobody may have served it */
    /* What was given out before this member held the partition, or before its connection was lost, and was not
     * acknowledged: some of it may be with a member that died, and comes late. */
    uint64_t
        inherited_seq; /* all of it lies up to here; 0: nothing of it is out of sight any more */
    uint64_t inherited_count;  /* so many messages … */
    struct id_map inherited;   /* … of which these have come (inherited_id()) */
    uint64_t inherited_end_ns; /* everything has come by then */
    uint64_t floor_seq;        /* everything up to it is acknowledged, as of the last look */
    uint64_t look_due_ns;      /* look again then */
    /* for the snapshot */
    _Atomic bool shown_held;
    _Atomic uint64_t pending;   /* events not fetched yet, as the last delivery said */
    _Atomic uint64_t stored_ns; /* when the stream took the event that was handled last */
};

/* Where a tenant is, as far as it is known. */
struct known_position {
    struct uuid tenant;
    unsigned source;
    struct tenant_position current; /* after the last event handled */
    struct tenant_position kept;    /* by the caller */
    struct tenant_position unkept;  /* the first event handled since: only where the two differ */
};

/* A tenant whose events wait for the one at `at`. */
struct waiting {
    struct uuid tenant;
    unsigned source;
    struct tenant_position at;   /* the lowest event that was sent back */
    struct tenant_position last; /* the tenant's position then */
    struct tenant_position
        missed;                  /* one before it was sent back too, and is overdue; {0, 0}: none */
    uint64_t not_before_ns;      /* it is delivered again then */
    unsigned attempts;           /* of the handler, all in vain; 0: a gap */
    bool is_dead;                /* to be a dead letter … */
    bool is_stored;              /* … which is stored, but the position could not be kept yet */
    bool is_accepted;            /* the gap before it is accepted */
    struct tenant_reason reason; /* of the last attempt */
    uint64_t since_ns;           /* since when it waits */
    uint64_t alarm_ns;           /* say so again then */
};

/* Handled, but neither kept nor acknowledged. */
struct batch {
    char (*replies)[ACK_SUBJECT_SIZE];
    size_t count;
    struct uuid *dirty; /* tenants whose position is not kept yet */
    size_t dirty_count;
};

#endif
