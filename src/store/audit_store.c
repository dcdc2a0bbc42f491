/* Who changed what; see audit_store.h. */
#include "store/audit_store.h"

#include "base/clock.h"

#include <assert.h>

static const struct stmt audit_insert = {
    .name = "audit.insert",
    .text = "INSERT INTO tenant.tenant_audit (tenant_id, id, at, actor, action, reason, changed, "
            "version, request_id, trace_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    .param_count = 10,
    .columns = {NULL},
};

static const struct stmt platform_audit_insert = {
    .name = "platform_audit.insert",
    .text = "INSERT INTO tenant.platform_audit (id, at, actor, action, target, request_id, "
            "trace_id) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    .param_count = 7,
    .columns = {NULL},
};

static const struct stmt audit_find = {
    .name = "audit.find",
    .text = "SELECT version FROM tenant.tenant_audit WHERE tenant_id = $1 AND id = $2 AND at = $3",
    .param_count = 3,
    .columns = {"version", NULL},
};

static const struct stmt *const statements[] = {&audit_insert, &audit_find, &platform_audit_insert};
const struct stmt_list audit_statements = {statements, sizeof statements / sizeof statements[0],
                                           LOGIN_APP};
static const struct stmt *const platform_statements[] = {&platform_audit_insert};
const struct stmt_list platform_audit_statements = {
    platform_statements, sizeof platform_statements / sizeof platform_statements[0],
    LOGIN_PLATFORM};

/* The name of a certificate, or the service itself for its own jobs. */
static const char *actor_of(const struct ctx *ctx)
{
    return ctx->caller == NULL ? "tenant-service" : ctx->caller;
}

/* In the transaction of the change: no change without its entry, and no entry without its
 * change. */
void audit_store_append(struct tx *tx, const struct audit_entry *entry)
{
    const struct ctx *ctx = tx_ctx(tx);
    assert(entry->action[0] != '\0' && entry->version > 0);
    assert(!uuid_is_nil(&entry->id) && entry->at_us > 0);
    const char **paths = arena_alloc(ctx->arena, entry->changed_count * sizeof *paths);
    for (size_t i = 0; i < entry->changed_count; i++)
        paths[i] = entry->changed[i];
    const struct string_list changed = {paths, entry->changed_count};
    const struct sql_value values[] = {
        sql_uuid(&entry->tenant_id),
        sql_uuid(&entry->id),
        sql_time_us(entry->at_us),
        sql_text(actor_of(ctx)),
        sql_text(entry->action),
        sql_text(entry->reason),
        sql_list(&changed),
        sql_int8(entry->version),
        sql_text(ctx->trace.request_id),
        sql_text(ctx->trace.trace_id),
    };
    tx_queue(tx, &audit_insert, values, NULL);
}

/* After a COMMIT of unknown fate: whether the entry is there tells whether the transaction
 * happened. */
void audit_store_find(struct tx *tx, const struct audit_entry *entry, struct rows *rows)
{
    const struct sql_value values[] = {
        sql_uuid(&entry->tenant_id),
        sql_uuid(&entry->id),
        sql_time_us(entry->at_us),
    };
    tx_queue(tx, &audit_find, values, rows);
}

void platform_audit_append(struct tx *tx, const char *action, const char *target)
{
    const struct ctx *ctx = tx_ctx(tx);
    assert(action[0] != '\0');
    struct uuid id = uuid_new();
    const struct sql_value values[] = {
        sql_uuid(&id),
        sql_time_us(clock_wall() / NS_PER_US),
        sql_text(actor_of(ctx)),
        sql_text(action),
        sql_text(target),
        sql_text(ctx->trace.request_id),
        sql_text(ctx->trace.trace_id),
    };
    tx_queue(tx, &platform_audit_insert, values, NULL);
}
