/* tenantctl events lag: how far consumers are behind the streams. */
#include "event_output.h"
#include "events_commands.h"

#include "events/dead_letter.h"
#include "events/subjects.h"

#include <stdio.h>
#include <stdlib.h>

static const struct flag lag_flags[] = {
    FLAG("consumer", "GROUP", "only this consumer group"),
    FLAGS_END,
};
const struct flag_set lag_set = {"flags", lag_flags};

#define STREAM_COUNT (PARTITION_COUNT + 1) /* the dead letters too */

/* One durable consumer on one stream, or all of one name together. */
struct lag {
    const char *stream; /* "" of all together */
    const char *consumer;
    uint64_t pending;     /* not delivered yet */
    uint64_t ack_pending; /* delivered, not acknowledged */
    uint64_t redelivered;
    uint64_t waiting;   /* requests that wait for messages: somebody is there */
    uint64_t floor;     /* everything up to this sequence is acknowledged */
    uint64_t oldest_ns; /* age of the oldest message that is not acknowledged; 0: there is none */
};

struct lags {
    struct cli *cli;
    struct streams streams;
    struct stream_facts facts[STREAM_COUNT];
    struct lag *items; /* in the arena */
    size_t count;
    size_t room;
};

static int lags_read(struct lags *lags);
static int consumers_read(struct lags *lags, const struct stream_facts *facts);
static int consumer_read(struct lags *lags, const struct stream_facts *facts, json_t *info);
static void lag_add(struct lags *lags, struct lag lag);
static size_t groups_sum(const struct lags *lags, struct lag *sums);
static void table_print(const struct lags *lags, const struct lag *sums, size_t sum_count);
static void row_print(const struct cli *cli, const struct lag *lag, uint64_t last_seq);
static json_t *lags_json(const struct lags *lags, const struct lag *sums, size_t sum_count);
static json_t *lag_json(const struct lag *lag);

int events_lag(struct cli *cli)
{
    struct lags lags = {.cli = cli};
    TRY(streams_open(cli, &lags.streams));
    int rc = lags_read(&lags);
    if (rc != OK)
        return streams_failed(&lags.streams);
    streams_close(&lags.streams);
    struct lag *sums = arena_alloc(cli->arena, (lags.count + 1) * sizeof *sums);
    size_t sum_count = groups_sum(&lags, sums);
    const char *wanted = cli_value(cli, "consumer");
    if (wanted != NULL && lags.count == 0) {
        (void)cli_complain("no stream has a consumer \"%s\"", wanted);
        return EXIT_NOT_FOUND;
    }
    if (cli->form == FORM_TABLE)
        table_print(&lags, sums, sum_count);
    else
        output_value(cli, lags_json(&lags, sums, sum_count));
    return EXIT_DONE;
}

static int lags_read(struct lags *lags)
{
    for (unsigned i = 0; i < STREAM_COUNT; i++) {
        char *name = arena_alloc(lags->cli->arena, sizeof DEAD_LETTER_STREAM + STREAM_NAME_SIZE);
        if (i < PARTITION_COUNT)
            stream_name(i, name);
        else
            memcpy(name, DEAD_LETTER_STREAM, sizeof DEAD_LETTER_STREAM);
        TRY(streams_facts(&lags->streams, name, &lags->facts[i]));
        if (lags->facts[i].exists)
            TRY(consumers_read(lags, &lags->facts[i]));
    }
    return OK;
}

/* The server answers with at most 256 at a time. */
static int consumers_read(struct lags *lags, const struct stream_facts *facts)
{
    const char *verb = arena_printf(lags->cli->arena, "CONSUMER.LIST.%s", facts->name);
    for (size_t offset = 0;;) {
        json_t *reply = NULL;
        TRY(streams_ask(&lags->streams, verb,
                        arena_printf(lags->cli->arena, "{\"offset\":%zu}", offset), &reply));
        json_t *consumers = json_object_get(reply, "consumers");
        size_t total = (size_t)json_integer_value(json_object_get(reply, "total"));
        size_t got = json_array_size(consumers);
        int rc = OK;
        for (size_t i = 0; i < got && rc == OK; i++)
            rc = consumer_read(lags, facts, json_array_get(consumers, i));
        json_decref(reply);
        offset += got;
        if (rc != OK || got == 0 || offset >= total)
            return rc;
    }
}

static int consumer_read(struct lags *lags, const struct stream_facts *facts, json_t *info)
{
    struct cli *cli = lags->cli;
    const char *durable = NULL, *filter = NULL;
    json_int_t floor = 0, pending = 0, unacked = 0, redelivered = 0, waiting = 0;
    if (json_unpack(info, "{s:{s?s, s?s}, s:{s:I}, s:I, s:I, s:I, s:I}", "config", "durable_name",
                    &durable, "filter_subject", &filter, "ack_floor", "stream_seq", &floor,
                    "num_pending", &pending, "num_ack_pending", &unacked, "num_redelivered",
                    &redelivered, "num_waiting", &waiting) != 0)
        return FAULT(&cli->ctx, FAULT_PROTOCOL, "stream %s: a consumer is unreadable", facts->name);
    const char *wanted = cli_value(cli, "consumer");
    bool letters = strcmp(facts->name, DEAD_LETTER_STREAM) == 0;
    if (durable == NULL ||
        (wanted != NULL && strcmp(durable, wanted) != 0 &&
         !(letters && strcmp(durable, arena_printf(cli->arena, "%s_requeue", wanted)) == 0)))
        return OK;
    struct lag lag = {.stream = facts->name,
                      .consumer = arena_strdup(cli->arena, durable),
                      .pending = (uint64_t)pending,
                      .ack_pending = (uint64_t)unacked,
                      .redelivered = (uint64_t)redelivered,
                      .waiting = (uint64_t)waiting,
                      .floor = (uint64_t)floor};
    struct stored_message oldest = {.seq = 0};
    if (pending + unacked > 0)
        TRY(streams_next(
            &lags->streams,
            &(struct stream_place){facts->name, filter == NULL ? ">" : filter, lag.floor + 1},
            &oldest));
    uint64_t now = clock_wall();
    if (oldest.seq > 0 && oldest.stored_ns < now)
        lag.oldest_ns = now - oldest.stored_ns;
    lag_add(lags, lag);
    return OK;
}

static void lag_add(struct lags *lags, struct lag lag)
{
    if (lags->count == lags->room) {
        lags->room = lags->room == 0 ? 64 : 2 * lags->room;
        struct lag *items = arena_alloc(lags->cli->arena, lags->room * sizeof *items);
        if (lags->count > 0)
            memcpy(items, lags->items, lags->count * sizeof *items);
        lags->items = items;
    }
    lags->items[lags->count++] = lag;
}

/* `sums` has room for as many as there are. */
static size_t groups_sum(const struct lags *lags, struct lag *sums)
{
    size_t count = 0;
    for (size_t i = 0; i < lags->count; i++) {
        const struct lag *one = &lags->items[i];
        size_t at = 0;
        while (at < count && strcmp(sums[at].consumer, one->consumer) != 0)
            at++;
        if (at == count)
            sums[count++] = (struct lag){.stream = "", .consumer = one->consumer};
        sums[at].pending += one->pending;
        sums[at].ack_pending += one->ack_pending;
        sums[at].redelivered += one->redelivered;
        sums[at].waiting += one->waiting;
        if (one->oldest_ns > sums[at].oldest_ns)
            sums[at].oldest_ns = one->oldest_ns;
    }
    return count;
}

static void table_print(const struct lags *lags, const struct lag *sums, size_t sum_count)
{
    static const char *const heads[] = {"STREAM",  "LAST",        "CONSUMER", "PENDING",
                                        "UNACKED", "REDELIVERED", "OLDEST"};
    static const int widths[] = {12, 10, 24, 10, 10, 12, 0};
    const struct cli *cli = lags->cli;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        output_cell(cli, heads[i], widths[i]);
    fputc('\n', cli->out);
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        const struct stream_facts *facts = &lags->facts[i];
        bool has_one = false;
        for (size_t k = 0; k < lags->count; k++) {
            if (lags->items[k].stream != facts->name)
                continue;
            row_print(cli, &lags->items[k], facts->last_seq);
            has_one = true;
        }
        if (!has_one && facts->exists && !cli_has(cli, "consumer"))
            row_print(cli, &(struct lag){.stream = facts->name, .consumer = "-"}, facts->last_seq);
    }
    for (size_t i = 0; i < sum_count; i++)
        row_print(cli, &sums[i], 0);
}

static void row_print(const struct cli *cli, const struct lag *lag, uint64_t last_seq)
{
    struct arena *arena = cli->arena;
    bool sum = lag->stream[0] == '\0';
    output_cell(cli, sum ? "all" : lag->stream, 12);
    output_cell(cli, sum ? "" : arena_printf(arena, "%llu", (unsigned long long)last_seq), 10);
    if (strcmp(lag->consumer, "-") == 0) {
        fputc('-', cli->out);
    } else {
        output_cell(cli, text_clean(arena, lag->consumer), 24);
        output_cell(cli, arena_printf(arena, "%llu", (unsigned long long)lag->pending), 10);
        output_cell(cli, arena_printf(arena, "%llu", (unsigned long long)lag->ack_pending), 10);
        output_cell(cli, arena_printf(arena, "%llu", (unsigned long long)lag->redelivered), 12);
        fputs(lag->oldest_ns == 0 ? "-"
                                  : arena_printf(arena, "%.1fs", (double)lag->oldest_ns / 1e9),
              cli->out);
    }
    fputc('\n', cli->out);
}

static json_t *lags_json(const struct lags *lags, const struct lag *sums, size_t sum_count)
{
    json_t *streams = json_array();
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        const struct stream_facts *facts = &lags->facts[i];
        if (!facts->exists)
            continue;
        json_t *consumers = json_array();
        for (size_t k = 0; k < lags->count; k++) {
            if (lags->items[k].stream != facts->name)
                continue;
            json_t *row = lag_json(&lags->items[k]);
            json_object_set_new(row, "ackFloor", json_integer((json_int_t)lags->items[k].floor));
            json_array_append_new(consumers, row);
        }
        json_array_append_new(
            streams, json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "stream", facts->name,
                               "firstSequence", (json_int_t)facts->first_seq, "lastSequence",
                               (json_int_t)facts->last_seq, "messages", (json_int_t)facts->messages,
                               "bytes", (json_int_t)facts->bytes, "consumers", consumers));
    }
    json_t *groups = json_array();
    for (size_t i = 0; i < sum_count; i++)
        json_array_append_new(groups, lag_json(&sums[i]));
    return json_pack("{s:o, s:o}", "streams", streams, "consumers", groups);
}

/* oldestSeconds is null when everything is acknowledged. */
static json_t *lag_json(const struct lag *lag)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "consumer", lag->consumer, "pending",
                     (json_int_t)lag->pending, "ackPending", (json_int_t)lag->ack_pending,
                     "redelivered", (json_int_t)lag->redelivered, "waitingPulls",
                     (json_int_t)lag->waiting, "oldestSeconds",
                     lag->oldest_ns == 0 ? json_null() : json_real((double)lag->oldest_ns / 1e9));
}
