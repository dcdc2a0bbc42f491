/* HTTP requests: hooks of the provider's side, and brokers. */
#ifndef CONTRACT_VERIFY_HTTP_H
#define CONTRACT_VERIFY_HTTP_H

#include "base/ctx.h"

#include <jansson.h>

#include <stdbool.h>

#define HTTP_BODY_MAX (32u << 20)

/* Borrowed. */
struct http_request {
    const char *method;
    const char *url;
    const json_t *json;        /* the body; NULL: none */
    const char *accept;        /* NULL: anything */
    const char *token;         /* Authorization: Bearer; NULL: none */
    const char *user;          /* "user:password"; NULL: none */
    const char *ca_file;       /* NULL: the system's */
    uint64_t timeout_ns;       /* 0: 30 s */
    const char *wanted_header; /* lower-case: its value is kept */
};

/* In the ctx's arena. */
struct http_answer {
    long status;
    struct slice body;
    const char *header; /* the wanted one; NULL: not there */
};

/* Any status is an answer.  Redirects are followed, but for requests with a body.  Blocks.  Faults:
 * FAULT_IO (no connection, TLS, too large), FAULT_TIMEOUT. */
int http_perform(struct ctx *ctx, const struct http_request *request,
                 struct http_answer *answer) MUST_CHECK;

/* The same, and what cannot be reached or answers 502, 503 or 504 is asked again, HTTP_ATTEMPTS times in
 * all. */
#define HTTP_ATTEMPTS 4
int http_insist(struct ctx *ctx, const struct http_request *request,
                struct http_answer *answer) MUST_CHECK;

/* `href` as seen from `base`, in the arena; NULL: not a URL. */
const char *http_resolve(struct ctx *ctx, const char *base, const char *href);
/* Whether scheme, host and port are the same. */
bool http_same_origin(const char *a, const char *b);
/* Percent-encoded for a part of a path.  In the arena. */
const char *http_escape(struct ctx *ctx, const char *text);

#endif
