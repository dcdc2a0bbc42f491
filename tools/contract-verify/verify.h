/* Verifying a pact: each interaction replayed against the provider and judged. */
#ifndef CONTRACT_VERIFY_VERIFY_H
#define CONTRACT_VERIFY_VERIFY_H

#include "hooks.h"
#include "match.h"

#include "client/channel.h"

enum verdict {
    VERDICT_PASSED,
    VERDICT_FAILED, /* the provider gave something else */
    VERDICT_ERROR,  /* it could not be asked: a state, a connection, a hook */
};

/* In the arena of the run. */
struct result {
    const struct interaction *interaction;
    enum verdict verdict;
    struct mismatches mismatches; /* VERDICT_FAILED */
    const char *error;            /* VERDICT_ERROR */
    uint64_t took_ns;
};

struct results {
    const struct pact *pact;
    const char *source; /* file or URL */
    struct result *items;
    size_t count;
    size_t failed;  /* with errors, without those that are pending */
    size_t pending; /* failed, and pending */
};

/* Borrowed while it runs. */
struct verifier {
    struct ctx *ctx; /* of the run: results live in its arena */
    struct hooks *hooks;
    struct client_channel *channel; /* as the pact's consumer; NULL: no calls can be made */
    uint64_t timeout_ns;            /* of one call */
    const char *filter;             /* a part of the description; NULL: all */
};

/* Never fails itself: what goes wrong stands in the results. */
void verify_pact(const struct verifier *verifier, const struct pact *pact, struct results *results);

/* Holds contents and metadata (an object or NULL) against a part; used by the `match` command, too. */
struct given {
    struct slice contents;
    const json_t *metadata;
    const json_t *values; /* of the states; NULL: none */
};
int verify_part(struct ctx *ctx, const struct interaction *interaction, const struct part *part,
                const struct given *given, struct mismatches *found) MUST_CHECK;

#endif
