/* Counting what goes wrong in a row. */
#include "cache/breaker.h"

#include "base/clock.h"
#include "base/random.h"

#include <assert.h>

#define PAUSE_NS NS_PER_S
#define PAUSE_DOUBLINGS 3

static bool trip(struct breaker *breaker);

void breaker_success(struct breaker *breaker)
{
    assert(!breaker->open);
    *breaker = (struct breaker){0};
}

bool breaker_error(struct breaker *breaker)
{
    if (breaker->open)
        return false;
    breaker->errors++;
    return breaker->errors >= BREAKER_ERRORS && trip(breaker);
}

bool breaker_timeout(struct breaker *breaker)
{
    if (breaker->open)
        return false;
    breaker->timeouts++;
    return breaker->timeouts >= BREAKER_TIMEOUTS && trip(breaker);
}

/* The pauses stay long until a request succeeds too: a node may greet and then stall. */
void breaker_probe_succeeded(struct breaker *breaker)
{
    assert(breaker->open);
    breaker->open = false;
    breaker->errors = 0;
    breaker->timeouts = 0;
}

void breaker_probe_failed(struct breaker *breaker)
{
    assert(breaker->open);
    if (breaker->openings <= PAUSE_DOUBLINGS)
        breaker->openings++;
}

uint64_t breaker_pause_ns(const struct breaker *breaker)
{
    assert(breaker->open && breaker->openings > 0);
    unsigned doublings = breaker->openings - 1;
    uint64_t pause = PAUSE_NS << (doublings > PAUSE_DOUBLINGS ? PAUSE_DOUBLINGS : doublings);
    return pause + random_below(pause / 4);
}

static bool trip(struct breaker *breaker)
{
    breaker->open = true;
    if (breaker->openings <= PAUSE_DOUBLINGS)
        breaker->openings++;
    return true;
}
