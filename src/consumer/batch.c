/* Events that are done: their positions are kept, then they are acknowledged.  Never the other way round: an
 * event that is acknowledged and not kept would be missing for ever. */
#include "consumer/consumer_int.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>

static bool is_batched(const struct tenant_consumer *consumer);
static void move_on(struct tenant_consumer *consumer, struct known_position *position,
                    struct tenant_position at);
static int store_dirty(struct tenant_consumer *consumer);
static void settle(struct tenant_consumer *consumer, int rc);
static void store_failed(struct tenant_consumer *consumer, int rc);

void batch_init(struct tenant_consumer *consumer)
{
    struct batch *batch = &consumer->batch;
    if (!is_batched(consumer))
        return;
    batch->replies = xcalloc(consumer->settings.batch, sizeof *batch->replies);
    batch->dirty = xcalloc(consumer->settings.batch, sizeof *batch->dirty);
}

void batch_deinit(struct tenant_consumer *consumer)
{
    free(consumer->batch.replies);
    free(consumer->batch.dirty);
}

void batch_add(struct tenant_consumer *consumer, const struct event_view *view,
               struct known_position *position)
{
    struct batch *batch = &consumer->batch;
    if (position != NULL)
        move_on(consumer, position, view->event.at);
    if (!is_batched(consumer)) {
        (void)broker_ack(consumer, view->reply, ACK_DONE, 0);
        return;
    }
    size_t length = strlen(view->reply);
    assert(length < ACK_SUBJECT_SIZE && batch->count < consumer->settings.batch);
    memcpy(batch->replies[batch->count++], view->reply, length + 1);
    if (batch->count == consumer->settings.batch)
        (void)batch_keep(consumer);
}

/* After a lost connection positions are kept all the same: their events are delivered again, and are old. */
bool batch_keep(struct tenant_consumer *consumer)
{
    int rc = 0;
    if (consumer->batch.count > 0) {
        rc = store_dirty(consumer);
        settle(consumer, rc);
    }
    return rc == 0;
}

/* What is in the batch goes first: it must not be acknowledged if the tenant's position is then forgotten. */
bool batch_skip(struct tenant_consumer *consumer, const struct event_view *view,
                struct known_position *position)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    if (position_is_dirty(position) && !batch_keep(consumer))
        return false;
    const struct tenant_position_change change = {
        .tenant_id = view->event.tenant_id,
        .before = position->kept,
        .after = view->event.at,
    };
    int rc = settings->store == NULL ? 0 : settings->store(settings->context, &change, 1);
    if (rc != 0) {
        store_failed(consumer, rc);
        position_forget(consumer, &view->tenant);
        return false;
    }
    position->current = position->kept = view->event.at;
    return true;
}

/* Else the handler has kept the position, or nobody does. */
static bool is_batched(const struct tenant_consumer *consumer)
{
    return consumer->settings.store != NULL && !consumer->settings.handler_keeps_positions;
}

static void move_on(struct tenant_consumer *consumer, struct known_position *position,
                    struct tenant_position at)
{
    struct batch *batch = &consumer->batch;
    if (is_batched(consumer) && !position_is_dirty(position)) {
        batch->dirty[batch->dirty_count++] = position->tenant;
        position->unkept = at;
    }
    position->current = at;
    if (!is_batched(consumer))
        position->kept = at;
}

/* One change per tenant, from what is kept to the last event handled. */
static int store_dirty(struct tenant_consumer *consumer)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    const struct batch *batch = &consumer->batch;
    size_t count = batch->dirty_count;
    struct tenant_position_change *changes = xcalloc(count + 1, sizeof *changes);
    char(*ids)[ID_TEXT_SIZE] = xcalloc(count + 1, sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        const struct known_position *known = id_map_find(&consumer->positions, &batch->dirty[i]);
        assert(known != NULL && position_is_dirty(known)); /* position_forget() sees to it */
        id_format(ID_TENANT, &known->tenant, ids[i]);
        changes[i] = (struct tenant_position_change){
            .tenant_id = ids[i], .before = known->kept, .after = known->current};
    }
    int rc = count == 0 ? 0 : settings->store(settings->context, changes, count);
    free(changes);
    free(ids);
    return rc;
}

/* What could not be kept is read anew and handled again, from its first event on. */
static void settle(struct tenant_consumer *consumer, int rc)
{
    struct batch *batch = &consumer->batch;
    for (size_t i = 0; i < batch->dirty_count; i++) {
        struct known_position *known = id_map_find(&consumer->positions, &batch->dirty[i]);
        known->kept = known->current;
        if (rc == 0)
            continue;
        const struct event_view first = {
            .tenant = known->tenant, .source = known->source, .event.at = known->unkept};
        waiting_mark(consumer, &first);
        position_forget(consumer, &first.tenant);
    }
    for (size_t i = 0; i < batch->count; i++)
        (void)broker_ack(consumer, batch->replies[i], rc == 0 ? ACK_DONE : ACK_AGAIN, 0);
    if (rc != 0)
        store_failed(consumer, rc);
    batch->count = batch->dirty_count = 0;
}

static void store_failed(struct tenant_consumer *consumer, int rc)
{
    if (rc == TENANT_STORE_STALE)
        consumer_count(consumer, COUNT_STALE);
    else
        consumer_pause(consumer);
}
