/* A circuit breaker: after 5 errors or 3 time-outs in a row a Redis node is left alone for a second,
 * twice as long each further time; then one probe decides.  Pure: it is told the time.
 *
 * Closed: requests go out.  Open: none do, at no cost.  The probe is the set-up of a new connection, so no
 * caller ever waits for it. */
#ifndef CACHE_BREAKER_H
#define CACHE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_ERRORS 5
#define BREAKER_TIMEOUTS 3

struct breaker {
    unsigned errors;   /* in a row */
    unsigned timeouts; /* in a row */
    unsigned openings; /* in a row: since the last request that succeeded */
    bool open;         /* nothing is sent but the probe */
};

/* An answer came in time: everything is forgiven. */
void breaker_success(struct breaker *breaker);
/* True when it opens by this. While open nothing more is counted. */
bool breaker_error(struct breaker *breaker);
bool breaker_timeout(struct breaker *breaker);
/* The probe's outcome, while open. */
void breaker_probe_succeeded(struct breaker *breaker);
void breaker_probe_failed(struct breaker *breaker);
/* How long the node is left alone now: 1 s, 2 s, 4 s, 8 s and no more, plus up to a quarter. */
uint64_t breaker_pause_ns(const struct breaker *breaker);

#endif
