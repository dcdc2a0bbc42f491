/* A program spoken to line by line.  See coprocess.h. */
#include "coprocess.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_PATIENCE_MS 5000
#define STOP_STEP_MS 20

struct coprocess {
    pid_t pid;
    int input;  /* of the program: we write */
    int output; /* we read */
    bool broken;
    struct buf rest; /* read and not yet asked for */
};

static bool spawn(struct coprocess *coprocess, const char *command, const int to[2],
                  const int from[2]);
static int send_line(struct ctx *ctx, struct coprocess *coprocess, struct slice line);
static int receive_line(struct ctx *ctx, struct coprocess *coprocess, const char **answer);
static int wait_for(struct ctx *ctx, int fd, short events);
static bool ended_within(pid_t pid, int patience_ms);

int coprocess_start(struct ctx *ctx, const char *command, struct coprocess **coprocess)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0)
        return FAULT(ctx, FAULT_IO, "pipe");
    if (pipe2(from, O_CLOEXEC) != 0) {
        (void)close(to[0]);
        (void)close(to[1]);
        return FAULT(ctx, FAULT_IO, "pipe");
    }
    struct coprocess *made = xcalloc(1, sizeof *made);
    bool runs = spawn(made, command, to, from);
    (void)close(to[0]);
    (void)close(from[1]);
    made->input = to[1];
    made->output = from[0];
    (void)fcntl(made->input, F_SETFL, O_NONBLOCK);
    if (!runs) {
        (void)close(made->input);
        (void)close(made->output);
        free(made);
        return FAULT(ctx, FAULT_IO, "cannot run sh");
    }
    *coprocess = made;
    return OK;
}

/* In a process group of its own, so that all that it started can be ended with it. */
static bool spawn(struct coprocess *coprocess, const char *command, const int to[2],
                  const int from[2])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t usual;
    char *arguments[] = {(char[]){"sh"}, (char[]){"-c"}, xstrdup(command), NULL};
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE); /* which we ignore */
    (void)posix_spawnattr_setsigdefault(&attributes, &usual);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn(&coprocess->pid, "/bin/sh", &actions, &attributes, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    free(arguments[2]);
    return rc == 0;
}

void coprocess_stop(struct coprocess *coprocess)
{
    if (coprocess == NULL)
        return;
    (void)close(coprocess->input);
    if (!ended_within(coprocess->pid, coprocess->broken ? 0 : STOP_PATIENCE_MS)) {
        (void)kill(-coprocess->pid, SIGTERM);
        if (!ended_within(coprocess->pid, STOP_PATIENCE_MS)) {
            (void)kill(-coprocess->pid, SIGKILL);
            (void)waitpid(coprocess->pid, NULL, 0);
        }
    }
    (void)close(coprocess->output);
    buf_deinit(&coprocess->rest);
    free(coprocess);
}

static bool ended_within(pid_t pid, int patience_ms)
{
    for (int waited = 0;; waited += STOP_STEP_MS) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return true;
        if (waited >= patience_ms)
            return false;
        (void)poll(NULL, 0, STOP_STEP_MS);
    }
}

int coprocess_ask(struct ctx *ctx, struct coprocess *coprocess, const char *line,
                  const char **answer)
{
    if (coprocess->broken)
        return FAULT(ctx, FAULT_IO, "it has failed before");
    coprocess->broken = true; /* until it has answered */
    struct buf out = BUF_EMPTY;
    buf_put_str(&out, line);
    buf_put_byte(&out, '\n');
    int rc = send_line(ctx, coprocess, buf_slice(&out));
    buf_deinit(&out);
    TRY(rc);
    TRY(receive_line(ctx, coprocess, answer));
    coprocess->broken = false;
    return OK;
}

static int send_line(struct ctx *ctx, struct coprocess *coprocess, struct slice line)
{
    while (line.size > 0) {
        ssize_t written = write(coprocess->input, line.data, line.size);
        if (written > 0)
            line = slice_skip(line, (size_t)written);
        else if (errno == EAGAIN)
            TRY(wait_for(ctx, coprocess->input, POLLOUT));
        else if (errno != EINTR)
            return FAULT(ctx, FAULT_IO, "it has ended without an answer");
    }
    return OK;
}

static int receive_line(struct ctx *ctx, struct coprocess *coprocess, const char **answer)
{
    for (;;) {
        struct slice have = buf_slice(&coprocess->rest);
        const uint8_t *end = have.size == 0 ? NULL : memchr(have.data, '\n', have.size);
        if (end != NULL) {
            size_t size = (size_t)(end - have.data);
            *answer = arena_strndup(ctx->arena, have.data, size);
            buf_consume(&coprocess->rest, size + 1);
            return OK;
        }
        if (have.size > COPROCESS_LINE_MAX)
            return FAULT(ctx, FAULT_PROTOCOL, "its line is longer than %u bytes",
                         COPROCESS_LINE_MAX);
        TRY(wait_for(ctx, coprocess->output, POLLIN));
        uint8_t *room = buf_reserve(&coprocess->rest, 65536);
        ssize_t got = read(coprocess->output, room, 65536);
        if (got == 0)
            return FAULT(ctx, FAULT_IO, "it has ended without an answer");
        if (got < 0 && errno != EINTR)
            return FAULT(ctx, FAULT_IO, "read");
        buf_commit(&coprocess->rest, got < 0 ? 0 : (size_t)got);
    }
}

static int wait_for(struct ctx *ctx, int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    for (;;) {
        int ms = deadline_poll_ms(ctx->deadline_ns, clock_now());
        int ready = poll(&one, 1, ms);
        if (ready > 0)
            return OK;
        if (ready == 0)
            return FAULT(ctx, FAULT_TIMEOUT, "it has not answered in time");
        if (errno != EINTR)
            return FAULT(ctx, FAULT_IO, "poll");
    }
}
