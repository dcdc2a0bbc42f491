/* Documents with links.  See broker_hal.h. */
#include "broker_hal.h"

#include "http.h"

#include "base/buf.h"

#include <string.h>

static int refuse(struct ctx *ctx, const struct hal_request *request,
                  const struct http_answer *answer);

int hal_perform(struct ctx *ctx, const struct broker *broker, const struct hal_request *request,
                json_t **document)
{
    json_error_t error;
    struct http_answer answer;
    /* a link may lead elsewhere; what we know of the broker stays with it */
    bool is_broker = http_same_origin(broker->url, request->url);
    const struct http_request http = {.method = request->method,
                                      .url = request->url,
                                      .json = request->body,
                                      .accept = "application/hal+json, application/json",
                                      .token = is_broker ? broker->token : NULL,
                                      .user = is_broker ? broker->user : NULL,
                                      .ca_file = broker->ca_file};
    *document = NULL;
    TRY(http_insist(ctx, &http, &answer));
    if (answer.status / 100 != 2)
        return refuse(ctx, request, &answer);
    if (answer.body.size == 0)
        return OK;
    *document = json_loadb((const char *)answer.body.data, answer.body.size, 0, &error);
    if (*document == NULL)
        return FAULT(ctx, FAULT_PROTOCOL, "%s %.120s: the answer is not JSON", request->method,
                     request->url);
    return OK;
}

/* Brokers say "errors": {"field": ["text"]}, ["text"], or "error": {"message": "text"}. */
static int refuse(struct ctx *ctx, const struct hal_request *request,
                  const struct http_answer *answer)
{
    json_error_t error;
    json_t *document = json_loadb((const char *)answer->body.data, answer->body.size, 0, &error);
    const json_t *errors = json_object_get(document, "errors");
    if (errors == NULL)
        errors = json_object_get(document, "error");
    char *text = errors == NULL ? NULL : json_dumps(errors, JSON_COMPACT | JSON_ENCODE_ANY);
    int rc = FAULT(ctx, FAULT_PROTOCOL, "%s %.100s: HTTP status %ld%s%.100s", request->method,
                   request->url, answer->status, text == NULL ? "" : ": ",
                   text == NULL ? "" : text);
    free(text);
    json_decref(document);
    return rc;
}

const char *hal_link(const json_t *document, const char *relation)
{
    const json_t *link = json_object_get(json_object_get(document, "_links"), relation);
    if (json_is_array(link))
        link = json_array_get(link, 0);
    return json_string_value(json_object_get(link, "href"));
}

const char *hal_expand(struct ctx *ctx, const char *href, const char *const *pairs)
{
    struct buf out = BUF_EMPTY;
    for (const char *at = href; *at != '\0';) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        const char *value = NULL;
        for (size_t i = 0; end != NULL && pairs != NULL && pairs[i] != NULL; i += 2) {
            if (strlen(pairs[i]) == (size_t)(end - at - 1) &&
                strncmp(pairs[i], at + 1, strlen(pairs[i])) == 0)
                value = pairs[i + 1];
        }
        if (value == NULL) {
            buf_put_byte(&out, (uint8_t)*at++);
            continue;
        }
        buf_put_str(&out, http_escape(ctx, value));
        at = end + 1;
    }
    const char *kept = arena_strdup(ctx->arena, buf_str(&out));
    buf_deinit(&out);
    return kept;
}

int hal_url(struct ctx *ctx, const struct hal_step *step, const char **url)
{
    const char *href = hal_link(step->document, step->relation);
    if (href == NULL)
        return FAULT(ctx, FAULT_PROTOCOL, "%.120s has no link %s", step->base, step->relation);
    *url = http_resolve(ctx, step->base, hal_expand(ctx, href, step->pairs));
    return *url != NULL
               ? OK
               : FAULT(ctx, FAULT_PROTOCOL, "the link %s, %.120s, is no URL", step->relation, href);
}
