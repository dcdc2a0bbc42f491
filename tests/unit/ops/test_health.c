/* Probe answers and their metrics. */
#include "ops/health.h"

#include <check.h>
#include <pthread.h>

static struct health *health;
static struct buf body;

static void set_up(void)
{
    health = health_new();
}

static void tear_down(void)
{
    health_free(health);
    buf_deinit(&body);
}

static int probe(const char *path)
{
    buf_clear(&body);
    return health_render(health, path, &body);
}

START_TEST(a_new_process_is_live_and_nothing_else)
    {
        ck_assert_int_eq(probe("/health/live"), 200);
        ck_assert_str_eq(buf_str(&body),
                         "{\"status\":\"ok\",\"started\":false,\"schema_ok\":false,"
                         "\"listening\":false,\"draining\":false,\"dependencies\":{}}\n");
        ck_assert_int_eq(probe("/health/startup"), 503);
        ck_assert_int_eq(probe("/health/ready"), 503);
        ck_assert_ptr_nonnull(strstr(buf_str(&body), "\"status\":\"unavailable\""));
    }
END_TEST

START_TEST(ready_needs_start_schema_and_listening)
    {
        for (int mask = 0; mask < 16; mask++) {
            tear_down();
            set_up();
            if (mask & 1)
                health_set(health, HEALTH_STARTED, true);
            health_set(health, HEALTH_SCHEMA_OK, mask & 2);
            health_set(health, HEALTH_LISTENING, mask & 4);
            health_set(health, HEALTH_DRAINING, mask & 8);
            ck_assert_int_eq(probe("/health/ready"), mask == 7 ? 200 : 503);
            ck_assert_int_eq(health_is_ready(health), mask == 7);
            ck_assert_int_eq(probe("/health/startup"), mask & 1 ? 200 : 503);
            ck_assert_int_eq(probe("/health/live"), 200);
            ck_assert_int_eq(health_is(health, HEALTH_DRAINING), (mask & 8) != 0);
        }
    }
END_TEST

static void make_ready(void)
{
    health_set(health, HEALTH_STARTED, true);
    health_set(health, HEALTH_SCHEMA_OK, true);
    health_set(health, HEALTH_LISTENING, true);
}

START_TEST(a_lost_dependency_shows_and_does_not_unready)
    {
        make_ready();
        struct dependency *database = health_dependency(health, "database");
        ck_assert_ptr_eq(health_dependency(health, "database"), database);
        dependency_set(health_dependency(health, "redis"), DEPENDENCY_OFF, NULL);
        dependency_set(database, DEPENDENCY_DOWN, "connect: \"refused\"");
        ck_assert_int_eq(probe("/health/ready"), 200);
        const char *text = buf_str(&body);
        ck_assert_ptr_nonnull(strstr(text, "\"database\":{\"state\":\"down\",\"since\":\"20"));
        ck_assert_ptr_nonnull(strstr(text, "\"detail\":\"connect: \\\"refused\\\"\"}"));
        ck_assert_ptr_nonnull(strstr(text, "\"redis\":{\"state\":\"off\""));
    }
END_TEST

START_TEST(long_details_are_cut)
    {
        char detail[500];
        memset(detail, 'x', sizeof detail - 1);
        detail[sizeof detail - 1] = '\0';
        dependency_set(health_dependency(health, "nats"), DEPENDENCY_DOWN, detail);
        probe("/health/live");
        ck_assert_uint_eq(strspn(strstr(buf_str(&body), "xxx"), "x"), HEALTH_DETAIL_SIZE - 1);
        ck_assert_ptr_nonnull(strstr(buf_str(&body), "xxx\"}}}\n"));
    }
END_TEST

START_TEST(other_paths_are_not_found)
    {
        static const char *const paths[] = {
            "/", "/health", "/health/", "/health/readyx", "/health/ready/", ""};
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            ck_assert_int_eq(probe(paths[i]), 404);
            ck_assert_uint_eq(buf_size(&body), 0);
        }
    }
END_TEST

START_TEST(metrics_show_the_same)
    {
        make_ready();
        dependency_set(health_dependency(health, "database"), DEPENDENCY_UP, NULL);
        dependency_set(health_dependency(health, "nats"), DEPENDENCY_DOWN, "x");
        health_dependency(health, "redis");
        health_render_metrics(health, &body);
        const char *text = buf_str(&body);
        ck_assert_ptr_nonnull(strstr(text, "\ntenant_ready 1\n"));
        ck_assert_ptr_nonnull(strstr(text, "tenant_dependency_up{dependency=\"database\"} 1\n"));
        ck_assert_ptr_nonnull(strstr(text, "tenant_dependency_up{dependency=\"nats\"} 0\n"));
        ck_assert_ptr_null(strstr(text, "redis"));
    }
END_TEST

static void *toggle(void *argument)
{
    for (int i = 0; i < 2000; i++) {
        dependency_set(argument, i % 2 ? DEPENDENCY_UP : DEPENDENCY_DOWN, i % 2 ? "a" : "bbbbbb");
        health_set(health, HEALTH_LISTENING, i % 2);
    }
    return NULL;
}

START_TEST(threads_may_write_while_probes_read)
    {
        pthread_t writers[2];
        pthread_create(&writers[0], NULL, toggle, health_dependency(health, "database"));
        pthread_create(&writers[1], NULL, toggle, health_dependency(health, "nats"));
        for (int i = 0; i < 500; i++) {
            ck_assert_int_eq(probe("/health/live"), 200);
            const char *text = buf_str(&body);
            ck_assert_ptr_null(strstr(text, "\"detail\":\"abb"));
            ck_assert_int_eq(text[buf_size(&body) - 1], '\n');
        }
        pthread_join(writers[0], NULL);
        pthread_join(writers[1], NULL);
        probe("/health/live");
        ck_assert_ptr_nonnull(strstr(buf_str(&body), "\"state\":\"up\""));
    }
END_TEST

Suite *suite_ops_health(void);
Suite *suite_ops_health(void)
{
    Suite *suite = suite_create("health");
    TCase *tcase = tcase_create("health");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_new_process_is_live_and_nothing_else);
    tcase_add_test(tcase, ready_needs_start_schema_and_listening);
    tcase_add_test(tcase, a_lost_dependency_shows_and_does_not_unready);
    tcase_add_test(tcase, long_details_are_cut);
    tcase_add_test(tcase, other_paths_are_not_found);
    tcase_add_test(tcase, metrics_show_the_same);
    tcase_add_test(tcase, threads_may_write_while_probes_read);
    suite_add_tcase(suite, tcase);
    return suite;
}
