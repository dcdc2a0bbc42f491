/* gRPC's interoperability cases played by our client: each on a plain thread and in a task, then 1,000 large calls at
 * once on one channel.
 *
 *   interop-client ADDRESS PKI-FOLDER SOAK CHANNELS [gzip]
 *
 * SOAK are the calls of rpc_soak, CHANNELS those of channel_soak; gzip: the server knows the cases with compression.  Prints "ok CASE", "skip CASE" or
 * "FAIL CASE"; the status is 0 when none failed. */
#include "cases.h"

#include "base/alloc.h"
#include "loop/task.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define CONCURRENT 1000

struct in_task {
    const struct interop_case *test;
    struct interop interop; /* all but the task's ctx */
    unsigned passed;
};

static bool run_plainly(struct interop interop, const struct interop_case *test);
static void run_in_task(struct task *task, void *argument);
static unsigned run_tasks(struct interop interop, const struct interop_case *test, unsigned count);
static bool report(bool passed, const char *name, const char *how);

int main(int argc, char **argv)
{
    bool counted = argc == 5 || argc == 6;
    struct interop plain = {.soak = counted ? (unsigned)strtoul(argv[3], NULL, 10) : 0,
                            .channels = counted ? (unsigned)strtoul(argv[4], NULL, 10) : 0};
    if (plain.soak == 0 || plain.channels == 0) {
        fprintf(stderr, "usage: interop-client ADDRESS PKI-FOLDER SOAK CHANNELS [gzip]\n");
        return 2;
    }
    plain.address = argv[1];
    plain.folder = argv[2];
    signal(SIGPIPE, SIG_IGN);
    plain.channel = interop_channel(argv[1], argv[2]);
    bool good = true;
    for (const struct interop_case *test = interop_cases; test->name != NULL; test++) {
        if (test->needs_gzip && argc < 6) {
            printf("skip %s\n", test->name);
            continue;
        }
        good &= report(run_plainly(plain, test), test->name, "on a thread");
        struct interop shared = plain;
        shared.channel = interop_channel(argv[1], argv[2]);
        good &= report(run_tasks(shared, test, 1) == 1, test->name, "in a task");
    }
    client_channel_free(plain.channel);
    static const struct interop_case large = {"concurrent_large_unary", large_unary, false};
    struct interop shared = {.channel = interop_channel(argv[1], argv[2])};
    good &= report(run_tasks(shared, &large, CONCURRENT) == CONCURRENT, large.name, "in 1000 tasks");
    return good ? 0 : 1;
}

struct client_channel *interop_channel(const char *address, const char *folder)
{
    char *cert = NULL, *key = NULL, *ca = NULL;
    if (asprintf(&cert, "%s/admin.pem", folder) < 0 || asprintf(&key, "%s/admin.key", folder) < 0 ||
        asprintf(&ca, "%s/ca.pem", folder) < 0)
        abort();
    struct client_settings settings = {.address = address,
                                       .cert_file = cert,
                                       .key_file = key,
                                       .ca_file = ca,
                                       .server_name = "localhost"};
    struct client_channel *channel = client_channel_new(&settings);
    free(cert);
    free(key);
    free(ca);
    return channel;
}

static bool run_plainly(struct interop interop, const struct interop_case *test)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    ctx.arena = arena_new(0);
    interop.ctx = &ctx;
    interop.name = test->name;
    bool passed = test->run(&interop);
    arena_free(ctx.arena);
    return passed;
}

static void run_in_task(struct task *task, void *argument)
{
    struct in_task *work = argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    ctx.task = task;
    ctx.arena = arena_new(0);
    struct interop interop = work->interop;
    interop.ctx = &ctx;
    interop.name = work->test->name;
    work->passed += work->test->run(&interop);
    arena_free(ctx.arena);
}

/* How many passed.  Frees the channel, which belongs to the loop. */
static unsigned run_tasks(struct interop interop, const struct interop_case *test, unsigned count)
{
    struct loop *loop = loop_new(count);
    struct in_task work = {.test = test, .interop = interop};
    for (unsigned i = 0; i < count; i++) {
        if (!task_start(loop, run_in_task, &work, NULL))
            abort();
    }
    while (task_count(loop) > 0)
        loop_turn(loop, NS_PER_S);
    client_channel_free(interop.channel);
    loop_free(loop);
    return work.passed;
}

static bool report(bool passed, const char *name, const char *how)
{
    printf("%s %s %s\n", passed ? "ok" : "FAIL", name, how);
    fflush(stdout);
    return passed;
}
