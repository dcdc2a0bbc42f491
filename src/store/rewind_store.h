/* A database that was taken back in time: the incarnation grows, and what was lost is noted and announced,
 * tenant by tenant.  For the relay login.
 *
 * Like relay_store.h: each function is a transaction of its own and *suspends*; refusals and faults are those
 * of tx_commit(), and all of them may be repeated. */
#ifndef STORE_REWIND_STORE_H
#define STORE_REWIND_STORE_H

#include "store/relay_store.h"
#include "store/stmt.h"

struct server_look {
    int64_t incarnation; /* the present one */
    bool grew; /* just now: it is another server, or another timeline of it, than before */
    uint64_t
        started_us; /* when the server was started: another time, and it may have been replaced */
};

/* Compares the server with the one that the database was last seen on. */
int rewind_store_look(const struct relay_caller *caller, struct server_look *out) MUST_CHECK;

/* Makes the incarnation greater than `seen` and `least`, unless somebody else has made it greater than `seen`
 * already.  *installed is the present one, *grew whether this call made it so. */
struct incarnation_raise {
    int64_t seen;  /* the one under which the loss was found */
    int64_t least; /* the greatest that any lost event has */
};
int rewind_store_raise(const struct relay_caller *caller, const struct incarnation_raise *raise,
                       int64_t *installed, bool *grew) MUST_CHECK;

/* Which of these events of one stream the database does not know: unknown[i] is set for those that are neither
 * sent nor in the outbox, and whose loss was not announced.  `anchored`: they all lie behind the newest event
 * that was settled; else an event whose tenant is further counts as known, because sent events are not kept
 * for ever. */
int rewind_store_unknown(const struct relay_caller *caller, const struct stored_events *events,
                         bool anchored, bool *unknown) MUST_CHECK;

/* What one tenant lost. */
struct loss {
    struct uuid tenant_id;
    int64_t incarnation; /* of the lost events */
    int64_t from, to;    /* their sequences */
    const char
        *status; /* that they ended with: "suspended", "closed", "" (neither); NULL: unsaid */
    const char *reason;
};

struct losses {
    struct loss *items; /* in the ctx's arena */
    size_t count;
};

/* Adds to what is noted of a shard's tenants under the present incarnation. */
int rewind_store_note(const struct relay_caller *caller, unsigned shard, int64_t installed,
                      const struct losses *losses) MUST_CHECK;
/* Those of a shard that are not announced yet, some of them. */
int rewind_store_unannounced(const struct relay_caller *caller, unsigned shard, int64_t installed,
                             struct losses *out) MUST_CHECK;

/* The event that tells a tenant's consumers. */
struct announcement {
    unsigned shard;
    int64_t installed;
    struct uuid tenant_id;
    struct uuid msg_id;
    const char *subject;
    struct slice envelope;
};
/* Leaves it in the outbox as the tenant's first event of the present incarnation; unsent ones follow it,
 * whatever number they had.  The tenant's epoch is raised with them.  Nothing happens when it was announced
 * already. */
int rewind_store_announce(const struct relay_caller *caller,
                          const struct announcement *announcement) MUST_CHECK;

/* The shard's stream was compared, and all losses are announced. */
int rewind_store_compared(const struct relay_caller *caller, unsigned shard,
                          int64_t installed) MUST_CHECK;

extern const struct stmt_list rewind_statements;

#endif
