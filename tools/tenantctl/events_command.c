/* tenantctl events tail: the newest events, decoded; with --follow also those to come.
 *
 * Reads single messages by sequence, so it leaves no consumer behind on the server. */
#include "call.h"
#include "event_output.h"
#include "settings.h"
#include "tenant_commands.h"

#include "domain/tenant_query.h"

#include "events/jetstream.h"
#include "events/subjects.h"
#include "rpc/coding.h"

#include "gen/events.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>

#define COUNT_DEFAULT 10
#define COUNT_MAX 1000
#define POLL_NS (200 * NS_PER_MS)
#define REQUEST_NS (5 * NS_PER_S)

static const struct flag tail_flags[] = {
    FLAG("count", "N",
         "how many of the newest events (default 10, at most 1000; with --since 1000)",
         .letter = 'n'),
    FLAG("tenant", "TENANT_ID", "only this tenant's events"),
    FLAG("type", "TYPE", "only events of this type", .choices = EVENT_TYPE_NAMES),
    FLAG("since", "TIME", "only events since then: 2h for two hours ago, or 2026-11-23T07:00:00Z"),
    FLAG("follow", NULL, "go on with events as they come, until Ctrl-C", .letter = 'f'),
    FLAGS_END,
};
const struct flag_set tail_set = {"flags", tail_flags};

struct tail {
    struct cli *cli;
    struct jetstream *js;
    size_t wanted;
    bool has_tenant;
    char tenant[ID_TEXT_SIZE];
    unsigned only;                  /* the tenant's partition */
    const char *type;               /* NULL: all */
    uint64_t since_ns;              /* wall clock; 0: from the beginning */
    size_t looked;                  /* messages read so far */
    uint64_t last[PARTITION_COUNT]; /* last sequence looked at */
    struct seen_event *events;      /* gathered, at most `wanted` per partition */
    size_t count;
};

static int tail_prepare(struct tail *tail, struct cli *cli);
static int take_since(struct tail *tail);
static int tail_newest(struct tail *tail);
static int tail_partition(struct tail *tail, unsigned partition);
static bool is_interrupted(struct cli *cli);
static int tail_follow(struct tail *tail);
static int follow_partition(struct tail *tail, unsigned partition);
static int stream_last(struct tail *tail, unsigned partition, uint64_t *last);
static int message_at(struct tail *tail, unsigned partition, uint64_t sequence,
                      struct seen_event *event);
static void decode(struct tail *tail, json_t *message, struct seen_event *event);
static bool is_wanted(const struct tail *tail, const struct seen_event *event);
static int by_time(const void *a, const void *b);

int events_tail(struct cli *cli)
{
    struct tail tail;
    TRY(tail_prepare(&tail, cli));
    const char *const *values = cli->settings->values;
    const struct jetstream_settings settings = {
        .url = values[SETTING_NATS_URL],
        .seed_file = values[SETTING_NATS_SEED_FILE],
        .ca_file = values[SETTING_CA_FILE],
        .cert_file = values[SETTING_CERT_FILE],
        .key_file = values[SETTING_KEY_FILE],
        .name = "tenantctl",
    };
    cli->ctx.deadline_ns = deadline_after(clock_now(), cli->settings->timeout_ns);
    if (cli_is_on(cli, "follow"))
        ctl_signals_block();
    int rc = jetstream_open(&cli->ctx, &settings, &tail.js);
    if (rc == OK)
        rc = tail_newest(&tail);
    progress_clear(&cli->terminal);
    if (rc == OK && cli_is_on(cli, "follow") && !cli->interrupted)
        rc = tail_follow(&tail);
    jetstream_close(tail.js);
    return rc == OK ? EXIT_DONE : output_fault(cli, values[SETTING_NATS_URL]);
}

static int tail_prepare(struct tail *tail, struct cli *cli)
{
    TRY(settings_need_nats(cli));
    *tail = (struct tail){.cli = cli, .type = cli_value(cli, "type")};
    unsigned count = cli_has(cli, "since") ? COUNT_MAX : COUNT_DEFAULT;
    TRY(cli_number(cli, "count", COUNT_MAX, &count));
    tail->wanted = count;
    TRY(take_since(tail));
    const char *tenant = cli_value(cli, "tenant");
    if (tenant != NULL) {
        struct uuid id;
        if (!id_parse(ID_TENANT, slice_of_str(tenant), &id))
            return cli_complain("--tenant \"%s\": expected tnt_ and 26 characters", tenant);
        id_format(ID_TENANT, &id, tail->tenant);
        tail->has_tenant = true;
        tail->only = partition_of(&id);
    }
    tail->events = arena_alloc(cli->arena, tail->wanted * PARTITION_COUNT * sizeof *tail->events);
    return OK;
}

/* A length of time before now, or a date. */
static int take_since(struct tail *tail)
{
    const char *text = cli_value(tail->cli, "since");
    uint64_t ago = 0;
    uint64_t us = 0;
    if (text == NULL)
        return OK;
    if (duration_parse(text, &ago))
        tail->since_ns = clock_wall() - ago;
    else if (time_parse_rfc3339(slice_of_str(text), &us))
        tail->since_ns = us * NS_PER_US;
    else
        return cli_complain(
            "--since \"%s\": expected a time such as 30m, 2h, 7d, or a date such as "
            "2026-11-23T07:00:00Z",
            text);
    return OK;
}

static int tail_newest(struct tail *tail)
{
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        if ((!tail->has_tenant || tail->only == partition) && !tail->cli->interrupted)
            TRY(tail_partition(tail, partition));
    }
    if (tail->count > 0)
        qsort(tail->events, tail->count, sizeof *tail->events, by_time);
    size_t first = tail->count > tail->wanted ? tail->count - tail->wanted : 0;
    for (size_t i = first; i < tail->count; i++)
        event_print(tail->cli, &tail->events[i]);
    return OK;
}

/* Backwards from the stream's end until there are enough. */
static int tail_partition(struct tail *tail, unsigned partition)
{
    TRY(stream_last(tail, partition, &tail->last[partition]));
    size_t found = 0;
    uint64_t looked = 0;
    for (uint64_t seq = tail->last[partition]; seq > 0 && found < tail->wanted; seq--) {
        struct seen_event event;
        if (looked++ == 10 * COUNT_MAX || is_interrupted(tail->cli))
            break;
        TRY(message_at(tail, partition, seq, &event));
        if (event.envelope == NULL || event.stored_ns < tail->since_ns)
            break; /* older ones have gone, or were stored, and so happened, too early */
        if (++tail->looked % 100 == 0)
            progress_show(&tail->cli->terminal, "%zu events looked at", tail->looked);
        if (!is_wanted(tail, &event))
            continue;
        tail->events[tail->count++] = event;
        found++;
    }
    return OK;
}

/* Only who follows has blocked the signals; all others die of them. */
static bool is_interrupted(struct cli *cli)
{
    if (cli_is_on(cli, "follow") && ctl_pause(0))
        cli->interrupted = true;
    return cli->interrupted;
}

static int tail_follow(struct tail *tail)
{
    do {
        for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
            if (!tail->has_tenant || tail->only == partition)
                TRY(follow_partition(tail, partition));
        }
        fflush(tail->cli->out);
    } while (!ctl_pause(POLL_NS));
    return OK;
}

/* What has come since the last look.  An arena of its own: following may go on for days. */
static int follow_partition(struct tail *tail, unsigned partition)
{
    struct cli *cli = tail->cli;
    struct arena *outer = cli->arena;
    int rc = OK;
    cli->arena = arena_new(0);
    cli->ctx.arena = cli->arena;
    for (;;) {
        struct seen_event event;
        rc = message_at(tail, partition, tail->last[partition] + 1, &event);
        if (rc != OK || event.envelope == NULL)
            break;
        tail->last[partition]++;
        if (is_wanted(tail, &event))
            event_print(cli, &event);
    }
    arena_free(cli->arena);
    cli->arena = outer;
    cli->ctx.arena = outer;
    return rc;
}

static int stream_last(struct tail *tail, unsigned partition, uint64_t *last)
{
    struct ctx *ctx = &tail->cli->ctx;
    char stream[STREAM_NAME_SIZE];
    stream_name(partition, stream);
    struct buf reply = BUF_EMPTY;
    ctx->deadline_ns = deadline_after(clock_now(), REQUEST_NS);
    int rc = jetstream_request(ctx, tail->js,
                               arena_printf(tail->cli->arena, "STREAM.INFO.%s", stream),
                               slice_make(NULL, 0), &reply);
    json_int_t number = 0;
    if (rc == OK) {
        json_t *root = json_loadb((const char *)reply.data, buf_size(&reply), 0, NULL);
        int code = 0;
        (void)json_unpack(root, "{s:{s:i}}", "error", "code", &code);
        bool missing = code == 404; /* the relay has not made it yet: nothing was ever sent */
        if (!missing && json_unpack(root, "{s:{s:I}}", "state", "last_seq", &number) != 0)
            rc = FAULT(ctx, FAULT_BROKER, "stream %s cannot be read: %.100s", stream,
                       buf_str(&reply));
        json_decref(root);
    }
    buf_deinit(&reply);
    *last = (uint64_t)number;
    return rc;
}

/* event->envelope stays NULL when there is no such message. */
static int message_at(struct tail *tail, unsigned partition, uint64_t sequence,
                      struct seen_event *event)
{
    struct ctx *ctx = &tail->cli->ctx;
    char stream[STREAM_NAME_SIZE];
    stream_name(partition, stream);
    char payload[40];
    snprintf(payload, sizeof payload, "{\"seq\":%llu}", (unsigned long long)sequence);
    struct buf reply = BUF_EMPTY;
    ctx->deadline_ns = deadline_after(clock_now(), REQUEST_NS);
    int rc = jetstream_request(ctx, tail->js,
                               arena_printf(tail->cli->arena, "STREAM.MSG.GET.%s", stream),
                               slice_of_str(payload), &reply);
    *event = (struct seen_event){.partition = partition, .stream_seq = sequence};
    if (rc == OK) {
        json_t *root = json_loadb((const char *)reply.data, buf_size(&reply), 0, NULL);
        decode(tail, json_object_get(root, "message"), event);
        json_decref(root);
    }
    buf_deinit(&reply);
    return rc;
}

static void decode(struct tail *tail, json_t *message, struct seen_event *event)
{
    struct arena *arena = tail->cli->arena;
    const char *data = json_string_value(json_object_get(message, "data"));
    const char *subject = json_string_value(json_object_get(message, "subject"));
    struct slice bytes;
    if (data == NULL || subject == NULL || !base64_decode(arena, slice_of_str(data), &bytes))
        return;
    const char *stored = json_string_value(json_object_get(message, "time"));
    uint64_t stored_us = 0;
    if (stored != NULL && time_parse_rfc3339(slice_of_str(stored), &stored_us))
        event->stored_ns = stored_us * NS_PER_US;
    event->subject = arena_strdup(arena, subject);
    event->envelope =
        tenant__events__v1__event_envelope__unpack(arena_protobuf(arena), bytes.size, bytes.data);
    if (event->envelope == NULL)
        return;
    const Google__Protobuf__Timestamp *at = event->envelope->occurred_at;
    event->occurred_ns = at == NULL ? 0 : (uint64_t)at->seconds * NS_PER_S + (uint64_t)at->nanos;
}

static bool is_wanted(const struct tail *tail, const struct seen_event *event)
{
    if (tail->has_tenant && strcmp(event->envelope->tenant_id, tail->tenant) != 0)
        return false;
    if (event->occurred_ns < tail->since_ns)
        return false;
    return tail->type == NULL || strcmp(event->envelope->event_type, tail->type) == 0;
}

static int by_time(const void *a, const void *b)
{
    const struct seen_event *left = a;
    const struct seen_event *right = b;
    if (left->partition == right->partition)
        return left->stream_seq < right->stream_seq ? -1 : 1;
    return left->occurred_ns < right->occurred_ns ? -1 : left->occurred_ns > right->occurred_ns;
}
