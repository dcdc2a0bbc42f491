/* Schema version and rights; see store.h and startup_checks.h. */
#include "store/startup_checks.h"

#include "gen/errors.h"

#include <assert.h>

static const struct stmt schema_version = {
    .name = "schema.version",
    .text = "SELECT coalesce(max(version), 0) AS version FROM tenant.schema_migrations",
    .columns = {"version", NULL},
};

/* One row per right that is too many.  $1: "table privilege" pairs that the login may have. */
static const struct stmt role_excess = {
    .name = "role.excess",
    .text =
        "SELECT what FROM ("
        "SELECT 'it is a superuser' AS what FROM pg_roles WHERE rolname = current_user AND rolsuper "
        "UNION ALL SELECT 'it has BYPASSRLS' FROM pg_roles WHERE rolname = current_user AND rolbypassrls "
        "UNION ALL SELECT 'it has CREATEROLE' FROM pg_roles WHERE rolname = current_user AND "
        "rolcreaterole "
        "UNION ALL SELECT 'it may become ' || rolname || ', which ' || CASE WHEN rolsuper THEN "
        "'is a superuser' WHEN rolbypassrls THEN 'has BYPASSRLS' ELSE 'owns tables' END "
        "FROM pg_roles r WHERE rolname <> current_user AND pg_has_role(current_user, r.oid, 'MEMBER') "
        "AND (rolsuper OR rolbypassrls OR EXISTS (SELECT 1 FROM pg_class c WHERE c.relowner = r.oid "
        "AND c.relkind IN ('r', 'p'))) "
        "UNION ALL SELECT 'it owns table ' || c.oid::regclass FROM pg_class c JOIN pg_roles r ON "
        "r.oid = c.relowner WHERE r.rolname = current_user AND c.relkind IN ('r', 'p') "
        "UNION ALL SELECT 'it may ' || p || ' on ' || c.relname FROM pg_class c JOIN pg_namespace n ON "
        "n.oid = c.relnamespace CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', "
        "'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p WHERE n.nspname = 'tenant' AND c.relkind IN "
        "('r', 'p') AND has_table_privilege(c.oid, p) AND (c.relname || ' ' || p) <> ALL ($1) "
        "UNION ALL SELECT 'row-level security is not forced on ' || c.relname FROM pg_class c JOIN "
        "pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'tenant' AND c.relkind IN "
        "('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity) AND (c.relname = 'tenants' OR "
        "EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "AND NOT a.attisdropped))) AS excess LIMIT 1",
    .param_count = 1,
    .columns = {"what", NULL},
};

static const struct stmt *const statements[] = {&schema_version, &role_excess};
const struct stmt_list startup_statements = {
    statements, sizeof statements / sizeof statements[0], LOGIN_APP};

/* Table rights that each login needs.  Rights on single columns do not count as rights on the table. */
static const char *app_rights[] = {
    "tenants SELECT",         "tenants INSERT",           "tenant_audit SELECT",
    "tenant_audit INSERT",    "tenant_seq SELECT",        "tenant_seq INSERT",
    "outbox INSERT",          "platform_audit INSERT",    "schema_migrations SELECT",
    "installation SELECT",
};
static const char *platform_rights[] = {"tenants SELECT", "platform_audit INSERT"};
static const char *relay_rights[] = {
    "outbox SELECT",          "outbox DELETE",       "outbox_sent SELECT", "outbox_sent INSERT",
    "outbox_sent DELETE",     "relay_lease SELECT",  "relay_owner SELECT", "relay_owner INSERT",
    "relay_owner UPDATE",     "relay_owner DELETE",  "schema_migrations SELECT",
};

static struct string_list rights_of(enum store_login login);
static enum tx_mode mode_of(enum store_login login);

int schema_version_read(struct store *store, struct ctx *ctx, enum tx_mode mode, int *version)
{
    assert(mode == TX_CATALOG || mode == TX_RELAY);
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows;
    TRY(tx_begin(store, ctx, mode, NULL, &tx));
    tx_queue(tx, &schema_version, NULL, &rows);
    TRY(tx_run(tx));
    struct row row = row_at(&rows, 0, ctx->arena);
    int64_t number = row_int(&row, "version");
    TRY(row_end(ctx, &row));
    *version = (int)number;
    return OK;
}

int schema_version_check(struct store *store, struct ctx *ctx, enum tx_mode mode)
{
    int version = 0;
    TRY(schema_version_read(store, ctx, mode, &version));
    if (version < STORE_SCHEMA_VERSION)
        return FAULT(ctx, FAULT_CONFIG,
                     "the database's schema has version %d, this program needs %d: run "
                     "tenant-service migrate",
                     version, STORE_SCHEMA_VERSION);
    return OK;
}

int role_check(struct store *store, struct ctx *ctx, enum store_login login, const char *key)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows;
    struct string_list rights = rights_of(login);
    const struct sql_value values[] = {sql_list(&rights)};
    TRY(tx_begin(store, ctx, mode_of(login), NULL, &tx));
    tx_queue(tx, &role_excess, values, &rows);
    TRY(tx_run(tx));
    if (rows.count == 0)
        return OK;
    struct row row = row_at(&rows, 0, ctx->arena);
    const char *what = row_text(&row, "what");
    TRY(row_end(ctx, &row));
    return FAULT(ctx, FAULT_CONFIG,
                 "%s: this login could get around row-level security: %s; take that right away", key,
                 what);
}

static struct string_list rights_of(enum store_login login)
{
    switch (login) {
    case LOGIN_APP:
        return (struct string_list){app_rights, sizeof app_rights / sizeof app_rights[0]};
    case LOGIN_PLATFORM:
        return (struct string_list){platform_rights,
                                    sizeof platform_rights / sizeof platform_rights[0]};
    case LOGIN_RELAY:
        return (struct string_list){relay_rights, sizeof relay_rights / sizeof relay_rights[0]};
    }
    assert(!"a login that store_login does not have");
    return (struct string_list){NULL, 0};
}

static enum tx_mode mode_of(enum store_login login)
{
    return login == LOGIN_APP        ? TX_CATALOG
           : login == LOGIN_PLATFORM ? TX_PLATFORM_READ
                                     : TX_RELAY;
}
