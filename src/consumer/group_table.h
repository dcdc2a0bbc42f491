/* The record that the members of a group share: who lives, who has which partition, what keeps failing.
 * Pure.
 *
 * It is one message in stream TENANT_GROUPS, replaced as a whole by whoever read its latest version: lines
 * of words
 *
 *    tenant-group 1
 *    member <name> <beat> <ttl ms>       the beat grows while the member lives
 *    lease <partition> <name>            partitions without a line are free
 *    attempt <partition> <stream sequence> <number>
 *    letter <stream sequence> <number>   the same of a dead letter that was sent back
 *
 * Lines that begin with another word are passed over: a newer release may write more. */
#ifndef CONSUMER_GROUP_TABLE_H
#define CONSUMER_GROUP_TABLE_H

#include "base/buf.h"

#include "events/lease_plan.h"
#include "events/subjects.h"

#define GROUP_MEMBERS_MAX 32
#define GROUP_NAME_SIZE 65
#define GROUP_ATTEMPTS_MAX 64
#define GROUP_TABLE_BYTES_MAX 32768

struct group_member {
    char name[GROUP_NAME_SIZE];
    uint64_t beat;
    uint64_t ttl_ms; /* a beat that stands still for longer is that of the dead */
};

/* How often an event was tried, which the next holder of the partition must know. */
struct group_attempt {
    unsigned partition; /* PARTITION_COUNT: the stream is that of dead letters */
    uint64_t stream_seq;
    unsigned attempts;
};

struct group_table {
    struct group_member members[GROUP_MEMBERS_MAX];
    size_t member_count;
    char owners[PARTITION_COUNT][GROUP_NAME_SIZE]; /* "": free */
    struct group_attempt attempts[GROUP_ATTEMPTS_MAX];
    size_t attempt_count;
};

/* False: no such record, and *out is the empty one.  A lease of a name that is no member is free. */
bool group_table_parse(struct slice text, struct group_table *out);
void group_table_format(const struct group_table *table, struct buf *out);

/* NULL: not a member. */
struct group_member *group_table_member(struct group_table *table, const char *name);
/* Adds it; false when there are GROUP_MEMBERS_MAX already. */
bool group_table_join(struct group_table *table, const char *name, uint64_t ttl_ms);
/* With all its leases. */
void group_table_remove(struct group_table *table, const char *name);
/* What the member should take and give up. */
struct lease_plan group_table_plan(const struct group_table *table, const char *name,
                                   unsigned start);

/* 0: none is noted. */
unsigned group_table_attempts(const struct group_table *table, unsigned partition,
                              uint64_t stream_seq);
/* 0 attempts forget it.  When there are too many the one with the fewest attempts gives way. */
void group_table_note(struct group_table *table, const struct group_attempt *attempt);

#endif
