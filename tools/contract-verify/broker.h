/* A Pact broker: pacts come from it, results and pacts go to it.  Its addresses are found by its links
 * (HAL), never made. */
#ifndef CONTRACT_VERIFY_BROKER_H
#define CONTRACT_VERIFY_BROKER_H

#include "report.h"

#define BROKER_PACTS_MAX 256

/* Borrowed. */
struct broker {
    const char *url;
    const char *token; /* bearer; NULL: none */
    const char *user;  /* "user:password"; NULL: none */
    const char *ca_file;
};

/* Which pacts are wanted. */
struct broker_query {
    const char *provider;
    const char *branch; /* of the provider's version; NULL: not said */
    const char *const *tags;
    size_t tag_count;
    const char *const *selectors; /* JSON objects; none: the broker's choice */
    size_t selector_count;
    bool include_pending;
};

struct broker_pact {
    const char *url;
    struct slice bytes;
    bool pending; /* its failures are nobody's fault yet */
};

struct broker_pacts {
    struct broker_pact items[BROKER_PACTS_MAX];
    size_t count;
};

/* All pacts that are to be verified; none is no fault.  Faults: FAULT_IO, FAULT_TIMEOUT, FAULT_PROTOCOL (no
 * broker), FAULT_CONFIG (a selector is no JSON). */
int broker_fetch(struct ctx *ctx, const struct broker *broker, const struct broker_query *query,
                 struct broker_pacts *pacts) MUST_CHECK;

/* What is said of the provider's version. */
struct broker_version {
    const char *number;
    const char *branch; /* NULL: none */
    const char *const *tags;
    size_t tag_count;
    const char *build_url; /* NULL: none */
};

/* Publishes the results of one pact that came from a broker, branch and tags first, so that "can I deploy"
 * knows the version by then.  Faults: as broker_fetch(). */
int broker_publish_results(struct ctx *ctx, const struct broker *broker,
                           const struct broker_version *version,
                           const struct results *results) MUST_CHECK;

/* The body of that publication.  Owner: the caller. */
json_t *broker_results_body(const struct broker_version *version, const struct results *results);

/* Gives pacts of one consumer to the broker.  *notices: what it says to that, lines for a person, in the
 * arena. */
int broker_publish_pacts(struct ctx *ctx, const struct broker *broker,
                         const struct broker_version *version, const struct broker_pacts *pacts,
                         const char **notices) MUST_CHECK;

#endif
