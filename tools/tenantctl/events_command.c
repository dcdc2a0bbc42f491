/* tenantctl events tail: the newest events, decoded; with --follow also those to come.
 *
 * Reads single messages by sequence, so it leaves no consumer behind on the server. */
#include "output.h"
#include "settings.h"
#include "tenant_commands.h"

#include "events/jetstream.h"
#include "events/subjects.h"
#include "loop/task.h"
#include "rpc/coding.h"

#include "gen/pb/tenant/events/v1/envelope.pb-c.h"
#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT_DEFAULT 10
#define COUNT_MAX 1000
#define POLL_NS (200 * NS_PER_MS)
#define REQUEST_NS (5 * NS_PER_S)

const struct flag tail_flags[] = {
    {"count", "N", "how many of the newest events (default 10, at most 1000)", false},
    {"tenant", "TENANT_ID", "only this tenant's events", false},
    {"type", "TYPE", "only events of this type, such as tenant.org.updated", false},
    {"follow", NULL, "go on with events as they come, until Ctrl-C", false},
    {NULL, NULL, NULL, false},
};

struct seen_event {
    unsigned partition;
    uint64_t stream_seq;
    uint64_t occurred_ns;
    const char *subject;
    Tenant__Events__V1__EventEnvelope *envelope;
};

struct tail {
    struct cli *cli;
    struct jetstream *js;
    size_t wanted;
    bool has_tenant;
    char tenant[ID_TEXT_SIZE];
    unsigned only;                   /* the tenant's partition */
    const char *type;                /* NULL: all */
    uint64_t last[PARTITION_COUNT];  /* last sequence looked at */
    struct seen_event *events;       /* gathered, at most `wanted` per partition */
    size_t count;
};

static int tail_prepare(struct tail *tail, struct cli *cli);
static int tail_newest(struct tail *tail);
static int tail_partition(struct tail *tail, unsigned partition);
static int tail_follow(struct tail *tail);
static int stream_last(struct tail *tail, unsigned partition, uint64_t *last);
static int message_at(struct tail *tail, unsigned partition, uint64_t sequence,
                      struct seen_event *event);
static void decode(struct tail *tail, json_t *message, struct seen_event *event);
static bool is_wanted(const struct tail *tail, const struct seen_event *event);
static int by_time(const void *a, const void *b);
static void print_event(const struct tail *tail, const struct seen_event *event);
static json_t *event_json(const struct seen_event *event);
static json_t *payload_json(struct arena *arena,
                            const Tenant__Events__V1__EventEnvelope *envelope);
static const char *detail_of(struct arena *arena,
                             const Tenant__Events__V1__EventEnvelope *envelope);

int events_tail(struct cli *cli)
{
    struct tail tail;
    TRY(tail_prepare(&tail, cli));
    const struct jetstream_settings settings = {
        .url = cli->settings->nats_url,
        .seed_file = cli->settings->nats_seed_file,
        .ca_file = cli->settings->ca_file,
        .cert_file = cli->settings->cert_file,
        .key_file = cli->settings->key_file,
        .name = "tenantctl",
    };
    cli->ctx.deadline_ns = deadline_after(clock_now(), cli->settings->timeout_ns);
    int rc = jetstream_open(&cli->ctx, &settings, &tail.js);
    if (rc == OK)
        rc = tail_newest(&tail);
    if (rc == OK && cli_has(cli, "follow"))
        rc = tail_follow(&tail);
    jetstream_close(tail.js);
    return rc == OK ? EXIT_DONE : output_fault(&cli->ctx, cli->settings->nats_url);
}

static int tail_prepare(struct tail *tail, struct cli *cli)
{
    TRY(settings_need_nats(cli->settings));
    *tail = (struct tail){.cli = cli, .wanted = COUNT_DEFAULT, .type = cli_value(cli, "type")};
    const char *count = cli_value(cli, "count");
    if (count != NULL) {
        char *end = NULL;
        unsigned long number = strtoul(count, &end, 10);
        if (*end != '\0' || number == 0 || number > COUNT_MAX)
            return cli_complain("--count \"%s\": expected 1 to %d", count, COUNT_MAX);
        tail->wanted = number;
    }
    const char *tenant = cli_value(cli, "tenant");
    if (tenant != NULL) {
        struct uuid id;
        if (!id_parse(ID_TENANT, slice_of_str(tenant), &id))
            return cli_complain("--tenant \"%s\": expected tnt_ and 26 characters", tenant);
        id_format(ID_TENANT, &id, tail->tenant);
        tail->has_tenant = true;
        tail->only = partition_of(&id);
    }
    tail->events =
        arena_alloc(cli->arena, tail->wanted * PARTITION_COUNT * sizeof *tail->events);
    return OK;
}

static int tail_newest(struct tail *tail)
{
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        if (!tail->has_tenant || tail->only == partition)
            TRY(tail_partition(tail, partition));
    }
    if (tail->count > 0)
        qsort(tail->events, tail->count, sizeof *tail->events, by_time);
    size_t first = tail->count > tail->wanted ? tail->count - tail->wanted : 0;
    for (size_t i = first; i < tail->count; i++)
        print_event(tail, &tail->events[i]);
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
        if (looked++ == 10 * COUNT_MAX)
            break;
        TRY(message_at(tail, partition, seq, &event));
        if (event.envelope == NULL)
            break; /* older ones have gone */
        if (!is_wanted(tail, &event))
            continue;
        tail->events[tail->count++] = event;
        found++;
    }
    return OK;
}

static int tail_follow(struct tail *tail)
{
    fflush(stdout);
    for (;;) {
        tail->count = 0;
        for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
            if (tail->has_tenant && tail->only != partition)
                continue;
            for (;;) {
                struct seen_event event;
                TRY(message_at(tail, partition, tail->last[partition] + 1, &event));
                if (event.envelope == NULL)
                    break;
                tail->last[partition]++;
                if (is_wanted(tail, &event))
                    print_event(tail, &event);
            }
        }
        fflush(stdout);
        tail->cli->ctx.deadline_ns = NO_DEADLINE;
        (void)task_sleep(&tail->cli->ctx, POLL_NS);
    }
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
    event->subject = arena_strdup(arena, subject);
    event->envelope = tenant__events__v1__event_envelope__unpack(arena_protobuf(arena),
                                                                 bytes.size, bytes.data);
    if (event->envelope == NULL)
        return;
    const Google__Protobuf__Timestamp *at = event->envelope->occurred_at;
    event->occurred_ns =
        at == NULL ? 0 : (uint64_t)at->seconds * NS_PER_S + (uint64_t)at->nanos;
}

static bool is_wanted(const struct tail *tail, const struct seen_event *event)
{
    if (tail->has_tenant && strcmp(event->envelope->tenant_id, tail->tenant) != 0)
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

static void print_event(const struct tail *tail, const struct seen_event *event)
{
    if (tail->cli->settings->json) {
        output_json(event_json(event), true);
        return;
    }
    const Tenant__Events__V1__EventEnvelope *envelope = event->envelope;
    char at[CLOCK_TEXT_SIZE];
    clock_format(event->occurred_ns, at);
    printf("%s  %s.v%u  %s  seq %llu  by %s  %s\n", at, envelope->event_type,
           envelope->event_version, envelope->tenant_id, (unsigned long long)envelope->sequence,
           envelope->actor == NULL ? "?" : envelope->actor->id,
           detail_of(tail->cli->arena, envelope));
}

static const char *detail_of(struct arena *arena, const Tenant__Events__V1__EventEnvelope *envelope)
{
    ProtobufCAllocator *memory = arena_protobuf(arena);
    size_t size = envelope->payload.len;
    if (strcmp(envelope->event_type, "tenant.org.provisioned") == 0) {
        Tenant__Events__V1__OrgProvisioned *payload =
            tenant__events__v1__org_provisioned__unpack(memory, size, envelope->payload.data);
        if (payload != NULL && payload->tenant != NULL)
            return arena_printf(arena, "slug %s", payload->tenant->slug);
    }
    if (strcmp(envelope->event_type, "tenant.org.updated") == 0) {
        Tenant__Events__V1__OrgUpdated *payload =
            tenant__events__v1__org_updated__unpack(memory, size, envelope->payload.data);
        const char *text = "changed";
        for (size_t i = 0; payload != NULL && i < payload->n_changed_fields; i++)
            text = arena_printf(arena, "%s %s", text, payload->changed_fields[i]);
        return text;
    }
    return "";
}

static json_t *event_json(const struct seen_event *event)
{
    const Tenant__Events__V1__EventEnvelope *e = event->envelope;
    char at[CLOCK_TEXT_SIZE];
    clock_format(event->occurred_ns, at);
    json_t *object = json_pack(
        "{s:s, s:I, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "subject",
        event->subject, "streamSequence", (json_int_t)event->stream_seq, "eventId", e->event_id,
        "eventType", e->event_type, "eventVersion", (int)e->event_version, "schemaUri",
        e->schema_uri, "occurredAt", at, "correlationId", e->correlation_id, "tenantId",
        e->tenant_id, "retentionClass", e->retention_class, "dataResidency", e->data_residency,
        "incarnation", (json_int_t)e->incarnation, "sequence", (json_int_t)e->sequence);
    if (e->actor != NULL)
        json_object_set_new(object, "actor",
                            json_pack("{s:s, s:s}", "type", e->actor->type, "id", e->actor->id));
    struct arena *arena = arena_new(0);
    json_object_set_new(object, "payload", payload_json(arena, e));
    arena_free(arena);
    return object;
}

static json_t *payload_json(struct arena *arena, const Tenant__Events__V1__EventEnvelope *envelope)
{
    ProtobufCAllocator *memory = arena_protobuf(arena);
    size_t size = envelope->payload.len;
    json_t *object = json_object();
    if (strcmp(envelope->event_type, "tenant.org.provisioned") == 0) {
        Tenant__Events__V1__OrgProvisioned *payload =
            tenant__events__v1__org_provisioned__unpack(memory, size, envelope->payload.data);
        if (payload != NULL && payload->tenant != NULL)
            json_object_set_new(object, "tenant", tenant_json(payload->tenant));
    } else if (strcmp(envelope->event_type, "tenant.org.updated") == 0) {
        Tenant__Events__V1__OrgUpdated *payload =
            tenant__events__v1__org_updated__unpack(memory, size, envelope->payload.data);
        if (payload != NULL && payload->tenant != NULL)
            json_object_set_new(object, "tenant", tenant_json(payload->tenant));
        json_t *fields = json_array();
        for (size_t i = 0; payload != NULL && i < payload->n_changed_fields; i++)
            json_array_append_new(fields, json_string(payload->changed_fields[i]));
        json_object_set_new(object, "changedFields", fields);
    }
    return object;
}
