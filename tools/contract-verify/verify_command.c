/* `contract-verify verify`: pacts from files, each consumer's own channel, one report.  See commands.h. */
#include "commands.h"

#include "files.h"
#include "report.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACTS_MAX 256

struct run {
    struct ctx *ctx;
    const struct settings *settings;
    struct pact pacts[PACTS_MAX];
    const char *sources[PACTS_MAX];
    size_t pact_count;
    const struct results *results[PACTS_MAX];
    size_t result_count;
    struct hooks *hooks;
    uint64_t timeout_ns;
};

static int check_usage(const struct run *run);
static int load(struct run *run);
static int load_file(struct run *run, const char *path);
static int verify_all(struct run *run);
static int open_channel(struct run *run, const struct pact *pact, struct client_channel **channel);
static const char *file_of(struct run *run, enum option option, const char *name);
static int print(struct run *run);

int verify_command(struct ctx *ctx, const struct settings *settings)
{
    struct run *run = xcalloc(1, sizeof *run);
    struct hook_settings hooks = {.state_command = settings->values[OPTION_STATE_COMMAND],
                                  .state_url = settings->values[OPTION_STATE_URL],
                                  .message_command = settings->values[OPTION_MESSAGE_COMMAND],
                                  .message_url = settings->values[OPTION_MESSAGE_URL],
                                  .teardown = settings->values[OPTION_TEARDOWN] != NULL};
    run->ctx = ctx;
    run->settings = settings;
    int rc = check_usage(run);
    if (rc == OK)
        rc = settings_duration(ctx, settings, OPTION_TIMEOUT, &run->timeout_ns);
    if (rc == OK)
        rc = settings_duration(ctx, settings, OPTION_HOOK_TIMEOUT, &hooks.timeout_ns);
    if (rc == OK)
        rc = load(run);
    run->hooks = hooks_new(&hooks);
    if (rc == OK)
        rc = verify_all(run);
    int status = rc == OK ? print(run) : complain(ctx);
    hooks_free(run->hooks);
    for (size_t i = 0; i < run->pact_count; i++)
        pact_deinit(&run->pacts[i]);
    free(run);
    return status;
}

static int check_usage(const struct run *run)
{
    const char *const *values = run->settings->values;
    const char *format = values[OPTION_FORMAT];
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return FAULT(run->ctx, FAULT_CONFIG, "--format: \"%s\" is not text or json", format);
    if (run->settings->word_count == 0)
        return FAULT(run->ctx, FAULT_CONFIG, "no pact is named; see verify --help");
    if (values[OPTION_STATE_COMMAND] != NULL && values[OPTION_STATE_URL] != NULL)
        return FAULT(run->ctx, FAULT_CONFIG,
                     "--provider-state-command and --provider-state-url exclude each other");
    if (values[OPTION_MESSAGE_COMMAND] != NULL && values[OPTION_MESSAGE_URL] != NULL)
        return FAULT(run->ctx, FAULT_CONFIG,
                     "--message-command and --message-url exclude each other");
    bool own = values[OPTION_CERT_FILE] != NULL && values[OPTION_KEY_FILE] != NULL &&
               values[OPTION_CA_FILE] != NULL;
    if (values[OPTION_ADDRESS] != NULL && values[OPTION_PKI] == NULL && !own)
        return FAULT(run->ctx, FAULT_CONFIG,
                     "--address needs --pki, or --ca-file, --cert-file and --key-file");
    return OK;
}

static int load(struct run *run)
{
    for (size_t i = 0; i < run->settings->word_count; i++) {
        const char *const *paths = NULL;
        size_t count = 0;
        TRY(files_of(run->ctx, run->settings->words[i], &paths, &count));
        for (size_t k = 0; k < count; k++)
            TRY(load_file(run, paths[k]));
    }
    return run->pact_count > 0
               ? OK
               : FAULT(run->ctx, FAULT_CONFIG, "no pact of this consumer was named");
}

static int load_file(struct run *run, const char *path)
{
    struct slice bytes;
    const char *consumer = run->settings->values[OPTION_CONSUMER];
    if (run->pact_count == PACTS_MAX)
        return FAULT(run->ctx, FAULT_CONFIG, "more than %d pacts", PACTS_MAX);
    TRY(file_read(run->ctx, path, PACT_BYTES_MAX, &bytes));
    struct pact *pact = &run->pacts[run->pact_count];
    run->sources[run->pact_count++] = path;
    int rc = pact_read(run->ctx, bytes, pact);
    if (rc != OK)
        return FAULT(run->ctx, FAULT_CONFIG, "%s: %s", path,
                     arena_strdup(run->ctx->arena, run->ctx->fault.text));
    if (consumer != NULL && strcmp(consumer, pact->consumer) != 0) {
        pact_deinit(pact);
        run->pact_count--;
    }
    return OK;
}

static int verify_all(struct run *run)
{
    for (size_t i = 0; i < run->pact_count; i++) {
        struct client_channel *channel = NULL;
        struct results *results = arena_alloc(run->ctx->arena, sizeof *results);
        results->source = run->sources[i];
        TRY(open_channel(run, &run->pacts[i], &channel));
        const struct verifier verifier = {.ctx = run->ctx,
                                          .hooks = run->hooks,
                                          .channel = channel,
                                          .timeout_ns = run->timeout_ns,
                                          .filter = run->settings->values[OPTION_FILTER]};
        verify_pact(&verifier, &run->pacts[i], results);
        client_channel_free(channel);
        run->results[run->result_count++] = results;
        if (strcmp(run->settings->values[OPTION_FORMAT], "text") != 0)
            continue;
        struct buf text = BUF_EMPTY;
        report_text(results, &text);
        fputs(buf_str(&text), stdout);
        (void)fflush(stdout);
        buf_deinit(&text);
    }
    return OK;
}

/* As the pact's consumer, so that the provider judges it as it does in production. */
static int open_channel(struct run *run, const struct pact *pact, struct client_channel **channel)
{
    const char *const *values = run->settings->values;
    if (values[OPTION_ADDRESS] == NULL)
        return OK;
    const struct client_settings settings = {
        .address = values[OPTION_ADDRESS],
        .ca_file = file_of(run, OPTION_CA_FILE, "ca.pem"),
        .cert_file =
            file_of(run, OPTION_CERT_FILE, arena_printf(run->ctx->arena, "%s.pem", pact->consumer)),
        .key_file =
            file_of(run, OPTION_KEY_FILE, arena_printf(run->ctx->arena, "%s.key", pact->consumer)),
        .server_name = values[OPTION_SERVER_NAME],
    };
    *channel = client_channel_new(&settings);
    int rc = client_channel_connect(run->ctx, *channel);
    if (rc == OK)
        return OK;
    client_channel_free(*channel);
    return FAULT(run->ctx, FAULT_CONFIG, "%s as %s: %s", values[OPTION_ADDRESS], pact->consumer,
                 arena_strdup(run->ctx->arena, run->ctx->fault.text));
}

static const char *file_of(struct run *run, enum option option, const char *name)
{
    const char *given = run->settings->values[option];
    return given != NULL
               ? given
               : arena_printf(run->ctx->arena, "%s/%s", run->settings->values[OPTION_PKI], name);
}

static int print(struct run *run)
{
    struct totals totals = {0};
    for (size_t i = 0; i < run->result_count; i++)
        totals_add(&totals, run->results[i]);
    if (strcmp(run->settings->values[OPTION_FORMAT], "json") == 0) {
        json_t *report = report_json(run->results, run->result_count);
        (void)json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(report);
    } else {
        printf("%zu passed, %zu failed", totals.passed, totals.failed);
        if (totals.pending > 0)
            printf(", %zu pending", totals.pending);
        putchar('\n');
    }
    if (totals.passed + totals.failed + totals.pending == 0) {
        fprintf(stderr, "contract-verify: no interaction was verified\n");
        return EXIT_UNUSABLE;
    }
    return totals.failed == 0 ? EXIT_VERIFIED : EXIT_REFUSED;
}
