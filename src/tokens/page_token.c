/* What a page token holds and is bound to; see page_token.h. */
#include "tokens/page_token.h"

#include "base/buf.h"

#include "tokens/sealed.h"

#include <assert.h>
#include <string.h>

static void scope_put(struct buf *scope, const struct page_query *query);

char *page_token_make(struct arena *arena, struct token_keys *keys, const struct page_query *query,
                      const struct page_cursor *cursor)
{
    AUTO(buf_deinit) struct buf scope = BUF_EMPTY;
    AUTO(buf_deinit) struct buf body = BUF_EMPTY;
    scope_put(&scope, query);
    buf_put(&body, cursor->id.bytes, sizeof cursor->id.bytes);
    buf_put_str(&body, cursor->key);
    const struct token_claim claim = {TOKEN_PAGE, buf_slice(&body), buf_slice(&scope)};
    return token_seal(arena, keys, &claim);
}

const struct page_cursor *page_token_parse(struct arena *arena, struct token_keys *keys,
                                           const struct page_query *query, struct slice text)
{
    AUTO(buf_deinit) struct buf scope = BUF_EMPTY;
    scope_put(&scope, query);
    struct token_claim claim = {TOKEN_PAGE, {NULL, 0}, buf_slice(&scope)};
    if (!token_open(arena, keys, text, &claim) || claim.body.size < 16)
        return NULL;
    struct page_cursor *cursor = arena_alloc(arena, sizeof *cursor);
    memcpy(cursor->id.bytes, claim.body.data, 16);
    cursor->key = arena_strndup(arena, claim.body.data + 16, claim.body.size - 16);
    return cursor;
}

/* Texts hold no NUL (the scan before unpacking refuses it), so the terminators keep them apart. */
static void scope_put(struct buf *scope, const struct page_query *query)
{
    const char *const texts[] = {query->principal, query->method, query->filter, query->order_by};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert(texts[i] != NULL);
        buf_put(scope, texts[i], strlen(texts[i]) + 1);
    }
    buf_put(scope, query->tenant.bytes, sizeof query->tenant.bytes);
}
