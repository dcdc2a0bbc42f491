/* `contract-verify verify`: pacts from files, each consumer's own channel, one report.  See commands.h. */
#include "commands.h"

#include "files.h"
#include "report.h"

#include "base/alloc.h"

#include <errno.h>
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
static int check_broker_usage(const struct run *run);
static int load(struct run *run);
static int load_from_broker(struct run *run);
static int add_pact(struct run *run, const char *source, struct slice bytes, bool pending);
static int verify_all(struct run *run);
static int publish(struct run *run);
static int write_junit(struct run *run);
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
    if (rc == OK && (write_junit(run) != OK || publish(run) != OK))
        status = complain(ctx);
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
    TRY(check_broker_usage(run));
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

/* Pacts come from files or from a broker; results can go only where pacts came from. */
static int check_broker_usage(const struct run *run)
{
    const char *const *values = run->settings->values;
    bool files = run->settings->word_count > 0;
    bool fetches = values[OPTION_BROKER] != NULL && values[OPTION_PROVIDER] != NULL;
    if (!files && !fetches)
        return FAULT(run->ctx, FAULT_CONFIG,
                     "name pacts, or --broker and --provider; see verify --help");
    if (files && values[OPTION_PROVIDER] != NULL)
        return FAULT(run->ctx, FAULT_CONFIG, "--provider is for pacts of a broker, not for files");
    if (values[OPTION_PUBLISH] != NULL && (files || values[OPTION_VERSION] == NULL))
        return FAULT(run->ctx, FAULT_CONFIG,
                     "--publish needs pacts of a broker and --version-number");
    if (values[OPTION_PUBLISH] != NULL && values[OPTION_FILTER] != NULL)
        return FAULT(run->ctx, FAULT_CONFIG, "--publish is for whole pacts, not for a --filter");
    return OK;
}

static int load(struct run *run)
{
    if (run->settings->word_count == 0)
        return load_from_broker(run);
    for (size_t i = 0; i < run->settings->word_count; i++) {
        const char *const *paths = NULL;
        size_t count = 0;
        TRY(files_of(run->ctx, run->settings->words[i], &paths, &count));
        for (size_t k = 0; k < count; k++) {
            struct slice bytes;
            TRY(file_read(run->ctx, paths[k], PACT_BYTES_MAX, &bytes));
            TRY(add_pact(run, paths[k], bytes, false));
        }
    }
    return run->pact_count > 0
               ? OK
               : FAULT(run->ctx, FAULT_CONFIG, "no pact of this consumer was named");
}

static int load_from_broker(struct run *run)
{
    const struct settings *settings = run->settings;
    const struct broker broker = settings_broker(settings);
    const struct broker_query query = {
        .provider = settings->values[OPTION_PROVIDER],
        .branch = settings->values[OPTION_BRANCH],
        .tags = settings->again[OPTION_TAG],
        .tag_count = settings->again_count[OPTION_TAG],
        .selectors = settings->again[OPTION_SELECTOR],
        .selector_count = settings->again_count[OPTION_SELECTOR],
        .include_pending = settings->values[OPTION_INCLUDE_PENDING] != NULL};
    struct broker_pacts *pacts = arena_alloc(run->ctx->arena, sizeof *pacts);
    TRY(broker_fetch(run->ctx, &broker, &query, pacts));
    for (size_t i = 0; i < pacts->count; i++)
        TRY(add_pact(run, pacts->items[i].url, pacts->items[i].bytes, pacts->items[i].pending));
    return run->pact_count > 0 ? OK
                               : FAULT(run->ctx, FAULT_CONFIG,
                                       "the broker has no pact of %s to verify", query.provider);
}

static int add_pact(struct run *run, const char *source, struct slice bytes, bool pending)
{
    const char *consumer = run->settings->values[OPTION_CONSUMER];
    if (run->pact_count == PACTS_MAX)
        return FAULT(run->ctx, FAULT_CONFIG, "more than %d pacts", PACTS_MAX);
    struct pact *pact = &run->pacts[run->pact_count];
    run->sources[run->pact_count++] = source;
    int rc = pact_read(run->ctx, bytes, pact);
    if (rc != OK)
        return FAULT(run->ctx, FAULT_CONFIG, "%s: %s", source,
                     arena_strdup(run->ctx->arena, run->ctx->fault.text));
    for (size_t i = 0; pending && i < pact->interaction_count; i++)
        pact->interactions[i].pending = true;
    if (consumer != NULL && strcmp(consumer, pact->consumer) != 0) {
        pact_deinit(pact);
        run->pact_count--;
    }
    return OK;
}

static int publish(struct run *run)
{
    const struct settings *settings = run->settings;
    const struct broker broker = settings_broker(settings);
    const struct broker_version version = settings_version(settings);
    for (size_t i = 0; settings->values[OPTION_PUBLISH] != NULL && i < run->result_count; i++)
        TRY(broker_publish_results(run->ctx, &broker, &version, run->results[i]));
    return OK;
}

static int write_junit(struct run *run)
{
    const char *path = run->settings->values[OPTION_JUNIT];
    if (path == NULL)
        return OK;
    struct buf text = BUF_EMPTY;
    report_junit(run->results, run->result_count, &text);
    FILE *file = fopen(path, "we");
    bool fine = file != NULL && fputs(buf_str(&text), file) >= 0;
    if (file != NULL)
        fine = fclose(file) == 0 && fine;
    buf_deinit(&text);
    return fine ? OK : FAULT(run->ctx, FAULT_IO, "--junit: %s: %s", path, strerror(errno));
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
