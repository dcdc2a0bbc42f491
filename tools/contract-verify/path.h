/* Path expressions of matching rules and generators: $.tenant.labels['env'], $.plan.addons[*], $.items[0]. */
#ifndef CONTRACT_VERIFY_PATH_H
#define CONTRACT_VERIFY_PATH_H

#include "value.h"

#define PATH_STEPS_MAX (VALUE_DEPTH_MAX + 2)

enum step_kind {
    STEP_ROOT,
    STEP_FIELD,    /* .name, ['any text'] */
    STEP_INDEX,    /* [7] */
    STEP_ANY,      /* .*  a field, a key or an element */
    STEP_ANY_ITEM, /* [*] an element */
};

struct step {
    enum step_kind kind;
    struct slice name; /* STEP_FIELD */
    size_t index;      /* STEP_INDEX */
};

/* In an arena. */
struct path {
    struct step *steps;
    size_t count;
};

/* Reads an expression; one that does not begin with $ is the name of a field.  Fault: FAULT_CONFIG. */
int path_parse(struct ctx *ctx, const char *text, struct path *path) MUST_CHECK;

/* Where a comparison is; `above` is NULL at the root.  On the stack of the walk. */
struct place_in {
    const struct place_in *above;
    struct step step;
    size_t depth; /* steps down to here, the root's included */
};

/* How well a rule's path fits a place (the Pact specification's weights): 2 for each exact step, 1 for each
 * wildcard, multiplied, times the number of steps.  A rule of a place above fits too.  0: it does not fit. */
size_t path_weight(const struct path *path, const struct place_in *place);

/* Appends "$.tenant.labels['a b']". */
void path_print(struct buf *out, const struct place_in *place);

/* The part of a value that an exact path names; NULL: it is not there. */
struct value *path_find(const struct path *path, struct value *value);

#endif
