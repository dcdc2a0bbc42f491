/* Matching rules of pacts: what a value may be instead of exactly the example. */
#ifndef CONTRACT_VERIFY_RULES_H
#define CONTRACT_VERIFY_RULES_H

#include "path.h"
#include "pattern.h"
#include "when.h"

enum rule_kind {
    RULE_EQUALITY,
    RULE_REGEX,
    RULE_TYPE, /* with or without min and max */
    RULE_INTEGER,
    RULE_DECIMAL,
    RULE_NUMBER,
    RULE_BOOLEAN,
    RULE_NULL,
    RULE_INCLUDE,
    RULE_NOT_EMPTY,
    RULE_DATE,
    RULE_TIME,
    RULE_DATETIME,
    RULE_SEMVER,
    RULE_VALUES, /* any keys; values by the rules below */
    RULE_EACH_KEY,
    RULE_EACH_VALUE,
    RULE_ARRAY_CONTAINS,
};

struct rule_list;
struct variant;

struct bound {
    bool given;
    size_t count;
};

struct rule {
    enum rule_kind kind;
    struct bound min, max;    /* RULE_TYPE: of lists and maps */
    struct pattern *pattern;  /* RULE_REGEX */
    struct slice text;        /* RULE_REGEX: its source; RULE_INCLUDE; the dates: their format */
    struct when_format *when; /* the dates */
    struct rule_list *inner;  /* RULE_EACH_KEY, RULE_EACH_VALUE */
    struct variant *variants; /* RULE_ARRAY_CONTAINS; none: each example, by equality */
    size_t variant_count;
};

struct rule_list {
    struct rule *rules;
    size_t count;
    bool any; /* one that holds is enough ("OR") */
};

struct rule_entry {
    struct path path;
    struct rule_list list;
};

/* The rules of a body or of metadata.  In an arena; patterns belong to a pattern_pool. */
struct rules {
    struct rule_entry *entries;
    size_t count;
};

/* An element that a list must hold somewhere. */
struct variant {
    size_t index; /* of the example */
    struct rules rules;
};

/* Reads {"$.path": {"combine": "AND", "matchers": [{"match": "type"}]}}; NULL is none.  Rules are added to
 * those that are there.  FAULT_CONFIG: a rule that is unknown, cannot be judged or has wrong parts; nothing
 * that this program does not check is accepted. */
int rules_read(struct ctx *ctx, struct pattern_pool *pool, const json_t *json,
               struct rules *rules) MUST_CHECK;

/* The rules that fit a place best; NULL: none.  `cascaded`: they stand above the place.  Rules with fewer than
 * `floor` steps do not count: they stand above an embedded message. */
const struct rule_list *rules_best(const struct rules *rules, const struct place_in *place,
                                   size_t floor, bool *cascaded);

/* "type, at least 1", "regex ^a+$": for a person. */
void rule_print(struct buf *out, const struct rule *rule);

#endif
