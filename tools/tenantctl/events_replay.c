/* tenantctl events replay: what the streams still hold, in the order it was stored.
 *
 * One cursor for each stream; the one whose message was stored first is printed and moves on.  Within a stream,
 * and so within a tenant, the order is the stream's own.  --rate paces what is printed.  What is read
 * and passed over is bounded too, one request at a time and READS_PER_S. */
#include "call.h"
#include "event_output.h"
#include "event_select.h"
#include "events_commands.h"

#include "events/subjects.h"

#include "gen/events.h"

#include <stdio.h>

#define RATE_DEFAULT 1000
#define RATE_MAX 100000
#define READS_PER_S 10000 /* at most, or what --rate needs */
#define PROGRESS_EVERY 200
/* What a pace may make up for after it was not needed, or not kept. */
#define PACE_SLACK_NS (100 * NS_PER_MS)

static const struct flag replay_flags[] = {
    FLAG("tenant", "TENANT_ID", "only this tenant's events"),
    FLAG("type", "TYPE", "only events of this type", .choices = EVENT_TYPE_NAMES),
    FLAG("since", "TIME",
         "only what was stored since then: 2h for two hours ago, or 2026-11-23T07:00:00Z"),
    FLAG("until", "TIME", "only what was stored before then"),
    FLAG("rate", "N", "events printed per second at most (default 1000, at most 100000)"),
    FLAGS_END,
};
const struct flag_set replay_set = {"flags", replay_flags};

struct cursor {
    char stream[STREAM_NAME_SIZE];
    char subject[SUBJECT_SIZE]; /* only these */
    uint64_t last_seq;          /* when the replay began: it ends there */
    struct stored_message head; /* seq 0: nothing is left */
    struct arena *arena;        /* the head's */
};

struct pace {
    uint64_t step_ns; /* between two */
    uint64_t due_ns;  /* clock_now() time from which the next may come */
};

struct replay {
    struct cli *cli;
    struct streams streams;
    struct event_select select;
    struct cursor cursors[PARTITION_COUNT];
    struct pace reads;
    struct pace prints;
    uint64_t began_ns;
    size_t looked;
    size_t printed;
};

static int replay_all(struct replay *replay);
static int cursor_begin(struct replay *replay, unsigned partition);
static int cursor_move(struct replay *replay, struct cursor *cursor, uint64_t seq);
static struct cursor *cursor_first(struct replay *replay);
static void subject_of(const struct event_select *select, unsigned partition,
                       char out[SUBJECT_SIZE]);
static void print_head(struct replay *replay, const struct cursor *cursor);
static void pace_count(struct pace *pace, uint64_t now_ns);
static bool pause_is_interrupted(struct replay *replay);
static int replay_end(struct replay *replay, int rc);

int events_replay(struct cli *cli)
{
    struct replay replay = {.cli = cli};
    unsigned rate = RATE_DEFAULT;
    TRY(event_select_take(cli, &replay.select));
    TRY(cli_number(cli, "rate", RATE_MAX, &rate));
    replay.prints.step_ns = NS_PER_S / rate;
    replay.reads.step_ns = NS_PER_S / (rate > READS_PER_S ? rate : READS_PER_S);
    if (!cli_has(cli, "output") && cli->form == FORM_TABLE)
        cli->form = FORM_JSON;
    ctl_signals_block();
    TRY(streams_open(cli, &replay.streams));
    replay.began_ns = clock_now();
    int rc = replay_all(&replay);
    return replay_end(&replay, rc);
}

static int replay_all(struct replay *replay)
{
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        if (!replay->select.has_tenant || replay->select.only == partition)
            TRY(cursor_begin(replay, partition));
    }
    for (;;) {
        struct cursor *cursor = cursor_first(replay);
        if (cursor == NULL)
            return OK;
        print_head(replay, cursor);
        TRY(cursor_move(replay, cursor, cursor->head.seq + 1));
        if (pause_is_interrupted(replay))
            return OK;
    }
}

static int cursor_begin(struct replay *replay, unsigned partition)
{
    struct cursor *cursor = &replay->cursors[partition];
    struct stream_facts facts;
    uint64_t seq = 0;
    stream_name(partition, cursor->stream);
    subject_of(&replay->select, partition, cursor->subject);
    cursor->arena = arena_new(0);
    struct arena *outer = streams_arena(&replay->streams, cursor->arena);
    int rc = streams_facts(&replay->streams, cursor->stream, &facts);
    cursor->last_seq = facts.last_seq;
    if (rc == OK && facts.messages > 0)
        rc = streams_since(&replay->streams, &facts, replay->select.since_ns, &seq);
    (void)streams_arena(&replay->streams, outer);
    if (rc == OK && facts.messages > 0)
        rc = cursor_move(replay, cursor, seq);
    return rc;
}

static int cursor_move(struct replay *replay, struct cursor *cursor, uint64_t seq)
{
    arena_reset(cursor->arena);
    struct arena *outer = streams_arena(&replay->streams, cursor->arena);
    const struct stream_place place = {cursor->stream, cursor->subject, seq};
    int rc = streams_next(&replay->streams, &place, &cursor->head);
    (void)streams_arena(&replay->streams, outer);
    if (cursor->head.seq > 0) {
        replay->looked++;
        pace_count(&replay->reads, clock_now());
    }
    if (cursor->head.seq > cursor->last_seq || cursor->head.stored_ns >= replay->select.until_ns)
        cursor->head.seq = 0;
    return rc;
}

/* NULL: all are at their ends. */
static struct cursor *cursor_first(struct replay *replay)
{
    struct cursor *first = NULL;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        struct cursor *cursor = &replay->cursors[i];
        if (cursor->head.seq > 0 &&
            (first == NULL || cursor->head.stored_ns < first->head.stored_ns))
            first = cursor;
    }
    return first;
}

/* The server skips what has another type. */
static void subject_of(const struct event_select *select, unsigned partition,
                       char out[SUBJECT_SIZE])
{
    if (select->type == NULL || strlen(select->type) + sizeof ".*.00" > SUBJECT_SIZE) {
        snprintf(out, SUBJECT_SIZE, ">");
        return;
    }
    size_t dots = 0;
    for (const char *c = select->type; *c != '\0'; c++)
        dots += *c == '.';
    snprintf(out, SUBJECT_SIZE, "%s%s.%02u", select->type, dots < 3 ? ".*" : "", partition);
}

static void print_head(struct replay *replay, const struct cursor *cursor)
{
    struct cli *cli = replay->cli;
    struct seen_event event;
    struct arena *outer = streams_arena(&replay->streams, cursor->arena);
    if (!event_read(cli->arena, &cursor->head, &event))
        fprintf(stderr, "tenantctl: %s:%llu is no event\n", cursor->stream,
                (unsigned long long)cursor->head.seq);
    else if ((!replay->select.has_tenant ||
              strcmp(event.envelope->tenant_id, replay->select.tenant) == 0) &&
             event_select_type(&replay->select, event.envelope->event_type,
                               event.envelope->event_version)) {
        progress_clear(&cli->terminal);
        event_print(cli, &event);
        replay->printed++;
        pace_count(&replay->prints, clock_now());
    }
    if (replay->looked % PROGRESS_EVERY == 0)
        progress_show(&cli->terminal, "%zu events, %zu messages read, at %s", replay->printed,
                      replay->looked, moment_text(cli->arena, cursor->head.stored_ns));
    (void)streams_arena(&replay->streams, outer);
}

static void pace_count(struct pace *pace, uint64_t now_ns)
{
    uint64_t earliest = now_ns - PACE_SLACK_NS;
    pace->due_ns = (pace->due_ns < earliest ? earliest : pace->due_ns) + pace->step_ns;
}

/* Waits no shorter than a millisecond. */
static bool pause_is_interrupted(struct replay *replay)
{
    uint64_t now = clock_now();
    uint64_t due = replay->reads.due_ns > replay->prints.due_ns ? replay->reads.due_ns
                                                                : replay->prints.due_ns;
    uint64_t wait = due > now + NS_PER_MS ? due - now : 0;
    if (wait > 0 || replay->looked % PROGRESS_EVERY == 0) {
        fflush(replay->cli->out);
        replay->cli->interrupted = ctl_pause(wait);
    }
    return replay->cli->interrupted;
}

static int replay_end(struct replay *replay, int rc)
{
    struct cli *cli = replay->cli;
    progress_clear(&cli->terminal);
    fflush(cli->out);
    int status = rc != OK ? streams_failed(&replay->streams) : EXIT_DONE;
    streams_close(&replay->streams);
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        arena_free(replay->cursors[i].arena);
    fprintf(stderr, "%s%zu events, %zu messages read in %.1f s\n",
            cli->interrupted ? "interrupted: " : "", replay->printed, replay->looked,
            (double)(clock_now() - replay->began_ns) / 1e9);
    return status == EXIT_DONE && cli->interrupted ? EXIT_REFUSED : status;
}
