/* What storing events costs by itself, in two ways: a chain of pipelined publishes, each acknowledged, as the relay
 * sends its windows, and JetStream's atomic batches (from 2.12 on), of which the last message alone is acknowledged.
 * The same messages, windows, streams and connection; no database.
 *
 *     publish_modes chain|atomic COUNT BYTES WINDOW NATS-URL PKI-FOLDER SEEDS-FOLDER
 *
 * Makes the streams TENANT_00 to TENANT_15 where they are missing, with allow_atomic, stores COUNT events of BYTES in
 * windows of WINDOW per stream, all streams at once, then prints a JSON object.  Links nothing of the service. */
#include "../nats_connect.h"
#include "../process_cpu.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define STREAMS 16

struct bench {
    natsConnection *nats;
    natsSubscription *acks;
    char inbox[96];
    bool atomic;
    int window;
    int bytes;
    char *payload;
    uint64_t last[STREAMS]; /* sequence of each stream's last message */
    uint64_t number;        /* of the event, over all runs of this program */
    uint64_t batch;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t number_in(const char *json, const char *key)
{
    const char *at = strstr(json, key);
    return at == NULL ? UINT64_MAX : strtoull(at + strlen(key), NULL, 10);
}

static bool ask(struct bench *bench, const char *verb, int stream, const char *request, char *answer, size_t size)
{
    char subject[64];
    natsMsg *reply = NULL;
    snprintf(subject, sizeof subject, "$JS.API.STREAM.%s.TENANT_%02d", verb, stream);
    if (natsConnection_RequestString(&reply, bench->nats, subject, request, 5000) != NATS_OK)
        return false;
    snprintf(answer, size, "%.*s", natsMsg_GetDataLength(reply), natsMsg_GetData(reply));
    natsMsg_Destroy(reply);
    return true;
}

static bool streams_make(struct bench *bench)
{
    char config[256], answer[4096];
    for (int stream = 0; stream < STREAMS; stream++) {
        snprintf(config, sizeof config,
                 "{\"name\":\"TENANT_%02d\",\"subjects\":[\"tenant.*.*.*.%02d\"],\"storage\":\"file\","
                 "\"num_replicas\":1,\"allow_atomic\":true}", stream, stream);
        if (!ask(bench, "CREATE", stream, config, answer, sizeof answer) ||
            !ask(bench, "INFO", stream, "", answer, sizeof answer))
            return false;
        bench->last[stream] = number_in(answer, "\"last_seq\":");
        if (bench->last[stream] == UINT64_MAX || strstr(answer, "\"allow_atomic\":true") == NULL) {
            fprintf(stderr, "publish_modes: TENANT_%02d: %s\n", stream, answer);
            return false;
        }
    }
    return true;
}

static bool send_one(struct bench *bench, int stream, int index)
{
    char subject[64], id[40], text[40], reply[128];
    bool last = index == bench->window - 1;
    natsMsg *message = NULL;
    snprintf(subject, sizeof subject, "tenant.org.updated.v1.%02d", stream);
    snprintf(reply, sizeof reply, "%s.%d", bench->inbox, stream);
    if (natsMsg_Create(&message, subject, bench->atomic && !last ? NULL : reply, bench->payload, bench->bytes) != NATS_OK)
        return false;
    snprintf(id, sizeof id, "bench-%lx-%012lx", (unsigned long)bench->batch, (unsigned long)bench->number++);
    natsMsgHeader_Set(message, "Nats-Msg-Id", id);
    natsMsgHeader_Set(message, "Event-Type", "tenant.org.updated.v1");
    natsMsgHeader_Set(message, "Tenant-Id", "tnt_01J00000000000000000000002");
    natsMsgHeader_Set(message, "Tenant-Sequence", "42");
    natsMsgHeader_Set(message, "Tenant-Incarnation", "1");
    natsMsgHeader_Set(message, "traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00");
    snprintf(text, sizeof text, "%lu", (unsigned long)(bench->last[stream] + (uint64_t)index));
    if (!bench->atomic || index == 0)
        natsMsgHeader_Set(message, "Nats-Expected-Last-Sequence", text);
    if (bench->atomic) {
        snprintf(text, sizeof text, "%d-%lx", stream, (unsigned long)bench->batch);
        natsMsgHeader_Set(message, "Nats-Batch-Id", text);
        snprintf(text, sizeof text, "%d", index + 1);
        natsMsgHeader_Set(message, "Nats-Batch-Sequence", text);
        if (last)
            natsMsgHeader_Set(message, "Nats-Batch-Commit", "1");
    }
    natsStatus status = natsConnection_PublishMsg(bench->nats, message);
    natsMsg_Destroy(message);
    return status == NATS_OK;
}

/* One window into each stream; the batch's number makes ids of its own. */
static bool turn(struct bench *bench)
{
    bench->batch++;
    for (int stream = 0; stream < STREAMS; stream++)
        for (int index = 0; index < bench->window; index++)
            if (!send_one(bench, stream, index))
                return false;
    int expected = STREAMS * (bench->atomic ? 1 : bench->window);
    for (int i = 0; i < expected; i++) {
        natsMsg *ack = NULL;
        if (natsSubscription_NextMsg(&ack, bench->acks, 10000) != NATS_OK)
            return false;
        const char *subject = natsMsg_GetSubject(ack);
        int stream = atoi(strrchr(subject, '.') + 1);
        uint64_t seq = number_in(natsMsg_GetData(ack), "\"seq\":");
        bool good = seq != UINT64_MAX && seq != 0 && strstr(natsMsg_GetData(ack), "\"error\"") == NULL &&
                    strstr(natsMsg_GetData(ack), "\"duplicate\"") == NULL;
        if (!good || seq > bench->last[stream] + (uint64_t)bench->window) {
            fprintf(stderr, "publish_modes: %s\n", natsMsg_GetData(ack));
            return false;
        }
        natsMsg_Destroy(ack);
    }
    for (int stream = 0; stream < STREAMS; stream++)
        bench->last[stream] += (uint64_t)bench->window;
    return true;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    if (argc != 8) {
        fprintf(stderr, "usage: publish_modes chain|atomic COUNT BYTES WINDOW NATS-URL PKI-FOLDER SEEDS-FOLDER\n");
        return 2;
    }
    uint64_t wanted = strtoull(argv[2], NULL, 10), stored = 0;
    bench.atomic = strcmp(argv[1], "atomic") == 0;
    bench.bytes = atoi(argv[3]);
    bench.window = atoi(argv[4]);
    bench.payload = calloc(1, (size_t)bench.bytes + 1);
    bench.batch = now_ns();
    for (int i = 0; i < bench.bytes; i++)
        bench.payload[i] = (char)(i * 31 % 251);
    natsInbox *inbox = NULL;
    char filter[128];
    natsStatus status = NATS_NO_SERVER;
    if (bench_connect(&bench.nats, argv + 5, "tenant-service"))
        status = natsInbox_Create(&inbox);
    if (status == NATS_OK) {
        snprintf(bench.inbox, sizeof bench.inbox, "%s", inbox);
        snprintf(filter, sizeof filter, "%s.*", inbox);
        status = natsConnection_SubscribeSync(&bench.acks, bench.nats, filter);
    }
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(bench.acks, 1 << 20, 1 << 30);
    if (status != NATS_OK || !streams_make(&bench)) {
        fprintf(stderr, "publish_modes: NATS: %s\n", natsStatus_GetText(status));
        return 1;
    }
    uint64_t start = now_ns(), cpu = process_cpu_ns(getpid());
    while (stored < wanted) {
        if (!turn(&bench))
            return 1;
        stored += (uint64_t)(STREAMS * bench.window);
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("{\"events\": %lu, \"seconds\": %.4f, \"events_per_s\": %.1f, \"cpu_us_per_event\": %.3f}\n",
           (unsigned long)stored, seconds, (double)stored / seconds,
           (double)(process_cpu_ns(getpid()) - cpu) / 1e3 / (double)stored);
    return 0;
}
