/* The walk's own parts, for match.c, match_parts.c and match_scalar.c. */
#ifndef CONTRACT_VERIFY_MATCH_INT_H
#define CONTRACT_VERIFY_MATCH_INT_H

#include "match.h"

/* What changes on the way down. */
struct walk {
    const struct match *match;
    const struct rules *rules; /* of the match, or of an eachValue or a variant */
    size_t floor;              /* rules with fewer steps stand above an embedded message */
    struct mismatches *found;  /* of the match, or of a try */
};

void walk_value(const struct walk *walk, const struct place_in *place, const struct value *expected,
                const struct value *actual);
void walk_list(const struct walk *walk, const struct place_in *place, const struct value *expected,
               const struct value *actual);
void walk_map(const struct walk *walk, const struct place_in *place, const struct value *expected,
              const struct value *actual);
/* The best rules for the place; NULL: none. */
const struct rule_list *walk_rules(const struct walk *walk, const struct place_in *place,
                                   bool *cascaded);
struct place_in place_below(const struct place_in *place, struct step step);

/* What a comparison of two values found, for a mismatch. */
struct difference {
    const struct value *expected; /* NULL: nothing */
    const struct value *actual;   /* NULL: it is missing */
    const struct rule *rule;      /* NULL: equality */
    const char *why;              /* "is not equal"; behind the actual value */
};
void walk_report(const struct walk *walk, const struct place_in *place,
                 const struct difference *difference);

/* Judges a value without parts, or one with parts against an example without: NULL when it fits, else why
 * not ("does not match ^a+$").  `is_json` chooses between the rules of JSON values and those of protobuf's
 * fields, whose texts may stand for numbers. */
struct judgement {
    const struct value *expected;
    const struct value *actual;
    bool cascaded;
    bool is_json;
};
const char *judge_scalar(struct ctx *ctx, const struct rule *rule,
                         const struct judgement *judgement);
/* Judges a list or map itself, not what is in it. */
const char *judge_parts(struct ctx *ctx, const struct rule *rule,
                        const struct judgement *judgement);

#endif
