/* The stream that consumer groups keep their records in: TENANT_GROUPS, one message per group under
 * TENANT.GROUPS.<group>, replaced by compare-and-set (Nats-Expected-Last-Subject-Sequence).  The producer's
 * relay makes it and keeps its configuration (stream_look_groups()): a consuming service needs no right to
 * make or change streams. */
#ifndef EVENTS_GROUP_STREAM_H
#define EVENTS_GROUP_STREAM_H

#include "events/jetstream.h"

#define GROUP_STREAM "TENANT_GROUPS"
#define GROUP_SUBJECTS "TENANT.GROUPS.*"
#define GROUP_SUBJECT_PREFIX "TENANT.GROUPS."
#define GROUP_RECORD_MAX (64 * 1024) /* bytes, with its headers */

/* A group's record: *revision 0 when there is none.  The bytes replace what `record` held.
 * Faults: BROKER (no such stream among them), TIMEOUT, PROTOCOL. */
int group_record_read(struct ctx *ctx, struct jetstream *js, const char *group, struct buf *record,
                      uint64_t *revision) MUST_CHECK;

struct group_record {
    const char *group;
    struct slice bytes;
    uint64_t revision; /* that it replaces; 0: there is none yet */
};
/* Replaces it; *written is the new revision, or 0 when somebody else was faster.  What is uncertain after a
 * fault shows when it is read again.  `inbox` has nothing else on its way; `tag` is new.  Faults: BROKER,
 * TIMEOUT. */
int group_record_write(struct ctx *ctx, struct jetstream_inbox *inbox,
                       const struct group_record *record, uint64_t tag,
                       uint64_t *written) MUST_CHECK;

#endif
