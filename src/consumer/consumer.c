/*~ The consumer: settings in, a loop that runs until it is told to stop, everything given back at its end.
 *
 * Begin reading here; consumer_int.h shows an event's way through the room.  A turn of the loop connects if it
 * must, sees to the leases and the pulls, and handles what has come for a slice of time. */
#include "consumer/consumer_int.h"

#include "base/alloc.h"
#include "base/random.h"

#include "consumer/settings.h"

#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* how long a turn handles events before it looks at leases, pulls and alarms */
#define SLICE_NS (20 * NS_PER_MS)
/* without a connection there is nothing to wait for but the next attempt and the stop */
#define OFFLINE_PAUSE_MS 20
#define ALARMS_EVERY_NS (250 * NS_PER_MS)
#define PAUSE_FLOOR_NS (100 * NS_PER_MS)
#define PAUSE_CAP_NS (10 * NS_PER_S)
#define LEAVE_NS (5 * NS_PER_S)
/* bytes that one event may unpack to */
#define EVENT_ARENA_MAX (64u << 20)
#define NOTICE_MAX 512

static void member_name(struct tenant_consumer *consumer);
static void turn(struct tenant_consumer *consumer);
static void leave(struct tenant_consumer *consumer);

enum tenant_consumer_result tenant_consumer_new(const struct tenant_consumer_settings *settings,
                                                struct tenant_consumer **out,
                                                struct tenant_consumer_error *error)
{
    struct tenant_consumer_error ignored;
    struct tenant_consumer *consumer = xcalloc(1, sizeof *consumer);
    consumer->texts = arena_new(0);
    if (!settings_take(settings, consumer->texts, &consumer->settings,
                       error == NULL ? &ignored : error)) {
        arena_free(consumer->texts);
        free(consumer);
        return TENANT_CONSUMER_INVALID;
    }
    member_name(consumer);
    ctx_init(&consumer->ctx, NULL, arena_new(0));
    consumer->event_arena = arena_new(EVENT_ARENA_MAX);
    id_map_init(&consumer->positions, sizeof(struct known_position));
    id_map_init(&consumer->waiting, sizeof(struct waiting));
    batch_init(consumer);
    sources_init(consumer);
    *out = consumer;
    return TENANT_CONSUMER_OK;
}

void tenant_consumer_run(struct tenant_consumer *consumer)
{
    consumer_notice(consumer, 0, "member %s of group %s starts", consumer->member,
                    consumer->settings.group);
    while (!atomic_load(&consumer->stopping))
        turn(consumer);
    leave(consumer);
    consumer_notice(consumer, 0, "member %s of group %s has ended", consumer->member,
                    consumer->settings.group);
}

/* Async-signal-safe: one store. */
void tenant_consumer_stop(struct tenant_consumer *consumer)
{
    atomic_store(&consumer->stopping, true);
}

void tenant_consumer_free(struct tenant_consumer *consumer)
{
    if (consumer == NULL)
        return;
    jetstream_inbox_close(consumer->inbox);
    jetstream_inbox_close(consumer->replies);
    jetstream_close(consumer->js);
    id_map_deinit(&consumer->positions);
    id_map_deinit(&consumer->waiting);
    batch_deinit(consumer);
    sources_deinit(consumer);
    arena_free(consumer->event_arena);
    arena_free(consumer->ctx.arena);
    arena_free(consumer->texts);
    free(consumer);
}

void consumer_count(struct tenant_consumer *consumer, enum consumer_counter counter)
{
    atomic_fetch_add_explicit(&consumer->counters[counter], 1, memory_order_relaxed);
}

void consumer_notice(struct tenant_consumer *consumer, int level, const char *format, ...)
{
    char text[NOTICE_MAX];
    va_list arguments;
    if (consumer->settings.notice == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    consumer->settings.notice(consumer->settings.context, level, text);
}

void consumer_pause(struct tenant_consumer *consumer)
{
    consumer_count(consumer, COUNT_CALLBACK_FAILURES);
    if (consumer->pauses == 0)
        consumer_notice(consumer, 1, "what the callbacks need is not there: everything waits");
    uint64_t pause = backoff_ns(consumer->pauses, PAUSE_FLOOR_NS, PAUSE_CAP_NS);
    consumer->pauses += consumer->pauses < 16;
    consumer->paused_until_ns = deadline_after(clock_now(), pause);
}

struct ctx *consumer_step(struct tenant_consumer *consumer, uint64_t duration_ns)
{
    arena_reset(consumer->ctx.arena);
    consumer->ctx.deadline_ns = deadline_after(clock_now(), duration_ns);
    return &consumer->ctx;
}

/* "host-pid-random": another process of the same host and number later is not mistaken for this one. */
static void member_name(struct tenant_consumer *consumer)
{
    char host[40] = "";
    uint32_t salt = 0;
    if (consumer->settings.member != NULL) {
        snprintf(consumer->member, sizeof consumer->member, "%s", consumer->settings.member);
        return;
    }
    random_bytes(&salt, sizeof salt);
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    for (char *letter = host; *letter != '\0'; letter++) {
        bool good = (*letter >= 'a' && *letter <= 'z') || (*letter >= 'A' && *letter <= 'Z') ||
                    (*letter >= '0' && *letter <= '9');
        *letter = good ? *letter : '-';
    }
    snprintf(consumer->member, sizeof consumer->member, "%s-%d-%08x", host[0] == '\0' ? "m" : host,
             (int)getpid(), salt);
}

static void turn(struct tenant_consumer *consumer)
{
    if (!broker_ready(consumer)) {
        poll(NULL, 0, OFFLINE_PAUSE_MS);
        return;
    }
    group_tick(consumer);
    uint64_t now = clock_now();
    bool paused = now < consumer->paused_until_ns;
    if (paused)
        poll(NULL, 0, OFFLINE_PAUSE_MS);
    if (!paused && broker_is_up(consumer))
        sources_tick(consumer);
    if (!paused && broker_is_up(consumer))
        intake_run(consumer, deadline_after(now, SLICE_NS));
    if (now >= consumer->alarms_due_ns) {
        waiting_alarms(consumer);
        consumer->alarms_due_ns = deadline_after(now, ALARMS_EVERY_NS);
    }
}

/* What was fetched and not handled goes back at once, so that the next member need not wait for it. */
static void leave(struct tenant_consumer *consumer)
{
    (void)batch_keep(consumer);
    if (broker_is_up(consumer))
        intake_return(consumer);
    if (broker_is_up(consumer))
        group_leave(consumer);
    /* What is lost now is delivered again, and old. */
    if (broker_is_up(consumer) &&
        jetstream_flush(consumer_step(consumer, LEAVE_NS), consumer->js) != OK)
        consumer_count(consumer, COUNT_BROKER_FAILURES);
}
