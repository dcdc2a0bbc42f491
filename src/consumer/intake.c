/* Decides what becomes of each message that was fetched.  Called by the loop.
 *
 * Whatever the decision, the message is answered: done, delivered again, or a dead letter.  A message that
 * is delivered again may come before or behind others of its tenant: its place in the tenant's history
 * decides, not the order of deliveries. */
#include "consumer/consumer_int.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_PATIENCE_NS (5 * NS_PER_S)
#define RETURN_NS (300 * NS_PER_MS)
#define AGAIN_NS NS_PER_S
/* a waiting event comes back just behind the one that it waits for */
#define BEHIND_NS (20 * NS_PER_MS)
#define EARLY_NS (20 * NS_PER_MS)
#define GAP_FLOOR_NS (100 * NS_PER_MS)
#define GAP_CAP_NS (2 * NS_PER_S)
#define DECIDE_ROUNDS 3
/* events that came without a wait between them: there are many */
#define LOT_MIN 16
#define NAP_MS 1
/* how long an event that is handled waits for another to be kept with */
#define KEEP_NS NS_PER_MS

static bool fetch(struct tenant_consumer *consumer, uint64_t deadline_ns,
                  struct jetstream_delivery *delivery);
static bool fetch_until(struct tenant_consumer *consumer, uint64_t deadline_ns,
                        struct jetstream_delivery *delivery);
static void take(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery);
static void send_back(struct tenant_consumer *consumer, const struct event_view *view,
                      uint64_t delay_ns);
static void decide(struct tenant_consumer *consumer, struct event_view *view);
static bool decide_once(struct tenant_consumer *consumer, struct event_view *view);
static bool unavailable(struct tenant_consumer *consumer, const struct event_view *view);
static void old(struct tenant_consumer *consumer, const struct event_view *view,
                const struct known_position *position);
static uint64_t behind_ns(const struct waiting *waiting, uint64_t now);
static bool must_wait(struct tenant_consumer *consumer, const struct event_view *view);
static bool may_begin(const struct tenant_consumer *consumer, const struct event_view *view,
                      enum order order);
static void gap(struct tenant_consumer *consumer, const struct event_view *view,
                struct tenant_position last, enum order order);
static enum tenant_outcome attempt(struct tenant_consumer *consumer, struct event_view *view,
                                   struct known_position *position, struct tenant_reason *reason);
static enum tenant_outcome unspoiled(struct tenant_consumer *consumer, struct event_view *view,
                                     struct tenant_reason *reason);
static void done(struct tenant_consumer *consumer, const struct event_view *view,
                 struct known_position *position);
static void failed(struct tenant_consumer *consumer, const struct event_view *view,
                   struct known_position *position, const struct tenant_reason *reason);
static void dead(struct tenant_consumer *consumer, const struct event_view *view,
                 struct known_position *position, const struct tenant_reason *reason);

void intake_run(struct tenant_consumer *consumer, uint64_t deadline_ns)
{
    struct jetstream_delivery delivery;
    while (broker_is_up(consumer) && !atomic_load(&consumer->stopping)) {
        if (!fetch(consumer, deadline_ns, &delivery))
            break;
        take(consumer, &delivery);
        uint64_t now = clock_now();
        if (now >= deadline_ns || now < consumer->paused_until_ns)
            break;
    }
    (void)batch_keep(consumer);
}

/* False: nothing came, or the connection was lost.
 *
 * Who waits for the next event is woken for it alone.  When there are many, a nap lets them gather, and all of
 * them cost one waking.  While something waits to be kept, an inbox that stays empty is reason enough to
 * keep it. */
static bool fetch(struct tenant_consumer *consumer, uint64_t deadline_ns,
                  struct jetstream_delivery *delivery)
{
    if (fetch_until(consumer, clock_now(), delivery)) {
        consumer->lot++;
        return true;
    }
    if (!broker_is_up(consumer))
        return false;
    consumer->emptied_ns = clock_now();
    bool many = consumer->lot >= LOT_MIN;
    consumer->lot = 0;
    if (many) {
        poll(NULL, 0, NAP_MS);
        return fetch_until(consumer, clock_now(), delivery);
    }
    uint64_t soon = deadline_after(clock_now(), KEEP_NS);
    return fetch_until(consumer, consumer->batch.count > 0 ? soon : deadline_ns, delivery);
}

static bool fetch_until(struct tenant_consumer *consumer, uint64_t deadline_ns,
                        struct jetstream_delivery *delivery)
{
    bool received = false;
    struct ctx *ctx = consumer_step(consumer, FETCH_PATIENCE_NS);
    if (jetstream_fetch(ctx, consumer->inbox, deadline_ns, delivery, &received) != OK)
        broker_lost(consumer, ctx_fault_text(ctx));
    return received;
}

/* No pull is served any more once the server knows that nobody listens; what it sent before goes back. */
void intake_return(struct tenant_consumer *consumer)
{
    struct jetstream_delivery delivery;
    bool received = true;
    struct ctx *ctx = consumer_step(consumer, RETURN_NS);
    uint64_t deadline = ctx->deadline_ns;
    int rc = jetstream_inbox_drain(ctx, consumer->inbox);
    while (rc == OK && received) {
        rc = jetstream_fetch(consumer_step(consumer, RETURN_NS), consumer->inbox, deadline,
                             &delivery, &received);
        if (rc == OK && received && delivery.status == PULL_MESSAGE)
            (void)broker_ack(consumer, delivery.reply, ACK_AGAIN, 0);
    }
}

static void take(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery)
{
    if (delivery->status != PULL_MESSAGE) {
        source_status(consumer, delivery);
        return;
    }
    unsigned number = source_of(consumer, delivery);
    struct event_view view = {.event = {.partition = number}, .source = number};
    if (number < SOURCE_COUNT)
        source_took(&consumer->sources[number], delivery);
    if (number == SOURCE_COUNT || !consumer->sources[number].held ||
        clock_now() >= consumer->group.lease_end_ns) {
        consumer_count(consumer, COUNT_FOREIGN);
        (void)broker_ack(consumer, delivery->reply, ACK_AGAIN, 0);
        return;
    }
    arena_reset(consumer->event_arena);
    if (delivery->place.delivered > 1)
        consumer_count(consumer, COUNT_REDELIVERED);
    if (number == SOURCE_REQUEUED) {
        requeued_take(consumer, delivery);
        return;
    }
    event_read(&view, delivery, consumer->inbox, consumer->event_arena);
    decide(consumer, &view);
}

static void send_back(struct tenant_consumer *consumer, const struct event_view *view,
                      uint64_t delay_ns)
{
    (void)broker_ack(consumer, view->reply, ACK_AGAIN, delay_ns);
}

/* Again when the position was not what it seemed to be. */
static void decide(struct tenant_consumer *consumer, struct event_view *view)
{
    if (view->form == EVENT_NAMELESS) {
        const struct tenant_reason reason = {.cause = "MALFORMED"};
        if (dead_store(consumer, view, &reason, 1) &&
            broker_ack(consumer, view->reply, ACK_DONE, 0))
            consumer_count(consumer, COUNT_DEAD);
        else
            send_back(consumer, view, AGAIN_NS);
        return;
    }
    for (int round = 0; round < DECIDE_ROUNDS; round++) {
        if (decide_once(consumer, view))
            return;
        consumer_count(consumer, COUNT_STALE);
        (void)batch_keep(consumer); /* either way the position is no longer the batch's */
        position_forget(consumer, &view->tenant);
    }
    waiting_mark(consumer, view);
    send_back(consumer, view, AGAIN_NS);
}

/* False: the position was stale.
 *
 * That something before an event is missing is believed only of a position that was just asked for: a member
 * that lost the partition to us may have handled and acknowledged it since, and it never comes to us. */
static bool decide_once(struct tenant_consumer *consumer, struct event_view *view)
{
    struct known_position *position = NULL;
    struct tenant_reason reason = {.cause = ""};
    if (!position_find(consumer, view, &position))
        return unavailable(consumer, view);
    waiting_passed(consumer, &view->tenant, position->current);
    enum order order = order_of(position->current, view->event.at);
    if (order != ORDER_OLD && must_wait(consumer, view))
        return true;
    if (order == ORDER_GAP || order == ORDER_FIRST) {
        if (!position_find_anew(consumer, view, &position))
            return unavailable(consumer, view);
        waiting_passed(consumer, &view->tenant, position->current);
        order = order_of(position->current, view->event.at);
    }
    if (order == ORDER_OLD) {
        old(consumer, view, position);
        return true;
    }
    if (order != ORDER_NEXT && !may_begin(consumer, view, order)) {
        gap(consumer, view, position->current, order);
        return true;
    }
    switch (attempt(consumer, view, position, &reason)) {
    case TENANT_EVENT_DONE:
        done(consumer, view, position);
        return true;
    case TENANT_EVENT_RETRY:
        failed(consumer, view, position, &reason);
        return true;
    case TENANT_EVENT_DEAD:
        dead(consumer, view, position, &reason);
        return true;
    case TENANT_EVENT_STALE:
        return false;
    case TENANT_EVENT_UNAVAILABLE:
        return unavailable(consumer, view);
    }
    abort(); /* the handler returned what is no outcome: a bug of the program */
}

static bool unavailable(struct tenant_consumer *consumer, const struct event_view *view)
{
    consumer_pause(consumer);
    waiting_mark(consumer, view);
    send_back(consumer, view, 0);
    return true;
}

/* One that is handled and not yet kept must not be acknowledged by a second delivery of itself. */
static void old(struct tenant_consumer *consumer, const struct event_view *view,
                const struct known_position *position)
{
    consumer_count(consumer, COUNT_OLD);
    waiting_passed(consumer, &view->tenant, view->event.at);
    if (position_compare(view->event.at, position->kept) > 0)
        batch_add(consumer, view, NULL);
    else
        (void)broker_ack(consumer, view->reply, ACK_DONE, 0);
}

/* Just behind it; ever more seldom when it is late. */
static uint64_t behind_ns(const struct waiting *waiting, uint64_t now)
{
    uint64_t late = now > waiting->not_before_ns ? (now - waiting->not_before_ns) / 4 : 0;
    return late < BEHIND_NS ? BEHIND_NS : late > AGAIN_NS ? AGAIN_NS : late;
}

/* Behind another event of its tenant, or before its own time.  Not behind one that should have come back long
 * ago: that may have been handled elsewhere. */
static bool must_wait(struct tenant_consumer *consumer, const struct event_view *view)
{
    const struct waiting *waiting = id_map_find(&consumer->waiting, &view->tenant);
    uint64_t now = clock_now();
    if (waiting == NULL)
        return false;
    uint64_t left = deadline_left(waiting->not_before_ns, now);
    int order = position_compare(view->event.at, waiting->at);
    if (order < 0 || (order == 0 && (waiting->attempts == 0 || left <= EARLY_NS)))
        return false;
    if (order > 0 && waiting_is_lost(consumer, waiting))
        return false;
    consumer_count(consumer, COUNT_WAITED);
    send_back(consumer, view, order == 0 ? left : left + behind_ns(waiting, now));
    return true;
}

/* An event that is not known to be its tenant's next one, all the same: when the gap was accepted, or when it
 * is the first that this group ever gets of the tenant, or of an incarnation.  That is certain only when
 * nothing earlier is with another member, and nothing earlier was sent back.  A stream has a tenant's events
 * of all incarnations, in their order. */
static bool may_begin(const struct tenant_consumer *consumer, const struct event_view *view,
                      enum order order)
{
    const struct waiting *waiting = id_map_find(&consumer->waiting, &view->tenant);
    int behind = waiting == NULL ? 0 : position_compare(view->event.at, waiting->at);
    if (behind == 0 && waiting != NULL && waiting->is_accepted)
        return true;
    if (behind > 0 || order != ORDER_FIRST)
        return false;
    if (waiting != NULL && waiting->missed.incarnation != 0 &&
        position_compare(view->event.at, waiting->missed) > 0)
        return false;
    return source_may_begin(&consumer->sources[view->source], view->event.stream_sequence);
}

/* One that may be its tenant's first is no gap yet: an event before it may still come from a member before us,
 * and does so in time.  Unless that was here, and is lost: then it takes its place, to be told in time. */
static void gap(struct tenant_consumer *consumer, const struct event_view *view,
                struct tenant_position last, enum order order)
{
    const struct waiting *known = id_map_find(&consumer->waiting, &view->tenant);
    if (known != NULL && position_compare(view->event.at, known->at) > 0 &&
        !waiting_is_lost(consumer, known)) {
        consumer_count(consumer, COUNT_WAITED);
        send_back(consumer, view, AGAIN_NS);
        return;
    }
    struct waiting *waiting = waiting_move(consumer, view);
    uint64_t now = clock_now();
    bool is_certain = order == ORDER_GAP || waiting->missed.incarnation != 0;
    if (is_certain && waiting->alarm_ns == NO_DEADLINE) {
        waiting->alarm_ns = deadline_after(now, consumer->settings.gap_alarm_ms * NS_PER_MS);
        consumer_count(consumer, COUNT_GAPS);
    }
    waiting->last = last;
    uint64_t age = (now - waiting->since_ns) / 4;
    uint64_t pause = age < GAP_FLOOR_NS ? GAP_FLOOR_NS : age > GAP_CAP_NS ? GAP_CAP_NS : age;
    waiting->not_before_ns = deadline_after(now, pause);
    send_back(consumer, view, pause);
}

static enum tenant_outcome attempt(struct tenant_consumer *consumer, struct event_view *view,
                                   struct known_position *position, struct tenant_reason *reason)
{
    enum tenant_outcome outcome = unspoiled(consumer, view, reason);
    view->event.before = position->current;
    if (outcome != TENANT_EVENT_DONE)
        return outcome;
    outcome = handler_call(consumer, view, reason);
    if (outcome == TENANT_EVENT_UNAVAILABLE || outcome == TENANT_EVENT_STALE) /* not its fault */
        (void)attempts_note(consumer, view, view->event.attempt - 1, false);
    return outcome;
}

/* TENANT_EVENT_DONE: nothing speaks against an attempt. */
static enum tenant_outcome unspoiled(struct tenant_consumer *consumer, struct event_view *view,
                                     struct tenant_reason *reason)
{
    const struct waiting *waiting = id_map_find(&consumer->waiting, &view->tenant);
    bool known = waiting != NULL && position_compare(waiting->at, view->event.at) == 0;
    unsigned before = known && waiting->attempts > 0 ? waiting->attempts
                                                     : attempts_before(consumer, view);
    if (known && waiting->is_dead) { /* given up already: no attempt more */
        view->event.attempt = before;
        *reason = waiting->reason;
        return TENANT_EVENT_DEAD;
    }
    view->event.attempt = before + 1;
    if (view->form == EVENT_MALFORMED) {
        snprintf(reason->cause, sizeof reason->cause, "MALFORMED");
        snprintf(reason->detail, sizeof reason->detail, "%s", view->fault);
        return TENANT_EVENT_DEAD;
    }
    if (known && waiting->attempts > 0)
        return TENANT_EVENT_DONE;
    return attempts_begin(consumer, view, reason);
}

enum tenant_outcome handler_call(struct tenant_consumer *consumer, struct event_view *view,
                                 struct tenant_reason *reason)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    uint64_t began = clock_now();
    enum tenant_outcome outcome = settings->handle(settings->context, &view->event, reason);
    uint64_t took = clock_now() - began;
    consumer->handler_ns = (consumer->handler_ns * 15 + took) / 16;
    return outcome;
}

static void done(struct tenant_consumer *consumer, const struct event_view *view,
                 struct known_position *position)
{
    consumer_count(consumer, COUNT_DONE);
    consumer->pauses = 0;
    waiting_passed(consumer, &view->tenant, view->event.at);
    (void)attempts_note(consumer, view, 0, false);
    atomic_store_explicit(&consumer->sources[view->source].stored_ns, view->event.stored_ns,
                          memory_order_relaxed);
    batch_add(consumer, view, position);
}

static void failed(struct tenant_consumer *consumer, const struct event_view *view,
                   struct known_position *position, const struct tenant_reason *reason)
{
    struct waiting *waiting = waiting_put(consumer, view);
    waiting->attempts = view->event.attempt;
    waiting->reason = *reason;
    if (waiting->attempts >= consumer->settings.attempts_max) {
        dead(consumer, view, position, reason);
        return;
    }
    uint64_t pause = waiting_pause_ns(consumer, waiting->attempts);
    waiting->not_before_ns = deadline_after(clock_now(), pause);
    consumer_count(consumer, COUNT_RETRIED);
    (void)attempts_note(consumer, view, view->event.attempt, false);
    send_back(consumer, view, pause);
}

/* The letter first: an event whose place was passed and that is nowhere would be lost. */
static void dead(struct tenant_consumer *consumer, const struct event_view *view,
                 struct known_position *position, const struct tenant_reason *reason)
{
    struct waiting *waiting = waiting_put(consumer, view);
    unsigned attempts = view->event.attempt;
    waiting->attempts = attempts;
    waiting->is_dead = true;
    waiting->reason = *reason;
    waiting->is_stored = waiting->is_stored || dead_store(consumer, view, reason, attempts);
    waiting->not_before_ns = deadline_after(clock_now(), AGAIN_NS);     /* if it must be repeated */
    if (!waiting->is_stored || !batch_skip(consumer, view, position)) { /* which moves entries */
        send_back(consumer, view, AGAIN_NS);
        return;
    }
    consumer_count(consumer, COUNT_DEAD);
    consumer_notice(consumer, 2, "%s %s of %s is a dead letter: %s %s", view->event.type,
                    view->event.id, view->event.tenant_id, reason->cause, reason->detail);
    waiting_passed(consumer, &view->tenant, view->event.at);
    (void)attempts_note(consumer, view, 0, false);
    (void)broker_ack(consumer, view->reply, ACK_DONE, 0);
}
