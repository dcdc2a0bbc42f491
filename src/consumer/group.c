/* This member's part in its group; see group.h.  Called by the loop. */
#include "consumer/group.h"

#include "base/random.h"

#include "consumer/consumer_int.h"
#include "events/group_stream.h"

#include <poll.h>
#include <stdio.h>

/* a part of the leases' time: events wait meanwhile, and it is asked again */
#define PATIENCES_PER_TTL 8
#define PATIENCE_FLOOR_NS (500 * NS_PER_MS)
#define PATIENCE_CAP_NS (3 * NS_PER_S)
#define BEATS_PER_TTL 5
#define SOON_NS (100 * NS_PER_MS)
#define CONFLICT_ROUNDS 4
/* after an outage every member notes, event by event */
#define NOTE_ROUNDS 16
#define NOTE_PAUSE_MS 8
#define AGAIN_FLOOR_NS (100 * NS_PER_MS)
#define AGAIN_CAP_NS (2 * NS_PER_S)

static struct ctx *step(struct tenant_consumer *consumer);
static uint64_t ttl_ns(const struct tenant_consumer *consumer);
static void leases_end(struct tenant_consumer *consumer);
static int round_trip(struct tenant_consumer *consumer, bool *written);
static int notes_write(struct tenant_consumer *consumer, bool *written);
static int table_read(struct tenant_consumer *consumer, struct ctx *ctx);
static int table_write(struct tenant_consumer *consumer, struct ctx *ctx, bool *written);
static void dead_remove(struct tenant_consumer *consumer, uint64_t now);
static bool has_beaten(const struct group *group, const struct group_member *member);
static bool is_dead(struct group *group, const struct group_member *member, uint64_t now);
static bool self_beat(struct tenant_consumer *consumer);
static bool plan_follow(struct tenant_consumer *consumer);
static void partition_stay(struct tenant_consumer *consumer, unsigned number);
static bool partition_release(struct tenant_consumer *consumer, unsigned number);
static void leases_follow(struct tenant_consumer *consumer);
static void hold(struct tenant_consumer *consumer, unsigned number);
static void drop(struct tenant_consumer *consumer, unsigned number);
static void failed(struct tenant_consumer *consumer, const char *detail);

/* Somebody else was faster: read again and decide again, at once. */
void group_tick(struct tenant_consumer *consumer)
{
    struct group *group = &consumer->group;
    uint64_t now = clock_now();
    if (now >= group->lease_end_ns)
        leases_end(consumer);
    if (now < group->due_ns)
        return;
    group->due_ns = deadline_after(now, ttl_ns(consumer) / BEATS_PER_TTL);
    bool written = false;
    int rc = OK;
    for (int round = 0; rc == OK && !written && round < CONFLICT_ROUNDS; round++)
        rc = round_trip(consumer, &written);
    if (rc != OK) {
        failed(consumer, ctx_fault_text(&consumer->ctx));
        return;
    }
    group->failures = 0;
    if (!written)
        group->due_ns = deadline_after(clock_now(), random_below(SOON_NS));
}

void group_reset(struct tenant_consumer *consumer)
{
    consumer->group.watch_count = 0;
    consumer->group.due_ns = 0;
}

/* Members that do not hear of it find out by the beat. */
void group_leave(struct tenant_consumer *consumer)
{
    struct group *group = &consumer->group;
    bool written = false;
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        drop(consumer, i);
    for (int round = 0; !written && round < CONFLICT_ROUNDS; round++) {
        struct ctx *ctx = step(consumer);
        if (table_read(consumer, ctx) != OK)
            return;
        group_table_remove(&group->table, consumer->member);
        if (table_write(consumer, ctx, &written) != OK)
            return;
    }
}

bool group_note(struct tenant_consumer *consumer, const struct group_attempt *attempt, bool now)
{
    struct group *group = &consumer->group;
    if (attempt->attempts ==
        group_table_attempts(&group->table, attempt->partition, attempt->stream_seq))
        return true;
    group_table_note(&group->table, attempt);
    group->notes[group->note_count++] = *attempt;
    if (!now && group->note_count < GROUP_NOTES_MAX)
        return true;
    bool written = false;
    int rc = notes_write(consumer, &written);
    for (int round = 1; rc == OK && !written && round < NOTE_ROUNDS; round++) {
        poll(NULL, 0, (int)random_below(NOTE_PAUSE_MS));
        rc = notes_write(consumer, &written);
    }
    group->note_count =
        0; /* what could not be written is forgotten: the event is tried once more often */
    return rc == OK && written;
}

enum group_claim group_claim_all(struct tenant_consumer *consumer)
{
    struct group *group = &consumer->group;
    struct group_table *table = &group->table;
    struct ctx *ctx = step(consumer);
    if (table_read(consumer, ctx) != OK)
        return GROUP_FAILED;
    for (size_t i = 0; i < table->member_count; i++) {
        if (has_beaten(group, &table->members[i]))
            return GROUP_ALIVE;
    }
    dead_remove(consumer, clock_now());
    if (table->member_count > 0)
        return GROUP_WAIT;
    bool written = false;
    (void)self_beat(consumer);
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        snprintf(table->owners[i], sizeof table->owners[i], "%s", consumer->member);
    if (table_write(consumer, ctx, &written) != OK)
        return GROUP_FAILED;
    return written ? GROUP_CLAIMED : GROUP_WAIT;
}

enum group_claim group_keep_all(struct tenant_consumer *consumer)
{
    struct group *group = &consumer->group;
    uint64_t now = clock_now();
    bool written = false;
    if (now < group->due_ns)
        return GROUP_CLAIMED;
    struct ctx *ctx = step(consumer);
    if (table_read(consumer, ctx) != OK)
        return GROUP_FAILED;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (strcmp(group->table.owners[i], consumer->member) != 0)
            return GROUP_ALIVE;
    }
    (void)self_beat(consumer);
    if (table_write(consumer, ctx, &written) != OK)
        return GROUP_FAILED;
    if (written) /* else another was faster, and we read again at the next call */
        group->due_ns = deadline_after(now, ttl_ns(consumer) / BEATS_PER_TTL);
    return GROUP_CLAIMED;
}

/* Of reading and writing the record. */
static struct ctx *step(struct tenant_consumer *consumer)
{
    uint64_t patience = ttl_ns(consumer) / PATIENCES_PER_TTL;
    if (patience < PATIENCE_FLOOR_NS)
        patience = PATIENCE_FLOOR_NS;
    return consumer_step(consumer, patience > PATIENCE_CAP_NS ? PATIENCE_CAP_NS : patience);
}

static uint64_t ttl_ns(const struct tenant_consumer *consumer)
{
    return consumer->settings.lease_ttl_ms * NS_PER_MS;
}

/* Nobody renewed them in time: others may have them by now. */
static void leases_end(struct tenant_consumer *consumer)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        drop(consumer, i);
}

/* The new end counts from before the question, and others count from when they see the answer. */
static int round_trip(struct tenant_consumer *consumer, bool *written)
{
    struct group *group = &consumer->group;
    struct ctx *ctx = step(consumer);
    uint64_t began = clock_now();
    TRY(table_read(consumer, ctx));
    dead_remove(consumer, began);
    bool member = self_beat(consumer);
    bool busy = member && plan_follow(consumer);
    TRY(table_write(consumer, ctx, written));
    if (!*written)
        return OK;
    group->lease_end_ns = deadline_after(began, ttl_ns(consumer));
    leases_follow(consumer);
    if (busy)
        group->due_ns = deadline_after(clock_now(), SOON_NS);
    return OK;
}

/* Nothing else of the record changes, and no lease of ours with it: an event is in hand, whose partition and
 * position must stay.  What the record says of leases is the next tick's. */
static int notes_write(struct tenant_consumer *consumer, bool *written)
{
    struct ctx *ctx = step(consumer);
    TRY(table_read(consumer, ctx));
    return table_write(consumer, ctx, written);
}

/* What was noted here and is not written yet goes into what was read. */
static int table_read(struct tenant_consumer *consumer, struct ctx *ctx)
{
    AUTO(buf_deinit) struct buf record = {.limit = 2 * GROUP_TABLE_BYTES_MAX};
    struct group *group = &consumer->group;
    uint64_t revision = 0;
    TRY(group_record_read(ctx, consumer->js, consumer->settings.group, &record, &revision));
    bool known = group_table_parse(buf_slice(&record), &group->table);
    if (revision != 0 && !known)
        consumer_notice(consumer, 2, "the record of group %s is none: it is begun anew",
                        consumer->settings.group);
    group->revision = revision;
    for (size_t i = 0; i < group->note_count; i++)
        group_table_note(&group->table, &group->notes[i]);
    return OK;
}

static int table_write(struct tenant_consumer *consumer, struct ctx *ctx, bool *written)
{
    AUTO(buf_deinit) struct buf text = BUF_EMPTY;
    struct group *group = &consumer->group;
    uint64_t revision = 0;
    group_table_format(&group->table, &text);
    const struct group_record record = {
        .group = consumer->settings.group,
        .bytes = buf_slice(&text),
        .revision = group->revision,
    };
    TRY(group_record_write(ctx, consumer->replies, &record, ++consumer->next_tag, &revision));
    *written = revision != 0;
    if (*written) {
        group->revision = revision;
        group->note_count = 0;
    }
    return OK;
}

static void dead_remove(struct tenant_consumer *consumer, uint64_t now)
{
    struct group *group = &consumer->group;
    for (size_t i = group->table.member_count; i-- > 0;) {
        const struct group_member *member = &group->table.members[i];
        if (strcmp(member->name, consumer->member) == 0 || !is_dead(group, member, now))
            continue;
        char name[GROUP_NAME_SIZE];
        snprintf(name, sizeof name, "%s", member->name);
        consumer_notice(consumer, 1, "member %s is dead", name);
        group_table_remove(&group->table, name);
    }
}

/* Since it was looked at first. */
static bool has_beaten(const struct group *group, const struct group_member *member)
{
    for (size_t i = 0; i < group->watch_count; i++) {
        if (strcmp(group->watches[i].name, member->name) == 0)
            return group->watches[i].beat != member->beat;
    }
    return false;
}

/* A watch of somebody who left is overwritten when the room is needed. */
static bool is_dead(struct group *group, const struct group_member *member, uint64_t now)
{
    struct group_watch *watch = group->watches;
    struct group_watch *end = group->watches + group->watch_count;
    while (watch < end && strcmp(watch->name, member->name) != 0)
        watch++;
    if (watch == end && group->watch_count == GROUP_MEMBERS_MAX) {
        watch = group->watches;
        for (struct group_watch *one = group->watches; one < end; one++)
            watch = one->seen_ns < watch->seen_ns ? one : watch;
    } else if (watch == end) {
        group->watch_count++;
    }
    if (watch == end || strcmp(watch->name, member->name) != 0 || watch->beat != member->beat) {
        *watch = (struct group_watch){.beat = member->beat, .seen_ns = now};
        snprintf(watch->name, sizeof watch->name, "%s", member->name);
    }
    return now - watch->seen_ns > member->ttl_ms * NS_PER_MS;
}

/* False: the group is full, and we wait for a place. */
static bool self_beat(struct tenant_consumer *consumer)
{
    struct group_table *table = &consumer->group.table;
    struct group_member *self = group_table_member(table, consumer->member);
    if (self == NULL && !group_table_join(table, consumer->member, consumer->settings.lease_ttl_ms))
        return false;
    self = group_table_member(table, consumer->member);
    self->beat++;
    self->ttl_ms = consumer->settings.lease_ttl_ms;
    return true;
}

/* What is to be given up is, once nothing of it is on its way here.  True: look again soon. */
static bool plan_follow(struct tenant_consumer *consumer)
{
    struct group_table *table = &consumer->group.table;
    unsigned start = (unsigned)random_below(PARTITION_COUNT);
    const struct lease_plan plan = group_table_plan(table, consumer->member, start);
    bool busy = false;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        bool given_up = (plan.release >> i & 1) != 0;
        if ((plan.take >> i & 1) != 0)
            snprintf(table->owners[i], sizeof table->owners[i], "%s", consumer->member);
        if (!given_up)
            partition_stay(consumer, i);
        else if (partition_release(consumer, i))
            table->owners[i][0] = '\0';
        else
            busy = true;
    }
    return busy;
}

static void partition_stay(struct tenant_consumer *consumer, unsigned number)
{
    consumer->sources[number].leaving = false;
    if (number == 0)
        consumer->sources[SOURCE_REQUEUED].leaving = false;
}

/* False: not yet. */
static bool partition_release(struct tenant_consumer *consumer, unsigned number)
{
    bool done = source_leave(consumer, number);
    return (number != 0 || source_leave(consumer, SOURCE_REQUEUED)) && done;
}

static void leases_follow(struct tenant_consumer *consumer)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (strcmp(consumer->group.table.owners[i], consumer->member) == 0)
            hold(consumer, i);
        else
            drop(consumer, i);
    }
}

static void hold(struct tenant_consumer *consumer, unsigned number)
{
    if (consumer->sources[number].held)
        return;
    consumer_count(consumer, COUNT_TAKEOVERS);
    source_hold(consumer, number);
    if (number == 0)
        source_hold(consumer, SOURCE_REQUEUED);
}

static void drop(struct tenant_consumer *consumer, unsigned number)
{
    if (!consumer->sources[number].held)
        return;
    (void)batch_keep(consumer);
    source_drop(consumer, number);
    if (number == 0)
        source_drop(consumer, SOURCE_REQUEUED);
}

/* Said when it lasts; what is held stays held to its end. */
static void failed(struct tenant_consumer *consumer, const char *detail)
{
    struct group *group = &consumer->group;
    consumer_count(consumer, COUNT_BROKER_FAILURES);
    if (group->failures == 2)
        consumer_notice(consumer, 1, "group: %s", detail);
    uint64_t pause = backoff_ns(group->failures, AGAIN_FLOOR_NS, AGAIN_CAP_NS);
    group->failures += group->failures < 16;
    group->due_ns = deadline_after(clock_now(), pause);
}
