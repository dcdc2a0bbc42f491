/* Statements on the caller's connection; see include/tenant/events_postgres.h.
 *
 * Everything is one statement each, unnamed, with parameters.  READ COMMITTED is enough: an UPDATE that
 * waited for another transaction's row lock looks at the row again, and finds that its WHERE does not hold
 * any more. */
#include "base/buf.h"
#include "base/result.h"

#include "tenant/events_postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_SIZE 21
#define PARAMS_MAX 6
#define ARRAYS 5
#define DIVISION_BY_ZERO "22012"

static const char ddl[] = "CREATE TABLE IF NOT EXISTS tenant_inbox (\n"
                          "    consumer text NOT NULL,\n"
                          "    tenant_id text NOT NULL,\n"
                          "    incarnation bigint NOT NULL CHECK (incarnation > 0),\n"
                          "    sequence bigint NOT NULL CHECK (sequence > 0),\n"
                          "    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),\n"
                          "    PRIMARY KEY (consumer, tenant_id)\n"
                          ") WITH (fillfactor = 70);\n"
                          "CREATE TABLE IF NOT EXISTS tenant_inbox_requeued (\n"
                          "    consumer text NOT NULL,\n"
                          "    event_id text NOT NULL,\n"
                          "    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),\n"
                          "    PRIMARY KEY (consumer, event_id)\n"
                          ");\n";

/* Moves by an update from the expected position, or begins by an insert when none was expected. */
static const char advance[] =
    "WITH moved AS (UPDATE tenant_inbox SET incarnation = $3::bigint, sequence = $4::bigint,"
    "  applied_at = clock_timestamp() WHERE consumer = $1 AND tenant_id = $2"
    "  AND incarnation = $5::bigint AND sequence = $6::bigint RETURNING 1),"
    " begun AS (INSERT INTO tenant_inbox (consumer, tenant_id, incarnation, sequence)"
    "  SELECT $1, $2, $3::bigint, $4::bigint WHERE $5::bigint = 0"
    "  ON CONFLICT (consumer, tenant_id) DO NOTHING RETURNING 1)"
    " SELECT (SELECT count(*) FROM moved) + (SELECT count(*) FROM begun)";

/* The tenant's row is locked, so that an event of the same tenant is applied before or behind it. */
static const char requeued[] =
    "WITH held AS MATERIALIZED (SELECT 1 FROM tenant_inbox WHERE consumer = $1 AND tenant_id = $2"
    "  FOR UPDATE),"
    " noted AS (INSERT INTO tenant_inbox_requeued (consumer, event_id)"
    "  SELECT $1, $3 FROM (SELECT count(*) FROM held) counted"
    "  ON CONFLICT (consumer, event_id) DO NOTHING RETURNING 1)"
    " SELECT count(*) FROM noted";

/* Divides by zero, which undoes the statement, unless every change was made. */
static const char store[] =
    "WITH change AS (SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[],"
    "  $6::bigint[]) AS c(tenant_id, incarnation, sequence, last_incarnation, last_sequence)),"
    " moved AS (UPDATE tenant_inbox i SET incarnation = c.incarnation, sequence = c.sequence,"
    "  applied_at = clock_timestamp() FROM change c WHERE i.consumer = $1"
    "  AND i.tenant_id = c.tenant_id AND i.incarnation = c.last_incarnation"
    "  AND i.sequence = c.last_sequence RETURNING 1),"
    " begun AS (INSERT INTO tenant_inbox (consumer, tenant_id, incarnation, sequence)"
    "  SELECT $1, c.tenant_id, c.incarnation, c.sequence FROM change c"
    "  WHERE c.last_incarnation = 0 ON CONFLICT (consumer, tenant_id) DO NOTHING RETURNING 1)"
    " SELECT 1 / ((SELECT count(*) FROM moved) + (SELECT count(*) FROM begun)"
    "  = (SELECT count(*) FROM change))::int";

static const char load[] =
    "SELECT incarnation, sequence FROM tenant_inbox WHERE consumer = $1 AND tenant_id = $2";

static const char forget[] = "DELETE FROM tenant_inbox WHERE consumer = $1";

static const char prune[] = "DELETE FROM tenant_inbox_requeued WHERE consumer = $1"
                            " AND applied_at < clock_timestamp() - make_interval(days => $2::int)";

struct question {
    const char *text;
    const char *values[PARAMS_MAX];
    int count;
};

static enum tenant_inbox_result ask(PGconn *connection, const struct question *question,
                                    PGresult **result);
static enum tenant_inbox_result run(PGconn *connection, const struct question *question);
static enum tenant_inbox_result count_changes(PGconn *connection, const struct question *question,
                                              enum tenant_inbox_result if_none);
static const char *number(uint64_t value, char out[NUMBER_SIZE]);
static void array_add(struct buf *array, const char *item);

const char *tenant_inbox_ddl(void)
{
    return ddl;
}

enum tenant_inbox_result tenant_inbox_create(PGconn *connection)
{
    PGresult *result = PQexec(connection, ddl);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return good ? TENANT_INBOX_OK : TENANT_INBOX_FAILED;
}

enum tenant_inbox_result tenant_inbox_advance(PGconn *connection, const char *group,
                                              const struct tenant_event *event)
{
    char numbers[4][NUMBER_SIZE];
    if (event->is_requeued)
        return count_changes(connection,
                             &(struct question){.text = requeued,
                                                .values = {group, event->tenant_id, event->id},
                                                .count = 3},
                             TENANT_INBOX_ALREADY);
    const struct question question = {
        .text = advance,
        .values = {group, event->tenant_id, number(event->at.incarnation, numbers[0]),
                   number(event->at.sequence, numbers[1]),
                   number(event->before.incarnation, numbers[2]),
                   number(event->before.sequence, numbers[3])},
        .count = 6,
    };
    return count_changes(connection, &question, TENANT_INBOX_STALE);
}

enum tenant_inbox_result tenant_inbox_load(PGconn *connection, const char *group,
                                           const char *tenant_id, struct tenant_position *position)
{
    PGresult *result = NULL;
    enum tenant_inbox_result rc =
        ask(connection, &(struct question){.text = load, .values = {group, tenant_id}, .count = 2},
            &result);
    if (rc == TENANT_INBOX_OK) {
        bool found = PQntuples(result) == 1;
        position->incarnation = found ? strtoull(PQgetvalue(result, 0, 0), NULL, 10) : 0;
        position->sequence = found ? strtoull(PQgetvalue(result, 0, 1), NULL, 10) : 0;
    }
    PQclear(result);
    return rc;
}

/* Nothing in the arrays needs quoting: ids of tenants and numbers. */
enum tenant_inbox_result tenant_inbox_store(PGconn *connection, const char *group,
                                            const struct tenant_position_change *changes,
                                            size_t count)
{
    struct buf arrays[ARRAYS] = {0};
    char text[NUMBER_SIZE];
    struct question question = {.text = store, .values = {group}, .count = 1 + ARRAYS};
    for (size_t i = 0; i < count; i++) {
        array_add(&arrays[0], changes[i].tenant_id);
        array_add(&arrays[1], number(changes[i].after.incarnation, text));
        array_add(&arrays[2], number(changes[i].after.sequence, text));
        array_add(&arrays[3], number(changes[i].before.incarnation, text));
        array_add(&arrays[4], number(changes[i].before.sequence, text));
    }
    for (size_t i = 0; i < ARRAYS; i++) {
        buf_put_str(&arrays[i], count == 0 ? "{}" : "}");
        question.values[1 + i] = buf_str(&arrays[i]);
    }
    enum tenant_inbox_result rc = run(connection, &question);
    for (size_t i = 0; i < ARRAYS; i++)
        buf_deinit(&arrays[i]);
    return rc;
}

enum tenant_inbox_result tenant_inbox_forget(PGconn *connection, const char *group)
{
    return run(connection, &(struct question){.text = forget, .values = {group}, .count = 1});
}

enum tenant_inbox_result tenant_inbox_prune(PGconn *connection, const char *group, unsigned days)
{
    char text[NUMBER_SIZE];
    return run(connection, &(struct question){
                               .text = prune, .values = {group, number(days, text)}, .count = 2});
}

static enum tenant_inbox_result ask(PGconn *connection, const struct question *question,
                                    PGresult **result)
{
    *result = PQexecParams(connection, question->text, question->count, NULL, question->values,
                           NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(*result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return TENANT_INBOX_OK;
    const char *code = PQresultErrorField(*result, PG_DIAG_SQLSTATE);
    return code != NULL && strcmp(code, DIVISION_BY_ZERO) == 0 ? TENANT_INBOX_STALE
                                                               : TENANT_INBOX_FAILED;
}

static enum tenant_inbox_result run(PGconn *connection, const struct question *question)
{
    PGresult *result = NULL;
    enum tenant_inbox_result rc = ask(connection, question, &result);
    PQclear(result);
    return rc;
}

/* The answer is how many rows were changed: one or none. */
static enum tenant_inbox_result count_changes(PGconn *connection, const struct question *question,
                                              enum tenant_inbox_result if_none)
{
    PGresult *result = NULL;
    enum tenant_inbox_result rc = ask(connection, question, &result);
    if (rc == TENANT_INBOX_OK && strcmp(PQgetvalue(result, 0, 0), "1") != 0)
        rc = if_none;
    PQclear(result);
    return rc;
}

static const char *number(uint64_t value, char out[NUMBER_SIZE])
{
    snprintf(out, NUMBER_SIZE, "%" PRIu64, value);
    return out;
}

static void array_add(struct buf *array, const char *item)
{
    buf_put_byte(array, buf_size(array) == 0 ? '{' : ',');
    buf_put_str(array, item);
}
