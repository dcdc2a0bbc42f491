/* The ops port over real sockets. */
#include "ops/ops.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct arena *arena;
static struct ctx ctx;
static struct health *health;
static struct metrics *sets[2];
static struct loop_lag lags[2];
static struct ops *ops;
static char reply[65536];

static struct ops_settings settings_on(uint16_t port)
{
    return (struct ops_settings){
        .address = "127.0.0.1",
        .port = port,
        .health = health,
        .sets = sets,
        .set_count = 2,
        .lags = lags,
        .lag_count = 2,
        .build = {.version = "9.8.7", .commit = "abc"},
    };
}

static void set_up(void)
{
    arena = arena_new(0);
    ctx_init(&ctx, NULL, arena);
    health = health_new();
    sets[0] = metrics_new();
    sets[1] = metrics_new();
    struct ops_settings settings = settings_on(0);
    ck_assert_int_eq(ops_start(&ctx, &settings, &ops), OK);
    ck_assert_uint_gt(ops_port(ops), 0);
}

static void tear_down(void)
{
    ops_stop(ops);
    metrics_free(sets[0]);
    metrics_free(sets[1]);
    health_free(health);
    arena_free(arena);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(ops_port(ops)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int ask_with(const char *request)
{
    int fd = dial();
    ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    size_t size = 0;
    ssize_t count = 0;
    while ((count = recv(fd, reply + size, sizeof reply - 1 - size, 0)) > 0)
        size += (size_t)count;
    reply[size] = '\0';
    close(fd);
    ck_assert_msg(strncmp(reply, "HTTP/1.1 ", 9) == 0, "%s", reply);
    return atoi(reply + 9);
}

static int ask(const char *method, const char *path)
{
    char request[256];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             method, path);
    return ask_with(request);
}

static const struct metric_family family = {
    .name = "test_things_total", .help = "Things.", .kind = METRIC_COUNTER};

START_TEST(metrics_are_added_up_and_complete)
    {
        metric_add(metrics_series(sets[0], &family, NULL), 3);
        metric_add(metrics_series(sets[1], &family, NULL), 4);
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
        static const char *const wanted[] = {
            "Content-Type: text/plain; version=0.0.4",
            "\ntest_things_total 7\n",
            "\ntenant_build_info{version=\"9.8.7\",commit=\"abc\",compiler=\"",
            "\nprocess_resident_memory_bytes ",
            "\nprocess_open_fds ",
            "\nprocess_cpu_seconds_total ",
            "\ntenant_uptime_seconds ",
            "\ntenant_ready 0\n",
        };
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            ck_assert_msg(strstr(reply, wanted[i]) != NULL, "lacks %s", wanted[i]);
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
        ck_assert_ptr_nonnull(strstr(
            reply,
            "\ntenant_ops_requests_total{path=\"/metrics\",code=\"200\"} 1\n")); /* itself not yet */
    }
END_TEST

START_TEST(process_figures_are_plausible)
    {
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
        double resident = strtod(strstr(reply, "\nprocess_resident_memory_bytes ") + 31, NULL);
        ck_assert(resident > 100e3 && resident < 1e12);
        double before = strtod(strstr(reply, "\nprocess_open_fds ") + 18, NULL);
        int extra[5];
        for (int i = 0; i < 5; i++)
            extra[i] = dup(0);
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
        double after = strtod(strstr(reply, "\nprocess_open_fds ") + 18, NULL);
        ck_assert(after >= before + 4); /* the earlier connection may linger in the first figure */
        for (int i = 0; i < 5; i++)
            close(extra[i]);
    }
END_TEST

START_TEST(loop_lag_is_the_worst_since_the_last_scrape)
    {
        loop_lag_note(&lags[1], 2 * NS_PER_MS);
        loop_lag_note(&lags[1], 5 * NS_PER_MS);
        loop_lag_note(&lags[1], 1 * NS_PER_MS);
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
        ck_assert_ptr_nonnull(strstr(reply, "\ntenant_loop_lag_seconds{worker=\"0\"} 0\n"));
        ck_assert_ptr_nonnull(strstr(reply, "\ntenant_loop_lag_seconds{worker=\"1\"} 0.005\n"));
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
        ck_assert_ptr_nonnull(strstr(reply, "\ntenant_loop_lag_seconds{worker=\"1\"} 0\n"));
    }
END_TEST

START_TEST(health_is_served)
    {
        ck_assert_int_eq(ask("GET", "/health/live"), 200);
        ck_assert_ptr_nonnull(strstr(reply, "Content-Type: application/json"));
        ck_assert_int_eq(ask("GET", "/health/ready"), 503);
        health_set(health, HEALTH_STARTED, true);
        health_set(health, HEALTH_SCHEMA_OK, true);
        health_set(health, HEALTH_LISTENING, true);
        ck_assert_int_eq(ask("GET", "/health/ready?verbose=1"), 200);
        ck_assert_int_eq(ask("GET", "/health/startup"), 200);
    }
END_TEST

START_TEST(head_has_no_body)
    {
        ck_assert_int_eq(ask("HEAD", "/health/live"), 200);
        ck_assert_ptr_null(strchr(reply, '{'));
    }
END_TEST

START_TEST(everything_else_is_refused)
    {
        ck_assert_int_eq(ask("GET", "/"), 404);
        ck_assert_int_eq(ask("GET", "/metrics/x"), 404);
        ck_assert_int_eq(ask("DELETE", "/metrics"), 405);
        ck_assert_ptr_nonnull(strstr(reply, "Allow: GET, HEAD"));
        ck_assert_int_eq(ask_with("POST /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                                  "Connection: close\r\n\r\nhello"),
                         405);
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
        ck_assert_ptr_nonnull(strstr(reply, "{path=\"other\",code=\"404\"} 2\n"));
        ck_assert_ptr_nonnull(strstr(reply, "{path=\"/metrics\",code=\"405\"} 1\n"));
    }
END_TEST

START_TEST(headers_are_bounded)
    {
        static char request[70000];
        int length = snprintf(request, sizeof request, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: ");
        memset(request + length, 'a', 60000);
        strcpy(request + length + 60000, "\r\n\r\n");
        int fd = dial();
        send(fd, request, strlen(request), MSG_NOSIGNAL);
        ssize_t count = recv(fd, reply, sizeof reply - 1, 0);
        reply[count > 0 ? count : 0] = '\0';
        ck_assert_ptr_null(strstr(reply, " 200 "));
        close(fd);
        ck_assert_int_eq(ask("GET", "/metrics"), 200);
    }
END_TEST

START_TEST(a_port_in_use_is_said_plainly)
    {
        struct ops *second = NULL;
        struct ops_settings settings = settings_on(ops_port(ops));
        ck_assert_int_eq(ops_start(&ctx, &settings, &second), FAULT_IO);
        ck_assert_ptr_null(second);
        char wanted[160];
        snprintf(
            wanted, sizeof wanted,
            "ops port 127.0.0.1:%d: Address already in use; set ops.port or TENANT_OPS_PORT to another",
            ops_port(ops));
        ck_assert_str_eq(ctx.fault.text, wanted);
        settings.address = "localhost";
        ck_assert_int_eq(ops_start(&ctx, &settings, &second), FAULT_CONFIG);
    }
END_TEST

START_TEST(a_stopped_port_is_free_again)
    {
        uint16_t port = ops_port(ops);
        ck_assert_int_eq(ask("GET", "/health/live"), 200);
        int silent = dial();
        ops_stop(ops);
        ops = NULL;
        struct ops_settings settings = settings_on(port);
        ck_assert_int_eq(ops_start(&ctx, &settings, &ops), OK);
        ck_assert_int_eq(ask("GET", "/health/live"), 200);
        close(silent);
    }
END_TEST

START_TEST(connections_are_bounded_and_the_port_recovers)
    {
        int fds[40];
        for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
            fds[i] = dial(); /* those over 32 wait in the backlog */
        for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
            close(fds[i]);
        ck_assert_int_eq(ask("GET", "/health/live"), 200);
    }
END_TEST

START_TEST(ipv6_is_served_too)
    {
        struct ops *second = NULL;
        struct ops_settings settings = settings_on(0);
        settings.address = "::1";
        if (access("/proc/net/if_inet6", R_OK) != 0)
            return; /* a machine without IPv6 */
        ck_assert_int_eq(ops_start(&ctx, &settings, &second), OK);
        ck_assert_uint_gt(ops_port(second), 0);
        ops_stop(second);
    }
END_TEST

Suite *suite_ops_ops(void);
Suite *suite_ops_ops(void)
{
    Suite *suite = suite_create("ops");
    TCase *tcase = tcase_create("ops");
    tcase_set_timeout(tcase, 20);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, metrics_are_added_up_and_complete);
    tcase_add_test(tcase, process_figures_are_plausible);
    tcase_add_test(tcase, loop_lag_is_the_worst_since_the_last_scrape);
    tcase_add_test(tcase, health_is_served);
    tcase_add_test(tcase, head_has_no_body);
    tcase_add_test(tcase, everything_else_is_refused);
    tcase_add_test(tcase, headers_are_bounded);
    tcase_add_test(tcase, a_port_in_use_is_said_plainly);
    tcase_add_test(tcase, a_stopped_port_is_free_again);
    tcase_add_test(tcase, connections_are_bounded_and_the_port_recovers);
    tcase_add_test(tcase, ipv6_is_served_too);
    suite_add_tcase(suite, tcase);
    return suite;
}
