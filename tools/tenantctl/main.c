/* tenantctl: the operator's way to ask and change tenant-service. */
#include "call.h"
#include "manual.h"
#include "settings.h"

#include <signal.h>
#include <stdio.h>

int version_show(struct cli *cli)
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
