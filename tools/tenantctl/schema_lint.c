/* tenantctl schema lint: runs the schema gate, a program of its own that other teams install too; linked in
 * here it would be there twice, and protoc is another program anyway. */
#include "schema_commands.h"

#include "output.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define GATE_CONFIG "contracts/schema-gate.conf"
#define REPORT_MAX (16u << 20)

static const struct flag lint_flags[] = {
    FLAG("gate", "FILE", "the gate's configuration (default " GATE_CONFIG ")"),
    FLAGS_END,
};
const struct flag_set schema_lint_set = {"flags", lint_flags};

static const char *gate_program(struct arena *arena);
static int gate_run(struct cli *cli, char *const *arguments, int out, pid_t *child);
static int gate_wait(pid_t child);
static int report_take(struct cli *cli, char *const *arguments);
static bool report_read(int fd, struct buf *report);

/* Text goes straight through, with the gate's own words and line numbers. */
int schema_lint(struct cli *cli)
{
    const char *gate = cli_value(cli, "gate");
    if (gate == NULL)
        gate = GATE_CONFIG;
    if (access(gate, R_OK) != 0)
        return cli_complain("%s: %s (run this in a tree that has it, or name another with --gate)",
                            gate, strerror(errno));
    struct arena *arena = cli->arena;
    char **arguments = arena_alloc(arena, (cli->argument_count + 8) * sizeof *arguments);
    size_t count = 0;
    arguments[count++] = arena_strdup(arena, gate_program(arena));
    arguments[count++] = arena_strdup(arena, "check");
    arguments[count++] = arena_strdup(arena, "--config");
    arguments[count++] = arena_strdup(arena, gate);
    arguments[count++] = arena_strdup(arena, "--format");
    arguments[count++] = arena_strdup(arena, cli->form == FORM_TABLE ? "text" : "json");
    for (size_t i = 0; i < cli->argument_count; i++)
        arguments[count++] = arena_strdup(arena, cli->arguments[i]);
    if (cli->form != FORM_TABLE)
        return report_take(cli, arguments);
    pid_t child = 0;
    TRY(gate_run(cli, arguments, STDOUT_FILENO, &child));
    return gate_wait(child);
}

/* SCHEMA_COMPAT, or what lies beside this program, or what the path has. */
static const char *gate_program(struct arena *arena)
{
    const char *named = getenv("SCHEMA_COMPAT");
    if (named != NULL && named[0] != '\0')
        return named;
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size > 0) {
        self[size] = '\0';
        char *slash = strrchr(self, '/');
        const char *beside =
            slash == NULL ? NULL
                          : arena_printf(arena, "%.*s/schema-compat", (int)(slash - self), self);
        if (beside != NULL && access(beside, X_OK) == 0)
            return beside;
    }
    return "schema-compat";
}

static int gate_run(struct cli *cli, char *const *arguments, int out, pid_t *child)
{
    fflush(cli->out);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (out != STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    int failed = posix_spawnp(child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed == 0)
        return OK;
    (void)cli_complain("%s: %s (install it with `make install-schema-compat`, or name it with the "
                       "variable SCHEMA_COMPAT)",
                       arguments[0], strerror(failed));
    return EXIT_BROKEN;
}

/* 0, 1 (findings) and 2 (nothing could be compared) mean the same here. */
static int gate_wait(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > EXIT_USAGE)
        return EXIT_BROKEN;
    return WEXITSTATUS(status);
}

static int report_take(struct cli *cli, char *const *arguments)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)cli_complain("pipe: %s", strerror(errno));
        return EXIT_BROKEN;
    }
    pid_t child = 0;
    int rc = gate_run(cli, arguments, ends[1], &child);
    close(ends[1]);
    AUTO(buf_deinit) struct buf report = BUF_EMPTY;
    bool whole = rc == OK && report_read(ends[0], &report);
    close(ends[0]);
    if (rc != OK)
        return rc;
    int status = gate_wait(child);
    json_t *value = whole ? json_loadb((const char *)report.data, buf_size(&report), 0, NULL)
                          : NULL;
    if (value != NULL)
        output_value(cli, value);
    else if (status != EXIT_USAGE) /* it has said on standard error why it has no report */
        status = EXIT_BROKEN;
    return status;
}

static bool report_read(int fd, struct buf *report)
{
    for (;;) {
        ssize_t got = read(fd, buf_reserve(report, 1 << 16), 1 << 16);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || buf_size(report) + (size_t)got > REPORT_MAX)
            return got == 0;
        buf_commit(report, (size_t)got);
    }
}
