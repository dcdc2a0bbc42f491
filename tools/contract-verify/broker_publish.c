/* Publishing results and pacts.  See broker.h. */
#include "broker_hal.h"

#include "base/base64.h"

#include <string.h>

static int say_version(struct ctx *ctx, const struct broker *broker,
                       const struct broker_version *version, const struct results *results);
static int put_link(struct ctx *ctx, const struct broker *broker, const struct hal_step *step);
static json_t *test_result(const struct result *result);
static json_t *contracts_body(struct ctx *ctx, const struct broker_version *version,
                              const struct broker_pacts *pacts);
static const char *notices_of(struct ctx *ctx, const json_t *answer);

int broker_publish_results(struct ctx *ctx, const struct broker *broker,
                           const struct broker_version *version, const struct results *results)
{
    const char *url = NULL;
    const struct hal_step step = {results->source, results->pact->document,
                                  "pb:publish-verification-results", NULL};
    TRY(hal_url(ctx, &step, &url));
    TRY(say_version(ctx, broker, version, results));
    json_t *body = broker_results_body(version, results), *answer = NULL;
    int rc = hal_perform(ctx, broker, &(struct hal_request){"POST", url, body}, &answer);
    json_decref(body);
    json_decref(answer);
    return rc;
}

/* Branch and tags belong to the provider's version, whose links the provider's own document has. */
static int say_version(struct ctx *ctx, const struct broker *broker,
                       const struct broker_version *version, const struct results *results)
{
    const char *url = NULL;
    json_t *provider = NULL;
    if (version->branch == NULL && version->tag_count == 0)
        return OK;
    const struct hal_step step = {results->source, results->pact->document, "pb:provider", NULL};
    TRY(hal_url(ctx, &step, &url));
    TRY(hal_perform(ctx, broker, &(struct hal_request){"GET", url, NULL}, &provider));
    int rc = OK;
    if (version->branch != NULL) {
        const char *const pairs[] = {"version", version->number, "branch", version->branch, NULL};
        rc = put_link(ctx, broker, &(struct hal_step){url, provider, "pb:branch-version", pairs});
    }
    for (size_t i = 0; rc == OK && i < version->tag_count; i++) {
        const char *const pairs[] = {"version", version->number, "tag", version->tags[i], NULL};
        rc = put_link(ctx, broker, &(struct hal_step){url, provider, "pb:version-tag", pairs});
    }
    json_decref(provider);
    return rc;
}

static int put_link(struct ctx *ctx, const struct broker *broker, const struct hal_step *step)
{
    const char *url = NULL;
    TRY(hal_url(ctx, step, &url));
    json_t *empty = json_object(), *answer = NULL;
    int rc = hal_perform(ctx, broker, &(struct hal_request){"PUT", url, empty}, &answer);
    json_decref(empty);
    json_decref(answer);
    return rc;
}

json_t *broker_results_body(const struct broker_version *version, const struct results *results)
{
    json_t *list = json_array();
    size_t passed = 0;
    for (size_t i = 0; i < results->count; i++) {
        passed += results->items[i].verdict == VERDICT_PASSED;
        json_array_append_new(list, test_result(&results->items[i]));
    }
    /* of the pact as it is: that a pending one does not fail our build is our affair */
    json_t *body = json_pack("{s:b, s:s, s:{s:s, s:s}, s:o}", "success", passed == results->count,
                             "providerApplicationVersion", version->number, "verifiedBy",
                             "implementation", "contract-verify", "version", TENANT_VERSION,
                             "testResults", list);
    if (version->build_url != NULL)
        json_object_set_new(body, "buildUrl", json_string(version->build_url));
    return body;
}

static json_t *test_result(const struct result *result)
{
    const struct interaction *interaction = result->interaction;
    json_t *one = json_pack("{s:s, s:b}", "interactionDescription", interaction->description,
                            "success", result->verdict == VERDICT_PASSED);
    if (interaction->id != NULL)
        json_object_set_new(one, "interactionId", json_string(interaction->id));
    if (result->mismatches.count > 0)
        json_object_set_new(one, "mismatches", report_mismatches(&result->mismatches));
    if (result->error != NULL)
        json_object_set_new(one, "exceptions", json_pack("[{s:s}]", "message", result->error));
    return one;
}

int broker_publish_pacts(struct ctx *ctx, const struct broker *broker,
                         const struct broker_version *version, const struct broker_pacts *pacts,
                         const char **notices)
{
    const char *url = NULL;
    json_t *index = NULL, *answer = NULL;
    TRY(hal_perform(ctx, broker, &(struct hal_request){"GET", broker->url, NULL}, &index));
    int rc =
        hal_url(ctx, &(struct hal_step){broker->url, index, "pb:publish-contracts", NULL}, &url);
    json_decref(index);
    TRY(rc);
    json_t *body = contracts_body(ctx, version, pacts);
    rc = hal_perform(ctx, broker, &(struct hal_request){"POST", url, body}, &answer);
    *notices = rc == OK ? notices_of(ctx, answer) : "";
    json_decref(body);
    json_decref(answer);
    return rc;
}

static json_t *contracts_body(struct ctx *ctx, const struct broker_version *version,
                              const struct broker_pacts *pacts)
{
    json_t *contracts = json_array(), *tags = json_array();
    const char *consumer = "";
    (void)ctx;
    for (size_t i = 0; i < pacts->count; i++) {
        json_error_t error;
        struct buf coded = BUF_EMPTY;
        struct slice bytes = pacts->items[i].bytes;
        json_t *pact = json_loadb((const char *)bytes.data, bytes.size, 0, &error);
        const json_t *consumer_name = json_object_get(json_object_get(pact, "consumer"), "name");
        const json_t *provider_name = json_object_get(json_object_get(pact, "provider"), "name");
        base64_put(&coded, bytes, BASE64_STANDARD | BASE64_PADDED);
        json_array_append_new(contracts,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "consumerName",
                                        json_string_value(consumer_name), "providerName",
                                        json_string_value(provider_name), "specification", "pact",
                                        "contentType", "application/json", "content",
                                        buf_str(&coded), "onConflict", "overwrite"));
        consumer = arena_strdup(ctx->arena, json_string_value(consumer_name));
        buf_deinit(&coded);
        json_decref(pact);
    }
    for (size_t i = 0; i < version->tag_count; i++)
        json_array_append_new(tags, json_string(version->tags[i]));
    json_t *body = json_pack("{s:s, s:s, s:o, s:o}", "pacticipantName", consumer,
                             "pacticipantVersionNumber", version->number, "tags", tags, "contracts",
                             contracts);
    if (version->branch != NULL)
        json_object_set_new(body, "branch", json_string(version->branch));
    if (version->build_url != NULL)
        json_object_set_new(body, "buildUrl", json_string(version->build_url));
    return body;
}

static const char *notices_of(struct ctx *ctx, const json_t *answer)
{
    struct buf text = BUF_EMPTY;
    const json_t *list = json_object_get(answer, "notices");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *line = json_string_value(json_object_get(json_array_get(list, i), "text"));
        if (line != NULL)
            buf_printf(&text, "%s\n", line);
    }
    const char *kept = arena_strdup(ctx->arena, buf_str(&text));
    buf_deinit(&text);
    return kept;
}
