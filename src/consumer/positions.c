/* Where tenants are: asked of the caller once, kept in memory while this member holds the partition.
 *
 * What is kept in memory is a copy: when it is wrong because somebody else moved on, the caller's own
 * check of `before` says so, and the copy is forgotten.  That check is not reached by an event before which
 * something seems to be missing: for that the position is asked for anew. */
#include "consumer/consumer_int.h"

#include <assert.h>

static void make_room(struct tenant_consumer *consumer);

bool position_find(struct tenant_consumer *consumer, const struct event_view *view,
                   struct known_position **out)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    struct known_position *known = id_map_find(&consumer->positions, &view->tenant);
    if (known != NULL) {
        *out = known;
        return true;
    }
    struct tenant_position position = {0};
    if (settings->load != NULL &&
        settings->load(settings->context, view->event.tenant_id, &position) != 0)
        return false;
    make_room(consumer);
    known = id_map_put(&consumer->positions, &view->tenant);
    known->source = view->source;
    known->current = known->kept = position;
    *out = known;
    return true;
}

/* One that is still to be kept is no copy: somebody else's change would refuse ours. */
bool position_find_anew(struct tenant_consumer *consumer, const struct event_view *view,
                        struct known_position **out)
{
    const struct known_position *known = id_map_find(&consumer->positions, &view->tenant);
    if (consumer->settings.load != NULL && known != NULL && !position_is_dirty(known))
        position_forget(consumer, &view->tenant);
    return position_find(consumer, view, out);
}

bool position_is_dirty(const struct known_position *known)
{
    return position_compare(known->current, known->kept) != 0;
}

void position_forget(struct tenant_consumer *consumer, const struct uuid *tenant)
{
    const struct known_position *known = id_map_find(&consumer->positions, tenant);
    assert(known == NULL || !position_is_dirty(known));
    id_map_remove(&consumer->positions, tenant);
}

/* Found first and removed then: a table must not change while it is walked. */
void positions_forget(struct tenant_consumer *consumer, unsigned source)
{
    struct id_map kept;
    size_t cursor = 0;
    id_map_init(&kept, sizeof(struct known_position));
    for (struct known_position *known = id_map_next(&consumer->positions, &cursor); known != NULL;
         known = id_map_next(&consumer->positions, &cursor)) {
        if (known->source == source)
            continue;
        struct known_position *copy = id_map_put(&kept, &known->tenant);
        *copy = *known;
    }
    id_map_deinit(&consumer->positions);
    consumer->positions = kept;
}

/* Whoever goes is asked for again.  Not one whose position is still to be kept: the batch is smaller than the
 * table.  Without callbacks nothing could be asked for, so nothing goes. */
static void make_room(struct tenant_consumer *consumer)
{
    while (consumer->settings.load != NULL &&
           consumer->positions.count >= consumer->settings.positions_max) {
        const struct known_position *any = id_map_any(&consumer->positions);
        while (position_is_dirty(any))
            any = id_map_any(&consumer->positions);
        struct uuid tenant = any->tenant;
        id_map_remove(&consumer->positions, &tenant);
    }
}
