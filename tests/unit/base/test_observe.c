/* Log lines and metric text. */
#include "base/clock.h"
#include "base/ctx.h"
#include "base/log.h"
#include "base/metrics.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static const struct metric_family requests = {
    .name = "t_requests_total", .help = "Requests.", .kind = METRIC_COUNTER, .labels = {"route"}};
static const double bounds[] = {0.5, 2};
static const struct metric_family seconds = {.name = "t_seconds",
                                             .help = "Time.",
                                             .kind = METRIC_HISTOGRAM,
                                             .buckets = bounds,
                                             .bucket_count = 2};
static const struct metric_family open_things = {
    .name = "t_open", .help = "Open.", .kind = METRIC_GAUGE};

START_TEST(sets_add_up_and_render_sorted)
{
    struct metrics *sets[2] = {metrics_new(), metrics_new()};
    const char *labels[] = {"a\"b"};
    for (int i = 0; i < 2; i++) {
        metric_add(metrics_series(sets[i], &requests, labels), 3);
        struct metric *time = metrics_series(sets[i], &seconds, NULL);
        metric_observe(time, 0.5);
        metric_observe(time, 1);
        metric_observe(time, 9);
        metric_gauge_add(metrics_series(sets[i], &open_things, NULL), i == 0 ? 5 : -2);
    }
    ck_assert_ptr_eq(metrics_series(sets[0], &requests, labels),
                     metrics_series(sets[0], &requests, labels));
    struct buf text = BUF_EMPTY;
    metrics_render(sets, 2, METRICS_PROMETHEUS, &text);
    ck_assert_str_eq(buf_str(&text), "# HELP t_open Open.\n# TYPE t_open gauge\n"
                                     "t_open 3\n"
                                     "# HELP t_requests_total Requests.\n"
                                     "# TYPE t_requests_total counter\n"
                                     "t_requests_total{route=\"a\\\"b\"} 6\n"
                                     "# HELP t_seconds Time.\n# TYPE t_seconds histogram\n"
                                     "t_seconds_bucket{le=\"0.5\"} 2\n"
                                     "t_seconds_bucket{le=\"2\"} 4\n"
                                     "t_seconds_bucket{le=\"+Inf\"} 6\n"
                                     "t_seconds_sum 21\nt_seconds_count 6\n");
    buf_deinit(&text);
    metrics_free(sets[0]);
    metrics_free(sets[1]);
}
END_TEST

/* The grammar of OpenMetrics: no _total in a counter's family, exemplars behind bucket lines. */
START_TEST(openmetrics_has_exemplars_and_other_names)
{
    struct metric_family traced = seconds;
    traced.has_exemplars = true;
    struct metrics *sets[2] = {metrics_new(), metrics_new()};
    const char *labels[] = {"a"};
    metric_inc(metrics_series(sets[0], &requests, labels));
    struct metric *time = metrics_series(sets[0], &traced, NULL);
    metric_observe_traced(time, 1, "0af7651916cd43dd8448eb211c80319c");
    metric_observe_traced(time, 1.5, "11111111111111111111111111111111"); /* within the second */
    metric_observe_traced(time, 9, "");
    struct metric *other = metrics_series(sets[1], &traced, NULL);
    metric_observe_traced(other, 0.25, "22222222222222222222222222222222");
    struct buf text = BUF_EMPTY;
    metrics_render(sets, 2, METRICS_OPENMETRICS, &text);
    const char *all = buf_str(&text);
    ck_assert_ptr_nonnull(strstr(all, "# TYPE t_requests counter\nt_requests_total{route=\"a\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(
        all, "{le=\"2\"} 3 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 1 1"));
    ck_assert_ptr_nonnull(strstr(
        all, "{le=\"0.5\"} 1 # {trace_id=\"22222222222222222222222222222222\"} 0.25 1"));
    ck_assert_ptr_nonnull(strstr(all, "{le=\"+Inf\"} 4\n"));
    ck_assert_ptr_null(strstr(all, "11111111"));
    buf_clear(&text);
    metrics_render(sets, 2, METRICS_PROMETHEUS, &text);
    ck_assert_ptr_null(strstr(buf_str(&text), "trace_id"));
    buf_deinit(&text);
    metrics_free(sets[0]);
    metrics_free(sets[1]);
}
END_TEST

static void *count_a_lot(void *set)
{
    for (int i = 0; i < 20000; i++) {
        const char *labels[] = {i % 2 == 0 ? "even" : "odd"};
        metric_inc(metrics_series(set, &requests, labels));
    }
    return NULL;
}

START_TEST(threads_share_a_set)
{
    struct metrics *set = metrics_new();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, count_a_lot, set);
    struct buf text = BUF_EMPTY;
    metrics_render(&set, 1, METRICS_PROMETHEUS, &text);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    const char *even[] = {"even"};
    ck_assert_uint_eq(metric_value(metrics_series(set, &requests, even)), 40000);
    buf_deinit(&text);
    metrics_free(set);
}
END_TEST

static size_t read_line(int fd, char *out, size_t size)
{
    ssize_t got = read(fd, out, size - 1);
    ck_assert_int_gt(got, 0);
    out[got] = '\0';
    return (size_t)got;
}

START_TEST(a_log_line_is_one_json_object_with_the_ids)
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    struct log log = {.fd = pipe_fds[1],
                      .level = LOG_INFO,
                      .service = "tenant-service",
                      .version = "1.2.3",
                      .region = "eu",
                      .environment = "test"};
    struct ctx ctx;
    ctx_init(&ctx, &log, NULL);
    trace_ctx_begin(&ctx.trace, slice_of_str(""));
    snprintf(ctx.tenant_id, sizeof ctx.tenant_id, "tnt_X");
    ctx.caller = "admin";
    log_debug(&ctx, "dropped", KV_BOOL("x", true));
    log_info(&ctx, "tenant.created", KV_STR("slug", "a\"b"), KV_INT("n", -4),
             KV_DOUBLE("seconds", 0.25), KV_BOOL("ok", true));
    char line[2048];
    read_line(pipe_fds[0], line, sizeof line);
    ck_assert_ptr_nonnull(strstr(line, "\"event\":\"tenant.created\""));
    ck_assert_ptr_nonnull(strstr(line, "\"log_schema_version\":3"));
    ck_assert_ptr_nonnull(strstr(line, "\"tenant_id\":\"tnt_X\",\"actor_role\":\"admin\""));
    ck_assert_ptr_nonnull(
        strstr(line, "\"slug\":\"a\\\"b\",\"n\":-4,\"seconds\":0.25,\"ok\":true}\n"));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
END_TEST

START_TEST(an_oversized_line_names_its_event_and_stays_json)
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    struct log log = {.fd = pipe_fds[1], .level = LOG_INFO, .service = "s"};
    static char huge[20000];
    memset(huge, 'x', sizeof huge - 1);
    log_on_info(&log, "too.long", KV_STR("text", huge));
    char line[4096];
    size_t size = read_line(pipe_fds[0], line, sizeof line);
    ck_assert_ptr_nonnull(strstr(line, "\"event\":\"too.long\""));
    ck_assert_str_eq(line + size - strlen(",\"truncated\":true}\n"), ",\"truncated\":true}\n");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
END_TEST

START_TEST(repeated_lines_are_held_back_and_counted)
{
    struct log_interval interval = {0};
    uint64_t suppressed = 99;
    ck_assert(log_interval_due(&interval, NS_PER_S * 100, &suppressed));
    ck_assert_uint_eq(suppressed, 0);
    for (int i = 0; i < 7; i++)
        ck_assert(!log_interval_due(&interval, NS_PER_S * 100, &suppressed));
    atomic_store(&interval.next_ns, 0);
    ck_assert(log_interval_due(&interval, NS_PER_S * 100, &suppressed));
    ck_assert_uint_eq(suppressed, 7);
}
END_TEST

Suite *suite_base_observe(void);
Suite *suite_base_observe(void)
{
    Suite *suite = suite_create("base/observe");
    TCase *tcase = tcase_create("observe");
    tcase_add_test(tcase, sets_add_up_and_render_sorted);
    tcase_add_test(tcase, openmetrics_has_exemplars_and_other_names);
    tcase_add_test(tcase, threads_share_a_set);
    tcase_add_test(tcase, a_log_line_is_one_json_object_with_the_ids);
    tcase_add_test(tcase, an_oversized_line_names_its_event_and_stays_json);
    tcase_add_test(tcase, repeated_lines_are_held_back_and_counted);
    suite_add_tcase(suite, tcase);
    return suite;
}
