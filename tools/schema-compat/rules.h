/* The rules: their names, the sets they belong to, why a breach hurts and what to do instead. */
#ifndef SCHEMA_COMPAT_RULES_H
#define SCHEMA_COMPAT_RULES_H

#include <stdbool.h>
#include <stddef.h>

/* The categories of buf's breaking rules, and ours for events. */
enum rule_set {
    SET_FILE = 1,      /* generated code keeps compiling, file by file */
    SET_PACKAGE = 2,   /* the same, but types may move inside a package */
    SET_WIRE_JSON = 4, /* bytes and JSON of the one are read by the other */
    SET_WIRE = 8,      /* bytes are */
    SET_CSR = 16,      /* what the Confluent schema registry checks */
    SET_EVENT = 32,    /* events stored for months, read by consumers we do not know */
};

/* Names without prefix are buf's and mean what they mean there. */
enum rule {
    RULE_ENUM_NO_DELETE,
    RULE_ENUM_SAME_JSON_FORMAT,
    RULE_ENUM_SAME_TYPE,
    RULE_ENUM_VALUE_NO_DELETE,
    RULE_ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED,
    RULE_ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED,
    RULE_ENUM_VALUE_SAME_NAME,
    RULE_EXTENSION_MESSAGE_NO_DELETE,
    RULE_EXTENSION_NO_DELETE,
    RULE_FIELD_NO_DELETE,
    RULE_FIELD_NO_DELETE_UNLESS_NAME_RESERVED,
    RULE_FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED,
    RULE_FIELD_SAME_CARDINALITY,
    RULE_FIELD_SAME_CPP_STRING_TYPE,
    RULE_FIELD_SAME_DEFAULT,
    RULE_FIELD_SAME_JAVA_UTF8_VALIDATION,
    RULE_FIELD_SAME_JSON_NAME,
    RULE_FIELD_SAME_JSTYPE,
    RULE_FIELD_SAME_NAME,
    RULE_FIELD_SAME_ONEOF,
    RULE_FIELD_SAME_TYPE,
    RULE_FIELD_SAME_UTF8_VALIDATION,
    RULE_FIELD_WIRE_COMPATIBLE_CARDINALITY,
    RULE_FIELD_WIRE_COMPATIBLE_TYPE,
    RULE_FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY,
    RULE_FIELD_WIRE_JSON_COMPATIBLE_TYPE,
    RULE_FILE_NO_DELETE,
    RULE_FILE_SAME_CC_ENABLE_ARENAS,
    RULE_FILE_SAME_CC_GENERIC_SERVICES,
    RULE_FILE_SAME_CSHARP_NAMESPACE,
    RULE_FILE_SAME_GO_PACKAGE,
    RULE_FILE_SAME_JAVA_GENERIC_SERVICES,
    RULE_FILE_SAME_JAVA_MULTIPLE_FILES,
    RULE_FILE_SAME_JAVA_OUTER_CLASSNAME,
    RULE_FILE_SAME_JAVA_PACKAGE,
    RULE_FILE_SAME_OBJC_CLASS_PREFIX,
    RULE_FILE_SAME_OPTIMIZE_FOR,
    RULE_FILE_SAME_PACKAGE,
    RULE_FILE_SAME_PHP_CLASS_PREFIX,
    RULE_FILE_SAME_PHP_METADATA_NAMESPACE,
    RULE_FILE_SAME_PHP_NAMESPACE,
    RULE_FILE_SAME_PY_GENERIC_SERVICES,
    RULE_FILE_SAME_RUBY_PACKAGE,
    RULE_FILE_SAME_SWIFT_PREFIX,
    RULE_FILE_SAME_SYNTAX,
    RULE_MESSAGE_NO_DELETE,
    RULE_MESSAGE_NO_REMOVE_STANDARD_DESCRIPTOR_ACCESSOR,
    RULE_MESSAGE_SAME_JSON_FORMAT,
    RULE_MESSAGE_SAME_REQUIRED_FIELDS,
    RULE_ONEOF_NO_DELETE,
    RULE_PACKAGE_ENUM_NO_DELETE,
    RULE_PACKAGE_EXTENSION_NO_DELETE,
    RULE_PACKAGE_MESSAGE_NO_DELETE,
    RULE_PACKAGE_NO_DELETE,
    RULE_PACKAGE_SERVICE_NO_DELETE,
    RULE_RESERVED_ENUM_NO_DELETE,
    RULE_RESERVED_MESSAGE_NO_DELETE,
    RULE_RPC_NO_DELETE,
    RULE_RPC_SAME_CLIENT_STREAMING,
    RULE_RPC_SAME_IDEMPOTENCY_LEVEL,
    RULE_RPC_SAME_REQUEST_TYPE,
    RULE_RPC_SAME_RESPONSE_TYPE,
    RULE_RPC_SAME_SERVER_STREAMING,
    RULE_SERVICE_NO_DELETE,
    /* ours, for events */
    RULE_EVENT_DRAFT_NOT_REFERRED_TO,
    RULE_EVENT_ENUM_NO_NARROW,
    RULE_EVENT_ENVELOPE_ADDITIVE,
    RULE_EVENT_FIELD_NAME_NO_REUSE,
    RULE_EVENT_FIELD_NUMBER_NO_REUSE,
    RULE_EVENT_PAYLOAD_DUAL_PUBLISH,
    RULE_COUNT,
};

struct rule_text {
    const char *name;
    unsigned sets;       /* of enum rule_set */
    const char *what;    /* one line for the list */
    const char *why;     /* whom a breach breaks, and how */
    const char *instead; /* how to get there without breaking them */
};

const struct rule_text *rule_text(enum rule rule);
/* RULE_COUNT when there is none. */
enum rule rule_find(const char *name);
/* 0 when there is none. */
unsigned rule_set_find(const char *name);
/* The set of the one bit at `index`, "FILE" first; NULL behind the last. */
const char *rule_set_name(size_t index);

#endif
