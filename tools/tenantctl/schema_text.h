/* Schemas in the form that schema addresses are hashed from (docs/events-wire.md): reads and compares them.
 * Pure. */
#ifndef TENANTCTL_SCHEMA_TEXT_H
#define TENANTCTL_SCHEMA_TEXT_H

#include "base/arena.h"
#include "base/slice.h"

#include <stdbool.h>

/* A field of a message, or a value of an enum: then `type` is empty. */
struct schema_member {
    int64_t number;
    bool repeated;
    struct slice type;
    struct slice name;
};

struct schema_type {
    bool is_enum;
    struct slice name;             /* full */
    struct schema_member *members; /* by number */
    size_t member_count;
};

struct schema_text {
    struct schema_type *types; /* sorted by name */
    size_t type_count;
};

/* Reads a text; everything is in the arena or borrowed from the text.  False: it has another form; *line is
 * the first line that does not fit. */
bool schema_text_parse(struct arena *arena, struct slice text, struct schema_text *out,
                       size_t *line);

enum schema_change_kind { SCHEMA_ADDED, SCHEMA_REMOVED, SCHEMA_CHANGED };

struct schema_change {
    enum schema_change_kind kind;
    bool breaks;                       /* who reads events of the one with the other goes wrong */
    const struct schema_type *type;    /* in which type; the one that has come or gone */
    const struct schema_member *old;   /* NULL: there was none, or it is about the whole type */
    const struct schema_member *fresh; /* the same in the newer text */
};

struct schema_changes {
    struct schema_change *items; /* in the arena; by type and number */
    size_t count;
    bool breaks; /* one of them does */
};

/* What is different in `fresh`.  Fields and values may be added, nothing else: numbers, names and types that
 * are stored stay what they are. */
struct schema_changes schema_text_compare(struct arena *arena, const struct schema_text *old,
                                          const struct schema_text *fresh);

/* "repeated string name", "VALUE_NAME"; in the arena. */
const char *schema_member_text(struct arena *arena, const struct schema_member *member);

#endif
