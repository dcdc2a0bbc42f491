/* The group's record; see group_table.h.  Its text comes from a stream: foreign bytes. */
#include "consumer/group_table.h"

#include "events/dead_letter.h"
#include "events/json_scan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define HEAD "tenant-group 1"
#define WORDS_MAX 4

struct words {
    struct slice word[WORDS_MAX];
    size_t count;
};

static struct slice take_line(struct slice *text);
static struct words split(struct slice line);
static bool line_read(const struct words *words, struct group_table *table);
static bool member_read(const struct words *words, struct group_table *table);
static bool lease_read(const struct words *words, struct group_table *table);
static bool attempt_read(const struct slice *words, struct group_attempt *attempt,
                         struct group_table *table);
static bool name_read(struct slice word, char out[GROUP_NAME_SIZE]);
static bool partition_read(struct slice word, unsigned *out);
static size_t leases_of(const struct group_table *table, const char *name);

/* Into *out itself: the table is too large for a stack. */
bool group_table_parse(struct slice text, struct group_table *out)
{
    memset(out, 0, sizeof *out);
    bool good = text.size <= GROUP_TABLE_BYTES_MAX && slice_is(take_line(&text), HEAD);
    while (good && text.size > 0) {
        const struct words words = split(take_line(&text));
        good = words.count == 0 || line_read(&words, out);
    }
    if (!good)
        memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (group_table_member(out, out->owners[i]) == NULL)
            memset(out->owners[i], 0, sizeof out->owners[i]);
    }
    return good;
}

void group_table_format(const struct group_table *table, struct buf *out)
{
    buf_put_str(out, HEAD "\n");
    for (size_t i = 0; i < table->member_count; i++)
        buf_printf(out, "member %s %" PRIu64 " %" PRIu64 "\n", table->members[i].name,
                   table->members[i].beat, table->members[i].ttl_ms);
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (table->owners[i][0] != '\0')
            buf_printf(out, "lease %u %s\n", i, table->owners[i]);
    }
    for (size_t i = 0; i < table->attempt_count; i++) {
        const struct group_attempt *one = &table->attempts[i];
        if (one->partition == PARTITION_COUNT)
            buf_put_str(out, "letter");
        else
            buf_printf(out, "attempt %u", one->partition);
        buf_printf(out, " %" PRIu64 " %u\n", one->stream_seq, one->attempts);
    }
}

struct group_member *group_table_member(struct group_table *table, const char *name)
{
    for (size_t i = 0; i < table->member_count; i++) {
        if (strcmp(table->members[i].name, name) == 0)
            return &table->members[i];
    }
    return NULL;
}

bool group_table_join(struct group_table *table, const char *name, uint64_t ttl_ms)
{
    assert(group_table_member(table, name) == NULL && strlen(name) < GROUP_NAME_SIZE);
    if (table->member_count == GROUP_MEMBERS_MAX)
        return false;
    struct group_member *member = &table->members[table->member_count++];
    *member = (struct group_member){.ttl_ms = ttl_ms};
    snprintf(member->name, sizeof member->name, "%s", name);
    return true;
}

void group_table_remove(struct group_table *table, const char *name)
{
    struct group_member *member = group_table_member(table, name);
    if (member == NULL)
        return;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (strcmp(table->owners[i], name) == 0)
            table->owners[i][0] = '\0';
    }
    *member = table->members[--table->member_count];
}

/* The relays' arithmetic on another kind of lease. */
struct lease_plan group_table_plan(const struct group_table *table, const char *name,
                                   unsigned start)
{
    struct relay_leases leases = {.live_owners = table->member_count, .poorest = OUTBOX_SHARDS};
    static_assert(PARTITION_COUNT == OUTBOX_SHARDS, "a shard is a partition");
    static_assert(GROUP_NAME_SIZE <= RELAY_OWNER_SIZE, "names fit");
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        snprintf(leases.owners[i], sizeof leases.owners[i], "%s", table->owners[i]);
    for (size_t i = 0; i < table->member_count; i++) {
        size_t count = leases_of(table, table->members[i].name);
        if (strcmp(table->members[i].name, name) != 0 && count < leases.poorest)
            leases.poorest = count;
    }
    return lease_plan_make(&leases, name, start);
}

unsigned group_table_attempts(const struct group_table *table, unsigned partition,
                              uint64_t stream_seq)
{
    for (size_t i = 0; i < table->attempt_count; i++) {
        if (table->attempts[i].partition == partition &&
            table->attempts[i].stream_seq == stream_seq)
            return table->attempts[i].attempts;
    }
    return 0;
}

void group_table_note(struct group_table *table, const struct group_attempt *attempt)
{
    struct group_attempt *fewest = table->attempts;
    for (struct group_attempt *one = table->attempts; one < table->attempts + table->attempt_count;
         one++) {
        if (one->partition == attempt->partition && one->stream_seq == attempt->stream_seq) {
            *one = attempt->attempts > 0 ? *attempt : table->attempts[--table->attempt_count];
            return;
        }
        if (one->attempts < fewest->attempts)
            fewest = one;
    }
    if (attempt->attempts == 0)
        return;
    if (table->attempt_count < GROUP_ATTEMPTS_MAX)
        fewest = &table->attempts[table->attempt_count++];
    *fewest = *attempt;
}

/* The first line, without its newline; *text goes on behind it. */
static struct slice take_line(struct slice *text)
{
    const uint8_t *end = text->size == 0 ? NULL : memchr(text->data, '\n', text->size);
    size_t length = end == NULL ? text->size : (size_t)(end - text->data);
    struct slice line = slice_make(text->data, length);
    *text = slice_skip(*text, end == NULL ? length : length + 1);
    return line;
}

/* More words than we know are a newer release's. */
static struct words split(struct slice line)
{
    struct words words = {.count = 0};
#ifdef PLANTED_BUG /* for tests/fuzz: one word too many is kept */
    while (line.size > 0 && words.count <= WORDS_MAX) {
#else
    while (line.size > 0 && words.count < WORDS_MAX) {
#endif
        const uint8_t *blank = memchr(line.data, ' ', line.size);
        size_t length = blank == NULL ? line.size : (size_t)(blank - line.data);
        words.word[words.count++] = slice_make(line.data, length);
        line = slice_skip(line, blank == NULL ? length : length + 1);
    }
    return words;
}

static bool line_read(const struct words *words, struct group_table *table)
{
    if (slice_is(words->word[0], "member"))
        return member_read(words, table);
    if (slice_is(words->word[0], "lease"))
        return lease_read(words, table);
    struct group_attempt attempt = {.partition = PARTITION_COUNT};
    if (slice_is(words->word[0], "letter"))
        return words->count >= 3 && attempt_read(&words->word[1], &attempt, table);
    if (slice_is(words->word[0], "attempt"))
        return words->count >= 4 && partition_read(words->word[1], &attempt.partition) &&
               attempt_read(&words->word[2], &attempt, table);
    return true;
}

static bool member_read(const struct words *words, struct group_table *table)
{
    struct group_member member = {.beat = 0};
    if (words->count < 4 || !name_read(words->word[1], member.name) ||
        !json_scan_uint(words->word[2], &member.beat) ||
        !json_scan_uint(words->word[3], &member.ttl_ms) ||
        table->member_count == GROUP_MEMBERS_MAX || group_table_member(table, member.name) != NULL)
        return false;
    table->members[table->member_count++] = member;
    return true;
}

static bool lease_read(const struct words *words, struct group_table *table)
{
    unsigned partition = 0;
    return words->count >= 3 && partition_read(words->word[1], &partition) &&
           table->owners[partition][0] == '\0' &&
           name_read(words->word[2], table->owners[partition]);
}

/* `words`: the sequence and the number. */
static bool attempt_read(const struct slice *words, struct group_attempt *attempt,
                         struct group_table *table)
{
    uint64_t number = 0;
    if (!json_scan_uint(words[0], &attempt->stream_seq) || !json_scan_uint(words[1], &number) ||
        number == 0 || number > UINT32_MAX || table->attempt_count == GROUP_ATTEMPTS_MAX)
        return false;
    attempt->attempts = (unsigned)number;
    table->attempts[table->attempt_count++] = *attempt;
    return true;
}

static bool name_read(struct slice word, char out[GROUP_NAME_SIZE])
{
    if (!dead_letter_consumer_ok(word))
        return false;
    memcpy(out, word.data, word.size);
    out[word.size] = '\0';
    return true;
}

static bool partition_read(struct slice word, unsigned *out)
{
    uint64_t number = 0;
    if (!json_scan_uint(word, &number) || number >= PARTITION_COUNT)
        return false;
    *out = (unsigned)number;
    return true;
}

static size_t leases_of(const struct group_table *table, const char *name)
{
    size_t count = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        count += strcmp(table->owners[i], name) == 0;
    return count;
}
