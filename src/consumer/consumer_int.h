/* The consumer's inside; for the files of this room only.
 *
 * Everything belongs to the thread in tenant_consumer_run(), but for what is _Atomic.  An event's way:
 *
 *    source.c fetches ──> intake.c decides ──> the caller's handler ──> batch.c keeps positions, acknowledges
 *                            │  waits for another event: delivered again later (waiting.c)
 *                            └─ can never be handled: dead.c
 */
#ifndef CONSUMER_CONSUMER_INT_H
#define CONSUMER_CONSUMER_INT_H

#include "base/ctx.h"

#include "consumer/group.h"
#include "consumer/parts_int.h"
#include "events/dead_letter.h"

#include <stdatomic.h>

struct tenant_consumer {
    struct tenant_consumer_settings
        settings; /* defaults filled in; texts owned, in the arena below */
    struct arena *texts;
    unsigned backoff_ms[BACKOFF_STEPS_MAX];
    char member[MEMBER_NAME_MAX + 1];
    char requeue_name[GROUP_NAME_MAX + sizeof "_requeue"];
    char requeue_filter[GROUP_NAME_MAX + sizeof "TENANT.DLQ.requeue..>"];
    struct ctx ctx;                  /* of the thread; its arena is emptied each turn */
    struct arena *event_arena;       /* of the event in hand */
    struct jetstream *js;            /* NULL while not connected */
    struct jetstream_inbox *inbox;   /* of deliveries */
    struct jetstream_inbox *replies; /* of stored letters */
    bool broken;                     /* js is lost, and closed before the next turn */
    uint64_t connect_due_ns;
    uint64_t connected_ns; /* since when */
    unsigned connect_failures;
    uint64_t next_tag;
    struct source sources[SOURCE_COUNT];
    struct id_map positions; /* struct known_position */
    struct id_map waiting;   /* struct waiting */
    uint64_t alarms_due_ns;
    struct batch batch;
    struct group group;
    uint64_t paused_until_ns; /* what callbacks need is not there: nothing is handled before */
    unsigned pauses;          /* in a row */
    uint64_t handler_ns;      /* how long one event takes, smoothed */
    unsigned lot;             /* events since the inbox was empty */
    uint64_t emptied_ns;      /* when it was seen so */
    unsigned first_source;    /* whom to ask first */
    uint64_t asks_due_ns;     /* nobody is asked before */
    _Atomic bool stopping;
    _Atomic bool connected;
    _Atomic uint64_t waiting_count;
    _Atomic uint64_t counters[COUNTER_COUNT];
};

/* --- consumer.c --- */
void consumer_count(struct tenant_consumer *consumer, enum consumer_counter counter);
/* One line to the caller's `notice`. */
void consumer_notice(struct tenant_consumer *consumer, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A callback cannot do its work now: everything waits for a while, for longer each time. */
void consumer_pause(struct tenant_consumer *consumer);
/* The ctx with a deadline for the next step, and an empty arena behind it. */
struct ctx *consumer_step(struct tenant_consumer *consumer, uint64_t duration_ns);

/* --- broker.c --- */
/* Connects when it is time; false while there is no connection. */
bool broker_ready(struct tenant_consumer *consumer);
bool broker_is_up(const struct tenant_consumer *consumer);
/* Something failed on the connection: it will be dropped, with all that was fetched. */
void broker_lost(struct tenant_consumer *consumer, const char *detail);
/* Says what became of a message; false: the connection is lost. */
bool broker_ack(struct tenant_consumer *consumer, const char *reply, enum jetstream_verdict verdict,
                uint64_t delay_ns);

/* --- source.c --- */
void sources_init(struct tenant_consumer *consumer);
void sources_deinit(struct tenant_consumer *consumer);
/* This member handles it from now on. */
void source_hold(struct tenant_consumer *consumer, unsigned number);
/* No more pulls for it; true once those under way are over and everything that came is handled. */
bool source_leave(struct tenant_consumer *consumer, unsigned number);
/* It is somebody else's, or nobody's: what was fetched of it goes back when it is met. */
void source_drop(struct tenant_consumer *consumer, unsigned number);
/* Everything fetched is gone with the connection. */
void sources_reset(struct tenant_consumer *consumer);
/* Makes sure that the held ones have consumers and pulls under way. */
void sources_tick(struct tenant_consumer *consumer);
/* The number of a delivery's source; SOURCE_COUNT: of none that there is. */
unsigned source_of(const struct tenant_consumer *consumer,
                   const struct jetstream_delivery *delivery);
/* Bytes that one pull may bring: more than the largest message with its headers. */
size_t source_pull_bytes(const struct tenant_consumer *consumer);
/* A message of it came. */
void source_took(struct source *source, const struct jetstream_delivery *delivery);
/* What the server is to deliver again after this time has come by then: pauses are random within a part, and it
 * has other work. */
uint64_t source_latest_ns(unsigned duration_ms);
/* Whether nothing before this message can still come from a member before us. */
bool source_may_begin(const struct source *source, uint64_t stream_seq);
/* A pull is over. */
void source_status(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery);

/* --- intake.c --- */
/* Handles what comes until the deadline. */
void intake_run(struct tenant_consumer *consumer, uint64_t deadline_ns);
/* Gives back what was fetched and not handled. */
void intake_return(struct tenant_consumer *consumer);
/* The caller's handler, with a clock beside it. */
enum tenant_outcome handler_call(struct tenant_consumer *consumer, struct event_view *view,
                                 struct tenant_reason *reason);

/* --- attempts.c --- */
/* How many attempts of it failed, as the group's record says. */
unsigned attempts_before(const struct tenant_consumer *consumer, const struct event_view *view);
/* So many did; 0: it is over.  Written with the next beat, or `now`; false: it could not be. */
bool attempts_note(struct tenant_consumer *consumer, const struct event_view *view,
                   unsigned attempts, bool now);
/* Whether attempt number view->event.attempt may begin: TENANT_EVENT_DONE, _DEAD with the reason, _UNAVAILABLE.
 *
 * An event at which the process ends every time is never answered.  One that was delivered more often than that
 * happens by chance is noted before it is tried, so that whoever comes next knows. */
enum tenant_outcome attempts_begin(struct tenant_consumer *consumer, const struct event_view *view,
                                   struct tenant_reason *reason);

/* --- requeued.c --- */
/* A dead letter that an operator sent back to this group. */
void requeued_take(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery);

/* --- positions.c --- */
/* The tenant's position, from memory or by the caller's `load`; valid until another tenant's is found.
 * False: the caller cannot tell now. */
bool position_find(struct tenant_consumer *consumer, const struct event_view *view,
                   struct known_position **out);
/* The same, asked for again if the caller has it all. */
bool position_find_anew(struct tenant_consumer *consumer, const struct event_view *view,
                        struct known_position **out);
/* Events are handled up to `current`, and neither kept nor acknowledged yet: it is one of the batch. */
bool position_is_dirty(const struct known_position *known);
/* Not one of the batch (asserted): with it would go what the batch has to keep before it acknowledges. */
void position_forget(struct tenant_consumer *consumer, const struct uuid *tenant);
/* All of a source. */
void positions_forget(struct tenant_consumer *consumer, unsigned source);

/* --- batch.c --- */
void batch_init(struct tenant_consumer *consumer);
void batch_deinit(struct tenant_consumer *consumer);
/* An event is done and `position` (NULL: none is kept of it) moves to it.  Acknowledged at once, or by
 * batch_keep(). */
void batch_add(struct tenant_consumer *consumer, const struct event_view *view,
               struct known_position *position);
/* Keeps positions, then acknowledges.  False: they could not be kept; their events come again, and no pointer
 * to a position is valid any more. */
bool batch_keep(struct tenant_consumer *consumer);
/* Moves a tenant behind an event that no handler has done.  False: it could not be kept; `position` is gone. */
bool batch_skip(struct tenant_consumer *consumer, const struct event_view *view,
                struct known_position *position);

/* --- waiting.c --- */
/* The pause before attempt number `attempts` + 1. */
uint64_t waiting_pause_ns(const struct tenant_consumer *consumer, unsigned attempts);
/* The entry of a tenant that waits for this event; any other one of the tenant gives way. */
struct waiting *waiting_put(struct tenant_consumer *consumer, const struct event_view *view);
/* The same for one that is behind a gap: since when the tenant waits stays, and what is known of the gap. */
struct waiting *waiting_move(struct tenant_consumer *consumer, const struct event_view *view);
/* The event goes back for a reason that is not its own: those behind it wait, or one of them might be taken for
 * the first that this group gets of its tenant. */
void waiting_mark(struct tenant_consumer *consumer, const struct event_view *view);
/* The tenant is behind `at`: nobody waits for that event or one before it. */
void waiting_passed(struct tenant_consumer *consumer, const struct uuid *tenant,
                    struct tenant_position at);
/* What the tenant waits for should have come back long ago: it was handled elsewhere, or is gone. */
bool waiting_is_lost(const struct tenant_consumer *consumer, const struct waiting *waiting);
/* Those whose gap is old: tells the caller. */
void waiting_alarms(struct tenant_consumer *consumer);
void waiting_forget(struct tenant_consumer *consumer, unsigned source);

/* --- dead.c --- */
/* Stores the event as a dead letter.  False: it could not be. */
bool dead_store(struct tenant_consumer *consumer, const struct event_view *view,
                const struct tenant_reason *reason, unsigned attempts);
/* The same of one that is a dead letter already, as it was parsed. */
bool dead_store_again(struct tenant_consumer *consumer, const struct event_view *view,
                      const struct tenant_reason *reason, struct dead_letter *letter);

#endif
