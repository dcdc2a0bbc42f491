/* Positions in the transaction of the effect: with PostgreSQL an event is applied exactly once.
 *
 *     BEGIN
 *     tenant_inbox_advance(connection, "sync", event)   TENANT_INBOX_OK: …
 *     … the effect …
 *     COMMIT                                            then TENANT_EVENT_DONE
 *
 * A member that lost its partition and does not know it yet cannot apply an event a second time: the
 * position moves from event->before only, under the row's lock, and one of two COMMITs finds that it has
 * moved.  So the handler answers
 *
 *     TENANT_INBOX_OK        apply, COMMIT, then TENANT_EVENT_DONE (TENANT_EVENT_RETRY when COMMIT fails:
 *                            if it was done all the same, the event is found to be old when it comes again)
 *     TENANT_INBOX_ALREADY   ROLLBACK, TENANT_EVENT_DONE
 *     TENANT_INBOX_STALE     ROLLBACK, TENANT_EVENT_STALE
 *     TENANT_INBOX_FAILED    ROLLBACK, TENANT_EVENT_RETRY; PQerrorMessage() says why
 *
 * (and TENANT_EVENT_UNAVAILABLE instead of RETRY when it is the database that fails and not the event) with
 * settings.handler_keeps_positions set, and load and store made of the functions below.  They are in
 * libtenant-events-postgres (pkg-config tenant-events-postgres), which stands on libpq and on nothing else.
 *
 * Each function blocks for one round trip, unless it says more, and belongs to the thread that has the
 * connection.  Nothing is left on the session: a pooler in transaction mode may be in between.  The tables
 * are looked for by the connection's search_path.  A requeued dead letter is remembered by its id, because
 * its position was passed long ago. */
#ifndef TENANT_EVENTS_POSTGRES_H
#define TENANT_EVENTS_POSTGRES_H

#include "tenant/events.h"

#include <libpq-fe.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tenant_inbox_result {
    TENANT_INBOX_OK = 0,
    TENANT_INBOX_ALREADY, /* a requeued event that was applied before */
    TENANT_INBOX_STALE,   /* the position is not what it was taken for; nothing was changed */
    TENANT_INBOX_FAILED,  /* the statement failed */
};

/* The statements that make the tables tenant_inbox and tenant_inbox_requeued, for whoever runs migrations
 * of his own.  Constant. */
const char *tenant_inbox_ddl(void);
/* Runs them; tables that are there stay as they are. */
enum tenant_inbox_result tenant_inbox_create(PGconn *connection);

/* Moves the position of the event's tenant from event->before to event->at, inside the caller's transaction. */
enum tenant_inbox_result tenant_inbox_advance(PGconn *connection, const char *group,
                                              const struct tenant_event *event);

/* For settings.load: {0, 0} when there is none. */
enum tenant_inbox_result tenant_inbox_load(PGconn *connection, const char *group,
                                           const char *tenant_id, struct tenant_position *position);
/* For settings.store: all or none, in a transaction of its own when none is open. */
enum tenant_inbox_result tenant_inbox_store(PGconn *connection, const char *group,
                                            const struct tenant_position_change *changes,
                                            size_t count);

/* Forgets all positions of a group, before it begins anew (tenant_consumer_reset()). */
enum tenant_inbox_result tenant_inbox_forget(PGconn *connection, const char *group);
/* Forgets requeued events that were applied more than so many days ago.  Dead letters live for 90 days: call it
 * once a day with 90. */
enum tenant_inbox_result tenant_inbox_prune(PGconn *connection, const char *group, unsigned days);

#ifdef __cplusplus
}
#endif

#endif
