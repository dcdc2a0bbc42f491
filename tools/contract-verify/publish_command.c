/* `contract-verify publish`: gives a consumer's pacts to a broker.  See commands.h. */
#include "broker.h"
#include "commands.h"
#include "files.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int load(struct ctx *ctx, const struct settings *settings, struct broker_pacts *pacts);
static int check(struct ctx *ctx, const char *path, struct slice bytes, const char **consumer);

int publish_command(struct ctx *ctx, const struct settings *settings)
{
    const char *const *values = settings->values;
    const char *notices = "";
    if (values[OPTION_BROKER] == NULL || values[OPTION_VERSION] == NULL ||
        settings->word_count == 0) {
        settings_help("publish");
        return EXIT_UNUSABLE;
    }
    const struct broker broker = settings_broker(settings);
    const struct broker_version version = settings_version(settings);
    struct broker_pacts *pacts = xcalloc(1, sizeof *pacts);
    int rc = load(ctx, settings, pacts);
    if (rc == OK)
        rc = broker_publish_pacts(ctx, &broker, &version, pacts, &notices);
    if (rc == OK)
        printf("%s%zu published\n", notices, pacts->count);
    free(pacts);
    return rc == OK ? EXIT_VERIFIED : complain(ctx);
}

/* What a broker takes, it keeps: each pact is read before any is sent. */
static int load(struct ctx *ctx, const struct settings *settings, struct broker_pacts *pacts)
{
    const char *consumer = NULL;
    for (size_t i = 0; i < settings->word_count; i++) {
        const char *const *paths = NULL;
        size_t count = 0;
        TRY(files_of(ctx, settings->words[i], &paths, &count));
        for (size_t k = 0; k < count; k++) {
            if (pacts->count == BROKER_PACTS_MAX)
                return FAULT(ctx, FAULT_CONFIG, "more than %d pacts", BROKER_PACTS_MAX);
            struct broker_pact *pact = &pacts->items[pacts->count++];
            pact->url = paths[k];
            TRY(file_read(ctx, paths[k], PACT_BYTES_MAX, &pact->bytes));
            TRY(check(ctx, paths[k], pact->bytes, &consumer));
        }
    }
    return OK;
}

static int check(struct ctx *ctx, const char *path, struct slice bytes, const char **consumer)
{
    struct pact pact;
    int rc = pact_read(ctx, bytes, &pact);
    const char *why = rc == OK ? NULL : arena_strdup(ctx->arena, ctx->fault.text);
    const char *name = rc == OK ? arena_strdup(ctx->arena, pact.consumer) : NULL;
    pact_deinit(&pact);
    if (why != NULL)
        return FAULT(ctx, FAULT_CONFIG, "%s: %s", path, why);
    if (*consumer != NULL && strcmp(*consumer, name) != 0)
        return FAULT(ctx, FAULT_CONFIG, "%s is of %s, the others of %s: a version is of one", path,
                     name, *consumer);
    *consumer = name;
    return OK;
}
