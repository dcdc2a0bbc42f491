/* The run over a pact's interactions.  See verify.h.
 *
 *    hooks_states ──> call or message ──> match ──> hooks_teardown
 */
#include "verify_int.h"

#include "base/clock.h"

#include <string.h>

static void verify_one(const struct verifier *verifier, const struct pact *pact,
                       struct result *result);
static int try_one(struct trial *trial);
static bool is_wanted(const struct verifier *verifier, const struct interaction *interaction);

void verify_pact(const struct verifier *verifier, const struct pact *pact, struct results *results)
{
    struct arena *arena = verifier->ctx->arena;
    results->pact = pact;
    results->items = arena_alloc(arena, (pact->interaction_count + 1) * sizeof results->items[0]);
    for (size_t i = 0; i < pact->interaction_count; i++) {
        if (!is_wanted(verifier, &pact->interactions[i]))
            continue;
        struct result *result = &results->items[results->count++];
        *result = (struct result){.interaction = &pact->interactions[i]};
        verify_one(verifier, pact, result);
        if (result->verdict == VERDICT_PASSED)
            continue;
        if (result->interaction->pending)
            results->pending++;
        else
            results->failed++;
    }
}

static bool is_wanted(const struct verifier *verifier, const struct interaction *interaction)
{
    return verifier->filter == NULL || strstr(interaction->description, verifier->filter) != NULL;
}

static void verify_one(const struct verifier *verifier, const struct pact *pact,
                       struct result *result)
{
    struct ctx *ctx = verifier->ctx;
    uint64_t began = clock_now();
    struct trial trial = {verifier, ctx, pact, result->interaction, NULL, &result->mismatches};
    int rc = try_one(&trial);
    json_decref(trial.values);
    if (rc != OK)
        result->error = arena_strdup(ctx->arena, ctx->fault.text);
    result->verdict = rc != OK                        ? VERDICT_ERROR
                      : result->mismatches.count == 0 ? VERDICT_PASSED
                                                      : VERDICT_FAILED;
    result->took_ns = clock_now() - began;
}

static int try_one(struct trial *trial)
{
    struct ctx *ctx = trial->ctx;
    struct hooks *hooks = trial->verifier->hooks;
    bool is_call = trial->interaction->kind == INTERACTION_CALL;
    TRY(hooks_states(ctx, hooks, trial->pact, trial->interaction, &trial->values));
    int rc = is_call ? trial_call(trial) : trial_message(trial);
    const char *why = rc == OK ? NULL : arena_strdup(ctx->arena, ctx->fault.text);
    int ended = hooks_teardown(ctx, hooks, trial->pact, trial->interaction);
    if (why == NULL)
        return ended;
    return FAULT(ctx, FAULT_IO, "%s", why);
}

int trial_message(struct trial *trial)
{
    struct produced produced;
    int rc = hooks_message(trial->ctx, trial->verifier->hooks, trial->interaction, trial->values,
                           &produced);
    if (rc == OK) {
        const struct given given = {produced.contents, produced.metadata, trial->values};
        rc = verify_part(trial->ctx, trial->interaction, trial->interaction->responses, &given,
                         trial->found);
    }
    json_decref(produced.metadata);
    return rc;
}
