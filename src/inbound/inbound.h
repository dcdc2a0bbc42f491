/* The consumer of other services' events: one plain thread in `serve`, beside the relay.
 *
 * Any number of replicas fetch from the same durable consumers.  An event takes effect once: its id is
 * noted in the transaction of the effect.  Nothing here is needed to answer calls: a stream that is not
 * there, or a broker that is away, is waited for. */
#ifndef INBOUND_INBOUND_H
#define INBOUND_INBOUND_H

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"

#include "domain/tenant.h"
#include "events/envelope.h"
#include "events/jetstream.h"

struct pg_password;
struct relay;
struct inbound;

/* Borrowed with all its texts; outlives the thread. */
struct inbound_settings {
    const char *app_url;              /* effects */
    struct pg_password *app_password; /* instead of the URL's own; NULL: that */
    const char *relay_url;            /* what is parked */
    struct pg_password *relay_password;
    struct jetstream_settings nats;
    const char *billing_stream; /* "BILLING" */
    enum region region;         /* whose tenants live here */
    const struct event_source *source;
    uint64_t parked_max;  /* events at most; more stay in their stream */
    uint64_t park_for_ns; /* then an event whose tenant did not come is a dead letter */
    struct relay *relay;  /* woken after commits that left events; NULL: not here */
};

/* Starts the thread.  Settings, metrics and log must outlive it.  Fault: CONFIG (a URL), INTERNAL (no
 * thread). */
int inbound_start(const struct inbound_settings *settings, struct metrics *metrics,
                  const struct log *log, struct inbound **out) MUST_CHECK;
/* Finishes the event in hand, gives back what was fetched, ends the thread: usually in milliseconds, at the
 * latest after 10 s.  Accepts NULL. */
void inbound_stop(struct inbound *inbound);

/* The families this room counts; the last one is NULL. */
extern const struct metric_family *const inbound_metric_families[];

#endif
