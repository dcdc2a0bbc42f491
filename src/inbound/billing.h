/* Billing's events: from the bytes of a message to what they say.  Pure; the bytes are another service's. */
#ifndef INBOUND_BILLING_H
#define INBOUND_BILLING_H

#include "base/arena.h"

#include "domain/subscription.h"

#define BILLING_CONSUMER "billing"
#define BILLING_FILTER "billing.subscription.>"

enum billing_kind {
    BILLING_NEWS, /* to be applied */
    BILLING_IGNORED, /* of no interest: a type or version that we do not read, or another region's tenant */
    BILLING_BROKEN, /* nobody can read it: `fault` says why */
};

/* Texts borrow from the bytes' copy in the arena, "" when unknown. */
struct billing_event {
    enum billing_kind kind;
    const char *fault;
    struct uuid tenant_id; /* nil when unknown */
    const char *event_id;
    const char *correlation_id;
    struct subscription_news news;
    uint64_t not_before_us; /* takes effect then; 0: at once */
};

struct billing_reader {
    struct arena *arena;
    enum region region; /* whose tenants are ours */
    uint64_t
        now_us; /* the wall clock's: what is to take effect in more than 400 days is a mistake */
};

void billing_read(const struct billing_reader *reader, struct slice bytes,
                  struct billing_event *out);

#endif
