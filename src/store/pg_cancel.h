/* Cancel requests to PostgreSQL, sent by a thread of the store's own.  Inner to store/: the pool's. */
#ifndef STORE_PG_CANCEL_H
#define STORE_PG_CANCEL_H

#include "base/metrics.h"

#include "loop/loop.h"

struct pg_conn;
struct pg_cancel;
struct pg_canceller;

/* What became of a request.  DROPPED: too many at once, or no thread. */
enum cancel_result { CANCEL_SENT, CANCEL_FAILED, CANCEL_DROPPED };
#define CANCEL_RESULT_COUNT 3

/* `results`: counters by result.  Its thread begins with the first request. */
struct pg_canceller *pg_canceller_new(struct loop *loop, struct metric *const *results);
/* All connections must be gone.  Waits for nothing: a request under way ends by itself.  Accepts NULL. */
void pg_canceller_free(struct pg_canceller *canceller);
/* Asks the server to stop what it does for `conn`; pool_cancelled(conn) follows from the loop.  NULL: nothing
 * was sent, and nothing follows. */
struct pg_cancel *pg_cancel_start(struct pg_canceller *canceller, struct pg_conn *conn);
/* The connection goes away: nobody is told of the end.  Accepts NULL. */
void pg_cancel_forget(struct pg_cancel *cancel);

/* The counters, found or made. */
void cancel_metrics_init(struct metrics *metrics, struct metric **results);

#endif
