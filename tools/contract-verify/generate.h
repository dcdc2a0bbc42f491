/* Generators: values of an example that are made anew for each verification. */
#ifndef CONTRACT_VERIFY_GENERATE_H
#define CONTRACT_VERIFY_GENERATE_H

#include "pact.h"

/* FAULT_CONFIG: a generator that is unknown or lacks something. */
int generators_check(struct ctx *ctx, const struct generators *generators) MUST_CHECK;

/* The generated value as JSON; `values` are those that the provider states gave (NULL: none).
 * FAULT_CONFIG: the states gave no such value.  Owner: the caller. */
int generate(struct ctx *ctx, const struct generator *generator, const json_t *values,
             json_t **made) MUST_CHECK;

/* Puts generated values into a body.  FAULT_CONFIG: the path names nothing, or the value does not fit. */
int generate_body(struct ctx *ctx, const struct generators *generators, const json_t *values,
                  struct value *body) MUST_CHECK;

bool generator_is_of_state(const struct generator *generator);

/* The generator of a metadata key; NULL: none. */
const struct generator *generator_of(const struct generators *generators, const char *key);

/* JSON as the text that metadata and messages have of it: a string without its quotes.  In the arena. */
const char *generated_text(struct ctx *ctx, const json_t *json);

#endif
