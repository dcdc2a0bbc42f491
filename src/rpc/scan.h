/* The look at a request's bytes before they are unpacked: protobuf-c checks neither nesting nor the number
 * of elements nor UTF-8, and unpacks recursively. */
#ifndef RPC_SCAN_H
#define RPC_SCAN_H

#include "base/slice.h"

#include <protobuf-c/protobuf-c.h>

#define SCAN_DEPTH_MAX 16    /* nested messages */
#define SCAN_FIELDS_MAX 1000 /* fields and elements in the whole message, unknown ones too */
/* bytes, terminator included; a longer path ends at the last segment that fits */
#define SCAN_PATH_SIZE 160

enum scan_result {
    SCAN_OK,
    SCAN_MALFORMED, /* truncated, a bad tag or varint, a group, a wire type that is not the field's */
    SCAN_TOO_DEEP,
    SCAN_TOO_MANY,
    SCAN_BAD_UTF8, /* a string field's bytes */
    SCAN_NUL,      /* a NUL byte inside a string: C would see a shorter one */
    SCAN_TWICE,    /* a nested message, not a list's, in several parts: unpacking would lose numbers */
};

/* What a scan tells beside its result. */
struct scan_report {
    size_t fields;             /* looked at, those in nested messages too */
    char path[SCAN_PATH_SIZE]; /* where it failed: "tenant.labels[3].key", "" when the place has no name */
};

/* Checks `bytes` as a message of this type.  Uses a bounded stack and no memory. */
enum scan_result scan_message(const ProtobufCMessageDescriptor *type, struct slice bytes,
                              struct scan_report *report);

/* What is wrong, as a rule for a person: "must be UTF-8". */
const char *scan_rule(enum scan_result result);

#endif
