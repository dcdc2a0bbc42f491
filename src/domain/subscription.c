/* Subscriptions; see subscription.h.  Called for billing's events. */
#include "domain/subscription.h"

#include <string.h>

#define ID_MAX 128
#define STATE_MAX 64

static const char *mark_of(struct arena *arena, const struct subscription_news *news);
static bool is_plain(const char *text, size_t max);

const char *subscription_news_rule(const struct subscription_news *news)
{
    if (news->subscription_id[0] == '\0' || !is_plain(news->subscription_id, ID_MAX))
        return "subscription_id must be 1 to 128 printable characters without blanks";
    if (news->step == SUBSCRIPTION_CREATED && news->plan_id[0] == '\0')
        return "plan_id must be set";
    if (tenant_plan_rule(news->plan_id) != NULL)
        return "plan_id must be \"plan_\" and 1 to 63 lower-case letters, digits or underscores";
    if (!is_plain(news->state, STATE_MAX))
        return "the state must be at most 64 printable characters without blanks";
    return news->at_us == 0 ? "the time of the change must be set" : NULL;
}

struct subscription subscription_after(struct arena *arena, const struct subscription *known,
                                       const struct subscription_news *news, bool *changed)
{
    const char *mark = mark_of(arena, news);
    struct subscription after = {
        .id = news->subscription_id,
        .plan_id = "",
        .plan_mark = "",
        .state = "",
        .state_mark = "",
        .began_us = news->at_us,
    };
    if (known != NULL)
        after = *known;
    *changed = known == NULL || news->at_us < known->began_us;
    if (news->at_us < after.began_us)
        after.began_us = news->at_us;
    if (strcmp(mark, after.state_mark) > 0) {
        after.state = news->state;
        after.is_ended = news->step == SUBSCRIPTION_CANCELED;
        after.state_mark = mark;
        *changed = true;
    }
    if (news->plan_id[0] != '\0' && strcmp(mark, after.plan_mark) > 0) {
        after.plan_id = news->plan_id;
        after.plan_mark = mark;
        *changed = true;
    }
    return after;
}

/* Equal beginnings are told apart by the ids, so that every replica picks the same. */
const char *subscriptions_plan(const struct subscription *subscriptions, size_t count)
{
    const struct subscription *best = NULL;
    for (const struct subscription *one = subscriptions; one < subscriptions + count; one++) {
        if (one->is_ended || one->plan_id[0] == '\0')
            continue;
        bool later = best == NULL || one->began_us > best->began_us ||
                     (one->began_us == best->began_us && strcmp(one->id, best->id) > 0);
        best = later ? one : best;
    }
    return best == NULL ? "" : best->plan_id;
}

/* Compared as text: the time in 20 digits, the step, the event's id. */
static const char *mark_of(struct arena *arena, const struct subscription_news *news)
{
    return arena_printf(arena, "%020llu.%d.%s", (unsigned long long)news->at_us, (int)news->step,
                        news->event_id);
}

static bool is_plain(const char *text, size_t max)
{
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        if (text[length] <= ' ' || text[length] > '~')
            return false;
    }
    return length <= max;
}
