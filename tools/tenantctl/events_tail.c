/* tenantctl events tail: the newest events, decoded; with --follow also those to come. */
#include "call.h"
#include "event_output.h"
#include "event_select.h"
#include "events_commands.h"

#include "events/subjects.h"

#include "gen/events.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT_DEFAULT 10
#define COUNT_MAX 1000
#define POLL_NS (200 * NS_PER_MS)

static const struct flag tail_flags[] = {
    FLAG("count", "N",
         "how many of the newest events (default 10, at most 1000; with --since 1000)",
         .letter = 'n'),
    FLAG("tenant", "TENANT_ID", "only this tenant's events"),
    FLAG("type", "TYPE", "only events of this type", .choices = EVENT_TYPE_NAMES),
    FLAG("since", "TIME", "only events since then: 2h for two hours ago, or 2026-11-23T07:00:00Z"),
    FLAG("follow", NULL, "go on with events as they come, until Ctrl-C", .letter = 'f'),
    FLAGS_END,
};
const struct flag_set tail_set = {"flags", tail_flags};

struct tail {
    struct cli *cli;
    struct streams streams;
    struct event_select select;
    size_t wanted;
    size_t looked;                  /* messages read so far */
    uint64_t last[PARTITION_COUNT]; /* last sequence looked at */
    struct seen_event *events;      /* gathered, at most `wanted` per partition */
    size_t count;
};

static int tail_newest(struct tail *tail);
static int tail_partition(struct tail *tail, unsigned partition);
static bool is_interrupted(struct cli *cli);
static int tail_follow(struct tail *tail);
static int follow_partition(struct tail *tail, unsigned partition);
static int partition_facts(struct tail *tail, unsigned partition, struct stream_facts *facts);
static int event_from(struct tail *tail, unsigned partition, uint64_t sequence,
                      struct seen_event *event);
static bool is_wanted(const struct tail *tail, const struct seen_event *event);
static int by_time(const void *a, const void *b);

int events_tail(struct cli *cli)
{
    struct tail tail = {.cli = cli};
    unsigned count = cli_has(cli, "since") ? COUNT_MAX : COUNT_DEFAULT;
    TRY(cli_number(cli, "count", COUNT_MAX, &count));
    TRY(event_select_take(cli, &tail.select));
    tail.wanted = count;
    tail.events = arena_alloc(cli->arena, tail.wanted * PARTITION_COUNT * sizeof *tail.events);
    if (cli_is_on(cli, "follow"))
        ctl_signals_block();
    TRY(streams_open(cli, &tail.streams));
    int rc = tail_newest(&tail);
    progress_clear(&cli->terminal);
    if (rc == OK && cli_is_on(cli, "follow") && !cli->interrupted)
        rc = tail_follow(&tail);
    if (rc != OK)
        return streams_failed(&tail.streams);
    streams_close(&tail.streams);
    return EXIT_DONE;
}

static int tail_newest(struct tail *tail)
{
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        bool wanted = !tail->select.has_tenant || tail->select.only == partition;
        if (wanted && !tail->cli->interrupted)
            TRY(tail_partition(tail, partition));
    }
    if (tail->count > 0)
        qsort(tail->events, tail->count, sizeof *tail->events, by_time);
    size_t first = tail->count > tail->wanted ? tail->count - tail->wanted : 0;
    for (size_t i = first; i < tail->count; i++)
        event_print(tail->cli, &tail->events[i]);
    return OK;
}

/* Backwards from the stream's end until there are enough. */
static int tail_partition(struct tail *tail, unsigned partition)
{
    struct stream_facts facts;
    TRY(partition_facts(tail, partition, &facts));
    tail->last[partition] = facts.last_seq;
    size_t found = 0;
    uint64_t looked = 0;
    for (uint64_t seq = facts.last_seq; seq > 0 && seq >= facts.first_seq && found < tail->wanted;
         seq--) {
        struct seen_event event;
        if (looked++ == 10 * COUNT_MAX || is_interrupted(tail->cli))
            break;
        TRY(event_from(tail, partition, seq, &event));
        if (event.stored.seq != seq)
            continue; /* a hole: somebody has deleted it */
        if (event.stored.stored_ns < tail->select.since_ns)
            break; /* older ones were stored, and so happened, too early */
        if (++tail->looked % 100 == 0)
            progress_show(&tail->cli->terminal, "%zu events looked at", tail->looked);
        if (!is_wanted(tail, &event))
            continue;
        tail->events[tail->count++] = event;
        found++;
    }
    return OK;
}

/* Only who follows has blocked the signals; all others die of them. */
static bool is_interrupted(struct cli *cli)
{
    if (cli_is_on(cli, "follow") && ctl_pause(0))
        cli->interrupted = true;
    return cli->interrupted;
}

static int tail_follow(struct tail *tail)
{
    do {
        for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
            if (!tail->select.has_tenant || tail->select.only == partition)
                TRY(follow_partition(tail, partition));
        }
        fflush(tail->cli->out);
    } while (!ctl_pause(POLL_NS));
    return OK;
}

/* What has come since the last look.  A stream that was deleted and filled again counts from 1: what it has is
 * shown, once more or not.  An arena of its own: following may go on for days. */
static int follow_partition(struct tail *tail, unsigned partition)
{
    struct cli *cli = tail->cli;
    struct arena *outer = cli->arena;
    uint64_t *last = &tail->last[partition];
    struct stream_facts facts;
    cli->arena = cli->ctx.arena = arena_new(0);
    int rc = partition_facts(tail, partition, &facts);
    if (rc == OK && facts.last_seq < *last)
        *last = 0;
    while (rc == OK && *last < facts.last_seq) {
        struct seen_event event;
        rc = event_from(tail, partition, *last + 1, &event);
        *last = rc == OK && event.stored.seq != 0 ? event.stored.seq : facts.last_seq;
        if (rc == OK && is_wanted(tail, &event))
            event_print(cli, &event);
    }
    arena_free(cli->arena);
    cli->arena = cli->ctx.arena = outer;
    return rc;
}

static int partition_facts(struct tail *tail, unsigned partition, struct stream_facts *facts)
{
    char stream[STREAM_NAME_SIZE];
    stream_name(partition, stream);
    return streams_facts(&tail->streams, arena_strdup(tail->cli->arena, stream), facts);
}

/* The message with this sequence, or the first one behind it.  event->stored.seq is 0 when there is none,
 * event->envelope NULL when it is no event. */
static int event_from(struct tail *tail, unsigned partition, uint64_t sequence,
                      struct seen_event *event)
{
    char stream[STREAM_NAME_SIZE];
    struct arena *arena = tail->cli->arena;
    struct stored_message message;
    stream_name(partition, stream);
    const struct stream_place place = {arena_strdup(arena, stream), ">", sequence};
    TRY(streams_next(&tail->streams, &place, &message));
    (void)event_read(arena, &message, event);
    return OK;
}

static bool is_wanted(const struct tail *tail, const struct seen_event *event)
{
    const struct event_select *select = &tail->select;
    if (event->envelope == NULL || event->occurred_ns < select->since_ns)
        return false;
    if (select->has_tenant && strcmp(event->envelope->tenant_id, select->tenant) != 0)
        return false;
    return event_select_type(select, event->envelope->event_type, event->envelope->event_version);
}

static int by_time(const void *a, const void *b)
{
    const struct seen_event *left = a;
    const struct seen_event *right = b;
    if (strcmp(left->stored.stream, right->stored.stream) == 0)
        return left->stored.seq < right->stored.seq ? -1 : 1;
    return left->occurred_ns < right->occurred_ns ? -1 : left->occurred_ns > right->occurred_ns;
}
