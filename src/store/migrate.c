/* Forward-only migrations; see migrate.h.
 *
 * Blocking libpq on the caller's own thread, with the owner's login: nothing else in this
 * program may change the schema.  Each file is one transaction with its own row in the history,
 * so a run that breaks off goes on where it stopped. */
#include "store/migrate.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <libpq-fe.h>

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 1000
#define FILE_BYTES_MAX ((size_t)4 << 20)
#define LOCK_KEY "7307211900261123" /* one number for "tenant migrations", the same for all replicas */
#define PASSED_OVER "newer" /* no checksum */
#define LOCK_PATIENCE "60s" /* how long a second run waits for the first */

struct migration {
    int version;
    char *name; /* "0001_foundation.sql", owned */
    struct buf text;
};

struct migrations {
    struct migration items[FILES_MAX];
    size_t count;
};

static int read_folder(struct ctx *ctx, const char *folder, struct migrations *migrations);
static bool is_migration(const char *name);
static int read_text(struct ctx *ctx, const char *folder, struct migration *migration);
static int check_order(struct ctx *ctx, const struct migrations *migrations, const char *folder);
static int by_version(const void *a, const void *b);
static int connect_to(struct ctx *ctx, const char *url, PGconn **out);
static void ignore_notice(void *owner, const char *message);
static int lock_history(struct ctx *ctx, PGconn *pq);
static int apply_all(struct ctx *ctx, PGconn *pq, const struct migrations *migrations,
                     migrate_report *report, void *owner);
static int apply_one(struct ctx *ctx, PGconn *pq, const struct migration *migration,
                     bool *applied_now);
static int run_file(struct ctx *ctx, PGconn *pq, const struct migration *migration,
                    const char *checksum);
static int ask(struct ctx *ctx, PGconn *pq, const char *text, const char *const *values,
               char out[65]);

int migrate_run(struct ctx *ctx, const char *url, const char *folder, migrate_report *report,
                void *owner)
{
    struct migrations *migrations = xcalloc(1, sizeof *migrations);
    PGconn *pq = NULL;
    int rc = read_folder(ctx, folder, migrations);
    if (rc == OK)
        rc = connect_to(ctx, url, &pq);
    if (rc == OK)
        rc = apply_all(ctx, pq, migrations, report, owner);
    PQfinish(pq);
    for (size_t i = 0; i < migrations->count; i++) {
        free(migrations->items[i].name);
        buf_deinit(&migrations->items[i].text);
    }
    free(migrations);
    return rc;
}

/* All files are read and checked before the database is touched. */
static int read_folder(struct ctx *ctx, const char *folder, struct migrations *migrations)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return FAULT(ctx, FAULT_CONFIG, "migrations folder %s: %s (see --migrations)", folder,
                     strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!is_migration(entry->d_name) || migrations->count == FILES_MAX)
            continue;
        struct migration *migration = &migrations->items[migrations->count++];
        migration->version = (int)strtol(entry->d_name, NULL, 10);
        migration->name = xstrdup(entry->d_name);
    }
    closedir(dir);
    qsort(migrations->items, migrations->count, sizeof *migrations->items, by_version);
    for (size_t i = 0; i < migrations->count; i++)
        TRY(read_text(ctx, folder, &migrations->items[i]));
    return check_order(ctx, migrations, folder);
}

static bool is_migration(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < 4; i++) {
        if (!isdigit((unsigned char)name[i]))
            return false;
    }
    return name[4] == '_' && size > 9 && strcmp(name + size - 4, ".sql") == 0;
}

static int read_text(struct ctx *ctx, const char *folder, struct migration *migration)
{
    char *path = arena_printf(ctx->arena, "%s/%s", folder, migration->name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return FAULT(ctx, FAULT_CONFIG, "%s: %s", path, strerror(errno));
    migration->text.limit = FILE_BYTES_MAX;
    for (size_t got = 1; got > 0 && !migration->text.overflown;) {
        uint8_t *place = buf_reserve(&migration->text, 4096);
        got = place == NULL ? 0 : fread(place, 1, 4096, file);
        if (place != NULL)
            buf_commit(&migration->text, got);
    }
    bool broken = ferror(file) != 0;
    fclose(file);
    struct slice text = buf_slice(&migration->text);
    if (broken || migration->text.overflown || memchr(text.data, '\0', text.size) != NULL)
        return FAULT(ctx, FAULT_CONFIG, "%s: cannot be read as SQL text of at most 4 MiB", path);
    return OK;
}

/* A gap or a number twice is a mistake in the release, best told before anything ran. */
static int check_order(struct ctx *ctx, const struct migrations *migrations, const char *folder)
{
    if (migrations->count == 0)
        return FAULT(ctx, FAULT_CONFIG, "migrations folder %s holds no NNNN_name.sql", folder);
    for (size_t i = 0; i < migrations->count; i++) {
        if (migrations->items[i].version != (int)i + 1)
            return FAULT(ctx, FAULT_CONFIG, "%s/%s: expected number %04zu here", folder,
                         migrations->items[i].name, i + 1);
    }
    return OK;
}

static int by_version(const void *a, const void *b)
{
    return strcmp(((const struct migration *)a)->name, ((const struct migration *)b)->name);
}

static int connect_to(struct ctx *ctx, const char *url, PGconn **out)
{
    const char *keys[] = {"dbname",          "application_name",    "connect_timeout",
                          "keepalives_idle", "keepalives_interval", "keepalives_count",
                          NULL};
    const char *values[] = {url, "tenant-service migrate", "10", "10", "5", "3", NULL};
    *out = PQconnectdbParams(keys, values, 1);
    if (PQstatus(*out) != CONNECTION_OK)
        return FAULT(ctx, FAULT_DATABASE, "database.migrate_url: %.180s", PQerrorMessage(*out));
    PQsetNoticeProcessor(*out, ignore_notice, NULL);
    return lock_history(ctx, *out);
}

/* libpq would print it. */
static void ignore_notice(void *owner, const char *message)
{
    (void)owner;
    (void)message;
}

/* One run at a time.  A session that is not ours alone cannot hold a lock: PgBouncer shows the client a
 * process number of its own. */
static int lock_history(struct ctx *ctx, PGconn *pq)
{
    char answer[65];
    TRY(ask(ctx, pq, "SELECT pg_backend_pid()::text", NULL, answer));
    if (strtol(answer, NULL, 10) != PQbackendPID(pq))
        return FAULT(ctx, FAULT_CONFIG,
                     "database.migrate_url leads through a pooler: migrations need a direct "
                     "connection to PostgreSQL");
    TRY(ask(ctx, pq, "BEGIN", NULL, answer));
    TRY(ask(ctx, pq, "SELECT set_config('lock_timeout', '" LOCK_PATIENCE "', true)", NULL, answer));
    TRY(ask(ctx, pq, "SELECT pg_advisory_lock(" LOCK_KEY ")::text", NULL, answer));
    return ask(ctx, pq, "COMMIT", NULL, answer); /* the lock is the session's and stays */
}

static int apply_all(struct ctx *ctx, PGconn *pq, const struct migrations *migrations,
                     migrate_report *report, void *owner)
{
    for (size_t i = 0; i < migrations->count; i++) {
        const struct migration *migration = &migrations->items[i];
        bool applied_now = false;
        TRY(apply_one(ctx, pq, migration, &applied_now));
        report(owner, migration->version, migration->name, applied_now);
    }
    return OK;
}

/* The checksum is the server's, over the file's text.  What was applied must
 * never change. */
static int apply_one(struct ctx *ctx, PGconn *pq, const struct migration *migration,
                     bool *applied_now)
{
    char checksum[65];
    char known[65] = "";
    struct buf text = BUF_EMPTY;
    buf_put_slice(&text, buf_slice(&migration->text));
    const char *content[] = {buf_str(&text), NULL};
    int rc = ask(ctx, pq, "SELECT encode(sha256(convert_to($1::text, 'UTF8')), 'hex')", content,
                 checksum);
    buf_deinit(&text);
    TRY(rc);
    char there[65];
    TRY(ask(ctx, pq, "SELECT (to_regclass('tenant.schema_migrations') IS NOT NULL)::text", NULL,
            there));
    char version[12];
    snprintf(version, sizeof version, "%d", migration->version);
    const char *key[] = {version, NULL};
    if (strcmp(there, "true") == 0)
        TRY(ask(ctx, pq,
                "SELECT coalesce(max(checksum) FILTER (WHERE version = $1::int), CASE WHEN "
                "max(version) > $1::int THEN '" PASSED_OVER "' END) FROM tenant.schema_migrations",
                key, known));
    if (strcmp(known, PASSED_OVER) == 0)
        return FAULT(ctx, FAULT_CONFIG,
                     "%s was never applied, but newer ones were: take those back first",
                     migration->name);
    *applied_now = known[0] == '\0';
    if (*applied_now)
        return run_file(ctx, pq, migration, checksum);
    if (strcmp(known, checksum) != 0)
        return FAULT(ctx, FAULT_CONFIG,
                     "%s was changed after it was applied: write a new migration instead",
                     migration->name);
    return OK;
}

/* PQexec() runs several statements; our BEGIN stands before the file's own, and the history row
 * and the COMMIT behind it. */
static int run_file(struct ctx *ctx, PGconn *pq, const struct migration *migration,
                    const char *checksum)
{
    struct buf script = BUF_EMPTY;
    buf_put_str(&script, "BEGIN;\n");
    buf_put_slice(&script, buf_slice(&migration->text));
    PGresult *result = PQexec(pq, buf_str(&script));
    bool done = PQresultStatus(result) == PGRES_COMMAND_OK ||
                PQresultStatus(result) == PGRES_TUPLES_OK;
    PQclear(result);
    buf_deinit(&script);
    if (!done)
        return FAULT(ctx, FAULT_INTERNAL, "%s: %.180s", migration->name, PQerrorMessage(pq));
    if (PQtransactionStatus(pq) != PQTRANS_INTRANS)
        return FAULT(ctx, FAULT_CONFIG, "%s ends its transaction itself: leave COMMIT out",
                     migration->name);
    char version[12];
    snprintf(version, sizeof version, "%d", migration->version);
    const char *values[] = {version, migration->name, checksum, NULL};
    char ignored[65];
    TRY(ask(ctx, pq, "INSERT INTO tenant.schema_migrations (version, name, checksum) "
                     "VALUES ($1::int, $2, $3)",
            values, ignored));
    return ask(ctx, pq, "COMMIT", NULL, ignored);
}

/* Runs one statement with values up to a NULL; `out` gets the first cell of the first row, "" when
 * there is none. */
static int ask(struct ctx *ctx, PGconn *pq, const char *text, const char *const *values,
               char out[65])
{
    int count = 0;
    while (values != NULL && values[count] != NULL)
        count++;
    PGresult *result = PQexecParams(pq, text, count, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    bool done = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    out[0] = '\0';
    if (done && PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
        snprintf(out, 65, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    if (!done)
        return FAULT(ctx, FAULT_INTERNAL, "migrations: %.200s", PQerrorMessage(pq));
    return OK;
}
