/* Protobuf messages of any type, by descriptors that were read at run time. */
#ifndef CONTRACT_VERIFY_WIRE_H
#define CONTRACT_VERIFY_WIRE_H

#include "value.h"

/* A bytes field that holds a packed message, which the protos do not say. */
struct embedded {
    const char *path;           /* of fields, "payload" or "batch.payload" */
    const struct element *type; /* what it holds */
};

struct wire_types {
    const struct image *image;
    const struct embedded *embedded; /* may be none */
    size_t embedded_count;
};

/* The message as a tree: fields that are not on the wire are not in it, unknown ones neither.  Maps become
 * VALUE_MAP, an Any of a known type and embedded bytes become the messages that they hold.  Faults:
 * FAULT_PROTOCOL, with field and rule. */
int wire_read(struct ctx *ctx, const struct wire_types *types, const struct element *type,
              struct slice bytes, struct value *value) MUST_CHECK;

/* Packs a tree that wire_read() made, changed or not.  FAULT_PROTOCOL: a value does not fit its field. */
int wire_write(struct ctx *ctx, const struct wire_types *types, const struct value *value,
               struct buf *out) MUST_CHECK;

/* A message type as pacts name it: ".tenant.v1.Tenant", "tenant.v1.Tenant" or, when only one type has it,
 * "Tenant".  NULL: there is none, or several. */
const struct element *wire_type(const struct image *image, const char *name);

/* What a field is that is not there; false for messages, which have no default. */
bool wire_default(const struct image *image, const FieldProto *field, struct value *value);

bool wire_is_repeated(const FieldProto *field);
/* The entry's type of a map field; NULL: it is no map. */
const struct element *wire_map_entry(const struct image *image, const FieldProto *field);

#endif
