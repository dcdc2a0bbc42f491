/* A worker: its connections, its pools, its sweep of time-outs, its end.
 *
 * Everything here belongs to the worker's thread, but for worker_take() and
 * rpc_worker_connections(), which the listener's thread calls.  A worker is drained before it
 * is closed: close asserts that nothing is left. */
#include "base/alloc.h"

#include "rpc/rpc_int.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* The shortest limits are seconds: being late by a twentieth of one does not matter, a timer
 * per stream would. */
#define SWEEP_NS (50 * NS_PER_MS)
/* more than one turn's accepts (ACCEPTS_PER_TURN): a worker that takes none of them is stuck */
#define MAILBOX_SIZE 256
/* A tenth of a sweep at the most: 4,096 connections take some seconds. */
#define PEERS_VERIFIED_PER_SWEEP 32
#define ARENA_CAP ((size_t)32 << 20) /* bytes one call may unpack into */

static void make_slots(struct rpc_worker *worker, const struct rpc_worker_settings *settings);
static void measure_messages(struct rpc_worker *worker);
static void on_arrival(void *owner, void *message);
static void on_sweep(void *owner);
static void check_drained(struct rpc_worker *worker);

struct rpc_worker *rpc_worker_open(const struct rpc_worker_settings *settings)
{
    assert(settings->hooks.identity != NULL && settings->hooks.gate != NULL);
    assert(settings->hooks.match != NULL && settings->hooks.probe != NULL);
    struct rpc_worker *worker = xcalloc(1, sizeof *worker);
    worker->loop = settings->loop;
    worker->shared = settings->shared;
    worker->log = settings->log;
    worker->limits = settings->limits;
    worker->hooks = settings->hooks;
    worker->spans = settings->spans;
    worker->trace_threshold = settings->trace_threshold;
    worker->any_types = settings->any_types;
    worker->plain_refusals = settings->plain_refusals;
    worker->metrics = rpc_metrics_new(settings->metrics);
    worker->streaming_calls_max = task_capacity(worker->loop) / 2;
    list_init(&worker->connections);
    list_init(&worker->spare_streams);
    list_init(&worker->stream_shares);
    worker->read_buffer = xmalloc(RPC_READ_SIZE);
    make_slots(worker, settings);
    worker->mailbox = mailbox_open(worker->loop, MAILBOX_SIZE, on_arrival, worker);
    worker->janitor = timer_new(worker->loop, on_sweep, worker);
    return worker;
}

/* Closing the mailbox hands the arrivals still in it to on_arrival(), which refuses them since we
 * drain. */
void rpc_worker_close(struct rpc_worker *worker)
{
    if (worker == NULL)
        return;
    worker->draining = true;
    mailbox_close(worker->mailbox);
    assert(list_is_empty(&worker->connections) && worker->running_calls == 0);
    timer_free(worker->janitor);
    buf_deinit(&worker->inflated);
    while (worker->spare_arena_count > 0)
        arena_free(worker->spare_arenas[--worker->spare_arena_count]);
    h2_memory_deinit(&worker->h2_memory);
    for (struct list_node *node; (node = list_pop_front(&worker->spare_streams)) != NULL;)
        stream_free(list_entry(node, struct h2_stream, node));
    rpc_metrics_free(worker->metrics);
    free(worker->registrations);
    free(worker->slots);
    free(worker->read_buffer);
    free(worker);
}

size_t rpc_worker_connections(const struct rpc_worker *worker)
{
    return atomic_load_explicit(&worker->connection_count, memory_order_relaxed);
}

bool worker_take(struct rpc_worker *worker, const struct arrival *arrival)
{
    struct arrival *message = xmalloc(sizeof *message);
    *message = *arrival;
    if (mailbox_post(worker->mailbox, message))
        return true;
    free(message);
    return false;
}

/* The janitor fires at once, so that a worker without connections reports at once; `done` runs
 * in the janitor's callback and must not close the worker there. */
void rpc_worker_drain(struct rpc_worker *worker, uint64_t grace_ns, void (*done)(void *owner),
                      void *owner)
{
    assert(!worker->draining);
    worker->draining = true;
    worker->drain_deadline_ns = deadline_after(clock_now(), grace_ns);
    worker->drained = done;
    worker->drained_owner = owner;
    struct list_node *next = NULL;
    for (struct list_node *node = list_first(&worker->connections); node != NULL; node = next) {
        next = list_next(&worker->connections, node);
        connection_drain(list_entry(node, struct connection, node));
    }
    timer_set(worker->janitor, clock_now());
}

void rpc_worker_set_limits(struct rpc_worker *worker, const struct rpc_limits *limits)
{
    worker->limits = *limits;
    measure_messages(worker);
}

void rpc_worker_set_threshold(struct rpc_worker *worker, uint64_t trace_threshold)
{
    worker->trace_threshold = trace_threshold;
}

/* A name is taken away as quickly as it is given: a certificate that is trusted no more must not keep its
 * rights for the life of a connection. */
void rpc_worker_rename(struct rpc_worker *worker)
{
    for (struct list_node *node = list_first(&worker->connections); node != NULL;
         node = list_next(&worker->connections, node))
        connection_rename(list_entry(node, struct connection, node));
}

/* Kept with their first chunk of 4 KiB: a small call allocates nothing. */
struct arena *worker_arena_take(struct rpc_worker *worker)
{
    if (worker->spare_arena_count == 0)
        return arena_new(ARENA_CAP);
    return worker->spare_arenas[--worker->spare_arena_count];
}

void worker_arena_give(struct rpc_worker *worker, struct arena *arena)
{
    if (worker->spare_arena_count == ARENAS_SPARE) {
        arena_free(arena);
        return;
    }
    arena_reset(arena);
    worker->spare_arenas[worker->spare_arena_count++] = arena;
}

/* The slots' addresses are kept by streams and calls: both arrays live as long as the worker. */
static void make_slots(struct rpc_worker *worker, const struct rpc_worker_settings *settings)
{
    size_t count = settings->registration_count;
    worker->registrations = xcalloc(count, sizeof *worker->registrations);
    for (size_t i = 0; i < count; i++) {
        worker->registrations[i] = settings->registrations[i];
        worker->slot_count += settings->registrations[i].service->method_count;
    }
    worker->slots = xcalloc(worker->slot_count, sizeof *worker->slots);
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        const struct rpc_service *service = worker->registrations[i].service;
        for (size_t m = 0; m < service->method_count; m++) {
            struct method_slot *slot = &worker->slots[place++];
            slot->method = &service->methods[m];
            slot->registration = &worker->registrations[i];
            slot->path = slice_of_str(slot->method->path);
            slot->metrics.route = slot->method->path;
        }
    }
    measure_messages(worker);
}

static void measure_messages(struct rpc_worker *worker)
{
    worker->largest_message = worker->limits.message_bytes;
    for (size_t i = 0; i < worker->slot_count; i++) {
        size_t size = method_message_bytes(worker->slots[i].method, &worker->limits);
        if (size > worker->largest_message)
            worker->largest_message = size;
    }
}

/* The listener counted it in the total; whoever closes it gives that back. */
static void on_arrival(void *owner, void *message)
{
    struct rpc_worker *worker = owner;
    AUTO(auto_free) struct arrival *arrival = message;
    if (worker->draining) {
        arrival_refuse(arrival, worker->shared);
        return;
    }
    connection_open(worker, arrival);
    if (!timer_is_set(worker->janitor))
        timer_set(worker->janitor, deadline_after(clock_now(), SWEEP_NS));
}

/* All time-outs in one sweep; it rests while there are no connections. */
static void on_sweep(void *owner)
{
    struct rpc_worker *worker = owner;
    uint64_t now = clock_now();
    bool over = worker->draining && deadline_left(worker->drain_deadline_ns, now) == 0;
    worker->peers_to_verify = PEERS_VERIFIED_PER_SWEEP;
    struct list_node *next = NULL;
    for (struct list_node *node = list_first(&worker->connections); node != NULL; node = next) {
        next = list_next(&worker->connections, node);
        struct connection *connection = list_entry(node, struct connection, node);
        if (over)
            connection_close(connection);
        else
            connection_sweep(connection, now);
    }
    if (worker->draining)
        check_drained(worker);
    if (!list_is_empty(&worker->connections) || worker->drained != NULL)
        timer_set(worker->janitor, deadline_after(now, SWEEP_NS));
}

/* Calls may outlive their connections: a shielded COMMIT is waited for, beyond the grace if it
 * must. */
static void check_drained(struct rpc_worker *worker)
{
    assert(worker->draining);
    if (!list_is_empty(&worker->connections) || worker->running_calls > 0 ||
        worker->drained == NULL)
        return;
    void (*done)(void *owner) = TAKE(worker->drained);
    done(worker->drained_owner);
}
