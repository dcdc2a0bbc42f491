/* Channels, attempts and watching; see call.h. */
#include "call.h"

#include "output.h"
#include "settings.h"

#include "base/clock.h"
#include "base/id.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define CONNECT_PAUSE_FIRST_NS (100 * NS_PER_MS)
#define CONNECT_PAUSE_MAX_NS (2 * NS_PER_S)
/* A person waits: a server that is gone is found within 20 s of a long call. */
#define KEEPALIVE_NS CLIENT_KEEPALIVE_MIN_NS
#define KEEPALIVE_TIMEOUT_NS (10 * NS_PER_S)

static struct client_channel *channel_new(struct cli *cli);
static bool pause_between(void *owner, unsigned attempt, uint64_t ns);
static void add_metadata(struct cli *cli, struct ctl_call *call);
static void add(struct client_call *call, const char *key, const char *value);
static const char *key_of(struct cli *cli);
static sigset_t watched_signals(void);

int ctl_call(struct cli *cli, struct ctl_call *call, ProtobufCMessage **out)
{
    TRY(settings_need_service(cli));
    struct client_retry retry = client_retry_default;
    retry.pause = pause_between;
    retry.owner = cli;
    if (cli_is_on(cli, "no-retry"))
        retry.attempts_max = 1;
    cli->ctx.fault = (struct fault){.file = NULL};
    if (cli->channel == NULL)
        cli->channel = channel_new(cli);
    call->answer = (struct client_call){
        .ctx = &cli->ctx,
        .channel = cli->channel,
        .timeout_ns = cli->settings->timeout_ns,
        .is_repeatable = !call->writes || cli_is_on(cli, "validate-only"),
        .retry = &retry,
    };
    add_metadata(cli, call);
    int rc = client_unary(&call->answer, call->method, call->in, out);
    call->answer.retry = NULL; /* it ends here */
    progress_clear(&cli->terminal);
    if (rc != OK)
        return output_fault(cli, settings_address(cli));
    if (call->answer.status != 0)
        return output_refusal(cli, &call->answer);
    output_metadata(cli, &call->answer);
    return EXIT_DONE;
}

const struct rpc_method *ctl_method(const struct rpc_service *service, const char *name)
{
    for (size_t i = 0; i < service->method_count; i++) {
        if (strcmp(service->methods[i].name, name) == 0)
            return &service->methods[i];
    }
    abort();
}

void ctl_close(struct cli *cli)
{
    client_channel_free(cli->channel);
    cli->channel = NULL;
}

/* A command line waits for a server that restarts, not for one that is gone: the pauses are short. */
static struct client_channel *channel_new(struct cli *cli)
{
    const char *const *values = cli->settings->values;
    const struct client_settings settings = {
        .address = values[SETTING_ADDRESS],
        .cert_file = values[SETTING_CERT_FILE],
        .key_file = values[SETTING_KEY_FILE],
        .ca_file = values[SETTING_CA_FILE],
        .server_name = values[SETTING_SERVER_NAME][0] == '\0' ? NULL : values[SETTING_SERVER_NAME],
        .backoff_first_ns = CONNECT_PAUSE_FIRST_NS,
        .backoff_max_ns = CONNECT_PAUSE_MAX_NS,
        .keepalive_ns = KEEPALIVE_NS,
        .keepalive_timeout_ns = KEEPALIVE_TIMEOUT_NS,
    };
    return client_channel_new(&settings);
}

/* A signal that is taken here would be missing in ctl_watch(). */
static bool pause_between(void *owner, unsigned attempt, uint64_t ns)
{
    struct cli *cli = owner;
    if (ns > 0)
        progress_show(&cli->terminal, "no answer yet, attempt %u", attempt);
    cli->interrupted = ns > 0 && ctl_pause(ns);
    return !cli->interrupted;
}

static void add_metadata(struct cli *cli, struct ctl_call *call)
{
    const char *tenant = cli->settings->values[SETTING_TENANT_HEADER];
    const char *token = cli_value(cli, "at-least");
    if (tenant[0] != '\0')
        add(&call->answer, "x-tenant-id", tenant);
    if (token != NULL)
        add(&call->answer, "x-consistency-token", token);
    if (call->writes && !cli_is_on(cli, "validate-only"))
        add(&call->answer, "idempotency-key", key_of(cli));
}

static void add(struct client_call *call, const char *key, const char *value)
{
    call->metadata[call->metadata_count++] = (struct client_field){key, slice_of_str(value)};
}

/* One for all attempts of a command, or a repetition would be another request. */
static const char *key_of(struct cli *cli)
{
    const char *given = cli_value(cli, "idempotency-key");
    if (given != NULL)
        return given;
    if (cli->idempotency_key[0] == '\0') {
        struct uuid uuid = uuid_new();
        id_format(ID_OPERATION, &uuid, cli->idempotency_key);
    }
    return cli->idempotency_key;
}

int ctl_watch(struct cli *cli, int (*look)(struct cli *cli))
{
    if (!cli_is_on(cli, "watch"))
        return look(cli);
    ctl_signals_block();
    char *shown = NULL;
    do {
        char *text = NULL;
        size_t size = 0;
        cli->out = open_memstream(&text, &size);
        if (cli->out == NULL)
            abort();
        struct arena *outer = cli->arena;
        cli->arena = arena_new(0); /* a watch may go on for days */
        cli->ctx.arena = cli->arena;
        int status = look(cli);
        fclose(cli->out);
        cli->out = stdout;
        arena_free(cli->arena);
        cli->arena = outer;
        cli->ctx.arena = outer;
        if (status == EXIT_USAGE || status == EXIT_FORBIDDEN) { /* waiting will not help */
            free(text);
            free(shown);
            return status;
        }
        bool changed = size > 0 && (shown == NULL || strcmp(shown, text) != 0);
        if (changed) {
            if (shown != NULL && cli->form == FORM_TABLE)
                putchar('\n');
            if (shown != NULL && cli->form == FORM_YAML)
                puts("---");
            fputs(text, stdout);
            fflush(stdout);
            free(shown);
            shown = text;
        } else {
            free(text);
        }
    } while (!cli->interrupted && !ctl_pause(cli->settings->interval_ns));
    free(shown);
    return EXIT_DONE;
}

bool ctl_pause(uint64_t ns)
{
    sigset_t set = watched_signals();
    struct timespec left = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    return sigtimedwait(&set, NULL, &left) > 0;
}

void ctl_signals_block(void)
{
    sigset_t set = watched_signals();
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static sigset_t watched_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}
