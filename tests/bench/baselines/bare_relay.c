/* What moving events costs by itself: one statement that reads up to 1,000 rows of each of the 16 shards, one
 * asynchronous publish for each with the chain of Nats-Expected-Last-Sequence, at most 1,000 in flight per
 * stream, and one statement that moves what was stored from outbox to outbox_sent.  No leases, no look at the
 * stream's tail, no repair: any error ends it.
 *
 *     bare_relay DATABASE-URL NATS-URL PKI-FOLDER SEEDS-FOLDER
 *
 * Ships all there is into the streams TENANT_00 to TENANT_15, which exist, then prints a JSON object.
 * Links nothing of the service. */
#include "../process_cpu.h"

#include <libpq-fe.h>
#include <nats/nats.h>

#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define SHARDS 16
#define WINDOW 1000

static const char take_sql[] =
    "SELECT w.shard::bigint, w.id, w.tenant_id::text, w.seq, w.incarnation, w.msg_id::text, w.subject,"
    " w.payload, w.traceparent FROM generate_series(0, 15) AS s(shard)"
    " CROSS JOIN LATERAL (SELECT o.* FROM tenant.outbox o WHERE o.shard = s.shard"
    "  ORDER BY o.id LIMIT 1000) w"; /* by shard and id, as the loops go: the fence would refuse any other order */
static const char move_sql[] =
    "WITH k AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])"
    "  AS k(shard, id, stream_seq)),"
    " d AS (DELETE FROM tenant.outbox o USING k WHERE o.shard = k.shard AND o.id = k.id"
    "  RETURNING o.*, k.stream_seq),"
    " i AS (INSERT INTO tenant.outbox_sent (shard, id, tenant_id, seq, incarnation, epoch, msg_id,"
    "  subject, payload, traceparent, created_at, stream_seq)"
    "  SELECT shard, id, tenant_id, seq, incarnation, epoch, msg_id, subject, payload, traceparent,"
    "  created_at, stream_seq FROM d RETURNING 1)"
    " SELECT count(*) FROM i";

struct relay {
    PGconn *database;
    natsConnection *nats;
    jsCtx *streams;
    uint64_t last[SHARDS]; /* sequence of the stream's last message */
    uint64_t moved;
    bool failed;
};

static bool connect_nats(struct relay *relay, const char *url, const char *pki, const char *seeds);
static bool find_last(struct relay *relay);
static bool turn(struct relay *relay, int *rows);
static bool publish(struct relay *relay, const PGresult *rows, int row);
static bool move(struct relay *relay, const PGresult *rows);
static void array_text(char *out, const PGresult *rows, int column);
static void on_failure(jsCtx *streams, jsPubAckErr *error, void *owner);

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct relay relay;
    if (argc != 5) {
        fprintf(stderr, "usage: bare_relay DATABASE-URL NATS-URL PKI-FOLDER SEEDS-FOLDER\n");
        return 2;
    }
    relay.database = PQconnectdb(argv[1]);
    if (PQstatus(relay.database) != CONNECTION_OK) {
        fprintf(stderr, "bare_relay: %s", PQerrorMessage(relay.database));
        return 1;
    }
    if (!connect_nats(&relay, argv[2], argv[3], argv[4]) || !find_last(&relay))
        return 1;
    uint64_t start = now_ns(), cpu = process_cpu_ns(getpid());
    for (int rows = 1; rows > 0;) {
        if (!turn(&relay, &rows))
            return 1;
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    double moved = (double)(relay.moved > 0 ? relay.moved : 1);
    printf("{\"events\": %lu, \"seconds\": %.4f, \"events_per_s\": %.1f, \"cpu_us_per_event\": %.3f}\n",
           (unsigned long)relay.moved, seconds, (double)relay.moved / seconds,
           (double)(process_cpu_ns(getpid()) - cpu) / 1e3 / moved);
    return 0;
}

static bool connect_nats(struct relay *relay, const char *url, const char *pki, const char *seeds)
{
    char cert[512], key[512], ca[512], seed[512], public_file[512], public_key[80] = "";
    snprintf(cert, sizeof cert, "%s/tenant-service.pem", pki);
    snprintf(key, sizeof key, "%s/tenant-service.key", pki);
    snprintf(ca, sizeof ca, "%s/ca.pem", pki);
    snprintf(seed, sizeof seed, "%s/tenant-service.nk", seeds);
    snprintf(public_file, sizeof public_file, "%s/tenant-service.pub", seeds);
    FILE *file = fopen(public_file, "re");
    if (file == NULL || fscanf(file, "%79s", public_key) != 1)
        return false;
    fclose(file);
    natsOptions *options = NULL;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = natsOptions_SetURL(options, url);
    if (status == NATS_OK)
        status = natsOptions_SetSecure(options, true);
    if (status == NATS_OK)
        status = natsOptions_LoadCATrustedCertificates(options, ca);
    if (status == NATS_OK)
        status = natsOptions_LoadCertificatesChain(options, cert, key);
    if (status == NATS_OK)
        status = natsOptions_SetNKeyFromSeed(options, public_key, seed);
    if (status == NATS_OK)
        status = natsConnection_Connect(&relay->nats, options);
    natsOptions_Destroy(options);
    jsOptions js;
    jsOptions_Init(&js);
    js.PublishAsync.MaxPending = SHARDS * WINDOW;
    js.PublishAsync.ErrHandler = on_failure;
    js.PublishAsync.ErrHandlerClosure = relay;
    if (status == NATS_OK)
        status = natsConnection_JetStream(&relay->streams, relay->nats, &js);
    if (status != NATS_OK)
        fprintf(stderr, "bare_relay: NATS: %s\n", natsStatus_GetText(status));
    return status == NATS_OK;
}

static bool find_last(struct relay *relay)
{
    for (int shard = 0; shard < SHARDS; shard++) {
        char name[16];
        jsStreamInfo *info = NULL;
        snprintf(name, sizeof name, "TENANT_%02d", shard);
        natsStatus status = js_GetStreamInfo(&info, relay->streams, name, NULL, NULL);
        if (status != NATS_OK) {
            fprintf(stderr, "bare_relay: %s: %s\n", name, natsStatus_GetText(status));
            return false;
        }
        relay->last[shard] = info->State.LastSeq;
        jsStreamInfo_Destroy(info);
    }
    return true;
}

static bool turn(struct relay *relay, int *count)
{
    PGresult *rows = PQexecParams(relay->database, take_sql, 0, NULL, NULL, NULL, NULL, 1);
    bool good = PQresultStatus(rows) == PGRES_TUPLES_OK;
    *count = good ? PQntuples(rows) : 0;
    uint64_t before[SHARDS];
    memcpy(before, relay->last, sizeof before);
    for (int row = 0; good && row < *count; row++)
        good = publish(relay, rows, row);
    if (good && *count > 0) {
        good = js_PublishAsyncComplete(relay->streams, NULL) == NATS_OK && !relay->failed;
        memcpy(relay->last, before, sizeof before); /* move() counts them once more */
        good = good && move(relay, rows);
    }
    if (!good)
        fprintf(stderr, "bare_relay: %s\n", PQerrorMessage(relay->database));
    PQclear(rows);
    return good;
}

static int64_t number_at(const PGresult *rows, int row, int column)
{
    uint64_t value;
    memcpy(&value, PQgetvalue(rows, row, column), sizeof value);
    return (int64_t)be64toh(value);
}

static bool publish(struct relay *relay, const PGresult *rows, int row)
{
    int shard = (int)number_at(rows, row, 0);
    char subject[128], text[24];
    snprintf(subject, sizeof subject, "%s.%02d", PQgetvalue(rows, row, 6), shard);
    natsMsg *message = NULL;
    if (natsMsg_Create(&message, subject, NULL, PQgetvalue(rows, row, 7), PQgetlength(rows, row, 7)) !=
        NATS_OK)
        return false;
    natsMsgHeader_Set(message, "Nats-Msg-Id", PQgetvalue(rows, row, 5));
    snprintf(text, sizeof text, "%lu", (unsigned long)relay->last[shard]++);
    natsMsgHeader_Set(message, "Nats-Expected-Last-Sequence", text);
    natsMsgHeader_Set(message, "Event-Type", PQgetvalue(rows, row, 6));
    natsMsgHeader_Set(message, "Tenant-Id", PQgetvalue(rows, row, 2));
    snprintf(text, sizeof text, "%ld", (long)number_at(rows, row, 3));
    natsMsgHeader_Set(message, "Tenant-Sequence", text);
    snprintf(text, sizeof text, "%ld", (long)number_at(rows, row, 4));
    natsMsgHeader_Set(message, "Tenant-Incarnation", text);
    if (PQgetlength(rows, row, 8) > 0)
        natsMsgHeader_Set(message, "traceparent", PQgetvalue(rows, row, 8));
    natsStatus status = js_PublishMsgAsync(relay->streams, &message, NULL);
    natsMsg_Destroy(message); /* NULL once it was taken */
    return status == NATS_OK;
}

static bool move(struct relay *relay, const PGresult *rows)
{
    int count = PQntuples(rows);
    size_t room = (size_t)count * 21 + 3;
    char *shards = malloc(room), *ids = malloc(room), *seqs = malloc(room);
    array_text(shards, rows, 0);
    array_text(ids, rows, 1);
    char *at = seqs;
    *at++ = '{';
    for (int row = 0; row < count; row++)
        at += sprintf(at, "%lu,", (unsigned long)++relay->last[number_at(rows, row, 0)]);
    at[-1] = '}';
    *at = '\0';
    const char *const values[] = {shards, ids, seqs};
    PGresult *result = PQexecParams(relay->database, move_sql, 3, NULL, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK &&
                strtol(PQgetvalue(result, 0, 0), NULL, 10) == count;
    relay->moved += (uint64_t)count;
    PQclear(result);
    free(shards);
    free(ids);
    free(seqs);
    return good;
}

static void array_text(char *out, const PGresult *rows, int column)
{
    *out++ = '{';
    for (int row = 0; row < PQntuples(rows); row++)
        out += sprintf(out, "%ld,", (long)number_at(rows, row, column));
    out[-1] = '}';
    *out = '\0';
}

static void on_failure(jsCtx *streams, jsPubAckErr *error, void *owner)
{
    (void)streams;
    struct relay *relay = owner;
    if (!relay->failed)
        fprintf(stderr, "bare_relay: %s: %s\n", natsMsg_GetSubject(error->Msg), error->ErrText);
    relay->failed = true;
}
