/* What libpq alone makes of the service's SQL: the same statements in the same transactions through PgBouncer,
 * in pipelines, on as many connections as the service's pool has, each with one transaction at a time.  No
 * HTTP, no TLS, no protobuf, no checks.
 *
 *     plain_pg get|update URL CONNECTIONS SECONDS TENANTS [PAYLOAD-BYTES]
 *
 * Works on the bench's rows 1 to TENANTS, one after the other, as the load on the service does.  Prints a JSON
 * object.  Links nothing of the service. */
#include "../load/histogram.h"
#include "../process_cpu.h"

#include <libpq-fe.h>

#include <endian.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define COLUMNS                                                                                    \
    "id, slug, display_name, type, home_region, status, plan_id, plan_addons, "                    \
    "ARRAY(SELECT unnest(ARRAY[key, value]) FROM jsonb_each_text(labels) ORDER BY key) AS labels, " \
    "default_locale, allowed_locales, mfa_required, offline_enabled, ai_enabled, "                 \
    "ARRAY(SELECT unnest(ARRAY[key, value]) FROM jsonb_each_text(branding_theme) ORDER BY key) "   \
    "AS branding_theme, create_time, update_time, version"
#define XMIN "pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS snapshot_xmin"

static const char settings_sql[] =
    "SELECT set_config('app.tenant_id', $1, true), set_config('statement_timeout', $2, true), "
    "set_config('app.actor', $3, true), $4::text";
static const char get_sql[] =
    "SELECT " COLUMNS ", coalesce(incarnation, 0) AS incarnation, coalesce(epoch, 0) AS epoch, " XMIN
    " FROM tenant.tenants LEFT JOIN tenant.authz_epoch ON tenant_id = id WHERE id = $1";
static const char advisory_sql[] = "SELECT 1 AS locked FROM pg_advisory_xact_lock($1)";
static const char lock_sql[] = "SELECT " COLUMNS " FROM tenant.tenants WHERE id = $1 FOR UPDATE";
static const char update_sql[] =
    "WITH changed AS (UPDATE tenant.tenants SET slug = $3, display_name = $4, type = $5, "
    "status = $6, plan_id = $7, plan_addons = $8, labels = jsonb_object($9), "
    "default_locale = $10, allowed_locales = $11, mfa_required = $12, "
    "offline_enabled = $13, ai_enabled = $14, branding_theme = jsonb_object($15), "
    "update_time = $16, version = $2 WHERE id = $1 AND version = $2 - 1 RETURNING 1) "
    "SELECT 1 / count(*) AS changed FROM changed";
static const char audit_sql[] =
    "INSERT INTO tenant.tenant_audit (tenant_id, id, at, actor, action, reason, changed, "
    "version, request_id, trace_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
static const char outbox_sql[] =
    "WITH installed AS (SELECT incarnation FROM tenant.installation), "
    "raised AS (INSERT INTO tenant.authz_epoch AS e (tenant_id, incarnation, epoch, xid) "
    "VALUES ($1, (SELECT incarnation FROM installed), 1, pg_current_xact_id()) "
    "ON CONFLICT (tenant_id) DO UPDATE SET epoch = CASE WHEN e.incarnation = "
    "excluded.incarnation THEN e.epoch + 1 ELSE 1 END, "
    "incarnation = excluded.incarnation, xid = excluded.xid RETURNING epoch), "
    "counter AS (INSERT INTO tenant.tenant_seq AS s (tenant_id, seq, incarnation) "
    "VALUES ($1, 1, (SELECT incarnation FROM installed)) "
    "ON CONFLICT (tenant_id) DO UPDATE SET seq = CASE WHEN s.incarnation = "
    "excluded.incarnation THEN s.seq + 1 ELSE 1 END, incarnation = excluded.incarnation "
    "RETURNING seq, incarnation), "
    "left_behind AS (INSERT INTO tenant.outbox (shard, tenant_id, seq, incarnation, epoch, "
    "msg_id, subject, payload, traceparent) "
    "SELECT $2, $1, seq, incarnation, epoch, $3, $4, $5, $6 FROM counter, raised) "
    "SELECT seq, incarnation, epoch, " XMIN " FROM counter, raised";

enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_TEXT = 25, OID_TEXTS = 1009,
       OID_TIME = 1184, OID_UUID = 2950 };

struct param {
    Oid oid;
    const void *bytes;
    int size;
};

struct client {
    PGconn *conn;
    unsigned char tenant[16];
    uint64_t began;
    bool second;     /* the update's second pipeline is under way */
    bool unsent;     /* libpq holds bytes that the socket did not take */
    PGresult *locked;
    uint64_t version; /* big-endian */
    uint64_t time;
    unsigned char id[16];
};

struct bench {
    bool update;
    uint64_t tenants;
    uint64_t next;
    char *payload;
    int payload_size;
    struct histogram latency;
    uint64_t done;
};

static bool client_open(struct client *client, const char *url);
static void begin(struct bench *bench, struct client *client);
static void settle(struct client *client, PGresult *locked, struct bench *bench);
static bool receive(struct bench *bench, struct client *client);
static void send_one(struct client *client, const char *sql, const struct param *params, int count);
static void finish_sending(struct client *client);
static void fail(const char *what, PGconn *conn);

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    int count = argc > 5 ? (int)strtol(argv[3], NULL, 10) : 0;
    if (count < 1 || count > 64) {
        fprintf(stderr, "usage: plain_pg get|update URL CONNECTIONS SECONDS TENANTS [PAYLOAD]\n");
        return 2;
    }
    bench.update = strcmp(argv[1], "update") == 0;
    bench.tenants = strtoull(argv[5], NULL, 10);
    bench.payload_size = argc > 6 ? (int)strtol(argv[6], NULL, 10) : 400;
    bench.payload = calloc(1, (size_t)bench.payload_size);
    struct client clients[64] = {0};
    struct pollfd polls[64];
    for (int i = 0; i < count; i++) {
        if (!client_open(&clients[i], argv[2]))
            return 1;
        begin(&bench, &clients[i]);
    }
    uint64_t warm = now_ns() + 500000000u;
    uint64_t start = 0, end = UINT64_MAX, cpu = 0;
    for (uint64_t now; (now = now_ns()) < end;) {
        if (start == 0 && now >= warm) {
            start = now;
            end = now + (uint64_t)(strtod(argv[4], NULL) * 1e9);
            bench.done = 0;
            memset(&bench.latency, 0, sizeof bench.latency);
            cpu = process_cpu_ns(getpid());
        }
        for (int i = 0; i < count; i++)
            polls[i] = (struct pollfd){.fd = PQsocket(clients[i].conn),
                                       .events = (short)(POLLIN | (clients[i].unsent ? POLLOUT : 0))};
        poll(polls, (nfds_t)count, 100);
        for (int i = 0; i < count; i++) {
            if (polls[i].revents == 0)
                continue;
            finish_sending(&clients[i]);
            if (receive(&bench, &clients[i]))
                begin(&bench, &clients[i]);
        }
    }
    double seconds = (double)(now_ns() - start) / 1e9, done = (double)(bench.done ? bench.done : 1);
    printf("{\"calls\": %lu, \"calls_per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"cpu_us_per_call\": %.3f}\n",
           (unsigned long)bench.done, (double)bench.done / seconds,
           (double)histogram_at(&bench.latency, 0.5) / 1e3,
           (double)histogram_at(&bench.latency, 0.99) / 1e3,
           (double)(process_cpu_ns(getpid()) - cpu) / 1e3 / done);
    return bench.done > 0 ? 0 : 1;
}

static bool client_open(struct client *client, const char *url)
{
    client->conn = PQconnectdb(url);
    if (PQstatus(client->conn) == CONNECTION_OK && PQsetnonblocking(client->conn, 1) == 0 &&
        PQenterPipelineMode(client->conn) == 1)
        return true;
    fprintf(stderr, "plain_pg: %s", PQerrorMessage(client->conn));
    return false;
}

static void begin(struct bench *bench, struct client *client)
{
    uint64_t number = htobe64(0x8000ull << 48 | (bench->next++ % bench->tenants + 1));
    memcpy(client->tenant, "\x01\x90\0\0\0\0\x70\0", 8);
    memcpy(client->tenant + 8, &number, 8);
    char text[37];
    const unsigned char *t = client->tenant;
    snprintf(text, sizeof text,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", t[0], t[1], t[2],
             t[3], t[4], t[5], t[6], t[7], t[8], t[9], t[10], t[11], t[12], t[13], t[14], t[15]);
    client->began = now_ns();
    client->second = false;
    const struct param settings[] = {{OID_TEXT, text, 36},
                                     {OID_TEXT, "9001", 4},
                                     {OID_TEXT, "api-gateway", 11},
                                     {OID_TEXT, "0123456789abcdef", 16}};
    const struct param id = {OID_UUID, client->tenant, 16};
    uint64_t lock = client->began;
    send_one(client, bench->update ? "BEGIN" : "BEGIN READ ONLY", NULL, 0);
    send_one(client, settings_sql, settings, 4);
    if (bench->update) {
        send_one(client, advisory_sql, &(struct param){OID_INT8, &lock, 8}, 1);
        send_one(client, lock_sql, &id, 1);
    } else {
        send_one(client, get_sql, &id, 1);
        send_one(client, "COMMIT", NULL, 0);
    }
    PQpipelineSync(client->conn);
    finish_sending(client);
}

/* The row as it was read, with the next version: update, audit, event, commit. */
static void settle(struct client *client, PGresult *locked, struct bench *bench)
{
    static const int columns[] = {0, 17, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16};
    static const Oid oids[] = {OID_UUID, OID_INT8, OID_TEXT,  OID_TEXT, OID_TEXT, OID_TEXT,
                               OID_TEXT, OID_TEXTS, OID_TEXTS, OID_TEXT, OID_TEXTS, OID_BOOL,
                               OID_BOOL, OID_BOOL, OID_TEXTS, OID_TIME};
    static const unsigned char changed[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1,
                                            0, 0, 0, 12, 'd', 'i', 's', 'p', 'l', 'a', 'y', '_', 'n', 'a',
                                            'm', 'e'};
    struct param params[16];
    for (int i = 0; i < 16; i++)
        params[i] = (struct param){oids[i], PQgetvalue(locked, 0, columns[i]),
                                   PQgetlength(locked, 0, columns[i])};
    memcpy(&client->version, params[1].bytes, 8);
    client->version = htobe64(be64toh(client->version) + 1);
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    client->time = htobe64((uint64_t)(wall.tv_sec - 946684800) * 1000000u + (uint64_t)wall.tv_nsec / 1000);
    char name[32];
    int name_size = snprintf(name, sizeof name, "Renamed %016lx", (unsigned long)now_ns());
    params[1].bytes = &client->version;
    params[3] = (struct param){OID_TEXT, name, name_size};
    params[15].bytes = &client->time;
    send_one(client, update_sql, params, 16);
    uint64_t unique[2] = {now_ns(), bench->next};
    memcpy(client->id, unique, sizeof client->id);
    const struct param audit[] = {
        {OID_UUID, client->tenant, 16}, {OID_UUID, client->id, 16}, {OID_TIME, &client->time, 8},
        {OID_TEXT, "api-gateway", 11}, {OID_TEXT, "tenant.update", 13}, {OID_TEXT, "", 0},
        {OID_TEXTS, changed, sizeof changed}, {OID_INT8, &client->version, 8},
        {OID_TEXT, "req_01KAQW8Z3V6Y0T9N5M2P7R4S1X", 30},
        {OID_TEXT, "0123456789abcdef0123456789abcdef", 32}};
    send_one(client, audit_sql, audit, 10);
    uint16_t shard = htobe16((uint16_t)(client->tenant[15] % 16));
    const struct param event[] = {
        {OID_UUID, client->tenant, 16}, {OID_INT2, &shard, 2}, {OID_UUID, client->id, 16},
        {OID_TEXT, "tenant.org.updated.v1", 21}, {OID_BYTEA, bench->payload, bench->payload_size},
        {OID_TEXT, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00", 55}};
    send_one(client, outbox_sql, event, 6);
    send_one(client, "COMMIT", NULL, 0);
    PQpipelineSync(client->conn);
    client->second = true;
    finish_sending(client);
}

/* Reads what is there; true when the transaction has ended. */
static bool receive(struct bench *bench, struct client *client)
{
    if (PQconsumeInput(client->conn) != 1)
        fail("lost", client->conn);
    while (!PQisBusy(client->conn)) {
        PGresult *result = PQgetResult(client->conn);
        if (result == NULL) /* the end of one statement's results, or of all there is */
            result = PQisBusy(client->conn) ? NULL : PQgetResult(client->conn);
        if (result == NULL)
            return false;
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC)
            fail("refused", client->conn);
        bool row = status == PGRES_TUPLES_OK && PQnfields(result) >= 18;
        if (row && PQntuples(result) != 1)
            fail("no such tenant", client->conn);
        if (row && bench->update) {
            client->locked = result;
            continue;
        }
        PQclear(result);
        if (status != PGRES_PIPELINE_SYNC)
            continue;
        if (bench->update && !client->second) {
            settle(client, client->locked, bench);
            PQclear(client->locked);
            client->locked = NULL;
            continue;
        }
        bench->done++;
        histogram_add(&bench->latency, now_ns() - client->began);
        return true;
    }
    return false;
}

static void send_one(struct client *client, const char *sql, const struct param *params, int count)
{
    Oid oids[24];
    const char *values[24];
    int sizes[24], formats[24];
    for (int i = 0; i < count; i++) {
        oids[i] = params[i].oid;
        values[i] = params[i].bytes;
        sizes[i] = params[i].size;
        formats[i] = 1;
    }
    if (PQsendQueryParams(client->conn, sql, count, oids, values, sizes, formats, 1) != 1)
        fail("not sent", client->conn);
}

static void finish_sending(struct client *client)
{
    int left = PQflush(client->conn);
    if (left < 0)
        fail("not flushed", client->conn);
    client->unsent = left == 1;
}

static void fail(const char *what, PGconn *conn)
{
    fprintf(stderr, "plain_pg: %s: %s\n", what, PQerrorMessage(conn));
    exit(1);
}
