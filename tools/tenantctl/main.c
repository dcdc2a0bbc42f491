/* tenantctl: the operator's way to ask and change tenant-service. */
#include "cli.h"
#include "settings.h"
#include "tenant_commands.h"

#include <signal.h>
#include <stdio.h>

const struct flag global_flags[] = {
    {"config", "FILE", "configuration file (YAML)", false},
    {"address", "HOST:PORT", "where the service listens", false},
    {"cert-file", "FILE", "our certificate (PEM)", false},
    {"key-file", "FILE", "our private key (PEM)", false},
    {"ca-file", "FILE", "whom we believe (PEM)", false},
    {"server-name", "NAME", "name in the server's certificate, if not the address's", false},
    {"tenant-header", "TENANT_ID", "sent as x-tenant-id", false},
    {"nats-url", "URL", "where the events are, tls://HOST:PORT", false},
    {"nats-seed-file", "FILE", "our NKey seed for NATS", false},
    {"timeout", "TIME", "for each call, such as 500ms or 10s (default 10s)", false},
    {"output", "FORM", "table (default) or json", false},
    {"help", NULL, "this text", false},
    {"version", NULL, "the program's version", false},
    {NULL, NULL, NULL, false},
};

const struct command commands[] = {
    {"tenant", "create", NULL, "Create a tenant; prints it with its new id", NULL, create_flags,
     tenant_create},
    {"tenant", "get", "TENANT_ID", "Show one tenant by its id", NULL, NULL, tenant_get},
    {"tenant", "lookup", "SLUG", "Find a tenant by its slug", NULL, NULL, tenant_lookup},
    {"tenant", "update", "TENANT_ID", "Change the fields that the flags name, and no others",
     "Lists and maps are replaced as a whole.  --clear empties a field.\n", update_flags,
     tenant_update},
    {"events", "tail", NULL, "Show events as they come, decoded",
     "Reads the sixteen streams TENANT_00 to TENANT_15 in order per tenant.\n", tail_flags,
     events_tail},
    {NULL, "health", NULL, "Ask whether the service serves", NULL, health_flags, ctl_health},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};

/* A lost peer is an error code, not a signal. */
static void ignore_broken_pipes(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

int main(int argc, char **argv)
{
    ignore_broken_pipes();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("tenantctl " TENANT_VERSION);
        return EXIT_DONE;
    }
    struct arena *arena = arena_new(0);
    struct cli cli = {.arena = arena};
    ctx_init(&cli.ctx, NULL, arena);
    int status = cli_parse(&cli, argc, argv);
    if (status == OK)
        status = settings_load(&cli);
    if (status == OK)
        status = cli.command->run(&cli);
    arena_free(arena);
    return status < 0 ? EXIT_DONE : status;
}
