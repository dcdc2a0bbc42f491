/* Single values of a field, between memory and JSON: numbers, truth values, texts, bytes, enums. */
#ifndef PROTOJSON_SCALAR_H
#define PROTOJSON_SCALAR_H

#include "base/buf.h"

#include "protojson/reader.h"

#include <protobuf-c/protobuf-c.h>

enum scalar_result {
    SCALAR_OK,
    SCALAR_UNKNOWN_NAME, /* an enum's; *place untouched, the value taken */
    SCALAR_REFUSED,      /* the reader has the rule */
};

/* Takes the next value for a field that holds no message.  Texts and bytes are copied to the arena. */
enum scalar_result scalar_read(struct reader *reader, const ProtobufCFieldDescriptor *field,
                               void *place);
/* A map's key from the text of its name. */
bool scalar_read_key(struct reader *reader, const ProtobufCFieldDescriptor *field, struct slice key,
                     void *place);

/* Appends the value; the rule that it breaks, or NULL. */
const char *scalar_print(struct buf *out, const ProtobufCFieldDescriptor *field, const void *place);
/* The same as a name with its quotes. */
const char *scalar_print_key(struct buf *out, const ProtobufCFieldDescriptor *field,
                             const void *place);

#endif
