/* `contract-verify match`: one message against one interaction, without a provider.  See commands.h. */
#include "commands.h"

#include "files.h"
#include "report.h"

#include <stdio.h>
#include <string.h>

static int match_files(struct ctx *ctx, const struct settings *settings, struct pact *pact,
                       struct result *result);
static int find(struct ctx *ctx, const struct pact *pact, const char *description,
                const struct interaction **found);

int match_command(struct ctx *ctx, const struct settings *settings)
{
    struct pact pact = {0};
    struct result result = {.verdict = VERDICT_PASSED};
    const char *format = settings->values[OPTION_FORMAT];
    bool usable = settings->word_count == 2 && settings->values[OPTION_INTERACTION] != NULL &&
                  (strcmp(format, "text") == 0 || strcmp(format, "json") == 0);
    if (!usable) {
        settings_help("match");
        return EXIT_UNUSABLE;
    }
    if (match_files(ctx, settings, &pact, &result) != OK) {
        pact_deinit(&pact);
        return complain(ctx);
    }
    if (result.mismatches.count > 0)
        result.verdict = VERDICT_FAILED;
    const struct results results = {.pact = &pact,
                                    .source = settings->words[0],
                                    .items = &result,
                                    .count = 1,
                                    .failed = result.verdict == VERDICT_PASSED ? 0 : 1};
    const struct results *all = &results;
    if (strcmp(format, "json") == 0) {
        json_t *report = report_json(&all, 1);
        (void)json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(report);
    } else {
        struct buf text = BUF_EMPTY;
        report_text(&results, &text);
        fputs(buf_str(&text), stdout);
        buf_deinit(&text);
    }
    pact_deinit(&pact);
    return result.verdict == VERDICT_PASSED ? EXIT_VERIFIED : EXIT_REFUSED;
}

static int match_files(struct ctx *ctx, const struct settings *settings, struct pact *pact,
                       struct result *result)
{
    struct slice bytes, contents;
    json_error_t error;
    json_t *metadata = NULL;
    const char *text = settings->values[OPTION_METADATA];
    TRY(file_read(ctx, settings->words[0], PACT_BYTES_MAX, &bytes));
    TRY(file_read(ctx, settings->words[1], PACT_BYTES_MAX, &contents));
    int rc = pact_read(ctx, bytes, pact);
    if (rc != OK)
        return FAULT(ctx, FAULT_CONFIG, "%s: %s", settings->words[0],
                     arena_strdup(ctx->arena, ctx->fault.text));
    TRY(find(ctx, pact, settings->values[OPTION_INTERACTION], &result->interaction));
    if (text != NULL) {
        metadata = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(metadata)) {
            json_decref(metadata);
            return FAULT(ctx, FAULT_CONFIG, "--metadata is no JSON object");
        }
    }
    const struct given given = {contents, metadata, NULL};
    rc = verify_part(ctx, result->interaction, result->interaction->responses, &given,
                     &result->mismatches);
    json_decref(metadata);
    return rc;
}

static int find(struct ctx *ctx, const struct pact *pact, const char *description,
                const struct interaction **found)
{
    for (size_t i = 0; i < pact->interaction_count; i++) {
        if (strcmp(pact->interactions[i].description, description) == 0) {
            *found = &pact->interactions[i];
            return OK;
        }
    }
    return FAULT(ctx, FAULT_CONFIG, "the pact has no interaction \"%.100s\"", description);
}
