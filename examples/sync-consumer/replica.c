/* Applies events to the table tenant_replica.
 *
 * Every event of our types carries the whole tenant as it was after the change, so applying one is an upsert.  A row
 * never goes back: a dead letter that comes later than its successors finds a row that is newer. */
#include "replica.h"

#include "columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENT_MS "10000"
#define SILENCE_MS "15000"

static const char table[] =
    "CREATE TABLE IF NOT EXISTS tenant_replica (\n"
    "    tenant_id text PRIMARY KEY,\n"
    "    slug text NOT NULL,\n"
    "    display_name text NOT NULL,\n"
    "    type text NOT NULL,\n"
    "    home_region text NOT NULL,\n"
    "    status text NOT NULL,\n"
    "    plan_id text NOT NULL,\n"
    "    plan_addons text[] NOT NULL,\n"
    "    labels jsonb NOT NULL,\n"
    "    default_locale text NOT NULL,\n"
    "    allowed_locales text[] NOT NULL,\n"
    "    mfa_required boolean NOT NULL,\n"
    "    offline_enabled boolean NOT NULL,\n"
    "    ai_enabled boolean NOT NULL,\n"
    "    branding_theme jsonb NOT NULL,\n"
    "    create_time timestamptz,\n"
    "    update_time timestamptz,\n"
    "    etag text NOT NULL,\n"
    "    incarnation bigint NOT NULL,\n"
    "    sequence bigint NOT NULL,\n"
    "    event_id text NOT NULL,\n"
    "    events bigint NOT NULL DEFAULT 1,\n" /* applied to this row */
    "    is_stale boolean NOT NULL DEFAULT false\n" /* in doubt: a change was withheld, or is void */
    ");\n"
    /* Whose rows are in doubt: also of tenants that have none, because it was their first event that was withheld. */
    "CREATE TABLE IF NOT EXISTS tenant_doubt (\n"
    "    tenant_id text PRIMARY KEY,\n"
    "    incarnation bigint NOT NULL,\n" /* of the event that left it */
    "    sequence bigint NOT NULL,\n"
    "    since timestamptz NOT NULL DEFAULT now()\n"
    ");\n";

#define ROW_PUT                                                                                                        \
    "INSERT INTO tenant_replica (tenant_id, slug, display_name, type, home_region, status, plan_id, plan_addons,"      \
    " labels, default_locale, allowed_locales, mfa_required, offline_enabled, ai_enabled, branding_theme,"             \
    " create_time, update_time, etag, incarnation, sequence, event_id, is_stale)"                                      \
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text[], jsonb_object($9::text[]), $10, $11::text[], $12::boolean,"       \
    " $13::boolean, $14::boolean, jsonb_object($15::text[]), $16::timestamptz, $17::timestamptz, $18, $19::bigint,"    \
    " $20::bigint, $21, EXISTS (SELECT FROM tenant_doubt d WHERE d.tenant_id = $1"                                     \
    " AND (d.incarnation, d.sequence) > ($19::bigint, $20::bigint)))"                                                  \
    " ON CONFLICT (tenant_id) DO UPDATE SET slug = excluded.slug, display_name = excluded.display_name,"               \
    " type = excluded.type, home_region = excluded.home_region, status = excluded.status,"                             \
    " plan_id = excluded.plan_id, plan_addons = excluded.plan_addons, labels = excluded.labels,"                       \
    " default_locale = excluded.default_locale, allowed_locales = excluded.allowed_locales,"                           \
    " mfa_required = excluded.mfa_required, offline_enabled = excluded.offline_enabled,"                               \
    " ai_enabled = excluded.ai_enabled, branding_theme = excluded.branding_theme,"                                     \
    " create_time = excluded.create_time, update_time = excluded.update_time, etag = excluded.etag,"                   \
    " incarnation = excluded.incarnation, sequence = excluded.sequence, event_id = excluded.event_id,"                 \
    " is_stale = excluded.is_stale"
#define DOUBT_END "WITH known AS (DELETE FROM tenant_doubt WHERE tenant_id = $1) "

/* A later event ends a doubt; a dead letter that was sent back may be an earlier one, and then the row stays stale.
 * What was read by RPC may be ahead of the events that follow: they take nothing back. */
static const char upsert[] =
    "WITH known AS (DELETE FROM tenant_doubt WHERE tenant_id = $1"
    " AND (incarnation, sequence) < ($19::bigint, $20::bigint)) " ROW_PUT
    ", events = tenant_replica.events + 1"
    " WHERE (tenant_replica.incarnation, tenant_replica.sequence) < (excluded.incarnation, excluded.sequence)"
    " AND (tenant_replica.incarnation < excluded.incarnation"
    " OR coalesce(tenant_replica.update_time <= excluded.update_time, true))";

static const char doubt[] =
    "WITH row AS (UPDATE tenant_replica SET is_stale = true WHERE tenant_id = $1)"
    " INSERT INTO tenant_doubt (tenant_id, incarnation, sequence) VALUES ($1, $2::bigint, $3::bigint)"
    " ON CONFLICT (tenant_id) DO UPDATE SET incarnation = excluded.incarnation, sequence = excluded.sequence"
    " WHERE (tenant_doubt.incarnation, tenant_doubt.sequence) < (excluded.incarnation, excluded.sequence)";

/* In no order: of many, those that cannot be read must not stand before the others for ever. */
static const char doubts[] = "SELECT d.tenant_id, i.incarnation, i.sequence FROM tenant_doubt d JOIN tenant_inbox i"
                             " ON i.consumer = $1 AND i.tenant_id = d.tenant_id ORDER BY random() LIMIT $2::bigint";

/* Whoever applies an event has the first row first, and whoever settles a doubt the second: of two members that do, one
 * finds it gone. */
static const char still_at[] = "SELECT FROM tenant_inbox i JOIN tenant_doubt d USING (tenant_id) WHERE i.consumer = $1"
                               " AND i.tenant_id = $2 AND i.incarnation = $3::bigint AND i.sequence = $4::bigint"
                               " FOR UPDATE OF i, d";

static const char read_row[] = DOUBT_END ROW_PUT;
static const char no_row[] = DOUBT_END "DELETE FROM tenant_replica WHERE tenant_id = $1";

#define ROW_PARAMS (COLUMN_COUNT + 3)
#define NUMBER_SIZE 24

static bool is_up(struct replica *replica)
{
    if (replica->connection != NULL && PQstatus(replica->connection) == CONNECTION_OK)
        return true;
    replica_close(replica);
    /* The tables of this program, found in its schema, and an end to every wait: for a lock by the server, for a
     * server that is gone by the kernel.  Options of the session, which hold with a direct connection and with a
     * pooler in session mode. */
    char *options = NULL;
    if (asprintf(&options, "-csearch_path=%s -cstatement_timeout=" STATEMENT_MS, replica->schema) < 0)
        abort();
    const char *keys[] = {"dbname",           "options",       "connect_timeout", "tcp_user_timeout",
                          "application_name", NULL};
    const char *values[] = {replica->url, options, "5", SILENCE_MS, "sync-consumer", NULL};
    replica->connection = PQconnectdbParams(keys, values, 1);
    free(options);
    if (PQstatus(replica->connection) == CONNECTION_OK)
        return true;
    fprintf(stderr, "sync-consumer: database: %s", PQerrorMessage(replica->connection));
    return false;
}

static bool run(struct replica *replica, const char *text, const char *const *values, int count)
{
    PGresult *result = PQexecParams(replica->connection, text, count, NULL, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return good;
}

/* What failed: the event, or everything?  Class 22 and 23 are about the data that the statement got. */
static enum tenant_outcome failure(struct replica *replica, PGresult *result, struct tenant_reason *reason)
{
    const char *code = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool about_data = code != NULL && (strncmp(code, "22", 2) == 0 || strncmp(code, "23", 2) == 0);
    snprintf(reason->cause, sizeof reason->cause, "DATABASE");
    snprintf(reason->detail, sizeof reason->detail, "%s %s", code == NULL ? "" : code,
             PQerrorMessage(replica->connection));
    reason->detail[strcspn(reason->detail, "\n")] = '\0';
    PQclear(result);
    if (PQstatus(replica->connection) == CONNECTION_OK)
        (void)run(replica, "ROLLBACK", NULL, 0);
    return about_data ? TENANT_EVENT_RETRY : TENANT_EVENT_UNAVAILABLE;
}

static void position_texts(const struct tenant_position *at, char numbers[2][NUMBER_SIZE])
{
    snprintf(numbers[0], NUMBER_SIZE, "%llu", (unsigned long long)at->incarnation);
    snprintf(numbers[1], NUMBER_SIZE, "%llu", (unsigned long long)at->sequence);
}

/* The field `tenant` of a payload of any of our types; NULL: it has none. */
static const Tenant__V1__Tenant *tenant_of(const struct tenant_event *event)
{
    const ProtobufCMessage *payload = tenant_event_payload(event);
    if (payload == NULL)
        return NULL;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(payload->descriptor, "tenant");
    if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED ||
        field->descriptor != &tenant__v1__tenant__descriptor)
        return NULL;
    const Tenant__V1__Tenant *tenant = NULL;
    memcpy(&tenant, (const char *)payload + field->offset, sizeof tenant);
    return tenant;
}

/* The row may be wrong, and no event says how: a change was withheld, or the latest ones are void. */
static bool leaves_doubt(const struct tenant_event *event)
{
    return strcmp(event->type, "tenant.event.withheld") == 0 || strcmp(event->type, "tenant.log.rewound") == 0;
}

/* The row of a tenant as it was at a position; `event_id` is "" where no event says so. */
static PGresult *put(struct replica *replica, const char *text, const Tenant__V1__Tenant *tenant,
                     const struct tenant_position *at, const char *event_id)
{
    char numbers[2][NUMBER_SIZE];
    struct columns columns;
    const char *values[ROW_PARAMS];
    columns_make(tenant, &columns);
    for (int i = 0; i < COLUMN_COUNT; i++)
        values[i] = columns.text[i];
    position_texts(at, numbers);
    values[COLUMN_COUNT] = numbers[0];
    values[COLUMN_COUNT + 1] = numbers[1];
    values[COLUMN_COUNT + 2] = event_id;
    PGresult *result = PQexecParams(replica->connection, text, ROW_PARAMS, NULL, values, NULL, NULL, 0);
    columns_free(&columns);
    return result;
}

static PGresult *effect(struct replica *replica, const struct tenant_event *event)
{
    const Tenant__V1__Tenant *tenant = tenant_of(event);
    char numbers[2][NUMBER_SIZE];
    position_texts(&event->at, numbers);
    const char *values[] = {event->tenant_id, numbers[0], numbers[1]};
    if (tenant == NULL && leaves_doubt(event))
        return PQexecParams(replica->connection, doubt, 3, NULL, values, NULL, NULL, 0);
    if (tenant == NULL)
        return NULL; /* of no interest: only the position moves */
    return put(replica, upsert, tenant, &event->at, event->id);
}

enum tenant_outcome replica_apply(void *context, const struct tenant_event *event, struct tenant_reason *reason)
{
    struct replica *replica = context;
    if (!is_up(replica) || !run(replica, "BEGIN", NULL, 0))
        return TENANT_EVENT_UNAVAILABLE;
    switch (tenant_inbox_advance(replica->connection, replica->group, event)) {
    case TENANT_INBOX_OK:
        break;
    case TENANT_INBOX_ALREADY:
        (void)run(replica, "ROLLBACK", NULL, 0);
        return TENANT_EVENT_DONE;
    case TENANT_INBOX_STALE:
        (void)run(replica, "ROLLBACK", NULL, 0);
        return TENANT_EVENT_STALE;
    case TENANT_INBOX_FAILED:
        return failure(replica, NULL, reason);
    }
    PGresult *result = effect(replica, event);
    if (result != NULL && PQresultStatus(result) != PGRES_COMMAND_OK)
        return failure(replica, result, reason);
    PQclear(result);
    /* Whether a COMMIT that was not answered happened shows when the event comes again. */
    return run(replica, "COMMIT", NULL, 0) ? TENANT_EVENT_DONE : TENANT_EVENT_UNAVAILABLE;
}

int replica_load(void *context, const char *tenant_id, struct tenant_position *position)
{
    struct replica *replica = context;
    return !is_up(replica) || tenant_inbox_load(replica->connection, replica->group, tenant_id, position) != TENANT_INBOX_OK;
}

int replica_store(void *context, const struct tenant_position_change *changes, size_t count)
{
    struct replica *replica = context;
    if (!is_up(replica))
        return 2;
    enum tenant_inbox_result rc = tenant_inbox_store(replica->connection, replica->group, changes, count);
    return rc == TENANT_INBOX_OK ? 0 : rc == TENANT_INBOX_STALE ? TENANT_STORE_STALE : 2;
}

bool replica_doubts(struct replica *replica, struct replica_doubts *out)
{
    char limit[NUMBER_SIZE];
    snprintf(limit, sizeof limit, "%d", REPLICA_DOUBTS_MAX);
    const char *values[] = {replica->group, limit};
    *out = (struct replica_doubts){.count = 0};
    if (!is_up(replica))
        return false;
    PGresult *result = PQexecParams(replica->connection, doubts, 2, NULL, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
    for (int i = 0; good && i < PQntuples(result) && i < REPLICA_DOUBTS_MAX; i++) {
        struct replica_doubt *one = &out->items[out->count++];
        snprintf(one->tenant_id, sizeof one->tenant_id, "%s", PQgetvalue(result, i, 0));
        one->at.incarnation = strtoull(PQgetvalue(result, i, 1), NULL, 10);
        one->at.sequence = strtoull(PQgetvalue(result, i, 2), NULL, 10);
    }
    PQclear(result);
    return good;
}

/* 1: nothing has come in between; 0: something has; -1: the database failed. */
static int locked_at(struct replica *replica, const struct replica_doubt *one)
{
    char numbers[2][NUMBER_SIZE];
    position_texts(&one->at, numbers);
    const char *values[] = {replica->group, one->tenant_id, numbers[0], numbers[1]};
    PGresult *result = PQexecParams(replica->connection, still_at, 4, NULL, values, NULL, NULL, 0);
    int locked = PQresultStatus(result) == PGRES_TUPLES_OK ? PQntuples(result) : -1;
    PQclear(result);
    return locked;
}

bool replica_settle(struct replica *replica, const struct replica_doubt *one, const Tenant__V1__Tenant *tenant)
{
    const char *id = one->tenant_id;
    if (!is_up(replica) || !run(replica, "BEGIN", NULL, 0))
        return false;
    int locked = locked_at(replica, one);
    if (locked != 1) {
        (void)run(replica, "ROLLBACK", NULL, 0);
        return locked == 0;
    }
    PGresult *result = tenant == NULL ? PQexecParams(replica->connection, no_row, 1, NULL, &id, NULL, NULL, 0)
                                      : put(replica, read_row, tenant, &one->at, "");
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!good)
        fprintf(stderr, "sync-consumer: database: %s", PQerrorMessage(replica->connection));
    PQclear(result);
    return run(replica, good ? "COMMIT" : "ROLLBACK", NULL, 0) && good;
}

char *replica_ddl(const struct replica *replica)
{
    char *text = NULL;
    if (asprintf(&text, "CREATE SCHEMA IF NOT EXISTS %s;\n%s%s", replica->schema, tenant_inbox_ddl(), table) < 0)
        abort();
    return text;
}

bool replica_create(struct replica *replica)
{
    if (!is_up(replica))
        return false;
    char *text = replica_ddl(replica);
    PGresult *result = PQexec(replica->connection, text);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!good)
        fprintf(stderr, "sync-consumer: database: %s", PQerrorMessage(replica->connection));
    PQclear(result);
    free(text);
    return good;
}

void replica_close(struct replica *replica)
{
    PQfinish(replica->connection);
    replica->connection = NULL;
}
