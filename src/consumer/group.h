/* Which partitions this member of its group handles.
 *
 * The group's record says who has what (group_table.h); whoever changes it replaces the version that it
 * read.  Nobody's clock is compared with another's: a member is dead when its beat, looked at by our clock,
 * stands still for its time to live, and a member's own leases end by its own clock at least as early.  All
 * the same two members may think that they have a partition (one that was stopped and goes on); then the
 * positions decide. */
#ifndef CONSUMER_GROUP_H
#define CONSUMER_GROUP_H

#include "consumer/group_table.h"

#include <stdbool.h>

/* attempts noted between two beats; one more is written at once */
#define GROUP_NOTES_MAX 16

struct tenant_consumer;

/* A member's beat as it was seen last. */
struct group_watch {
    char name[GROUP_NAME_SIZE];
    uint64_t beat;
    uint64_t seen_ns; /* by our clock: when it was seen first */
};

struct group {
    struct group_table table;                    /* as it was read or written last */
    struct group_attempt notes[GROUP_NOTES_MAX]; /* not written yet */
    size_t note_count;
    uint64_t revision; /* its version; 0: there is none */
    struct group_watch watches[GROUP_MEMBERS_MAX];
    size_t watch_count;
    uint64_t due_ns;       /* look at the record then */
    unsigned failures;     /* in a row */
    uint64_t lease_end_ns; /* what we hold is ours until then */
};

/* Beats, claims, gives up: when it is time.  Costs nothing between. */
void group_tick(struct tenant_consumer *consumer);
/* After a new connection: what others did meanwhile was not seen. */
void group_reset(struct tenant_consumer *consumer);
/* Gives everything up and leaves the group. */
void group_leave(struct tenant_consumer *consumer);
/* For a group that nobody may be in: takes all partitions when no member lives. */
enum group_claim {
    GROUP_CLAIMED,
    GROUP_WAIT,   /* there are members who may be dead: ask again */
    GROUP_ALIVE,  /* one of them beats */
    GROUP_FAILED, /* NATS */
};
enum group_claim group_claim_all(struct tenant_consumer *consumer);
/* For whoever claimed all of them and has long work to do: beats when it is time.  GROUP_CLAIMED: they are
 * still the caller's; GROUP_ALIVE: one is not, somebody took him for dead. */
enum group_claim group_keep_all(struct tenant_consumer *consumer);
/* Notes an attempt and, with `now`, writes it at once.  False: it could not be written. */
bool group_note(struct tenant_consumer *consumer, const struct group_attempt *attempt, bool now);

#endif
