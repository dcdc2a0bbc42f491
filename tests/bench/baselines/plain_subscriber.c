/* What consuming events costs by itself: durable consumers on the 16 streams with explicit acknowledgements, each message
 * looked at (a sum over its bytes) and acknowledged.  No order, no positions, no groups, no dead letters.
 *
 *     plain_subscriber NATS-URL PKI-FOLDER SEEDS-FOLDER pull|push EVENTS
 *
 * pull: natsSubscription_Fetch() of 256 from each stream in turn.  push: one subscription each, polled in turn, with
 * 1,024 unacknowledged messages at most.  Both as nats.c offers them.  Prints a JSON object.  Links nothing of the service. */
#include "../nats_connect.h"
#include "../process_cpu.h"

#include <stdlib.h>
#include <time.h>

#define SHARDS 16
#define BATCH 256
#define PENDING 1024

struct subscriber {
    natsConnection *nats;
    jsCtx *streams;
    natsSubscription *subscriptions[SHARDS];
    uint64_t taken;
    uint64_t sum;
    uint64_t first_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool subscribe(struct subscriber *subscriber, bool pull)
{
    natsStatus status = natsConnection_JetStream(&subscriber->streams, subscriber->nats, NULL);
    for (int shard = 0; status == NATS_OK && shard < SHARDS; shard++) {
        char stream[16], filter[32];
        jsSubOptions options;
        snprintf(stream, sizeof stream, "TENANT_%02d", shard);
        snprintf(filter, sizeof filter, "tenant.*.*.*.%02d", shard);
        jsSubOptions_Init(&options);
        options.Stream = stream;
        options.ManualAck = true;
        options.Config.AckPolicy = js_AckExplicit;
        options.Config.MaxAckPending = PENDING;
        options.Config.Durable = pull ? "plain_pull" : "plain_push";
        status = pull ? js_PullSubscribe(&subscriber->subscriptions[shard], subscriber->streams, filter,
                                         options.Config.Durable, NULL, &options, NULL)
                      : js_SubscribeSync(&subscriber->subscriptions[shard], subscriber->streams, filter, NULL,
                                         &options, NULL);
    }
    if (status != NATS_OK)
        fprintf(stderr, "plain_subscriber: %s\n", natsStatus_GetText(status));
    return status == NATS_OK;
}

static void take(struct subscriber *subscriber, natsMsg *message)
{
    const char *data = natsMsg_GetData(message);
    int size = natsMsg_GetDataLength(message);
    if (subscriber->taken++ == 0)
        subscriber->first_ns = now_ns();
    for (int i = 0; i < size; i++)
        subscriber->sum += (unsigned char)data[i];
    (void)natsMsg_Ack(message, NULL);
    natsMsg_Destroy(message);
}

static void turn_pull(struct subscriber *subscriber, natsSubscription *subscription)
{
    natsMsgList list = {0};
    natsStatus status = natsSubscription_Fetch(&list, subscription, BATCH, 100, NULL);
    for (int i = 0; status == NATS_OK && i < list.Count; i++) {
        take(subscriber, list.Msgs[i]);
        list.Msgs[i] = NULL;
    }
    natsMsgList_Destroy(&list);
}

static void turn_push(struct subscriber *subscriber, natsSubscription *subscription)
{
    natsMsg *message = NULL;
    for (int i = 0; i < BATCH && natsSubscription_NextMsg(&message, subscription, 1) == NATS_OK; i++)
        take(subscriber, message);
}

int main(int argc, char **argv)
{
    static struct subscriber subscriber;
    if (argc != 6) {
        fprintf(stderr, "usage: plain_subscriber NATS-URL PKI-FOLDER SEEDS-FOLDER pull|push EVENTS\n");
        return 2;
    }
    bool pull = strcmp(argv[4], "pull") == 0;
    uint64_t wanted = strtoull(argv[5], NULL, 10);
    if (!bench_connect(&subscriber.nats, argv + 1, "sync-service") || !subscribe(&subscriber, pull))
        return 1;
    uint64_t cpu = process_cpu_ns(getpid());
    for (int shard = 0; subscriber.taken < wanted; shard = (shard + 1) % SHARDS)
        (pull ? turn_pull : turn_push)(&subscriber, subscriber.subscriptions[shard]);
    (void)natsConnection_FlushTimeout(subscriber.nats, 5000);
    double seconds = (double)(now_ns() - subscriber.first_ns) / 1e9;
    printf("{\"events\": %lu, \"seconds\": %.4f, \"events_per_s\": %.1f, \"cpu_us_per_event\": %.3f, \"sum\": %lu}\n",
           (unsigned long)subscriber.taken, seconds, (double)subscriber.taken / seconds,
           (double)(process_cpu_ns(getpid()) - cpu) / 1e3 / (double)subscriber.taken, (unsigned long)subscriber.sum);
    for (int shard = 0; shard < SHARDS; shard++) {
        char stream[16];
        snprintf(stream, sizeof stream, "TENANT_%02d", shard);
        (void)js_DeleteConsumer(subscriber.streams, stream, pull ? "plain_pull" : "plain_push", NULL, NULL);
    }
    return 0;
}
