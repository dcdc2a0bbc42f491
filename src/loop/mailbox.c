/* A bounded queue into a loop, from any thread. */
#include "base/alloc.h"

#include "loop/loop_int.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct mailbox {
    uv_async_t async;
    pthread_mutex_t lock;       /* guards the ring */
    void **ring;
    size_t capacity;
    size_t first;               /* index of the oldest message */
    size_t count;
    mailbox_callback *callback;
    void *owner;
};

static void on_async(uv_async_t *async);
static void deliver(struct mailbox *mailbox, size_t most);
static bool mailbox_take(struct mailbox *mailbox, void **message);
static void on_closed(uv_handle_t *handle);

struct mailbox *mailbox_open(struct loop *loop, size_t capacity, mailbox_callback *callback,
                             void *owner)
{
    assert(capacity > 0 && callback != NULL);
    struct mailbox *mailbox = xcalloc(1, sizeof *mailbox);
    mailbox->ring = xcalloc(capacity, sizeof *mailbox->ring);
    mailbox->capacity = capacity;
    mailbox->callback = callback;
    mailbox->owner = owner;
    pthread_mutex_init(&mailbox->lock, NULL);
    if (uv_async_init(&loop->uv, &mailbox->async, on_async) != 0)
        abort();
    mailbox->async.data = mailbox;
    return mailbox;
}

/* Any thread.  What the poster wrote before is visible to the callback: the lock orders it.
 * libuv merges wake-ups, so one delivery may find many messages. */
bool mailbox_post(struct mailbox *mailbox, void *message)
{
    pthread_mutex_lock(&mailbox->lock);
    bool fits = mailbox->count < mailbox->capacity;
    if (fits) {
        mailbox->ring[(mailbox->first + mailbox->count) % mailbox->capacity] = message;
        mailbox->count++;
    }
    pthread_mutex_unlock(&mailbox->lock);
    if (fits)
        uv_async_send(&mailbox->async);
    return fits;
}

void mailbox_close(struct mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    deliver(mailbox, SIZE_MAX);
    assert(!uv_is_closing((uv_handle_t *)&mailbox->async));
    uv_close((uv_handle_t *)&mailbox->async, on_closed);
}

/* At most a ring full, so that posters faster than the callback cannot hold the loop. */
static void on_async(uv_async_t *async)
{
    struct mailbox *mailbox = async->data;
    deliver(mailbox, mailbox->capacity);
    if (uv_is_closing((uv_handle_t *)async)) /* the callback closed it */
        return;
    pthread_mutex_lock(&mailbox->lock);
    bool more = mailbox->count > 0;
    pthread_mutex_unlock(&mailbox->lock);
    if (more)
        uv_async_send(async);
}

static void deliver(struct mailbox *mailbox, size_t most)
{
    for (void *message; most > 0 && mailbox_take(mailbox, &message); most--)
        mailbox->callback(mailbox->owner, message);
}

/* The lock is held for one message only, never while the callback runs: it may post to this
 * mailbox. */
static bool mailbox_take(struct mailbox *mailbox, void **message)
{
    pthread_mutex_lock(&mailbox->lock);
    bool any = mailbox->count > 0;
    if (any) {
        *message = mailbox->ring[mailbox->first];
        mailbox->first = (mailbox->first + 1) % mailbox->capacity;
        mailbox->count--;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return any;
}

static void on_closed(uv_handle_t *handle)
{
    struct mailbox *mailbox = handle->data;
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox->ring);
    free(mailbox);
}
