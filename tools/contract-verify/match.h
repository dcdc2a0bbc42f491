/* Holds what a provider gave against what a consumer expects: the Pact specification's matching, versions 2
 * to 4.
 *
 * What the consumer does not mention may be there; what it mentions must be there and be the same, or fit
 * the rule that stands for it. */
#ifndef CONTRACT_VERIFY_MATCH_H
#define CONTRACT_VERIFY_MATCH_H

#include "rules.h"
#include "wire.h"

/* In an arena. */
struct mismatch {
    const char *part;     /* "body", "metadata", "status" */
    const char *path;     /* "$.tenant.slug", a metadata key */
    const char *expected; /* the example */
    const char *actual;   /* "" when it is missing */
    const char *rule;     /* "regex ^a+$"; "equality" where no rule stands */
    const char *message;  /* a sentence that says it all */
};

#define MISMATCHES_MAX 100

struct mismatches {
    struct mismatch *items;
    size_t count;
    size_t dropped; /* beyond the maximum */
};

/* One comparison. */
struct match {
    struct ctx *ctx;
    const struct image *image; /* of messages; NULL for JSON */
    const struct rules *rules;
    bool is_json; /* the rules of JSON values, not of protobuf's fields */
    const char *part;
    struct mismatches *found;
};

/* Compares whole bodies. */
void match_body(const struct match *match, const struct value *expected,
                const struct value *actual);

/* Compares one value of metadata under its key; actual NULL: it is missing. */
void match_metadata(const struct match *match, const char *key, const struct value *expected,
                    const struct value *actual);

void mismatch_add(struct ctx *ctx, struct mismatches *found, const struct mismatch *mismatch);

#endif
