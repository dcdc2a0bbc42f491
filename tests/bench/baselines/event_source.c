/* Fills the streams with events as consumers get them: a real envelope, with another id, tenant and sequence behind it
 * (the last value of a field counts).  The streams exist, and are emptied first.
 *
 *     event_source NATS-URL PKI-FOLDER SEEDS-FOLDER ENVELOPE-HEX-FILE TENANTS EVENTS-PER-TENANT
 *
 * EVENTS-PER-TENANT 0: empties them only.  Prints a JSON object.  Links nothing of the service. */
#include "../nats_connect.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ENVELOPE_MAX 65536
#define SHARDS 16

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void id_text(const char *prefix, uint64_t number, char out[31])
{
    memset(out, '0', 30);
    memcpy(out, prefix, 4);
    for (int i = 29; number > 0; i--, number >>= 5)
        out[i] = digits[number & 31];
    out[30] = '\0';
}

static unsigned shard_of(const char *tenant)
{
    uint32_t hash = 2166136261u;
    for (; *tenant != '\0'; tenant++)
        hash = (hash ^ (uint8_t)*tenant) * 16777619u;
    return hash % SHARDS;
}

static size_t text_field(uint8_t *out, unsigned number, const char *text)
{
    size_t length = strlen(text);
    out[0] = (uint8_t)(number << 3 | 2);
    out[1] = (uint8_t)length;
    memcpy(out + 2, text, length);
    return length + 2;
}

/* Fields 16 to 2047 have a key of two bytes. */
static size_t number_field(uint8_t *out, unsigned number, uint64_t value)
{
    size_t used = 2;
    out[0] = (uint8_t)(number << 3 | 0x80);
    out[1] = (uint8_t)(number >> 4);
    for (; value > 127; value >>= 7)
        out[used++] = (uint8_t)(value | 0x80);
    out[used++] = (uint8_t)value;
    return used;
}

static size_t envelope_read(const char *path, uint8_t out[ENVELOPE_MAX])
{
    FILE *file = fopen(path, "re");
    size_t size = 0;
    unsigned byte = 0;
    while (file != NULL && size < ENVELOPE_MAX - 128 && fscanf(file, "%2x", &byte) == 1)
        out[size++] = (uint8_t)byte;
    if (file != NULL)
        fclose(file);
    return size;
}

static bool empty(char **where)
{
    natsConnection *nats = NULL;
    jsCtx *streams = NULL;
    bool good = bench_connect(&nats, where, "admin") && natsConnection_JetStream(&streams, nats, NULL) == NATS_OK;
    for (int shard = 0; good && shard < SHARDS; shard++) {
        char name[16];
        snprintf(name, sizeof name, "TENANT_%02d", shard);
        good = js_PurgeStream(streams, name, NULL, NULL) == NATS_OK;
    }
    jsCtx_Destroy(streams);
    natsConnection_Destroy(nats);
    if (!good)
        fprintf(stderr, "the streams cannot be emptied\n");
    return good;
}

static natsStatus publish(jsCtx *streams, uint8_t *envelope, size_t size, uint64_t tenant, uint64_t sequence)
{
    char tenant_id[31], event_id[31], subject[64], number[24];
    natsMsg *message = NULL;
    id_text("tnt_", tenant + (UINT64_C(7) << 40), tenant_id);
    id_text("evt_", tenant << 24 | sequence, event_id);
    snprintf(subject, sizeof subject, "tenant.org.updated.v1.%02u", shard_of(tenant_id));
    snprintf(number, sizeof number, "%llu", (unsigned long long)sequence);
    size += text_field(envelope + size, 1, event_id);
    size += text_field(envelope + size, 10, tenant_id);
    size += number_field(envelope + size, 16, 1);
    size += number_field(envelope + size, 17, sequence);
    natsStatus status = natsMsg_Create(&message, subject, NULL, (const char *)envelope, (int)size);
    const char *const headers[][2] = {{"Nats-Msg-Id", event_id},      {"Event-Type", "tenant.org.updated.v1"},
                                      {"Tenant-Id", tenant_id},       {"Tenant-Sequence", number},
                                      {"Tenant-Incarnation", "1"}};
    for (size_t i = 0; status == NATS_OK && i < sizeof headers / sizeof headers[0]; i++)
        status = natsMsgHeader_Set(message, headers[i][0], headers[i][1]);
    if (status == NATS_OK)
        status = js_PublishMsgAsync(streams, &message, NULL);
    natsMsg_Destroy(message);
    return status;
}

int main(int argc, char **argv)
{
    static uint8_t envelope[ENVELOPE_MAX];
    natsConnection *nats = NULL;
    jsCtx *streams = NULL;
    jsOptions options;
    if (argc != 7) {
        fprintf(stderr, "usage: event_source NATS-URL PKI-FOLDER SEEDS-FOLDER ENVELOPE-HEX-FILE TENANTS EVENTS-PER-TENANT\n");
        return 2;
    }
    size_t size = envelope_read(argv[4], envelope);
    uint64_t tenants = strtoull(argv[5], NULL, 10), each = strtoull(argv[6], NULL, 10);
    if (!empty(argv + 1))
        return 1;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = 4000;
    options.PublishAsync.StallWait = 30000;
    if (size == 0 || !bench_connect(&nats, argv + 1, "tenant-service") ||
        natsConnection_JetStream(&streams, nats, &options) != NATS_OK)
        return 1;
    for (uint64_t sequence = 1; sequence <= each; sequence++) {
        for (uint64_t tenant = 1; tenant <= tenants; tenant++) {
            natsStatus status = publish(streams, envelope, size, tenant, sequence);
            if (status != NATS_OK) {
                fprintf(stderr, "event_source: %s\n", natsStatus_GetText(status));
                return 1;
            }
        }
    }
    if (each > 0 && js_PublishAsyncComplete(streams, NULL) != NATS_OK)
        return 1;
    printf("{\"events\": %llu, \"bytes\": %zu}\n", (unsigned long long)(tenants * each), size + 80);
    return 0;
}
