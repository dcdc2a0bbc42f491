/* The exporter against collectors that take, refuse, hesitate and are away: what arrives, and what is counted. */
#include "ops/otlp.h"

#include "base/clock.h"
#include "base/log.h"
#include "ops/health.h"
#include "rpc/coding.h"
#include "tests/unit/client/scripted.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"
#include "gen/pb/opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

#include <string.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"
#define BATCH 512
#define RING 2048

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest request_type;
typedef Opentelemetry__Proto__Common__V1__KeyValue attribute_type;
typedef Opentelemetry__Proto__Trace__V1__Span span_type;

static struct scripted server;
static struct scripted *identity = &server; /* whose files the exporter uses */
static struct ctx ctx;
static struct log log_sink;
static struct metrics *metrics;
static struct health *health;
static struct otlp *otlp;
static request_type *last; /* that the collector got */
static size_t received;    /* spans, over all requests */

static void set_up(void)
{
    scripted_init(&server);
    log_sink = (struct log){.fd = open("/dev/null", O_WRONLY), .level = LOG_INFO};
    ctx_init(&ctx, &log_sink, NULL);
    ctx.arena = arena_new(0);
    metrics = metrics_new();
    health = health_new();
}

static void tear_down(void)
{
    otlp_stop(otlp);
    otlp = NULL;
    scripted_stop(&server);
    scripted_deinit(&server);
    if (last != NULL)
        protobuf_c_message_free_unpacked(&last->base, NULL);
    last = NULL;
    received = 0;
    health_free(health);
    metrics_free(metrics);
    close(log_sink.fd);
    arena_free(ctx.arena);
}

static struct otlp_files files_of(struct scripted *from)
{
    static char cert[128], key[128], ca[128];
    return (struct otlp_files){.cert_file = cert_path(cert, from->folder, "leaf.pem"),
                               .key_file = cert_path(key, from->folder, "leaf.key"),
                               .ca_file = cert_path(ca, from->folder, "ca.pem"),
                               .crl_file = ""};
}

static int start(const char *endpoint, size_t writers)
{
    const struct otlp_settings settings = {
        .endpoint = endpoint,
        .files = files_of(identity),
        .resource = {.service = "tenants",
                     .version = "9.8.7",
                     .instance = "host:1",
                     .environment = "",
                     .region = "eu"},
        .writers = writers,
        .metrics = metrics,
        .dependency = health_dependency(health, "otlp"),
    };
    return otlp_start(&ctx, &settings, &otlp);
}

static void export_to(scripted_answer *answer, size_t writers)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "https://%s", server.address);
    ck_assert_msg(start(endpoint, writers) == OK, "%s", ctx.fault.text);
    server.answer = answer;
    scripted_start(&server);
}

static struct span *span_begin(size_t writer, const char *traceparent)
{
    struct trace_ctx trace;
    trace_ctx_begin(&trace, slice_of_str(traceparent));
    struct span *span = span_reserve(otlp_ring(otlp, writer), &trace);
    if (span == NULL)
        return NULL;
    span->kind = SPAN_SERVER;
    span->name = "A/B";
    span->ended_ns = clock_now();
    span->began_ns = span->ended_ns - 3 * NS_PER_MS;
    return span;
}

static void put_spans(size_t writer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_begin(writer, "00-" TRACE "-" PARENT "-01") != NULL)
            span_commit(otlp_ring(otlp, writer));
    }
}

static uint64_t spans_that_are(const char *result)
{
    struct buf text = BUF_EMPTY;
    char line[64];
    unsigned long long value = 0;
    snprintf(line, sizeof line, "tenant_otlp_spans_total{result=\"%s\"} ", result);
    metrics_render(&metrics, 1, METRICS_PROMETHEUS, &text);
    const char *found = strstr(buf_str(&text), line);
    ck_assert_msg(found != NULL, "no series for %s", result);
    ck_assert_int_eq(sscanf(found + strlen(line), "%llu", &value), 1);
    buf_deinit(&text);
    return value;
}

static void await_spans(const char *result, uint64_t count)
{
    uint64_t end = clock_now() + PATIENCE_NS;
    while (spans_that_are(result) < count) {
        ck_assert_msg(clock_now() < end, "never %llu %s, but %llu", (unsigned long long)count,
                      result, (unsigned long long)spans_that_are(result));
        (void)poll(NULL, 0, 5);
    }
    ck_assert_uint_eq(spans_that_are(result), count);
}

/* All spans are somewhere; `others` are those of every result but this one. */
static void only(const char *result, uint64_t count)
{
    static const char *const all[] = {"exported", "dropped_queue", "dropped_refused",
                                      "dropped_unavailable", "dropped_shutdown"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uint64_t expected = strcmp(all[i], result) == 0 ? count : 0;
        ck_assert_msg(spans_that_are(all[i]) == expected, "%s: %llu", all[i],
                      (unsigned long long)spans_that_are(all[i]));
    }
}

static void stop(void)
{
    otlp_stop(otlp);
    otlp = NULL;
}

/* --- the collector, on the server's thread ------------------------------------------------------------ */

/* ExportTraceServiceResponse without partial_success */
#define TAKEN "\0\0\0\0\0"

static void answer_status(struct scripted *self, int32_t id, const char *trailers)
{
    static const char fields[] = ":status: 200\ncontent-type: application/grpc\n";
    static char text[8][1024];
    char *own = text[self->requests % 8];
    snprintf(own, sizeof text[0], "%s%s", fields, trailers);
    scripted_reply(self, id, (struct reply){own, slice_make(NULL, 0), NULL, REPLY_ENDS});
}

static void answer_taken(struct scripted *self, int32_t id, struct slice message)
{
    scripted_reply(self, id, (struct reply){GRPC_FIELDS, message, TRAILERS_OK, REPLY_ENDS});
}

static void take(struct scripted *self)
{
    pthread_mutex_lock(&self->lock);
    struct slice body = slice_skip(buf_slice(&self->body), 5);
    if (last != NULL)
        protobuf_c_message_free_unpacked(&last->base, NULL);
    last = opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
        NULL, body.size, body.data);
    pthread_mutex_unlock(&self->lock);
    ck_assert_ptr_nonnull(last);
    received += last->resource_spans[0]->scope_spans[0]->n_spans;
}

static void take_all(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    take(self);
    answer_taken(self, id, slice_make(TAKEN, sizeof TAKEN - 1));
}

/* --- what arrives --------------------------------------------------------------------------------------- */

static const char *text_of(attribute_type *const *attributes, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(attributes[i]->key, key) == 0)
            return attributes[i]->value->string_value;
    }
    return NULL;
}

static void is_id(ProtobufCBinaryData id, const char *hex)
{
    char text[33] = "";
    for (size_t i = 0; i < id.len && i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", id.data[i]);
    ck_assert_str_eq(text, hex);
}

START_TEST(spans_arrive_as_they_were_made)
    {
        export_to(take_all, 1);
        uint64_t wall = clock_wall();
        struct span *span = span_begin(0, "00-" TRACE "-" PARENT "-01");
        span_put_text(span, "rpc.method", "A/B");
        span_put_number(span, "server.port", 3000);
        span_commit(otlp_ring(otlp, 0));
        span = span_begin(0, "");
        span->error = "DATABASE_UNAVAILABLE";
        span->flags = TRACE_SAMPLED;
        span_commit(otlp_ring(otlp, 0));
        span = span_begin(0, "00-" TRACE "-" PARENT "-01");
        span_make_child(span);
        span->kind = SPAN_CLIENT;
        span_commit(otlp_ring(otlp, 0));
        stop();
        only("exported", 3);
        ck_assert(scripted_saw_field(
            &server, ":path: /opentelemetry.proto.collector.trace.v1.TraceService/Export\n"));
        ck_assert(scripted_saw_field(&server, "grpc-timeout: "));

        ck_assert_uint_eq(last->n_resource_spans, 1);
        const Opentelemetry__Proto__Trace__V1__ResourceSpans *from = last->resource_spans[0];
        ck_assert_str_eq(from->schema_url, "https://opentelemetry.io/schemas/1.45.0");
        attribute_type *const *resource = from->resource->attributes;
        size_t count = from->resource->n_attributes;
        ck_assert_uint_eq(count, 4); /* the environment was not told */
        ck_assert_str_eq(text_of(resource, count, "service.name"), "tenants");
        ck_assert_str_eq(text_of(resource, count, "service.version"), "9.8.7");
        ck_assert_str_eq(text_of(resource, count, "service.instance.id"), "host:1");
        ck_assert_str_eq(text_of(resource, count, "cloud.region"), "eu");
        ck_assert_uint_eq(from->n_scope_spans, 1);
        ck_assert_str_eq(from->scope_spans[0]->scope->version, "9.8.7");
        ck_assert_str_eq(from->scope_spans[0]->schema_url, from->schema_url);

        ck_assert_uint_eq(from->scope_spans[0]->n_spans, 3);
        const span_type *one = from->scope_spans[0]->spans[0];
        is_id(one->trace_id, TRACE);
        is_id(one->parent_span_id, PARENT);
        ck_assert_uint_eq(one->span_id.len, 8);
        ck_assert_uint_eq(one->flags, 0x301);
        ck_assert_int_eq(one->kind, 2);
        ck_assert_str_eq(one->name, "A/B");
        ck_assert_uint_eq(one->end_time_unix_nano - one->start_time_unix_nano, 3 * NS_PER_MS);
        ck_assert_uint_ge(one->end_time_unix_nano, wall - NS_PER_MS);
        ck_assert_uint_le(one->end_time_unix_nano, clock_wall() + NS_PER_MS);
        ck_assert_ptr_null(one->status);
        ck_assert_uint_eq(one->n_attributes, 2);
        ck_assert_str_eq(text_of(one->attributes, 2, "rpc.method"), "A/B");
        ck_assert_int_eq(one->attributes[1]->value->int_value, 3000);

        const span_type *failed = from->scope_spans[0]->spans[1];
        ck_assert_uint_eq(failed->parent_span_id.len, 0);
        ck_assert_uint_eq(failed->flags, 0x101);
        ck_assert_int_eq(failed->status->code, 2);
        ck_assert_str_eq(failed->status->message, "DATABASE_UNAVAILABLE");
        ck_assert_str_eq(text_of(failed->attributes, 1, "error.type"), "DATABASE_UNAVAILABLE");

        const span_type *child = from->scope_spans[0]->spans[2];
        ck_assert_int_eq(child->kind, 3);
        ck_assert_uint_eq(child->flags, 0x101);
        ck_assert_uint_eq(child->parent_span_id.len, 8);
    }
END_TEST

START_TEST(a_full_batch_goes_at_once)
    {
        export_to(take_all, 1);
        put_spans(0, BATCH - 1);
        (void)poll(NULL, 0, 50);
        ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 0);
        put_spans(0, 1);
        await_spans("exported", BATCH);
        put_spans(0, BATCH);
        await_spans("exported", 2 * BATCH);
        ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
        stop();
        only("exported", 2 * BATCH);
        ck_assert_uint_eq(received, 2 * BATCH);
    }
END_TEST

START_TEST(writers_take_turns_and_lose_nothing)
    {
        export_to(take_all, 3);
        for (size_t round = 0; round < 3; round++) {
            for (size_t writer = 0; writer < 3; writer++)
                put_spans(writer, 300 + writer);
        }
        stop();
        only("exported", 3 * 903);
        ck_assert_uint_eq(received, 3 * 903);
    }
END_TEST

/* --- collectors that do not take -------------------------------------------------------------------------- */

static void take_but_two(struct scripted *self, int32_t id, bool whole)
{
    static const char some[] = "\0\0\0\0\x07\x0a\x05\x08\x02\x12\x01x";
    if (!whole)
        return;
    answer_taken(self, id, slice_make(some, sizeof some - 1));
}

START_TEST(what_is_rejected_is_counted)
    {
        export_to(take_but_two, 1);
        put_spans(0, 5);
        stop();
        ck_assert_uint_eq(spans_that_are("exported"), 3);
        ck_assert_uint_eq(spans_that_are("dropped_refused"), 2);
        ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 1);
    }
END_TEST

static void reject_nonsense(struct scripted *self, int32_t id, bool whole)
{
    /* 2^40 rejected the first time, -1 the second */
    static const char many[] = "\0\0\0\0\x09\x0a\x07\x08\x80\x80\x80\x80\x80\x20";
    static const char negative[] =
        "\0\0\0\0\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    if (!whole)
        return;
    if (self->requests == 1)
        answer_taken(self, id, slice_make(many, sizeof many - 1));
    else
        answer_taken(self, id, slice_make(negative, sizeof negative - 1));
}

START_TEST(no_more_is_rejected_than_was_sent)
    {
        export_to(reject_nonsense, 1);
        put_spans(0, BATCH);
        await_spans("dropped_refused", BATCH);
        put_spans(0, 5);
        stop();
        ck_assert_uint_eq(spans_that_are("exported"), 5);
        ck_assert_uint_eq(spans_that_are("dropped_refused"), BATCH);
    }
END_TEST

static void refuse(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        answer_status(self, id, "grpc-status: 3\ngrpc-message: no such thing\n");
}

START_TEST(what_is_refused_is_not_sent_again)
    {
        export_to(refuse, 1);
        put_spans(0, 5);
        stop();
        only("dropped_refused", 5);
        ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 1);
        struct buf body = BUF_EMPTY;
        (void)health_render(health, "/health/ready", &body);
        ck_assert_ptr_nonnull(strstr(buf_str(&body), "no such thing"));
        buf_deinit(&body);
    }
END_TEST

static void take_the_second(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    if (self->requests == 1)
        answer_status(self, id, "grpc-status: 14\n");
    else
        take_all(self, id, true);
}

START_TEST(a_collector_that_is_busy_is_asked_again)
    {
        export_to(take_the_second, 1);
        put_spans(0, BATCH);
        await_spans("exported", BATCH);
        ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 2);
        ck_assert_uint_eq(received, BATCH);
        only("exported", BATCH);
    }
END_TEST

/* Status 8 with or without "come back in 20 ms". */
static void answer_exhausted(struct scripted *self, int32_t id, bool with_delay)
{
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Google__Protobuf__Any *details[] = {&any};
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    uint8_t packed[64], bytes[256];
    char url[] = "type.googleapis.com/google.rpc.RetryInfo", trailers[512];
    delay.nanos = 20 * 1000 * 1000;
    retry.retry_delay = &delay;
    any.type_url = url;
    any.value.data = packed;
    any.value.len = google__rpc__retry_info__pack(&retry, packed);
    status.code = 8;
    status.n_details = with_delay ? 1 : 0;
    status.details = details;
    struct buf text = BUF_EMPTY;
    base64_encode(&text, slice_make(bytes, google__rpc__status__pack(&status, bytes)));
    snprintf(trailers, sizeof trailers, "grpc-status: 8\ngrpc-status-details-bin: %s\n",
             buf_str(&text));
    buf_deinit(&text);
    answer_status(self, id, trailers);
}

static void ask_for_a_pause(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    if (self->requests < 3)
        answer_exhausted(self, id, true);
    else
        take_all(self, id, true);
}

START_TEST(an_exhausted_collector_that_says_when_is_asked_again)
    {
        export_to(ask_for_a_pause, 1);
        put_spans(0, BATCH);
        await_spans("exported", BATCH);
        ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 3);
    }
END_TEST

static void be_exhausted(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        answer_exhausted(self, id, false);
}

START_TEST(an_exhausted_collector_that_does_not_is_not)
    {
        export_to(be_exhausted, 1);
        put_spans(0, BATCH);
        await_spans("dropped_refused", BATCH);
        ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 1);
    }
END_TEST

/* A bound port at which nobody listens. */
START_TEST(a_collector_that_is_away_costs_spans_alone)
    {
        close(server.listener);
        server.listener = -1;
        char endpoint[64];
        snprintf(endpoint, sizeof endpoint, "https://%s/", server.address);
        ck_assert_int_eq(start(endpoint, 2), OK);
        for (int i = 0; i < 3; i++)
            put_spans(0, 1000);
        put_spans(1, 10);
        ck_assert_uint_eq(spans_that_are("dropped_queue"), 3000 - RING);
        stop();
        ck_assert_uint_eq(spans_that_are("dropped_shutdown"), RING + 10);
        ck_assert_uint_eq(spans_that_are("exported") + spans_that_are("dropped_unavailable"), 0);
        scripted_start(&server); /* for tear_down() */
    }
END_TEST

static void say_nothing(struct scripted *self, int32_t id, bool whole)
{
    (void)self;
    (void)id;
    (void)whole;
}

START_TEST(the_end_does_not_wait_for_a_collector_that_hangs)
    {
        export_to(say_nothing, 1);
        put_spans(0, BATCH + 7);
        scripted_await(&server, SEEN_REQUEST, 1);
        stop();
        only("dropped_shutdown", BATCH + 7);
    }
END_TEST

START_TEST(a_stranger_s_certificate_is_refused)
    {
        struct scripted other;
        scripted_init(&other);
        char endpoint[64];
        snprintf(endpoint, sizeof endpoint, "https://%s", server.address);
        server.answer = take_all;
        scripted_start(&server);
        identity = &other; /* of another CA */
        ck_assert_int_eq(start(endpoint, 1), OK);
        identity = &server;
        put_spans(0, BATCH);
        await_spans("dropped_unavailable", BATCH);
        ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 0);
        scripted_deinit(&other);
    }
END_TEST

/* --- settings ------------------------------------------------------------------------------------------- */

START_TEST(renewed_files_make_a_new_connection)
    {
        export_to(take_all, 1);
        put_spans(0, BATCH);
        await_spans("exported", BATCH);
        struct otlp_files files = files_of(&server);
        otlp_reconnect(otlp, &files);
        otlp_reconnect(otlp, &files); /* before the first were used */
        put_spans(0, BATCH);
        await_spans("exported", 2 * BATCH);
        ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
        otlp_reconnect(otlp, &files); /* never used */
    }
END_TEST

START_TEST(endpoints_that_cannot_be_are_refused)
    {
        static const char *const wrong[] = {
            "http://c:4317",
            "https://",
            "https://c:0",
            "https://c:65536",
            "https://c:port",
            "https://c:",
            "https://:4317",
            "https://u:p@c:4317",
            "https://c/v1/trace",
            "https://c:4317?x=",
            "https://c#x",
            "grpc://c:4317",
            "c:4317",
            "https://::1:4317",
            "https://[::1]:x",
            "https://c:4317/?",
        };
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            ck_assert_msg(start(wrong[i], 1) == FAULT_CONFIG, "%s", wrong[i]);
            ck_assert_ptr_nonnull(strstr(ctx.fault.text, "telemetry.otlp_endpoint"));
            ck_assert_ptr_nonnull(strstr(ctx.fault.text, "mutual TLS"));
            ck_assert_ptr_null(strstr(ctx.fault.text, "u:p"));
        }
        static const char *const good[] = {"https://c:4317", "https://c", "https://c/",
                                           "https://[::1]:4317", "https://[::1]"};
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
            ck_assert_msg(start(good[i], 1) == OK, "%s: %s", good[i], ctx.fault.text);
            stop();
        }
        scripted_start(&server); /* for tear_down() */
    }
END_TEST

Suite *suite_ops_otlp(void);
Suite *suite_ops_otlp(void)
{
    Suite *suite = suite_create("ops_otlp");
    TCase *tests = tcase_create("export");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, spans_arrive_as_they_were_made);
    tcase_add_test(tests, a_full_batch_goes_at_once);
    tcase_add_test(tests, writers_take_turns_and_lose_nothing);
    tcase_add_test(tests, what_is_rejected_is_counted);
    tcase_add_test(tests, no_more_is_rejected_than_was_sent);
    tcase_add_test(tests, what_is_refused_is_not_sent_again);
    tcase_add_test(tests, a_collector_that_is_busy_is_asked_again);
    tcase_add_test(tests, an_exhausted_collector_that_says_when_is_asked_again);
    tcase_add_test(tests, an_exhausted_collector_that_does_not_is_not);
    tcase_add_test(tests, a_collector_that_is_away_costs_spans_alone);
    tcase_add_test(tests, the_end_does_not_wait_for_a_collector_that_hangs);
    tcase_add_test(tests, a_stranger_s_certificate_is_refused);
    tcase_add_test(tests, renewed_files_make_a_new_connection);
    tcase_add_test(tests, endpoints_that_cannot_be_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
