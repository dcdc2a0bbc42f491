/* ListTenants: one page of the region's tenants, for the platform operator (AIP-132, AIP-158, AIP-160).
 * Audited: page and record are one transaction. */
#include "service/consistency.h"
#include "service/tenant_cache.h"
#include "service/tenant_message.h"
#include "service/tenants.h"

#include "store/audit_store.h"
#include "store/tenant_list_store.h"
#include "tokens/page_token.h"

#include "gen/errors.h"

#include <assert.h>

#define PAGE_DEFAULT 50
#define PAGE_MAX 200

struct listing {
    struct call *call;
    const Tenant__V1__ListTenantsRequest *in;
    struct tenant_query query;
    struct page_query bound; /* what page tokens are bound to */
    struct tenant_page page;
    struct tenant *tenants; /* one more than the page, when there are more */
    size_t count;
    struct epoch seen; /* of the consistency token's tenant */
};

static int check_request(struct listing *list);
static int check_page(struct listing *list);
static int read_page(struct listing *list, const struct consistency_floor *floor);
static void answer(const struct listing *list, Tenant__V1__ListTenantsResponse *out);

int tenants_list(struct call *call, const Tenant__V1__ListTenantsRequest *in,
                 Tenant__V1__ListTenantsResponse *out)
{
    const struct service_env *env = call->service;
    struct listing list = {.call = call, .in = in};
    struct consistency_floor floor;
    TRY(check_request(&list));
    TRY(consistency_floor(call, &floor));
    list.page.query = &list.query;
    list.page.region = env->region;
    for (bool again = true; again;) {
        TRY(read_page(&list, &floor));
        TRY(consistency_reached(call, &floor, list.seen, &again));
    }
    answer(&list, out);
    answer_from_primary(call);
    return OK;
}

/* All that is wrong is told at once. */
static int check_request(struct listing *list)
{
    struct call *call = list->call;
    const char *rule = tenant_filter_parse(call->ctx.arena, list->in->filter, &list->query);
    if (rule != NULL)
        (void)call_refuse_field(call, INVALID_ARGUMENT, "filter", rule);
    rule = tenant_order_parse(list->in->order_by, &list->query);
    if (rule != NULL)
        (void)call_refuse_field(call, INVALID_ARGUMENT, "order_by", rule);
    if (call_violations(call) > 0)
        (void)check_page(list);
    else
        TRY(check_page(list));
    return call_violations(call) > 0 ? INVALID_ARGUMENT : OK;
}

static int check_page(struct listing *list)
{
    struct call *call = list->call;
    const struct service_env *env = call->service;
    int32_t size = list->in->page_size;
    if (size < 0)
        return call_refuse_field(call, INVALID_ARGUMENT, "page_size", "must not be negative");
    list->page.limit = (size == 0 ? PAGE_DEFAULT : size > PAGE_MAX ? PAGE_MAX : size) + 1;
    list->bound = (struct page_query){
        .principal = call->caller,
        .method = call->method->path,
        .filter = list->in->filter,
        .order_by = list->in->order_by,
    };
    if (list->in->page_token[0] == '\0')
        return OK;
    const struct page_cursor *cursor = page_token_parse(
        call->ctx.arena, env->token_keys, &list->bound, slice_of_str(list->in->page_token));
    if (cursor == NULL) {
        metric_inc(env->metrics.page_tokens_refused);
        return call_refuse_field(call, INVALID_ARGUMENT, "page_token",
                                 "must be the next_page_token of a call with the same filter and "
                                 "order_by by the same caller");
    }
    list->page.has_cursor = true;
    list->page.after_key = cursor->key;
    list->page.after_id = cursor->id;
    return OK;
}

static int read_page(struct listing *list, const struct consistency_floor *floor)
{
    struct call *call = list->call;
    const struct service_env *env = call->service;
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows;
    struct rows epoch;
    TRY(tx_begin(env->store, &call->ctx, TX_PLATFORM, NULL, &tx));
    tenant_store_list(tx, &list->page, &rows);
    if (floor->asked)
        tenant_store_epoch(tx, &floor->tenant, &epoch);
    platform_audit_append(tx, "tenant.list", list->in->filter);
    TRY(tx_commit(tx));
    if (floor->asked)
        TRY(tenant_store_read_epoch(tx, &epoch, &list->seen));
    return tenant_store_read_list(tx, &rows, &list->tenants, &list->count);
}

static void answer(const struct listing *list, Tenant__V1__ListTenantsResponse *out)
{
    struct call *call = list->call;
    const struct service_env *env = call->service;
    struct arena *arena = call->ctx.arena;
    size_t size = (size_t)list->page.limit - 1;
    bool more = list->count > size;
    out->n_tenants = more ? size : list->count;
    out->tenants = arena_alloc(arena, (out->n_tenants + 1) * sizeof(Tenant__V1__Tenant *));
    for (size_t i = 0; i < out->n_tenants; i++)
        out->tenants[i] = tenant_to_message(arena, &list->tenants[i]);
    if (!more)
        return;
    const struct tenant *last = &list->tenants[size - 1];
    const struct page_cursor cursor = {tenant_page_key(arena, list->query.order, last), last->id};
    out->next_page_token = page_token_make(arena, env->token_keys, &list->bound, &cursor);
}
