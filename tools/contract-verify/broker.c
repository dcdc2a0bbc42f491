/* Fetching the pacts that a provider is to verify.  See broker.h.
 *
 *    index ── pb:provider-pacts-for-verification ──> POST what is wanted ──> self of each ──> the pact
 *         └── pb:latest-provider-pacts (an older broker) ──> pb:pacts ──────────┘
 */
#include "broker_hal.h"

#include "http.h"

#include <stdlib.h>
#include <string.h>

static int for_verification(struct ctx *ctx, const struct broker *broker,
                            const struct broker_query *query, const char *url,
                            struct broker_pacts *pacts);
static int query_body(struct ctx *ctx, const struct broker_query *query, json_t **body);
static int latest(struct ctx *ctx, const struct broker *broker, const char *url,
                  struct broker_pacts *pacts);
static int add_pact(struct ctx *ctx, const struct broker *broker, const char *url,
                    struct broker_pacts *pacts);

int broker_fetch(struct ctx *ctx, const struct broker *broker, const struct broker_query *query,
                 struct broker_pacts *pacts)
{
    json_t *index = NULL;
    const char *const pairs[] = {"provider", query->provider, NULL};
    const char *url = NULL;
    pacts->count = 0;
    TRY(hal_perform(ctx, broker, &(struct hal_request){"GET", broker->url, NULL}, &index));
    struct hal_step step = {broker->url, index, "pb:provider-pacts-for-verification", pairs};
    bool is_new = hal_link(index, step.relation) != NULL;
    if (!is_new)
        step.relation = "pb:latest-provider-pacts";
    int rc = hal_url(ctx, &step, &url);
    json_decref(index);
    TRY(rc);
    if (is_new)
        return for_verification(ctx, broker, query, url, pacts);
    if (query->selector_count > 0 || query->include_pending)
        return FAULT(ctx, FAULT_PROTOCOL,
                     "the broker knows no selectors and no pending pacts: it is too old");
    return latest(ctx, broker, url, pacts);
}

/* lint-allow parameters: who asks whom for what, where, and what came */
static int for_verification(struct ctx *ctx, const struct broker *broker,
                            const struct broker_query *query, const char *url,
                            struct broker_pacts *pacts)
{
    json_t *body = NULL, *found = NULL;
    TRY(query_body(ctx, query, &body));
    int rc = hal_perform(ctx, broker, &(struct hal_request){"POST", url, body}, &found);
    json_decref(body);
    const json_t *list = json_object_get(json_object_get(found, "_embedded"), "pacts");
    for (size_t i = 0; rc == OK && i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *properties = json_object_get(one, "verificationProperties");
        const char *self = NULL;
        rc = hal_url(ctx, &(struct hal_step){url, one, "self", NULL}, &self);
        if (rc == OK)
            rc = add_pact(ctx, broker, self, pacts);
        if (rc == OK)
            pacts->items[pacts->count - 1].pending =
                json_is_true(json_object_get(properties, "pending"));
    }
    json_decref(found);
    return rc;
}

static int query_body(struct ctx *ctx, const struct broker_query *query, json_t **body)
{
    json_t *selectors = json_array(), *tags = json_array();
    *body = json_pack("{s:b, s:o, s:o}", "includePendingStatus", query->include_pending,
                      "consumerVersionSelectors", selectors, "providerVersionTags", tags);
    if (query->branch != NULL)
        json_object_set_new(*body, "providerVersionBranch", json_string(query->branch));
    for (size_t i = 0; i < query->tag_count; i++)
        json_array_append_new(tags, json_string(query->tags[i]));
    for (size_t i = 0; i < query->selector_count; i++) {
        json_error_t error;
        json_t *selector = json_loads(query->selectors[i], JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(selector)) {
            json_decref(selector);
            json_decref(*body);
            return FAULT(ctx, FAULT_CONFIG, "--selector: %.80s is no JSON object",
                         query->selectors[i]);
        }
        json_array_append_new(selectors, selector);
    }
    return OK;
}

static int latest(struct ctx *ctx, const struct broker *broker, const char *url,
                  struct broker_pacts *pacts)
{
    json_t *found = NULL;
    TRY(hal_perform(ctx, broker, &(struct hal_request){"GET", url, NULL}, &found));
    const json_t *links = json_object_get(found, "_links");
    const json_t *list = json_object_get(links, "pb:pacts");
    if (list == NULL)
        list = json_object_get(links, "pacts"); /* as they were called before */
    int rc = OK;
    for (size_t i = 0; rc == OK && i < json_array_size(list); i++) {
        const char *href = json_string_value(json_object_get(json_array_get(list, i), "href"));
        const char *self = href == NULL ? NULL : http_resolve(ctx, url, href);
        rc = self == NULL ? FAULT(ctx, FAULT_PROTOCOL, "a pact's link is no URL")
                          : add_pact(ctx, broker, self, pacts);
    }
    json_decref(found);
    return rc;
}

/* Kept as bytes: pact_read() wants the whole document, its links included. */
static int add_pact(struct ctx *ctx, const struct broker *broker, const char *url,
                    struct broker_pacts *pacts)
{
    json_t *document = NULL;
    if (pacts->count == BROKER_PACTS_MAX)
        return FAULT(ctx, FAULT_PROTOCOL, "the broker has more than %d pacts", BROKER_PACTS_MAX);
    TRY(hal_perform(ctx, broker, &(struct hal_request){"GET", url, NULL}, &document));
    char *text = document == NULL ? NULL : json_dumps(document, JSON_COMPACT);
    json_decref(document);
    if (text == NULL)
        return FAULT(ctx, FAULT_PROTOCOL, "%.120s is empty", url);
    const char *kept = arena_strdup(ctx->arena, text);
    free(text);
    pacts->items[pacts->count++] = (struct broker_pact){.url = url, .bytes = slice_of_str(kept)};
    return OK;
}
