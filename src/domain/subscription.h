/* What billing says of a tenant's subscriptions, and which plan follows from it.  Pure.
 *
 * Events may come in any order, and more than once.  Each value of a subscription keeps the mark of the
 * event that it is from, and the greater mark wins; which plan counts is a function of all of them.  So the
 * same events lead to the same plan, whatever their order (tests/unit/domain/test_subscription.c tries
 * many). */
#ifndef DOMAIN_SUBSCRIPTION_H
#define DOMAIN_SUBSCRIPTION_H

#include "domain/tenant.h"

/* Texts are borrowed and never NULL. */
struct subscription {
    const char *id;         /* "sub_…" */
    const char *plan_id;    /* "": no event has said it */
    const char *plan_mark;  /* of the event that said so; "" then */
    const char *state;      /* billing's word */
    bool is_ended;          /* canceled, and not taken up again */
    const char *state_mark; /* of the event that said so */
    uint64_t began_us;      /* of its earliest event; microseconds since 1970, by billing's clock */
};

enum subscription_step { SUBSCRIPTION_CREATED, SUBSCRIPTION_CHANGED, SUBSCRIPTION_CANCELED };

/* One event. */
struct subscription_news {
    enum subscription_step step;
    const char *subscription_id;
    const char *plan_id; /* "": it says nothing about the plan */
    const char *state;
    uint64_t at_us; /* when billing changed it; > 0 */
    const char *event_id;
};

/* NULL: fine, else the broken rule as a sentence that begins with the field's name.  A constant text. */
const char *subscription_news_rule(const struct subscription_news *news);

/* What is known of the subscription after the news; `known` NULL: nothing was.  *changed is false when all
 * of it was older than what is known.  Marks are made in the arena. */
struct subscription subscription_after(struct arena *arena, const struct subscription *known,
                                       const struct subscription_news *news, bool *changed);

/* The plan of the subscription that counts: of those that have not ended and have a plan the one that began
 * last.  "": there is none. */
const char *subscriptions_plan(const struct subscription *subscriptions, size_t count);

#endif
