/*~ Page tokens (AIP-158): where the next page begins, for the same caller asking the same question. */
#ifndef TOKENS_PAGE_TOKEN_H
#define TOKENS_PAGE_TOKEN_H

#include "tokens/token_keys.h"

#include "base/arena.h"
#include "base/id.h"

/* What a page token belongs to; none of it travels, all of it is MACed. */
struct page_query {
    const char *principal; /* who asks */
    const char *method;    /* "/tenant.v1.TenantService/ListTenants" */
    struct uuid tenant;    /* nil for platform methods */
    const char *filter;    /* as sent */
    const char *order_by;  /* as sent */
};

/* The last row of the page before. */
struct page_cursor {
    const char *key; /* its value of the order's field, as text */
    struct uuid id;  /* breaks ties */
};

/* In the arena. */
char *page_token_make(struct arena *arena, struct token_keys *keys, const struct page_query *query,
                      const struct page_cursor *cursor);
/* The cursor of a token, in the arena.  NULL: malformed, not ours, or of another principal, method, tenant,
 * filter or order. */
const struct page_cursor *page_token_parse(struct arena *arena, struct token_keys *keys,
                                           const struct page_query *query, struct slice text);

#endif
