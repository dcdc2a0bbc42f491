/* Canonical proto3 JSON (protobuf.dev, "ProtoJSON Format") of any message that protobuf-c describes.
 *
 * Neither direction recurses or suspends: a walk's state is in the ctx's arena, a few hundred bytes of stack
 * are enough however deep a document is. */
#ifndef PROTOJSON_PROTOJSON_H
#define PROTOJSON_PROTOJSON_H

#include "base/buf.h"
#include "base/ctx.h"

#include <protobuf-c/protobuf-c.h>

#define PROTOJSON_DEPTH_MAX 64 /* objects and arrays inside each other */
#define PROTOJSON_ELEMENTS_MAX                                                                     \
    20000                       /* members and elements in the whole document, ignored ones too */
#define PROTOJSON_PATH_SIZE 160 /* bytes, terminator included */

/* The messages that a google.protobuf.Any may hold.  Borrowed, never changed.  An Any's bytes are packed
 * and unpacked by protobuf-c, which recurses: a type that contains itself does not belong here. */
struct protojson_types {
    const ProtobufCMessageDescriptor *const *types;
    size_t count;
};

struct protojson_print_options {
    const struct protojson_types *any_types; /* NULL: none */
    bool defaults; /* also fields without presence that have their default */
};

/* Appends the message as one JSON value, without white space, with lowerCamelCase names, in the order of field
 * numbers.  Unknown fields are left out.  Going over the limit of `out` is sticky as ever and not a fault; the
 * walk ends early then.
 *
 * Fault INTERNAL, with path and rule in its text, for what has no JSON: strings that are not UTF-8, a Timestamp
 * or Duration out of range, a FieldMask that would not come back, an Any of an unknown type or with broken
 * bytes, a Value without a kind, a map with a key twice (the wire allows it), more depth than the limit.  `out`
 * then has an unusable beginning. */
int protojson_print(struct ctx *ctx, const ProtobufCMessage *message,
                    const struct protojson_print_options *options, struct buf *out) MUST_CHECK;

struct protojson_parse_options {
    const struct protojson_types *any_types; /* NULL: none */
    bool ignore_unknown;                     /* skip unknown members and enum names */
    size_t elements_max;                     /* 0: PROTOJSON_ELEMENTS_MAX */
};

/* On a refusal the path names the place, "tenant.labels.env"; "" is the whole document.  A longer one ends at
 * the last segment that fits. */
struct protojson_parsed {
    ProtobufCMessage *message; /* on OK; lives in the arena */
    const char *rule;          /* on a refusal, for a person: "must be a string" */
    char path[PROTOJSON_PATH_SIZE];
};

/* Reads exactly one JSON value as a message of this type.  `json` may be anything; the message borrows nothing
 * from it.  The number of allocated bytes is bounded by the arena's cap and by a multiple of json's size.
 *
 * Stricter than RFC 8259 where that leaves room: a name given twice, under either of its spellings, is refused,
 * also as a map's key; so are bytes that are not UTF-8, unpaired surrogates and NUL inside strings, which C
 * would see cut.  `parsed` is written also on a refusal: MESSAGE_MALFORMED, MESSAGE_TOO_COMPLEX (depth,
 * elements, memory). */
int protojson_parse(struct ctx *ctx, const ProtobufCMessageDescriptor *type, struct slice json,
                    const struct protojson_parse_options *options,
                    struct protojson_parsed *parsed) MUST_CHECK;

#endif
