/* One interaction, for verify.c, verify_call.c and verify_part.c. */
#ifndef CONTRACT_VERIFY_VERIFY_INT_H
#define CONTRACT_VERIFY_VERIFY_INT_H

#include "verify.h"

/* One interaction being verified. */
struct trial {
    const struct verifier *verifier;
    struct ctx *ctx;
    const struct pact *pact;
    const struct interaction *interaction;
    json_t *values; /* what the states gave */
    struct mismatches *found;
};

int trial_call(struct trial *trial) MUST_CHECK;
int trial_message(struct trial *trial) MUST_CHECK;

/* A body against what a part expects, the values of the states included. */
int trial_body(struct ctx *ctx, const struct wire_types *types, const struct part *part,
               const struct given *given, struct mismatches *found) MUST_CHECK;

/* "contentType", "content-type": said of the contents, in whatever spelling; no metadata of a call. */
bool is_content_type(const char *key);

#endif
