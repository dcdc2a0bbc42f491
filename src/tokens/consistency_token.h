/*~ Consistency tokens: "I have seen at least this".  Every write answers with one, every event carries one, and
 * every read that is given one never answers with less (the zookie of Zanzibar, section 2.4 of its paper). */
#ifndef TOKENS_CONSISTENCY_TOKEN_H
#define TOKENS_CONSISTENCY_TOKEN_H

#include "tokens/token_keys.h"

#include "base/arena.h"
#include "base/epoch.h"
#include "base/id.h"

struct consistency_point {
    struct uuid tenant;
    struct epoch epoch; /* its incarnation is the sequence's too */
    int64_t sequence;   /* of the tenant's events; 0: before the first */
};

/* The text for x-consistency-token, in the arena. */
char *consistency_token_make(struct arena *arena, struct token_keys *keys,
                             const struct consistency_point *point);
/* False: malformed, not ours, or signed by a key that is gone. */
bool consistency_token_parse(struct arena *arena, struct token_keys *keys, struct slice text,
                             struct consistency_point *point) MUST_CHECK;

#endif
