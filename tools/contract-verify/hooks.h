/* What the provider's side gives: states that interactions begin in, and the messages that it sends. */
#ifndef CONTRACT_VERIFY_HOOKS_H
#define CONTRACT_VERIFY_HOOKS_H

#include "pact.h"

/* Borrowed texts; NULL: not given. */
struct hook_settings {
    const char *state_command; /* a program, see coprocess.h */
    const char *state_url;     /* POST, as Pact's verifiers do */
    const char *message_command;
    const char *message_url;
    bool teardown; /* states are told that they are over, too */
    uint64_t timeout_ns;
};

struct hooks;

struct hooks *hooks_new(const struct hook_settings *settings); /* borrowed; nothing is started */
void hooks_free(struct hooks *hooks);                          /* accepts NULL */

/* Brings about the interaction's states, in their order.  *values has what they gave, together; owner: the
 * caller. Faults: whatever went wrong, with the state's name. */
int hooks_states(struct ctx *ctx, struct hooks *hooks, const struct pact *pact,
                 const struct interaction *interaction, json_t **values) MUST_CHECK;
/* Tells that they are over, if that was asked for. */
int hooks_teardown(struct ctx *ctx, struct hooks *hooks, const struct pact *pact,
                   const struct interaction *interaction) MUST_CHECK;

/* A message that the provider sent.  In the ctx's arena, but for the metadata: owner the caller. */
struct produced {
    struct slice contents;
    json_t *metadata; /* an object; NULL: none */
};

/* Has the provider send the message of an interaction, whose states gave `values`.  Faults: as
 * hooks_states(). */
int hooks_message(struct ctx *ctx, struct hooks *hooks, const struct interaction *interaction,
                  const json_t *values, struct produced *produced) MUST_CHECK;

#endif
