/* The tombstone of an event that no stream takes: an event of its own, under the same id and sequence. */
#ifndef EVENTS_WITHHELD_H
#define EVENTS_WITHHELD_H

#include "base/arena.h"

#include "store/relay_store.h"

/* Its subject, without the partition. */
const char *withheld_subject(void);
/* This row is a tombstone already. */
bool withheld_is(const struct outbox_row *row);

/* Why: `cause` as in dead letters, `detail` for a person. */
struct withheld_reason {
    const char *cause;
    const char *detail;
};

/* The envelope in place of the row's, without what the relay appends; in the arena.  Who caused the original,
 * when and for which request stays as far as it is short: what is too long may be why nothing takes it. */
struct slice withheld_pack(struct arena *arena, const struct outbox_row *row,
                           const struct withheld_reason *reason);

#endif
