/* Schema version and rights; see store.h and startup_checks.h. */
#include "store/startup_checks.h"

#include "gen/errors.h"

#include <assert.h>

static const struct stmt schema_version = {
    .name = "schema.version",
    .text = "SELECT coalesce(max(version), 0) AS version FROM tenant.schema_migrations",
    .columns = {"version", NULL},
};

#define OF_SCHEMA "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
/* Those that run with their owner's rights, whoever calls them. */
#define OF_FUNCTIONS                                                                               \
    "FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE n.nspname = 'tenant' "     \
    "AND f.prosecdef "
#define TENANT_TABLE                                                                               \
    "n.nspname = 'tenant' AND c.relkind IN ('r', 'p') AND (c.relname = 'tenants' OR EXISTS ("      \
    "SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' "           \
    "AND NOT a.attisdropped)) "
/* As pg_get_expr prints the policies' expression. */
#define TENANT_RULE "= (NULLIF(current_setting(''app.tenant_id''::text, true), ''''::text))::uuid)"

/* What is too much, or missing, for this login.  $1: "table RIGHT" pairs that it may have; $2: the tables
 * and functions this program knows.  On tables of a newer schema only the rights that no login may ever
 * have count: a newer schema must not keep an older program from starting.  Partitions of known tables
 * bear no rights. */
static const struct stmt role_excess = {
    .name = "role.excess",
    .text =
        "SELECT string_agg(what, '; ') AS what FROM ("
        "SELECT 'it is a superuser' AS what FROM pg_roles WHERE rolname = current_user "
        "AND rolsuper "
        "UNION ALL SELECT 'it has BYPASSRLS' FROM pg_roles WHERE rolname = current_user "
        "AND rolbypassrls "
        "UNION ALL SELECT 'it has CREATEROLE' FROM pg_roles WHERE rolname = current_user "
        "AND rolcreaterole "
        "UNION ALL SELECT 'it has REPLICATION' FROM pg_roles WHERE rolname = current_user "
        "AND rolreplication "
        "UNION ALL SELECT 'it is a member of ' || r.rolname || CASE WHEN r.rolsuper THEN "
        "', a superuser' WHEN r.rolbypassrls THEN ', which has BYPASSRLS' ELSE '' END "
        "FROM pg_roles me JOIN pg_auth_members m ON m.member = me.oid JOIN pg_roles r ON "
        "r.oid = m.roleid WHERE me.rolname = current_user "
        "UNION ALL SELECT 'it owns ' || c.oid::regclass FROM pg_class c JOIN pg_roles r ON "
        "r.oid = c.relowner WHERE r.rolname = current_user AND c.relkind IN ('r', 'p', 'v', 'm') "
        "UNION ALL SELECT 'it may create objects in schema ' || nspname FROM pg_namespace "
        "WHERE nspname IN ('tenant', 'public') AND has_schema_privilege(oid, 'CREATE') "
        "UNION ALL SELECT 'it may ' || p || ' on ' || c.relname " OF_SCHEMA
        "CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', "
        "'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p WHERE n.nspname = 'tenant' AND c.relkind IN "
        "('r', 'p') AND has_table_privilege(c.oid, p) AND (c.relname || ' ' || p) <> ALL ($1) "
        "AND (p IN ('TRUNCATE', 'REFERENCES', 'TRIGGER') OR c.relname = ANY ($2) OR EXISTS ("
        "SELECT 1 FROM pg_inherits i JOIN pg_class t ON t.oid = i.inhparent WHERE "
        "i.inhrelid = c.oid AND t.relname = ANY ($2))) "
        "UNION ALL SELECT 'it may execute ' || f.proname " OF_FUNCTIONS
        "AND has_function_privilege(f.oid, 'EXECUTE') AND (f.proname || ' EXECUTE') <> ALL ($1) "
        "AND f.proname = ANY ($2) "
        "UNION ALL SELECT 'everybody may execute ' || f.proname " OF_FUNCTIONS
        "AND EXISTS (SELECT 1 FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) g "
        "WHERE g.grantee = 0) "
        "UNION ALL SELECT 'the search path of ' || f.proname || ' is not fixed' " OF_FUNCTIONS
        "AND 'search_path=pg_catalog, pg_temp' <> ALL (coalesce(f.proconfig, '{}')) "
        "UNION ALL SELECT 'row-level security is not forced on ' || c.relname " OF_SCHEMA
        "WHERE " TENANT_TABLE "AND NOT (c.relrowsecurity AND c.relforcerowsecurity) "
        "UNION ALL SELECT 'there is no restrictive tenant policy on ' || c.relname " OF_SCHEMA
        "WHERE " TENANT_TABLE "AND NOT EXISTS (SELECT 1 FROM pg_policy y WHERE "
        "y.polrelid = c.oid AND NOT y.polpermissive AND y.polcmd = '*' AND 'tenant_app' = ANY "
        "(ARRAY(SELECT rolname FROM pg_roles WHERE oid = ANY (y.polroles))) "
        "AND pg_get_expr(y.polqual, c.oid) = CASE c.relname WHEN 'tenants' THEN '(id ' "
        "ELSE '(tenant_id ' END || '" TENANT_RULE "' "
        "AND pg_get_expr(y.polwithcheck, c.oid) = pg_get_expr(y.polqual, c.oid)) "
        "UNION ALL SELECT 'table ' || c.relname || ' has no tenant column, and no comment that "
        "says why' " OF_SCHEMA "WHERE n.nspname = 'tenant' AND c.relkind IN ('r', 'p') AND NOT "
        "c.relispartition AND NOT (" TENANT_TABLE ") AND coalesce(obj_description(c.oid, "
        "'pg_class'), '') NOT LIKE 'No tenant column:%'"
        ") AS excess HAVING count(*) > 0",
    .param_count = 2,
    .columns = {"what", NULL},
};

static const struct stmt *const statements[] = {&schema_version, &role_excess};
const struct stmt_list startup_statements = {statements, sizeof statements / sizeof statements[0],
                                             LOGIN_APP};

/* Rights that each login needs.  Those on single columns do not count as rights on the table. */
static const char *app_rights[] = {
    "tenants SELECT",
    "tenants INSERT",
    "tenant_audit SELECT",
    "tenant_audit INSERT",
    "tenant_seq SELECT",
    "tenant_seq INSERT",
    "authz_epoch SELECT",
    "authz_epoch INSERT",
    "outbox INSERT",
    "slug_reservations SELECT",
    "slug_reservations INSERT",
    "slug_reservations DELETE",
    "idempotency SELECT",
    "idempotency INSERT",
    "idempotency UPDATE",
    "platform_idempotency SELECT",
    "platform_idempotency INSERT",
    "platform_idempotency UPDATE",
    "platform_audit INSERT",
    "schema_migrations SELECT",
    "installation SELECT",
    "rewound SELECT",
    "inbox SELECT",
    "inbox INSERT",
    "subscription SELECT",
    "subscription INSERT",
};
static const char *platform_rights[] = {
    "tenants SELECT",
    "authz_epoch SELECT",
    "rewound SELECT",
    "platform_audit INSERT",
};
static const char *relay_rights[] = {
    "outbox SELECT",
    "outbox DELETE",
    "outbox_sent SELECT",
    "outbox_sent INSERT",
    "outbox_sent DELETE",
    "outbox_dead SELECT",
    "outbox_dead INSERT",
    "outbox_dead DELETE",
    "rewound SELECT",
    "rewound INSERT",
    "relay_stream SELECT",
    "relay_lease SELECT",
    "relay_owner SELECT",
    "relay_owner INSERT",
    "relay_owner UPDATE",
    "relay_owner DELETE",
    "idempotency SELECT",
    "idempotency DELETE",
    "platform_idempotency SELECT",
    "platform_idempotency DELETE",
    "schema_migrations SELECT",
    "inbox SELECT",
    "inbox DELETE",
    "inbox_parked SELECT",
    "inbox_parked INSERT",
    "inbox_parked DELETE",
    "partitions_make EXECUTE",
    "partitions_drop EXECUTE",
};

/* Every table and every function of the schema this program was made for. */
static const char *known_names[] = {
    "tenants",         "tenant_audit",   "tenant_seq",        "authz_epoch",
    "outbox",          "outbox_sent",    "idempotency",       "platform_idempotency",
    "relay_lease",     "relay_owner",    "slug_reservations", "partition_retention",
    "installation",    "platform_audit", "schema_migrations", "partitions_make",
    "partitions_drop", "outbox_dead",    "rewound",           "relay_stream",
    "inbox",           "inbox_parked",   "subscription",
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
    const struct string_list names = {known_names, sizeof known_names / sizeof known_names[0]};
    const struct sql_value values[] = {sql_list(&rights), sql_list(&names)};
    TRY(tx_begin(store, ctx, mode_of(login), NULL, &tx));
    tx_queue(tx, &role_excess, values, &rows);
    TRY(tx_run(tx));
    if (rows.count == 0)
        return OK;
    struct row row = row_at(&rows, 0, ctx->arena);
    const char *what = row_text(&row, "what");
    TRY(row_end(ctx, &row));
    return FAULT(ctx, FAULT_CONFIG,
                 "%s: this login could get around row-level security; take away that %s", key,
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
    assert(0 && "a login that store_login does not have");
    return (struct string_list){NULL, 0};
}

static enum tx_mode mode_of(enum store_login login)
{
    return login == LOGIN_APP ? TX_CATALOG : login == LOGIN_PLATFORM ? TX_PLATFORM_READ : TX_RELAY;
}
