/* The command `rules`. */
#ifndef SCHEMA_COMPAT_RULES_LIST_H
#define SCHEMA_COMPAT_RULES_LIST_H

#include "settings.h"

/* Prints the list, or all about the named rules and sets.  False: one of them is not known. */
bool rules_list(const struct settings *settings);

#endif
