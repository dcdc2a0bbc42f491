/* Replays: the past of the streams, by consumers that are gone when the replay is.  See
 * tenant/events_replay.h. */
#include "base/random.h"

#include "consumer/consumer_int.h"
#include "tenant/events_replay.h"

#include <poll.h>
#include <stdio.h>

#define ASK_PATIENCE_NS (5 * NS_PER_S)
/* between two pulls the handler may take so long */
#define INACTIVE_NS (600 * NS_PER_S)
#define NAME_SIZE 32
/* pulls in a row that give nothing though there is something: the stream's leader has moved */
#define VAIN_MAX 6
#define VAIN_FLOOR_NS (100 * NS_PER_MS)
#define VAIN_CAP_NS (2 * NS_PER_S)

struct replay {
    struct tenant_consumer *consumer;
    struct tenant_replay_range range;
    bool one_tenant;
    struct uuid tenant;
    uint64_t handled;
    unsigned vain;                      /* pulls that gave nothing, in a row */
    enum tenant_consumer_result result; /* once it is not OK: over */
};

static bool range_take(const struct tenant_replay_range *given, struct replay *replay,
                       struct tenant_consumer_error *error);
static void replay_partition(struct replay *replay, unsigned number);
static void read_on(struct replay *replay, unsigned number, const struct pull_consumer *wish,
                    uint64_t left);
static bool is_at_end(struct replay *replay, const struct pull_consumer *wish);
static uint64_t read_batch(struct replay *replay, unsigned number,
                           const struct jetstream_pull *pull);
static void show(struct replay *replay, unsigned number, const struct jetstream_delivery *delivery);
static bool failed(struct replay *replay, struct ctx *ctx, int rc);

/* lint-allow parameters: see events_replay.h */
enum tenant_consumer_result tenant_replay_run(const struct tenant_consumer_settings *settings,
                                              const struct tenant_replay_range *range,
                                              uint64_t *handled,
                                              struct tenant_consumer_error *error)
{
    struct tenant_consumer_error ignored;
    struct replay replay = {.result = TENANT_CONSUMER_OK};
    error = error == NULL ? &ignored : error;
    if (!range_take(range, &replay, error))
        return TENANT_CONSUMER_INVALID;
    if (tenant_consumer_new(settings, &replay.consumer, error) != TENANT_CONSUMER_OK)
        return TENANT_CONSUMER_INVALID;
    if (!broker_ready(replay.consumer))
        (void)failed(&replay, &replay.consumer->ctx, FAULT_BROKER);
    for (unsigned i = 0; i < PARTITION_COUNT && replay.result == TENANT_CONSUMER_OK; i++) {
        if ((replay.range.partitions >> i & 1) != 0)
            replay_partition(&replay, i);
    }
    if (replay.result != TENANT_CONSUMER_OK)
        snprintf(error->text, sizeof error->text, "%s",
                 replay.result == TENANT_CONSUMER_FAILED ? "the handler gave up"
                                                         : replay.consumer->ctx.fault.text);
    if (handled != NULL)
        *handled = replay.handled;
    tenant_consumer_free(replay.consumer);
    return replay.result;
}

static bool range_take(const struct tenant_replay_range *given, struct replay *replay,
                       struct tenant_consumer_error *error)
{
    struct tenant_replay_range *range = &replay->range;
    size_t known = given->size < sizeof *range ? given->size : sizeof *range;
    memcpy(range, given, known);
    replay->one_tenant = range->tenant_id != NULL;
    const char *wrong = NULL;
    if (range->from == TENANT_START_NEW || range->from > TENANT_START_SEQUENCE)
        wrong = "from: must be TENANT_START_ALL, _TIME or _SEQUENCE";
    else if (range->from != TENANT_START_ALL && range->from_value == 0)
        wrong = "from_value: must be given with TENANT_START_TIME and _SEQUENCE";
    else if (range->partitions >> PARTITION_COUNT != 0)
        wrong = "partitions: there are 16";
    else if (replay->one_tenant &&
             !id_parse(ID_TENANT, slice_of_str(range->tenant_id), &replay->tenant))
        wrong = "tenant_id: is none";
    snprintf(error->text, sizeof error->text, "%s", wrong == NULL ? "" : wrong);
    if (replay->one_tenant && wrong == NULL)
        range->partitions = 1u << partition_of(&replay->tenant);
    else if (range->partitions == 0)
        range->partitions = (1u << PARTITION_COUNT) - 1;
    return wrong == NULL;
}

/* A stream that is not there has no past. */
static void replay_partition(struct replay *replay, unsigned number)
{
    static const enum deliver_from from[] = {
        [TENANT_START_ALL] = DELIVER_ALL,
        [TENANT_START_TIME] = DELIVER_TIME,
        [TENANT_START_SEQUENCE] = DELIVER_SEQUENCE,
    };
    struct tenant_consumer *consumer = replay->consumer;
    struct pull_consumer_state state;
    char name[NAME_SIZE];
    uint64_t salt = 0;
    random_bytes(&salt, sizeof salt);
    snprintf(name, sizeof name, "replay-%016llx", (unsigned long long)salt);
    const struct pull_consumer wish = {
        .stream = consumer->sources[number].stream,
        .name = name,
        .from = from[replay->range.from],
        .from_value = replay->range.from_value,
        .inactive_ns = INACTIVE_NS,
    };
    struct ctx *ctx = consumer_step(consumer, ASK_PATIENCE_NS);
    if (failed(replay, ctx, pull_consumer_ensure(ctx, consumer->js, &wish, &state)) ||
        state.is_missing)
        return;
    replay->vain = 0;
    read_on(replay, number, &wish, state.pending);
    ctx = consumer_step(consumer, ASK_PATIENCE_NS);
    if (replay->result != TENANT_CONSUMER_BROKER)
        (void)failed(replay, ctx, pull_consumer_delete(ctx, consumer->js, &wish));
}

/* `left` messages were there when it began; fewer come when some of them grow too old meanwhile.  That they did
 * is the server's to say: a pull also gives nothing when the stream's leader moves or the consumer is lost. */
static void read_on(struct replay *replay, unsigned number, const struct pull_consumer *wish,
                    uint64_t left)
{
    while (left > 0 && replay->result == TENANT_CONSUMER_OK) {
        unsigned batch = replay->consumer->settings.batch;
        const struct jetstream_pull pull = {
            .stream = wish->stream,
            .consumer = wish->name,
            .batch = left < batch ? (unsigned)left : batch,
            .max_bytes = source_pull_bytes(replay->consumer),
        };
        uint64_t came = read_batch(replay, number, &pull);
        if (came == 0 && (replay->result != TENANT_CONSUMER_OK || is_at_end(replay, wish)))
            return;
        replay->vain = came == 0 ? replay->vain : 0;
        left -= came < left ? came : left;
    }
}

/* A pull gave nothing.  False: there is more, to be asked for again. */
static bool is_at_end(struct replay *replay, const struct pull_consumer *wish)
{
    struct tenant_consumer *consumer = replay->consumer;
    struct pull_consumer_state state;
    struct ctx *ctx = consumer_step(consumer, ASK_PATIENCE_NS);
    if (failed(replay, ctx, pull_consumer_look(ctx, consumer->js, wish, &state)))
        return true;
    if (!state.is_missing && state.pending == 0)
        return true;
    if (state.is_missing || replay->vain == VAIN_MAX) {
        int rc = FAULT(ctx, FAULT_BROKER, "%s: the replay's consumer %s", wish->stream,
                       state.is_missing ? "is gone" : "gives nothing, and there is more");
        return failed(replay, ctx, rc);
    }
    poll(NULL, 0, (int)(backoff_ns(replay->vain++, VAIN_FLOOR_NS, VAIN_CAP_NS) / NS_PER_MS));
    return false;
}

/* How many messages came.  The server waits for none: a status ends what is less than a batch. */
static uint64_t read_batch(struct replay *replay, unsigned number,
                           const struct jetstream_pull *pull)
{
    struct tenant_consumer *consumer = replay->consumer;
    struct jetstream_delivery delivery;
    uint64_t came = 0;
    uint64_t tag = ++consumer->next_tag;
    struct ctx *ctx = consumer_step(consumer, ASK_PATIENCE_NS);
    if (failed(replay, ctx, jetstream_pull(ctx, consumer->inbox, pull, tag)))
        return 0;
    while (came < pull->batch && replay->result == TENANT_CONSUMER_OK) {
        bool received = false;
        ctx = consumer_step(consumer, ASK_PATIENCE_NS);
        int rc = jetstream_fetch(ctx, consumer->inbox, ctx->deadline_ns, &delivery, &received);
        if (rc == OK && !received)
            rc = FAULT(ctx, FAULT_TIMEOUT, "%s: no answer", pull->stream);
        if (failed(replay, ctx, rc))
            return came;
        if (delivery.status != PULL_MESSAGE && delivery.tag == tag)
            return came;
        if (delivery.status != PULL_MESSAGE)
            continue;
        came++;
        show(replay, number, &delivery);
    }
    return came;
}

static void show(struct replay *replay, unsigned number, const struct jetstream_delivery *delivery)
{
    struct tenant_consumer *consumer = replay->consumer;
    struct event_view view = {.event = {.partition = number}, .source = number};
    struct tenant_reason reason = {.cause = ""};
    arena_reset(consumer->event_arena);
    event_read(&view, delivery, consumer->inbox, consumer->event_arena);
    if (view.form != EVENT_GOOD) {
        consumer_notice(consumer, 1, "%s: message %llu: %s", consumer->sources[number].stream,
                        (unsigned long long)view.event.stream_sequence, view.fault);
        return;
    }
    if (replay->one_tenant && !uuid_equal(&replay->tenant, &view.tenant))
        return;
    view.event.is_replayed = true;
    view.event.attempt = 1;
    if (handler_call(consumer, &view, &reason) == TENANT_EVENT_DONE)
        replay->handled++;
    else
        replay->result = TENANT_CONSUMER_FAILED;
}

static bool failed(struct replay *replay, struct ctx *ctx, int rc)
{
    (void)ctx;
    if (rc != OK && replay->result == TENANT_CONSUMER_OK)
        replay->result = TENANT_CONSUMER_BROKER;
    return rc != OK;
}
