/* Consuming events with libtenant-events, positions kept by callbacks: a table in memory, and a line per change in a file,
 * written once per batch.
 *
 *     consume NATS-URL PKI-FOLDER SEEDS-FOLDER POSITIONS-FILE EVENTS
 *
 * The group begins anew each time.  Looks at each event as plain_subscriber does.  Prints a JSON object. */
#include "process_cpu.h"

#include <tenant/events.h>
#include <tenant/events_metrics.h>
#include <tenant/events_replay.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct world {
    struct tenant_consumer *consumer;
    FILE *positions;
    uint64_t wanted;
    uint64_t taken;
    uint64_t sum;
    uint64_t first_ns;
    uint64_t last_ns;
    uint64_t stores;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum tenant_outcome handle(void *context, const struct tenant_event *event, struct tenant_reason *reason)
{
    struct world *world = context;
    const unsigned char *data = event->bytes;
    (void)reason;
    if (world->taken++ == 0)
        world->first_ns = now_ns();
    for (size_t i = 0; i < event->size; i++)
        world->sum += data[i];
    if (world->taken == world->wanted) {
        world->last_ns = now_ns();
        tenant_consumer_stop(world->consumer);
    }
    return TENANT_EVENT_DONE;
}

static int load(void *context, const char *tenant_id, struct tenant_position *position)
{
    (void)context;
    (void)tenant_id;
    (void)position;
    return 0; /* the run begins without any */
}

static int store(void *context, const struct tenant_position_change *changes, size_t count)
{
    struct world *world = context;
    world->stores++;
    for (size_t i = 0; i < count; i++)
        fprintf(world->positions, "%s %llu %llu\n", changes[i].tenant_id,
                (unsigned long long)changes[i].after.incarnation, (unsigned long long)changes[i].after.sequence);
    return fflush(world->positions);
}

static void notice(void *context, int level, const char *text)
{
    (void)context;
    if (level > 0)
        fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    static struct world world;
    static char files[4][512];
    struct tenant_consumer_settings settings = TENANT_CONSUMER_SETTINGS;
    struct tenant_consumer_error error;
    if (argc != 6) {
        fprintf(stderr, "usage: consume NATS-URL PKI-FOLDER SEEDS-FOLDER POSITIONS-FILE EVENTS\n");
        return 2;
    }
    snprintf(files[0], sizeof files[0], "%s/ca.pem", argv[2]);
    snprintf(files[1], sizeof files[1], "%s/sync-service.pem", argv[2]);
    snprintf(files[2], sizeof files[2], "%s/sync-service.key", argv[2]);
    snprintf(files[3], sizeof files[3], "%s/sync-service.nk", argv[3]);
    settings.url = argv[1];
    settings.ca_file = files[0];
    settings.cert_file = files[1];
    settings.key_file = files[2];
    settings.seed_file = files[3];
    settings.group = "sync-service";
    settings.context = &world;
    settings.handle = handle;
    settings.load = load;
    settings.store = store;
    settings.notice = notice;
    world.wanted = strtoull(argv[5], NULL, 10);
    world.positions = fopen(argv[4], "we");
    if (world.positions == NULL || tenant_consumer_reset(&settings, &error) != TENANT_CONSUMER_OK ||
        tenant_consumer_new(&settings, &world.consumer, &error) != TENANT_CONSUMER_OK) {
        fprintf(stderr, "consume: %s\n", error.text);
        return 1;
    }
    uint64_t cpu = process_cpu_ns(getpid());
    tenant_consumer_run(world.consumer);
    double seconds = (double)(world.last_ns - world.first_ns) / 1e9;
    struct tenant_consumer_snapshot seen = {.size = sizeof seen};
    tenant_consumer_snapshot(world.consumer, &seen);
    printf("{\"events\": %lu, \"seconds\": %.4f, \"events_per_s\": %.1f, \"cpu_us_per_event\": %.3f, \"sum\": %lu, "
           "\"stores\": %lu, \"redelivered\": %lu}\n",
           (unsigned long)world.taken, seconds, (double)world.taken / seconds,
           (double)(process_cpu_ns(getpid()) - cpu) / 1e3 / (double)world.taken, (unsigned long)world.sum,
           (unsigned long)world.stores, (unsigned long)seen.redelivered);
    tenant_consumer_free(world.consumer);
    return 0;
}
