/* tenantctl: the operator's way to ask and change tenant-service. */
#include "call.h"
#include "cli.h"
#include "contexts.h"
#include "manual.h"
#include "patch.h"
#include "settings.h"
#include "tenant_commands.h"

#include <signal.h>
#include <stdio.h>

static const struct flag connection_flags[] = {
    FLAG("config", "FILE", "configuration file (YAML)"),
    FLAG("context", "CONTEXT", "which of its contexts"),
    FLAG("address", "HOST:PORT", "where the service listens"),
    FLAG("cert-file", "FILE", "our certificate (PEM)"),
    FLAG("key-file", "FILE", "our private key (PEM)"),
    FLAG("ca-file", "FILE", "whom we believe (PEM)"),
    FLAG("server-name", "NAME", "name in the server's certificate, if not the address's"),
    FLAG("tenant-header", "TENANT_ID", "sent as x-tenant-id"),
    FLAG("nats-url", "URL", "where the events are, tls://HOST:PORT"),
    FLAG("nats-seed-file", "FILE", "our NKey seed for NATS"),
    FLAG("timeout", "TIME", "for the command with all its attempts, such as 500ms (default 10s)"),
    FLAG("no-retry", NULL, "one attempt only"),
    FLAGS_END,
};
static const struct flag_set connection_set = {"connection", connection_flags};

static const struct flag general_flags[] = {
    FLAG("output", "FORM", "how to print", .letter = 'o', .choices = "table json yaml",
         .exact = true),
    FLAG("verbose", NULL, "also the answer's metadata, on standard error", .letter = 'v'),
    FLAG("no-color", NULL, "no colour, not even on a terminal"),
    FLAG("help", NULL, "this text", .letter = 'h'),
    FLAG("version", NULL, "the program's version"),
    FLAGS_END,
};
static const struct flag_set general_set = {"general", general_flags};

static const struct flag read_flags[] = {
    FLAG("at-least", "TOKEN", "not older than the write or event that gave this consistency token"),
    FLAG("watch", NULL, "look again and again, show what has changed, until Ctrl-C"),
    FLAG("interval", "TIME", "between two looks of --watch (default 2s)"),
    FLAGS_END,
};
static const struct flag_set read_set = {"reading", read_flags};

static const struct flag watch_flags[] = {
    FLAG("watch", NULL, "look again and again, show what has changed, until Ctrl-C"),
    FLAG("interval", "TIME", "between two looks of --watch (default 2s)"),
    FLAGS_END,
};
static const struct flag_set watch_set = {"watching", watch_flags};

static const struct flag write_flags[] = {
    FLAG("idempotency-key", "KEY",
         "the same request under the same key is done once (default: a new key)"),
    FLAG("validate-only", NULL, "check the request, store nothing"),
    FLAGS_END,
};
static const struct flag_set write_set = {"writing", write_flags};

static const struct flag names_flags[] = {
    FLAG("names", NULL, "the names alone, a line each"),
    FLAGS_END,
};
static const struct flag_set names_set = {"flags", names_flags};

static int version_show(struct cli *cli);

const struct command commands[] = {
    {"tenant",
     "create",
     NULL,
     NULL,
     "Create a tenant and print it with its new id",
     "The tenant begins in trial, in the region that the service serves.  The "
     "same command with the "
     "same --idempotency-key gives the same tenant again.",
     "tenantctl tenant create --slug globex --display-name Globex --home-region "
     "eu --label env=prod",
     {&create_set, &patch_set, &write_set, &connection_set, &general_set, NULL},
     tenant_create},
    {"tenant",
     "get",
     "TENANT_ID",
     NULL,
     "Show one tenant by its id",
     NULL,
     NULL,
     {&read_set, &connection_set, &general_set, NULL},
     tenant_get},
    {"tenant",
     "lookup",
     "SLUG",
     NULL,
     "Find a tenant by its slug",
     NULL,
     NULL,
     {&read_set, &connection_set, &general_set, NULL},
     tenant_lookup},
    {"tenant",
     "list",
     NULL,
     NULL,
     "Show the tenants of the region, a page or all",
     "Filters are AIP-160 expressions over status, type, plan.plan_id, slug, display_name, labels, "
     "create_time and update_time, joined by AND; a text that ends in * is a beginning.",
     "tenantctl tenant list --filter 'status = \"suspended\"' --order-by 'create_time desc'\n"
     "tenantctl tenant list --all --output json",
     {&list_set, &read_set, &connection_set, &general_set, NULL},
     tenant_list},
    {"tenant",
     "update",
     "TENANT_ID",
     NULL,
     "Change the fields that the flags name, and no others",
     "Lists and maps are replaced as a whole.  --clear empties a field.",
     "tenantctl tenant update tnt_... --display-name 'Globex Corp' --mfa-required --etag '\"3\"'",
     {&update_set, &patch_set, &write_set, &connection_set, &general_set, NULL},
     tenant_update},
    {"tenant",
     "suspend",
     "TENANT_ID",
     NULL,
     "Stop a tenant's work until it is reactivated",
     "Returns when no cache of the platform can show the tenant as active any more.",
     "tenantctl tenant suspend tnt_... --reason 'invoice 4711 is unpaid'",
     {&state_set, &write_set, &connection_set, &general_set, NULL},
     tenant_suspend},
    {"tenant",
     "reactivate",
     "TENANT_ID",
     NULL,
     "Let a suspended tenant work again; also ends a trial",
     NULL,
     NULL,
     {&state_set, &write_set, &connection_set, &general_set, NULL},
     tenant_reactivate},
    {"tenant",
     "close",
     "TENANT_ID",
     NULL,
     "Close a tenant for ever",
     "Asks for confirmation on a terminal; elsewhere --yes is needed.",
     NULL,
     {&close_set, &write_set, &connection_set, &general_set, NULL},
     tenant_close},
    {"events",
     "tail",
     NULL,
     NULL,
     "Show events, decoded; with --follow also those to come",
     "Reads the sixteen streams TENANT_00 to TENANT_15 and leaves no consumer behind.  The order "
     "is kept within a tenant.",
     "tenantctl events tail --type tenant.org.suspended --since 2h\n"
     "tenantctl events tail --tenant tnt_... --follow --output json",
     {&tail_set, &connection_set, &general_set, NULL},
     events_tail},
    {"context",
     "list",
     NULL,
     NULL,
     "Show the contexts; a star stands beside the current one",
     NULL,
     NULL,
     {&names_set, &connection_set, &general_set, NULL},
     context_list},
    {"context",
     "show",
     NULL,
     NULL,
     "Show what a command would use: flags, environment, context and file",
     NULL,
     NULL,
     {&connection_set, &general_set, NULL},
     context_show},
    {"context",
     "use",
     "CONTEXT",
     NULL,
     "Make a context the current one",
     NULL,
     NULL,
     {&connection_set, &general_set, NULL},
     context_use},
    {"context",
     "set",
     "CONTEXT",
     NULL,
     "Make or change a context from the connection's flags",
     "An empty value takes a setting away.  The first context becomes the current one.",
     "tenantctl context set eu --address tenants.eu.example:3000 --ca-file "
     "ca.pem --cert-file me.pem "
     "--key-file me.key",
     {&connection_set, &general_set, NULL},
     context_set},
    {"context",
     "delete",
     "CONTEXT",
     NULL,
     "Forget a context",
     NULL,
     NULL,
     {&connection_set, &general_set, NULL},
     context_delete},
    {NULL,
     "health",
     NULL,
     NULL,
     "Ask whether the service serves",
     NULL,
     NULL,
     {&health_set, &watch_set, &connection_set, &general_set, NULL},
     health_show},
    {NULL,
     "completion",
     "SHELL",
     "bash zsh",
     "Print a completion script",
     NULL,
     "source <(tenantctl completion bash)",
     {&general_set, NULL},
     completion_command},
    {NULL,
     "man",
     "DIR",
     NULL,
     "Write the man pages into a folder",
     NULL,
     "tenantctl man ~/.local/share/man/man1",
     {&general_set, NULL},
     man_command},
    {NULL,
     "version",
     NULL,
     NULL,
     "Print the program's version",
     NULL,
     NULL,
     {&general_set, NULL},
     version_show},
    {.name = NULL},
};

const struct command_group command_groups[] = {
    {"tenant", "Ask and change tenants."},
    {"events", "Follow what happens to tenants."},
    {"context", "Choose where to connect, and as whom."},
    {NULL, NULL},
};

static int version_show(struct cli *cli)
{
    fputs("tenantctl " TENANT_VERSION "\n", cli->out);
    return EXIT_DONE;
}

/* A lost peer is an error code, not a signal. */
static void ignore_broken_pipes(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

int main(int argc, char **argv)
{
    ignore_broken_pipes();
    if (argc >= 2 && strcmp(argv[1], "__complete") == 0)
        return completion_answer(argc - 2, argv + 2);
    struct arena *arena = arena_new(0);
    struct cli cli = {.arena = arena, .out = stdout};
    ctx_init(&cli.ctx, NULL, arena);
    bool version = argc == 2 && strcmp(argv[1], "--version") == 0;
    int status = version ? -1 : cli_parse(&cli, argc, argv);
    if (version || (status == OK && cli_is_on(&cli, "version"))) {
        (void)version_show(&cli);
        status = -1;
    }
    bool edits_contexts = status == OK && cli.command->group != NULL &&
                          strcmp(cli.command->group, "context") == 0 &&
                          strcmp(cli.command->name, "show") != 0;
    if (status == OK &&
        !edits_contexts) /* a broken context must not stand in the way of its repair */
        status = settings_load(&cli);
    if (status == OK)
        status = cli.command->run(&cli);
    ctl_close(&cli);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = cli_complain("the output could not be written");
    arena_free(arena);
    return status < 0 ? EXIT_DONE : status;
}
