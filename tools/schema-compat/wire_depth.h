/* A look at the bytes of an image before they are unpacked. */
#ifndef SCHEMA_COMPAT_WIRE_DEPTH_H
#define SCHEMA_COMPAT_WIRE_DEPTH_H

#include "base/slice.h"

#include <stdbool.h>

/* Whether the outer bytes are a FileDescriptorSet whose messages nest at most NESTING_MAX levels: protobuf-c
 * unpacks by recursion and has no limit of its own.  What is inside other members is left to it. */
bool wire_depth_is_fine(struct slice bytes);

#endif
