/* A message or document as a tree: what both sides of a comparison are turned into first. */
#ifndef CONTRACT_VERIFY_VALUE_H
#define CONTRACT_VERIFY_VALUE_H

#include "base/buf.h"
#include "base/ctx.h"

#include "tools/schema-compat/image.h"

#include <jansson.h>

/* Inside each other; more is refused on input, so that walks may recurse. */
#define VALUE_DEPTH_MAX 64
/* In one tree. */
#define VALUE_COUNT_MAX 200000

enum value_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,  /* signed */
    VALUE_UINT, /* unsigned, of protobuf only */
    VALUE_REAL,
    VALUE_TEXT,
    VALUE_BYTES,
    VALUE_ENUM,
    VALUE_LIST,
    VALUE_MAP,     /* of protobuf, or a JSON object; sorted by key, each key once */
    VALUE_MESSAGE, /* the fields that are there, in the order of the descriptor */
};

struct member;

/* In an arena, with all that it points to. */
struct value {
    enum value_kind kind;
    bool truth;
    bool embedded;    /* VALUE_MESSAGE: it lies in a field of bytes */
    int64_t integer;  /* VALUE_INT; VALUE_ENUM: its number */
    uint64_t natural; /* VALUE_UINT */
    double real;      /* VALUE_REAL */
    struct slice
        text; /* VALUE_TEXT, VALUE_BYTES; VALUE_ENUM: its name, or its number where it has none;
                        * VALUE_MESSAGE: as it was on the wire */
    struct value *items;        /* VALUE_LIST */
    struct member *members;     /* VALUE_MAP, VALUE_MESSAGE */
    size_t count;               /* of either */
    const struct element *type; /* VALUE_MESSAGE: its descriptor, borrowed */
};

struct member {
    struct slice key;
    const FieldProto *field; /* of a message, borrowed */
    struct value value;
};

/* NULL: there is none. */
const struct value *value_member(const struct value *value, struct slice key);

/* Whether both are the same, at every depth. */
bool value_equal(const struct value *a, const struct value *b);

/* True for what has parts: list, map, message. */
bool value_has_parts(const struct value *value);

/* "string", "message tenant.v1.Plan": for a person. */
const char *value_kind_name(const struct value *value);

/* Appends the value as JSON, cut after `limit` bytes of it; bytes as base 64.  For a person. */
void value_print(struct buf *out, const struct value *value, size_t limit);

/* The text that rules of texts look at: "true", "7", an enum's name. In the arena for numbers. */
struct slice value_text(struct arena *arena, const struct value *value);

/* A JSON document as a tree.  The texts are copied.  Faults: FAULT_CONFIG, too deep or too large. */
int value_of_json(struct ctx *ctx, const json_t *json, struct value *value) MUST_CHECK;

/* As maps have them. */
void value_sort(struct value *map);

/* Room for one more in an array that doubles; `count` is how many there are. */
void *value_grow(struct arena *arena, void *items, size_t count, size_t size);

#endif
