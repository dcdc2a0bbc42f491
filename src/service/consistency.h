/* x-consistency-token: what a caller has seen already, and must not be taken back from it. */
#ifndef SERVICE_CONSISTENCY_H
#define SERVICE_CONSISTENCY_H

#include "service/service.h"

#include "base/epoch.h"

/* What the call's token asks for. */
struct consistency_floor {
    bool asked;          /* a token came */
    struct uuid tenant;  /* whose change it stands for */
    struct epoch epoch;  /* {0, 0} when none came: everything is at least that */
    uint64_t give_up_ns; /* clock_now() time until which an answer may be waited for */
    unsigned looks;      /* how often an older answer was seen */
};

/* Reads the request's token.  Refusal: METADATA_INVALID (not one of ours, or of another tenant than the
 * call's). */
int consistency_floor(struct call *call, struct consistency_floor *floor) MUST_CHECK;
/* After a read that saw `epoch`: OK and *again false when it is not older than asked; OK and *again true
 * after a pause when it is worth another look.  Refusal: CONSISTENCY_UNAVAILABLE.  Suspends. */
int consistency_reached(struct call *call, struct consistency_floor *floor, struct epoch epoch,
                        bool *again) MUST_CHECK;

/* Sets x-consistency-token on the answer of a write. */
void consistency_answer(struct call *call, const struct uuid *tenant, struct epoch epoch,
                        int64_t sequence);

#endif
