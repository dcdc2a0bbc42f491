/* What a run's span says of its end. */
#include "base/span.h"

#include "store/run_span.h"

#include "gen/errors.h"

#include <check.h>

static const struct metric_family dropped_family = {
    .name = "t_dropped_total", .help = "Dropped.", .kind = METRIC_COUNTER};

static struct metrics *metrics;
static struct ctx ctx;

static void wake(void *owner)
{
    (void)owner;
}

static void set_up(void)
{
    metrics = metrics_new();
    const struct span_ring_settings settings = {
        .size = 1,
        .wake_every = 1,
        .wake = wake,
        .dropped = metrics_series(metrics, &dropped_family, NULL)};
    ctx_init(&ctx, NULL, NULL);
    trace_ctx_begin(&ctx.trace, slice_make(NULL, 0));
    ctx.spans = span_ring_new(&settings);
}

static void tear_down(void)
{
    span_ring_free(ctx.spans);
    metrics_free(metrics);
}

static const char *error_of(int rc)
{
    const struct run_span run = {.began_ns = 1, .first = "test.one", .statements = 1};
    run_span_end(&ctx, &run, rc);
    const char *error = span_ring_at(ctx.spans, 0)->error;
    span_ring_drop(ctx.spans, 1);
    return error;
}

START_TEST(failures_are_errors_and_answers_are_not)
{
    ck_assert_ptr_null(error_of(OK));
    ck_assert_ptr_null(error_of(SLUG_TAKEN));
    ck_assert_ptr_null(error_of(TENANT_NOT_FOUND));
    ck_assert_ptr_null(error_of(CONCURRENT_CHANGE));
    ck_assert_str_eq(error_of(OVERLOADED), "OVERLOADED");
    ck_assert_str_eq(error_of(DATABASE_UNAVAILABLE), "DATABASE_UNAVAILABLE");
    ck_assert_str_eq(error_of(COMMIT_UNCERTAIN), "COMMIT_UNCERTAIN");
    ck_assert_str_eq(error_of(FAULT_TIMEOUT), "TIMEOUT");
    ck_assert_str_eq(error_of(FAULT_DATABASE), "DATABASE");
}
END_TEST

START_TEST(a_run_without_statements_is_a_commit)
{
    const struct run_span run = {.began_ns = 1};
    run_span_end(&ctx, &run, OK);
    ck_assert_str_eq(span_ring_at(ctx.spans, 0)->name, "COMMIT");
}
END_TEST

/* Full, or not traced at all. */
START_TEST(no_room_is_no_trouble)
{
    const struct run_span run = {.began_ns = 1, .first = "test.one", .statements = 2};
    run_span_end(&ctx, &run, OK);
    run_span_end(&ctx, &run, OK);
    ck_assert_uint_eq(metric_value(metrics_series(metrics, &dropped_family, NULL)), 1);
    ck_assert_uint_eq(span_ring_count(ctx.spans), 1);
    struct ctx untraced;
    ctx_init(&untraced, NULL, NULL);
    run_span_end(&untraced, &(struct run_span){.began_ns = 0}, OK);
}
END_TEST

Suite *suite_store_run_span(void);
Suite *suite_store_run_span(void)
{
    Suite *suite = suite_create("store_run_span");
    TCase *tests = tcase_create("spans");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, failures_are_errors_and_answers_are_not);
    tcase_add_test(tests, a_run_without_statements_is_a_commit);
    tcase_add_test(tests, no_room_is_no_trouble);
    suite_add_tcase(suite, tests);
    return suite;
}
