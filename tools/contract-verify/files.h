/* Files, and folders of pacts. */
#ifndef CONTRACT_VERIFY_FILES_H
#define CONTRACT_VERIFY_FILES_H

#include "base/ctx.h"

/* All of a file, at most `max` bytes, in the arena.  Faults: FAULT_IO, FAULT_CONFIG (too large). */
int file_read(struct ctx *ctx, const char *path, size_t max, struct slice *bytes) MUST_CHECK;

/* The files that a word names: itself, or all *.json of a folder in the order of their names.  In the
 * arena.  Fault: FAULT_IO; a folder without one is FAULT_CONFIG. */
int files_of(struct ctx *ctx, const char *word, const char *const **paths,
             size_t *count) MUST_CHECK;

#endif
