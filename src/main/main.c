/*~ tenant-service: one binary, five commands.
 *
 * This file reads the command line.  From here the tour goes to serve.c (what a serving process is made
 * of), rpc/connection.c and rpc/h2_session.c (bytes to calls), rpc/call.c, service/gate.c (who may),
 * service/tenants.c (what it means), store/tx.c (how it is kept), events/relay.c (how others learn). */
#include "main/app.h"

#include "base/random.h"

#include "store/pg_password.h"
#include "tokens/token_keys.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage_text[] =
    "tenant-service: the platform's tenant authority, over gRPC on mutual TLS.\n"
    "\n"
    "usage: tenant-service [COMMAND] [--config FILE] [OPTIONS]\n"
    "\n"
    "commands\n"
    "  serve           answer calls and ship events (the default)\n"
    "  relay           only ship events\n"
    "  migrate         bring the database's schema up to date\n"
    "  check-config    read the configuration and say what is wrong with it\n"
    "  version         print version and commit\n"
    "\n"
    "options\n"
    "  --config FILE      configuration (YAML); else $TENANT_CONFIG, else the environment\n"
    "  --no-relay         serve: leave the events to other processes\n"
    "  --no-consumers     serve: leave other services' events to other processes\n"
    "  --migrations DIR   migrate: where the SQL files are (default migrations)\n"
    "  --print            check-config: print every value and its origin; secrets are masked\n"
    "  --schema           check-config: print the table of all keys (Markdown)\n"
    "  --help             this text\n"
    "\n"
    "Every key of the configuration can be set in the environment: TENANT_SERVER_PORT=3001 sets\n"
    "server.port.  SIGTERM and SIGINT stop gracefully; a second one stops at once.  SIGHUP reads\n"
    "configuration, certificates and token keys again.\n"
    "\n"
    "exit status: 0 stopped as asked, 1 could not start or broke, 2 wrong usage or configuration\n";

static int parse(struct options *options, int argc, char **argv);
static int run(struct app *app);
static void name_instance(struct app *app);

/* A lost peer is an error code, not a signal.  A reload that is asked for before somebody waits for it must
 * not end the start. */
static void ignore_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
}

/* 2 for usage and configuration, so that a supervisor can tell "do not restart" from "try
 * again". */
int main(int argc, char **argv)
{
    struct app app = {.options = {.command = "serve", .migrations = "migrations"}};
    int status = parse(&app.options, argc, argv);
    if (status >= 0)
        return status;
    ignore_signals();
    app.arena = arena_new(0);
    ctx_init(&app.ctx, &app.log, app.arena);
    name_instance(&app);
    status = run(&app);
    token_keys_free(app.token_keys);
    for (int login = 0; login < LOGIN_COUNT; login++)
        pg_password_free(app.passwords[login]);
    if (app.live != app.config)
        config_free(app.live);
    config_free(app.config);
    arena_free(app.arena);
    return status;
}

/* -1: go on. */
static int parse(struct options *options, int argc, char **argv)
{
    bool has_command = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char **value = strcmp(word, "--config") == 0       ? &options->config_file
                             : strcmp(word, "--migrations") == 0 ? &options->migrations
                                                                 : NULL;
        if (value != NULL && i + 1 < argc) {
            *value = argv[++i];
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(usage_text, stdout);
            return EXIT_STOPPED;
        } else if (strcmp(word, "--no-relay") == 0) {
            options->no_relay = true;
        } else if (strcmp(word, "--no-consumers") == 0) {
            options->no_consumers = true;
        } else if (strcmp(word, "--print") == 0) {
            options->print = true;
        } else if (strcmp(word, "--schema") == 0) {
            options->schema = true;
        } else if (word[0] != '-' && !has_command) {
            options->command = word;
            has_command = true;
        } else {
            fprintf(stderr, "tenant-service: %s \"%s\" (see --help)\n",
                    value != NULL ? "no value for" : "unexpected argument", word);
            return EXIT_WRONG;
        }
    }
    return -1;
}

static int run(struct app *app)
{
    const char *command = app->options.command;
    if (strcmp(command, "serve") == 0)
        return command_serve(app);
    if (strcmp(command, "relay") == 0)
        return command_relay(app);
    if (strcmp(command, "migrate") == 0)
        return command_migrate(app);
    if (strcmp(command, "check-config") == 0)
        return command_check_config(app);
    if (strcmp(command, "version") == 0) {
        printf("tenant-service %s (%s)\n", TENANT_VERSION, version_commit);
        return EXIT_STOPPED;
    }
    fprintf(stderr, "tenant-service: unknown command \"%s\" (see --help)\n", command);
    return EXIT_WRONG;
}

/* Random digits beside host and process: containers often share both with their predecessors. */
static void name_instance(struct app *app)
{
    char host[40] = "host";
    if (gethostname(host, sizeof host - 1) != 0)
        memcpy(host, "host", 5);
    uint32_t number;
    random_bytes(&number, sizeof number);
    snprintf(app->instance, sizeof app->instance, "%s:%d:%08x", host, (int)getpid(), number);
}
