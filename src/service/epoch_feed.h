/* The feed of epochs: looks at the database a few times per `freshness` and tells the process's view what
 * changed.  On a thread and a connection of its own, so that neither a busy worker nor a full pool can hold it
 * up.  Started by main; no request waits for it. */
#ifndef SERVICE_EPOCH_FEED_H
#define SERVICE_EPOCH_FEED_H

#include "base/metrics.h"
#include "base/result.h"

#include <stddef.h>
#include <stdint.h>

struct log;
struct ctx;
struct epoch_feed;
struct epoch_view;
struct pg_password;

struct epoch_feed_settings {
    const char *platform_url;  /* a login that may read every tenant's epoch; the primary, never a standby */
    struct pg_password *platform_password; /* instead of the URL's own; NULL: that */
    struct epoch_view *view;   /* outlives the feed */
    uint64_t freshness_ns;     /* as the view's; 0: 200 ms.  A look has half of it */
    uint64_t interval_ns;      /* from look to look; 0: a quarter of freshness */
    size_t changes;            /* in one look at most; 0: 8192 */
};

/* Fault: CONFIG (the URL), INTERNAL (no thread). */
int epoch_feed_start(struct ctx *ctx, const struct epoch_feed_settings *settings,
                     struct metrics *metrics, struct epoch_feed **feed) MUST_CHECK;
/* Waits for the look that is under way, a second at most.  Accepts NULL. */
void epoch_feed_stop(struct epoch_feed *feed);

#endif
