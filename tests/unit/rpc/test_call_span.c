/* What a call leaves behind for who traces: one span, or none. */
#include "connect_pair.h"

#include "base/span.h"

#define CALLER "4bf92f3577b34da6a3ce929d0e0e4736"
#define CALLER_SPAN "00f067aa0ba902b7"
#define SAMPLED "00-" CALLER "-" CALLER_SPAN "-01"
#define UNSAMPLED "00-" CALLER "-" CALLER_SPAN "-00"

static const struct metric_family dropped_family = {
    .name = "t_dropped_total", .help = "Dropped.", .kind = METRIC_COUNTER};

static void wake(void *owner)
{
    (void)owner;
}

/* A pair whose worker traces into a ring of four. */
static struct pair *traced(double ratio)
{
    struct pair *pair = connected();
    const struct span_ring_settings settings = {
        .size = 4,
        .wake_every = 4,
        .wake = wake,
        .dropped = metrics_series(pair->metrics, &dropped_family, NULL)};
    pair->worker->spans = span_ring_new(&settings);
    rpc_worker_set_threshold(pair->worker, trace_threshold(ratio));
    return pair;
}

static void done(struct pair *pair)
{
    struct span_ring *ring = pair->worker->spans;
    pair_free(pair);
    span_ring_free(ring);
}

static struct exchange *call_as(struct pair *pair, const char *method, int code,
                                const char *traceparent)
{
    char path[64];
    snprintf(path, sizeof path, "/test.v1.Pair/%s", method);
    const struct extra extras[] = {{traceparent == NULL ? NULL : "traceparent", traceparent},
                                   {NULL, NULL}};
    return pair_finish(pair, pair_request(pair, path, extras, pair_message(code, "hello")));
}

/* The only span that waits; forgotten with the next one. */
static const struct span *only(struct pair *pair)
{
    ck_assert_uint_eq(span_ring_count(pair->worker->spans), 1);
    const struct span *span = span_ring_at(pair->worker->spans, 0);
    span_ring_drop(pair->worker->spans, 1);
    return span;
}

static const struct span_attribute *attribute(const struct span *span, const char *key)
{
    for (size_t i = 0; i < span->attribute_count; i++) {
        if (strcmp(span->attributes[i].key, key) == 0)
            return &span->attributes[i];
    }
    return NULL;
}

static void has_text(const struct span *span, const char *key, const char *text)
{
    const struct span_attribute *found = attribute(span, key);
    ck_assert_msg(found != NULL && found->text != NULL && strcmp(found->text, text) == 0,
                  "%s is not %s", key, text);
}

static void has_number(const struct span *span, const char *key, int64_t number)
{
    const struct span_attribute *found = attribute(span, key);
    ck_assert_msg(found != NULL && found->text == NULL && found->number == number, "%s is not %lld",
                  key, (long long)number);
}

START_TEST(a_sampled_call_is_a_span_below_its_caller)
    {
        struct pair *pair = traced(0);
        uint64_t before = clock_now();
        ck_assert_int_eq(answer_status(call_as(pair, "Echo", 1, SAMPLED)), GRPC_OK);
        const struct span *span = only(pair);
        ck_assert_str_eq(span->trace_id, CALLER);
        ck_assert_str_eq(span->parent_id, CALLER_SPAN);
        ck_assert(!span->parent_is_local && span->kind == SPAN_SERVER && span->error == NULL);
        ck_assert_str_ne(span->span_id, CALLER_SPAN);
        ck_assert_str_eq(span->name, "test.v1.Pair/Echo");
        ck_assert(before <= span->began_ns && span->began_ns < span->ended_ns);
        ck_assert_uint_le(span->ended_ns, clock_now());
        has_text(span, "rpc.system.name", "grpc");
        has_text(span, "rpc.method", "test.v1.Pair/Echo");
        has_text(span, "rpc.response.status_code", "OK");
        has_text(span, "server.address", "localhost");
        ck_assert_ptr_null(attribute(span, "server.port"));
        ck_assert_ptr_null(attribute(span, "tenant_id_hash"));
        ck_assert_ptr_null(attribute(span, "network.peer.address")); /* no socket here */
        done(pair);
    }
END_TEST

START_TEST(what_nobody_samples_is_no_span)
    {
        struct pair *pair = traced(1);
        ck_assert_int_eq(answer_status(call_as(pair, "Echo", 1, UNSAMPLED)), GRPC_OK);
        rpc_worker_set_threshold(pair->worker, trace_threshold(0));
        ck_assert_int_eq(answer_status(call_as(pair, "Echo", 1, NULL)), GRPC_OK);
        /* what is no traceparent is none, whatever it says about sampling */
        ck_assert_int_eq(answer_status(call_as(pair, "Echo", 1, "01" SAMPLED)), GRPC_OK);
        ck_assert_uint_eq(span_ring_count(pair->worker->spans), 0);
        done(pair);
    }
END_TEST

START_TEST(roots_are_spans_by_the_ratio)
    {
        struct pair *pair = traced(1);
        ck_assert_int_eq(answer_status(call_as(pair, "Echo", 1, NULL)), GRPC_OK);
        const struct span *span = only(pair);
        ck_assert_str_eq(span->parent_id, "");
        ck_assert_uint_eq(strlen(span->trace_id), 32);
        ck_assert_uint_eq(span->flags, TRACE_SAMPLED);
        done(pair);
    }
END_TEST

static char traceparent_seen[TRACEPARENT_SIZE];

static int curious_gate(struct call *call)
{
    trace_ctx_format(&call->ctx.trace, traceparent_seen);
    ck_assert_int_eq(call->ctx.spans != NULL, call->ctx.trace.flags == TRACE_SAMPLED);
    return OK;
}

/* Events carry it on, with the flag. */
START_TEST(the_context_says_whether_it_is_sampled)
    {
        struct pair *pair = traced(1);
        pair->worker->hooks.gate = curious_gate;
        (void)call_as(pair, "Echo", 1, NULL);
        ck_assert_str_eq(traceparent_seen + 52, "-01");
        (void)call_as(pair, "Echo", 1, UNSAMPLED);
        ck_assert_str_eq(traceparent_seen + 52, "-00");
        (void)call_as(pair, "Echo", 1, SAMPLED);
        ck_assert_str_eq(traceparent_seen + 52, "-01");
        done(pair);
    }
END_TEST

/* The caller's faults are his own span's errors, ours are this one's. */
START_TEST(failures_are_told_from_refusals)
    {
        struct pair *pair = traced(0);
        (void)call_as(pair, "Refuse", 2, SAMPLED);
        const struct span *span = only(pair);
        ck_assert_ptr_null(span->error);
        has_text(span, "rpc.response.status_code", "FAILED_PRECONDITION");
        (void)call_as(pair, "Refuse", 3, SAMPLED);
        span = only(pair);
        ck_assert_str_eq(span->error, "DATABASE_UNAVAILABLE");
        has_text(span, "rpc.response.status_code", "UNAVAILABLE");
        for (size_t i = 0; i < span->attribute_count; i++)
            ck_assert(span->attributes[i].text == NULL ||
                      strstr(span->attributes[i].text, "hunter2") == NULL);
        const struct extra late[] = {
            {"traceparent", SAMPLED}, {"grpc-timeout", "20m"}, {NULL, NULL}};
        (void)pair_finish(pair,
                          pair_request(pair, "/test.v1.Pair/Sleep", late, pair_message(1000, "")));
        pair_turns(pair, 3);
        span = only(pair);
        ck_assert_str_eq(span->error, "DEADLINE_EXCEEDED");
        ck_assert_uint_ge(span->ended_ns - span->began_ns, 20 * NS_PER_MS);
        done(pair);
    }
END_TEST

START_TEST(methods_that_nobody_has_are_other)
    {
        struct pair *pair = traced(0);
        (void)call_as(pair, "Nothing", 1, SAMPLED);
        const struct span *span = only(pair);
        ck_assert_str_eq(span->name, "grpc"); /* the path is a stranger's text */
        ck_assert_str_eq(span->error, "METHOD_UNKNOWN");
        has_text(span, "rpc.method", "_OTHER");
        has_text(span, "rpc.response.status_code", "UNIMPLEMENTED");
        (void)call_as(pair, "Unserved", 1, SAMPLED);
        span = only(pair);
        has_text(span, "rpc.method", "test.v1.Pair/Unserved");
        done(pair);
    }
END_TEST

START_TEST(refused_calls_are_spans)
    {
        struct pair *pair = traced(0);
        const struct extra extras[] = {
            {"traceparent", SAMPLED}, {"x-forbid", "gate"}, {NULL, NULL}};
        (void)pair_finish(pair,
                          pair_request(pair, "/test.v1.Pair/Echo", extras, pair_message(1, "")));
        const struct span *span = only(pair);
        has_text(span, "rpc.response.status_code", "PERMISSION_DENIED");
        done(pair);
    }
END_TEST

START_TEST(connect_has_codes_of_its_own)
    {
        struct pair *pair = traced(1);
        check_field(post(pair, "Echo", JSON, text_body("{}")), ":status", "200");
        const struct span *span = only(pair);
        has_text(span, "rpc.system.name", "connectrpc");
        ck_assert_ptr_null(attribute(span, "rpc.response.status_code"));
        check_error(post(pair, "Refuse", JSON, text_body("{\"code\":9}")), "404", "not_found");
        has_text(only(pair), "rpc.response.status_code", "not_found");
        (void)post(pair, "Echo", "application/grpc-web+proto", pair_message(1, ""));
        has_text(only(pair), "rpc.system.name", "grpc");
        done(pair);
    }
END_TEST

static int known_tenant(struct call *call)
{
    memset(call->tenant.bytes, 7, sizeof call->tenant.bytes);
    return OK;
}

START_TEST(tenants_are_told_by_their_bucket)
    {
        struct pair *pair = traced(0);
        pair->worker->hooks.gate = known_tenant;
        (void)call_as(pair, "Echo", 1, SAMPLED);
        const struct span *span = only(pair);
        struct uuid tenant;
        char bucket[TENANT_BUCKET_TEXT];
        memset(tenant.bytes, 7, sizeof tenant.bytes);
        tenant_bucket_format(tenant_bucket(&tenant), bucket);
        has_text(span, "tenant_id_hash", bucket);
        done(pair);
    }
END_TEST

static const struct span *called(struct pair *pair, const char *authority)
{
    const struct extra extras[] = {
        {"traceparent", SAMPLED}, {":authority", authority}, {NULL, NULL}};
    (void)pair_finish(pair, pair_request(pair, "/test.v1.Pair/Echo", extras, pair_message(1, "")));
    return only(pair);
}

START_TEST(the_server_is_what_the_caller_calls_it)
    {
        struct pair *pair = traced(0);
        const struct span *span = called(pair, "tenants.svc:3000");
        has_text(span, "server.address", "tenants.svc");
        has_number(span, "server.port", 3000);
        span = called(pair, "[::1]:443");
        has_text(span, "server.address", "::1");
        has_number(span, "server.port", 443);
        span = called(pair, "[fe80::1]");
        has_text(span, "server.address", "fe80::1");
        ck_assert_ptr_null(attribute(span, "server.port"));
        span = called(pair, "12345");
        has_text(span, "server.address", "12345");
        ck_assert_ptr_null(attribute(span, "server.port"));
        char longest[300];
        memset(longest, 'h', sizeof longest);
        longest[sizeof longest - 1] = '\0';
        ck_assert_ptr_null(attribute(called(pair, longest), "server.address"));
        done(pair);
    }
END_TEST

START_TEST(a_full_ring_keeps_nobody_waiting)
    {
        struct pair *pair = traced(1);
        for (int i = 0; i < 7; i++)
            ck_assert_int_eq(answer_status(call_as(pair, "Echo", 1, NULL)), GRPC_OK);
        ck_assert_uint_eq(span_ring_count(pair->worker->spans), 4);
        ck_assert_uint_eq(metric_value(metrics_series(pair->metrics, &dropped_family, NULL)), 3);
        done(pair);
    }
END_TEST

START_TEST(a_call_that_its_client_left_is_a_span)
    {
        struct pair *pair = traced(1);
        int32_t id = pair_call(pair, "Sleep", 5000);
        pair_turns(pair, 3);
        ck_assert_int_eq(pair->invocations, 1);
        nghttp2_submit_rst_stream(pair->client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        pair_turns(pair, 3);
        ck_assert_int_eq(pair->finished, 1);
        has_text(only(pair), "rpc.response.status_code", "CANCELLED");
        done(pair);
    }
END_TEST

Suite *suite_rpc_call_span(void);
Suite *suite_rpc_call_span(void)
{
    Suite *suite = suite_create("rpc_call_span");
    TCase *tests = tcase_create("spans");
    tcase_add_test(tests, a_sampled_call_is_a_span_below_its_caller);
    tcase_add_test(tests, what_nobody_samples_is_no_span);
    tcase_add_test(tests, roots_are_spans_by_the_ratio);
    tcase_add_test(tests, the_context_says_whether_it_is_sampled);
    tcase_add_test(tests, failures_are_told_from_refusals);
    tcase_add_test(tests, methods_that_nobody_has_are_other);
    tcase_add_test(tests, refused_calls_are_spans);
    tcase_add_test(tests, connect_has_codes_of_its_own);
    tcase_add_test(tests, tenants_are_told_by_their_bucket);
    tcase_add_test(tests, the_server_is_what_the_caller_calls_it);
    tcase_add_test(tests, a_full_ring_keeps_nobody_waiting);
    tcase_add_test(tests, a_call_that_its_client_left_is_a_span);
    suite_add_tcase(suite, tests);
    return suite;
}
