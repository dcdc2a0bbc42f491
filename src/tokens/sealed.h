/* The form that all tokens share: readable by anybody, made by nobody but us.
 *
 *     base64url( version 1 | purpose | length of key id | key id | body | MAC )
 *
 * The MAC covers all that stands before it, the body's length, and a scope that does not travel: who may bring
 * the token back, and with what request.  A token of another purpose, key or scope does not open. */
#ifndef TOKENS_SEALED_H
#define TOKENS_SEALED_H

#include "tokens/token_keys.h"

#include "base/arena.h"

#define SEALED_BODY_MAX 1024
#define SEALED_TEXT_MAX 2048

enum token_purpose { TOKEN_CONSISTENCY = 1, TOKEN_PAGE = 2 };

struct token_claim {
    enum token_purpose purpose;
    struct slice body;  /* at most SEALED_BODY_MAX */
    struct slice scope; /* what must be the same when it comes back; may be empty */
};

/* The token's text, in the arena. */
char *token_seal(struct arena *arena, struct token_keys *keys, const struct token_claim *claim);
/* Opens a token of claim->purpose and claim->scope into claim->body (in the arena).  False: not one of ours. */
bool token_open(struct arena *arena, struct token_keys *keys, struct slice text,
                struct token_claim *claim) MUST_CHECK;

#endif
