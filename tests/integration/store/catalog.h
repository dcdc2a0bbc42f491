/* A database's schema as sorted lines of text, to be compared: everything that a migration can make. */
#ifndef TESTS_STORE_CATALOG_H
#define TESTS_STORE_CATALOG_H

#include "tests/integration/store/rig.h"

#define CATALOG_OF_TENANT "WHERE n.nspname = 'tenant'"
#define CATALOG_CLASS                                                                              \
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace " CATALOG_OF_TENANT " "
#define CATALOG_GRANT "g.grantee::regrole || ' ' || g.privilege_type || ' ' || g.is_grantable "

/* Positions are counted without dropped columns; rights are told one by one, spelled out or by default. */
static const char catalog_query[] =
    "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM ("
    "SELECT concat_ws(' ', 'schema', n.nspname, n.nspowner::regrole, " CATALOG_GRANT ") AS line FROM "
    "pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) g WHERE n.nspname "
    "NOT LIKE 'pg_%' AND n.nspname <> 'information_schema' "
    "UNION ALL SELECT concat_ws(' ', 'relation', c.relkind, c.relname, c.relowner::regrole, "
    "c.relrowsecurity, c.relforcerowsecurity, c.reloptions::text, obj_description(c.oid, 'pg_class')) "
    CATALOG_CLASS
    "UNION ALL SELECT concat_ws(' ', 'right', c.relname, " CATALOG_GRANT ") FROM pg_class c JOIN "
    "pg_namespace n ON n.oid = c.relnamespace, aclexplode(coalesce(c.relacl, acldefault((CASE "
    "c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\", c.relowner))) g " CATALOG_OF_TENANT
    " AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') "
    "UNION ALL SELECT concat_ws(' ', 'column', c.relname, row_number() OVER (PARTITION BY c.oid ORDER "
    "BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, "
    "a.attgenerated, a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid), "
    "col_description(c.oid, a.attnum)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN "
    "pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum " CATALOG_OF_TENANT
    " AND c.relkind IN ('r', 'p', 'v', 'm') "
    "UNION ALL SELECT concat_ws(' ', 'column right', c.relname, a.attname, " CATALOG_GRANT ") FROM "
    "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = "
    "c.oid AND NOT a.attisdropped, aclexplode(a.attacl) g " CATALOG_OF_TENANT " "
    "UNION ALL SELECT concat_ws(' ', 'constraint', c.relname, k.conname, pg_get_constraintdef(k.oid)) "
    "FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = "
    "c.relnamespace " CATALOG_OF_TENANT " "
    "UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid) FROM "
    "pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    CATALOG_OF_TENANT " "
    "UNION ALL SELECT concat_ws(' ', 'policy', tablename, policyname, permissive, roles::text, cmd, "
    "qual, 'check', with_check) FROM pg_policies WHERE schemaname = 'tenant' "
    "UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid)) FROM pg_trigger t JOIN "
    "pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace " CATALOG_OF_TENANT
    " AND NOT t.tgisinternal "
    "UNION ALL SELECT concat_ws(' ', 'function', p.oid::regprocedure, p.proowner::regrole, "
    CATALOG_GRANT ", md5(pg_get_functiondef(p.oid))) FROM pg_proc p JOIN pg_namespace n ON n.oid = "
    "p.pronamespace, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g " CATALOG_OF_TENANT
    " AND p.prokind IN ('f', 'p') "
    "UNION ALL SELECT concat_ws(' ', 'type', t.typname, t.typtype, (SELECT string_agg(e.enumlabel, ',' "
    "ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)) FROM pg_type t JOIN "
    "pg_namespace n ON n.oid = t.typnamespace " CATALOG_OF_TENANT " AND t.typtype IN ('e', 'd', 'r') "
    "UNION ALL SELECT concat_ws(' ', 'default right', f.defaclrole::regrole, "
    "f.defaclnamespace::regnamespace, f.defaclobjtype, " CATALOG_GRANT ") FROM pg_default_acl f, "
    "aclexplode(f.defaclacl) g "
    "UNION ALL SELECT concat_ws(' ', 'extension', extname) FROM pg_extension) AS lines";

/* The schema's lines, in the arena. */
static inline const char *catalog_read(PGconn *root, struct arena *arena)
{
    PGresult *result = PQexec(root, catalog_query);
    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(root));
    const char *lines = arena_printf(arena, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return lines;
}

static inline bool catalog_has_line(const char *lines, const char *line, size_t size)
{
    for (const char *at = lines; at != NULL && *at != '\0'; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, line, size) == 0 && (at[size] == '\n' || at[size] == '\0'))
            return true;
    }
    return false;
}

/* Fails with a line of `a` that `b` has not. */
static inline void catalog_expect_within(const char *a, const char *b, const char *when)
{
    for (const char *at = a; *at != '\0';) {
        size_t size = strcspn(at, "\n");
        ck_assert_msg(catalog_has_line(b, at, size), "%s: %.*s", when, (int)size, at);
        at += size + (at[size] == '\n');
    }
}

static inline void catalog_expect_same(const char *before, const char *after, const char *when)
{
    char text[160];
    snprintf(text, sizeof text, "%s lost", when);
    catalog_expect_within(before, after, text);
    snprintf(text, sizeof text, "%s left behind", when);
    catalog_expect_within(after, before, text);
}

#endif
