/* Regular expressions of pacts, with a limit on the work that one may take. */
#ifndef CONTRACT_VERIFY_PATTERN_H
#define CONTRACT_VERIFY_PATTERN_H

#include "base/ctx.h"

#include <stdbool.h>

struct pattern;
/* Owns patterns: they live as long as it does. */
struct pattern_pool;

struct pattern_pool *pattern_pool_new(void);
void pattern_pool_free(struct pattern_pool *pool); /* accepts NULL */

/* FAULT_CONFIG: no regular expression; the text says where. */
int pattern_compile(struct ctx *ctx, struct pattern_pool *pool, struct slice source,
                    struct pattern **pattern) MUST_CHECK;

/* Whether it matches the whole text.  What takes too long does not, and is `exhausted`. */
bool pattern_fits(const struct pattern *pattern, struct slice text, bool *exhausted);

#endif
