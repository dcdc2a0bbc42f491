/* tenantctl events reset: lets a consumer group read again from a moment or a sequence.
 *
 * Where a consumer began cannot be changed, so it is deleted and made again with the configuration it had.
 * That must not happen under a living member: it would make the consumer anew, with a beginning of its own. */
#include "call.h"
#include "event_output.h"
#include "event_select.h"
#include "events_commands.h"

#include "consumer/group_table.h"
#include "events/dead_letter.h"
#include "events/group_stream.h"
#include "events/subjects.h"

#include <stdio.h>
#include <stdlib.h>

#define RECORD_NS (5 * NS_PER_S)
#define LOOK_MS 250
#define TTL_MS_MAX 60000

static const struct flag reset_flags[] = {
    FLAG("to-time", "TIME",
         "begin with what was stored then: 2h for two hours ago, or 2026-11-23T07:00:00Z"),
    FLAG("to-sequence", "N",
         "begin with this sequence of the stream; needs --partition or --tenant"),
    FLAG("partition", "PP", "only the stream of this partition, 00 to 15"),
    FLAG("tenant", "TENANT_ID", "only the stream of this tenant's partition"),
    FLAG("yes", NULL, "do not ask"),
    FLAGS_END,
};
const struct flag_set reset_set = {"flags", reset_flags};

struct reset {
    struct cli *cli;
    struct streams streams;
    const char *group;
    bool chosen[PARTITION_COUNT];
    json_t *configs[PARTITION_COUNT]; /* of the consumers that are there */
    unsigned count;
    uint64_t to_seq;     /* 0: to a time */
    const char *to_time; /* RFC 3339 */
};

static int reset_take(struct reset *reset);
static int partitions_take(struct reset *reset);
static int sequence_take(struct reset *reset);
static int members_check(struct reset *reset);
static int members_read(struct reset *reset, struct group_table *out);
static int members_watch(struct reset *reset, struct group_table *before, uint64_t ttl_ms);
static int consumers_look(struct reset *reset);
static int consumer_look(struct reset *reset, unsigned partition);
static int consumers_reset(struct reset *reset);
static int consumer_reset(struct reset *reset, unsigned partition, json_t *result);
static json_t *config_changed(const struct reset *reset, unsigned partition);

int events_reset(struct cli *cli)
{
    struct reset reset = {.cli = cli, .group = cli->argument};
    TRY(reset_take(&reset));
    ctl_signals_block();
    TRY(streams_open(cli, &reset.streams));
    int rc = consumers_look(&reset);
    if (rc == OK)
        rc = members_check(&reset);
    if (rc == OK)
        rc = cli_confirm(cli, arena_printf(cli->arena, "Let %s read %u streams again",
                                           text_clean(cli->arena, reset.group), reset.count));
    if (rc == OK)
        rc = consumers_reset(&reset);
    int status = rc < 0 ? streams_failed(&reset.streams) : rc;
    streams_close(&reset.streams);
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        json_decref(reset.configs[i]);
    return status;
}

static int reset_take(struct reset *reset)
{
    struct cli *cli = reset->cli;
    uint64_t time_ns = 0;
    if (!dead_letter_consumer_ok(slice_of_str(reset->group)))
        return cli_complain("GROUP \"%s\": expected 1 to 64 letters, digits, _ or -", reset->group);
    if (cli_has(cli, "to-time") == cli_has(cli, "to-sequence"))
        return cli_complain("say where to begin, with --to-time or with --to-sequence");
    TRY(event_select_time(cli, "to-time", &time_ns));
    reset->to_time = moment_text(cli->arena, time_ns);
    TRY(partitions_take(reset));
    return sequence_take(reset);
}

static int partitions_take(struct reset *reset)
{
    struct cli *cli = reset->cli;
    struct event_select select;
    TRY(event_select_take(cli, &select));
    const char *partition = cli_value(cli, "partition");
    if (partition != NULL && select.has_tenant)
        return cli_complain("--partition and --tenant say the same: give one of them");
    unsigned only = select.has_tenant ? select.only : PARTITION_COUNT;
    if (partition != NULL) {
        bool digits = strlen(partition) == 2 && strspn(partition, "0123456789") == 2;
        only = digits ? (unsigned)strtoul(partition, NULL, 10) : PARTITION_COUNT;
        if (only >= PARTITION_COUNT)
            return cli_complain("--partition \"%s\": expected 00 to 15", partition);
    }
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        reset->chosen[i] = only == PARTITION_COUNT || only == i;
    return OK;
}

static int sequence_take(struct reset *reset)
{
    const char *text = cli_value(reset->cli, "to-sequence");
    if (text == NULL)
        return OK;
    if (!cli_has(reset->cli, "partition") && !cli_has(reset->cli, "tenant"))
        return cli_complain("--to-sequence needs --partition or --tenant: each stream counts for "
                            "itself");
    char *end = NULL;
    reset->to_seq = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (reset->to_seq == 0 || *end != '\0')
        return cli_complain("--to-sequence \"%s\": expected a number from 1", text);
    return OK;
}

/* Members of our library keep a record with a beat: one that stands still for its time to live is of the
 * dead. */
static int members_check(struct reset *reset)
{
    struct arena *arena = reset->cli->arena;
    struct group_table *before = arena_alloc(arena, sizeof *before);
    struct stream_facts facts;
    TRY(streams_facts(&reset->streams, GROUP_STREAM, &facts));
    if (!facts.exists)
        return OK;
    TRY(members_read(reset, before));
    uint64_t ttl_ms = 0;
    for (size_t i = 0; i < before->member_count; i++) {
        if (before->members[i].ttl_ms > ttl_ms)
            ttl_ms = before->members[i].ttl_ms;
    }
    return before->member_count == 0 ? OK : members_watch(reset, before, ttl_ms);
}

static int members_read(struct reset *reset, struct group_table *out)
{
    struct ctx *ctx = &reset->cli->ctx;
    AUTO(buf_deinit) struct buf record = BUF_EMPTY;
    uint64_t revision = 0;
    ctx->deadline_ns = deadline_after(clock_now(), RECORD_NS);
    TRY(group_record_read(ctx, reset->streams.js, reset->group, &record, &revision));
    (void)group_table_parse(buf_slice(&record), out); /* else it is the empty one */
    return OK;
}

static int members_watch(struct reset *reset, struct group_table *before, uint64_t ttl_ms)
{
    struct cli *cli = reset->cli;
    struct group_table *now = arena_alloc(cli->arena, sizeof *now);
    if (ttl_ms > TTL_MS_MAX)
        ttl_ms = TTL_MS_MAX;
    for (uint64_t waited = 0; waited <= ttl_ms + LOOK_MS; waited += LOOK_MS) {
        progress_show(&cli->terminal, "waiting %.0f s whether a member of %s lives",
                      (double)(ttl_ms + LOOK_MS - waited) / 1e3, reset->group);
        cli->interrupted = ctl_pause(LOOK_MS * NS_PER_MS);
        if (cli->interrupted)
            return EXIT_REFUSED;
        TRY(members_read(reset, now));
        for (size_t i = 0; i < now->member_count; i++) {
            const char *name = now->members[i].name;
            const struct group_member *was = group_table_member(before, name);
            if (was != NULL && was->beat == now->members[i].beat)
                continue;
            progress_clear(&cli->terminal);
            (void)cli_complain("%s is a living member of %s: stop the group first", name,
                               reset->group);
            return EXIT_CONFLICT;
        }
    }
    progress_clear(&cli->terminal);
    return OK;
}

/* All of them before the first one is touched. */
static int consumers_look(struct reset *reset)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (reset->chosen[i])
            TRY(consumer_look(reset, i));
    }
    if (reset->count > 0)
        return OK;
    (void)cli_complain("no stream has a consumer \"%s\"", reset->group);
    return EXIT_NOT_FOUND;
}

static int consumer_look(struct reset *reset, unsigned partition)
{
    struct arena *arena = reset->cli->arena;
    json_t *reply = NULL;
    json_int_t waiting = 0;
    const char *verb = arena_printf(arena, "CONSUMER.INFO.TENANT_%02u.%s", partition, reset->group);
    TRY(streams_ask(&reset->streams, verb, "", &reply));
    if (reply == NULL)
        return OK;
    json_t *config = NULL;
    int failed = json_unpack(reply, "{s:o, s?I}", "config", &config, "num_waiting", &waiting);
    if (failed == 0)
        reset->configs[partition] = json_incref(config);
    json_decref(reply);
    if (failed != 0)
        return FAULT(&reset->cli->ctx, FAULT_PROTOCOL, "%s: no configuration in the answer", verb);
    reset->count++;
    if (waiting == 0)
        return OK;
    (void)cli_complain("a member of %s is at work on TENANT_%02u: stop the group first",
                       reset->group, partition);
    return EXIT_CONFLICT;
}

static int consumers_reset(struct reset *reset)
{
    struct cli *cli = reset->cli;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (reset->configs[i] == NULL)
            continue;
        json_t *result = json_pack("{s:s, s:o}", "consumer", reset->group, "stream",
                                   json_sprintf("TENANT_%02u", i));
        int rc = consumer_reset(reset, i, result);
        if (rc != OK) {
            json_decref(result);
            return rc;
        }
        if (cli->form != FORM_TABLE) {
            output_line(cli, result);
            continue;
        }
        fprintf(cli->out, "TENANT_%02u  %s begins at %s, %lld events to come\n", i, reset->group,
                reset->to_seq == 0
                    ? reset->to_time
                    : arena_printf(cli->arena, "sequence %llu", (unsigned long long)reset->to_seq),
                (long long)json_integer_value(json_object_get(result, "pending")));
        json_decref(result);
    }
    return OK;
}

static int consumer_reset(struct reset *reset, unsigned partition, json_t *result)
{
    struct cli *cli = reset->cli;
    struct arena *arena = cli->arena;
    json_t *reply = NULL;
    json_t *wish = config_changed(reset, partition);
    char *text = json_dumps(wish, JSON_COMPACT);
    const char *body = arena_strdup(arena, text);
    free(text);
    json_decref(wish);
    TRY(streams_ask(&reset->streams,
                    arena_printf(arena, "CONSUMER.DELETE.TENANT_%02u.%s", partition, reset->group),
                    "", &reply));
    json_decref(reply);
    const char *filter =
        json_string_value(json_object_get(reset->configs[partition], "filter_subject"));
    TRY(streams_ask(&reset->streams,
                    arena_printf(arena, "CONSUMER.CREATE.TENANT_%02u.%s%s%s", partition,
                                 reset->group, filter == NULL ? "" : ".",
                                 filter == NULL ? "" : filter),
                    body, &reply));
    if (reply == NULL)
        return FAULT(&cli->ctx, FAULT_BROKER, "TENANT_%02u is gone", partition);
    json_object_set(result, "pending", json_object_get(reply, "num_pending"));
    if (reset->to_seq > 0)
        json_object_set_new(result, "toSequence", json_integer((json_int_t)reset->to_seq));
    else
        json_object_set_new(result, "toTime", json_string(reset->to_time));
    json_decref(reply);
    return OK;
}

/* What it was, with another beginning. */
static json_t *config_changed(const struct reset *reset, unsigned partition)
{
    json_t *config = json_deep_copy(reset->configs[partition]);
    json_object_del(config, "opt_start_seq");
    json_object_del(config, "opt_start_time");
    if (reset->to_seq > 0) {
        json_object_set_new(config, "deliver_policy", json_string("by_start_sequence"));
        json_object_set_new(config, "opt_start_seq", json_integer((json_int_t)reset->to_seq));
    } else {
        json_object_set_new(config, "deliver_policy", json_string("by_start_time"));
        json_object_set_new(config, "opt_start_time", json_string(reset->to_time));
    }
    return json_pack("{s:o, s:o}", "stream_name", json_sprintf("TENANT_%02u", partition), "config",
                     config);
}
