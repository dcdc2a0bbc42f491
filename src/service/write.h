/*~ One mutation from its key to its answer: what makes every write safe to repeat.
 *
 *     AUTO(write_end) struct write write;
 *     TRY(write_begin(call, &in->base, in->validate_only, &write));
 *     TRY(… the tx's first run …);                 // takes the key's lock, looks for its record
 *     if (write.replay) return write_replay(&write);
 *     … checks; queue the change, the audit row write_audit(), the event …
 *     TRY(write_commit(&write, &out->base));
 *
 * A call with an idempotency key locks the key for the transaction (another one that holds it: refused with
 * IDEMPOTENCY_IN_PROGRESS) and leaves the answer beside the change.  A COMMIT of unknown fate is resolved by
 * asking for the write's audit row behind the same lock, which nobody gets before the transaction has ended. */
#ifndef SERVICE_WRITE_H
#define SERVICE_WRITE_H

#include "service/service.h"

#include "store/audit_store.h"
#include "store/idempotency_store.h"
#include "store/outbox_store.h"
#include "store/tx.h"

#include <protobuf-c/protobuf-c.h>

struct write {
    struct call *call;
    struct tx *tx; /* owned */
    struct uuid tenant;
    bool platform; /* the key makes the tenant */
    bool keyed;    /* the caller sent a key, and something is to be stored */
    struct idempotency_scope scope;
    uint8_t fingerprint[FINGERPRINT_BYTES];
    int64_t lock;             /* number of the transaction's advisory lock */
    struct audit_entry audit; /* its id and time are this write's witness */
    struct rows found;        /* of the key */
    struct rows point;        /* of the statement that appends the event; for outbox_append() */
    struct outbox_point at;   /* where the tenant is after the commit */
};

/* Opens the transaction for `tenant` and queues the key's lock and record.  validate_only: the key does not
 * count.  platform: the tenant does not exist yet.  Refusals: METADATA_INVALID (the key), and those of
 * tx_begin(). */
int write_begin(struct call *call, const ProtobufCMessage *request, bool validate_only,
                struct write *write) MUST_CHECK;
int write_begin_platform(struct call *call, const ProtobufCMessage *request, bool validate_only,
                         struct write *write) MUST_CHECK;

/* After the first run: whether the key has an answer already. */
bool write_is_replay(const struct write *write);
/* Answers with it, byte for byte.  Refusal: IDEMPOTENCY_REPLAY_MISMATCH.  Suspends. */
int write_replay(struct write *write) MUST_CHECK;

/* Behind the queued change, audit row and event (or nothing, when nothing changes): keeps `reply` under the
 * key and commits.  Then the token is among the answer's headers and write->at is known.  COMMIT_UNCERTAIN is
 * left only when the database could not be asked before the deadline.  Suspends. */
int write_commit(struct write *write, const ProtobufCMessage *reply) MUST_CHECK;

/* Rolls back what was not committed. */
void write_end(struct write *write);

#endif
