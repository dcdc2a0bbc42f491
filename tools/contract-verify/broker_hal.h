/* Documents with links (HAL, draft-kelly-json-hal), for broker.c and broker_publish.c. */
#ifndef CONTRACT_VERIFY_BROKER_HAL_H
#define CONTRACT_VERIFY_BROKER_HAL_H

#include "broker.h"

/* Performs a request on a URL of the broker's and parses what comes; *document NULL: nothing came.  Owner:
 * the caller. What is no success is FAULT_PROTOCOL with the broker's own words. */
struct hal_request {
    const char *method; /* GET, POST, PUT */
    const char *url;
    const json_t *body; /* NULL: none */
};
int hal_perform(struct ctx *ctx, const struct broker *broker, const struct hal_request *request,
                json_t **document) MUST_CHECK;

/* A link of a document; NULL: it has none.  Of several the first. */
const char *hal_link(const json_t *document, const char *relation);

/* Fills {name} of a template, percent-encoded; NULL-terminated pairs of name and value.  In the arena. */
const char *hal_expand(struct ctx *ctx, const char *href, const char *const *pairs);

/* Follows a link of a document: its URL as seen from `base`, expanded.  FAULT_PROTOCOL: no such link. */
struct hal_step {
    const char *base;
    const json_t *document;
    const char *relation;
    const char *const *pairs;
};
int hal_url(struct ctx *ctx, const struct hal_step *step, const char **url) MUST_CHECK;

#endif
