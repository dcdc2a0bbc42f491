/* Strings and members of JSON texts. */
#ifndef SCHEMA_COMPAT_JSON_TEXT_H
#define SCHEMA_COMPAT_JSON_TEXT_H

#include "base/buf.h"

void json_string(struct buf *out, const char *value);
/* `"name": "value"`; the name needs no escapes. */
void json_member(struct buf *out, const char *name, const char *value);

#endif
