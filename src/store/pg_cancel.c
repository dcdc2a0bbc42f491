/* Cancel requests: what tells PostgreSQL to stop a statement that nobody waits for any more.
 *
 * PQcancel() blocks, so a thread of the store's own does it, one request after the other.  PgBouncer hands
 * a request on to the server that works for that connection, and PQcancel() returns when it has done so.
 * Until then the pool lends the connection to nobody: the request must not meet the next one's statement.
 *
 * Nobody waits for the thread: a pooler that accepts and does not answer may hold it for long, and the process
 * must be able to end meanwhile.  The memory goes with the last of the two.
 *
 *    pool (loop) ──request──> queue ──> thread: PQcancel() ──mailbox──> pool: pool_cancelled() */
#include "store/pg_cancel.h"

#include "store/store_int.h"

#include "base/alloc.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 64
#define ERROR_SIZE 256

struct pg_cancel {
    struct list_node node;
    struct pg_canceller *canceller;
    PGcancel *request;
    struct pg_conn *conn; /* the loop's; NULL once the connection was dropped */
    bool sent;            /* the thread's, until it posts this */
};

struct pg_canceller {
    struct mailbox *mailbox;
    struct metric *results[CANCEL_RESULT_COUNT];
    size_t requests;      /* made and not finished; the loop's */
    bool started;         /* the thread was; the loop's */
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    struct list queue;
    bool closing;
    unsigned owners; /* the store and the thread, while they live */
};

static bool thread_begin(struct pg_canceller *canceller);
static void *thread_main(void *argument);
static void canceller_leave(struct pg_canceller *canceller);
static void on_finished(void *owner, void *message);
static void cancel_free(struct pg_cancel *cancel);

struct pg_canceller *pg_canceller_new(struct loop *loop, struct metric *const *results)
{
    struct pg_canceller *canceller = xcalloc(1, sizeof *canceller);
    memcpy(canceller->results, results, sizeof canceller->results);
    canceller->mailbox = mailbox_open(loop, REQUESTS_MAX, on_finished, canceller);
    pthread_mutex_init(&canceller->lock, NULL);
    pthread_cond_init(&canceller->changed, NULL);
    list_init(&canceller->queue);
    canceller->owners = 1;
    return canceller;
}

void pg_canceller_free(struct pg_canceller *canceller)
{
    if (canceller == NULL)
        return;
    pthread_mutex_lock(&canceller->lock);
    canceller->closing = true;
    for (struct list_node *node; (node = list_pop_front(&canceller->queue)) != NULL;)
        cancel_free(list_entry(node, struct pg_cancel, node));
    pthread_cond_signal(&canceller->changed);
    pthread_mutex_unlock(&canceller->lock);
    mailbox_close(canceller->mailbox); /* hands what was posted to on_finished() first */
    canceller_leave(canceller);
}

/* The thread begins with the first request: most processes never need it. */
struct pg_cancel *pg_cancel_start(struct pg_canceller *canceller, struct pg_conn *conn)
{
    bool full = canceller->requests == REQUESTS_MAX;
    PGcancel *request = full ? NULL : PQgetCancel(conn->pq);
    if (!canceller->started && request != NULL)
        canceller->started = thread_begin(canceller);
    if (request == NULL || !canceller->started) {
        PQfreeCancel(request);
        metric_inc(canceller->results[CANCEL_DROPPED]);
        return NULL;
    }
    struct pg_cancel *cancel = xcalloc(1, sizeof *cancel);
    *cancel = (struct pg_cancel){.canceller = canceller, .request = request, .conn = conn};
    canceller->requests++;
    pthread_mutex_lock(&canceller->lock);
    list_push_back(&canceller->queue, &cancel->node);
    pthread_cond_signal(&canceller->changed);
    pthread_mutex_unlock(&canceller->lock);
    return cancel;
}

void pg_cancel_forget(struct pg_cancel *cancel)
{
    if (cancel != NULL)
        cancel->conn = NULL;
}

static bool thread_begin(struct pg_canceller *canceller)
{
    pthread_t thread;
    canceller->owners = 2;
    if (pthread_create(&thread, NULL, thread_main, canceller) != 0) {
        canceller->owners = 1;
        return false;
    }
    pthread_detach(thread);
    return true;
}

static void *thread_main(void *argument)
{
    struct pg_canceller *canceller = argument;
    pthread_mutex_lock(&canceller->lock);
    while (!canceller->closing) {
        struct list_node *node = list_pop_front(&canceller->queue);
        if (node == NULL) {
            pthread_cond_wait(&canceller->changed, &canceller->lock);
            continue;
        }
        pthread_mutex_unlock(&canceller->lock);
        struct pg_cancel *cancel = list_entry(node, struct pg_cancel, node);
        char error[ERROR_SIZE];
        cancel->sent = PQcancel(cancel->request, error, sizeof error) == 1;
        pthread_mutex_lock(&canceller->lock);
        if (canceller->closing) { /* there is no mailbox any more, nor anybody to count */
            PQfreeCancel(cancel->request);
            free(cancel);
            break;
        }
        bool posted = mailbox_post(canceller->mailbox, cancel);
        assert(posted); /* it has a place for every request there can be */
    }
    pthread_mutex_unlock(&canceller->lock);
    canceller_leave(canceller);
    return NULL;
}

static void canceller_leave(struct pg_canceller *canceller)
{
    pthread_mutex_lock(&canceller->lock);
    bool last = --canceller->owners == 0;
    pthread_mutex_unlock(&canceller->lock);
    if (!last)
        return;
    pthread_cond_destroy(&canceller->changed);
    pthread_mutex_destroy(&canceller->lock);
    free(canceller);
}

static void on_finished(void *owner, void *message)
{
    struct pg_canceller *canceller = owner;
    struct pg_cancel *cancel = message;
    struct pg_conn *conn = cancel->conn;
    metric_inc(canceller->results[cancel->sent ? CANCEL_SENT : CANCEL_FAILED]);
    cancel_free(cancel);
    if (conn != NULL)
        pool_cancelled(conn);
}

static void cancel_free(struct pg_cancel *cancel)
{
    assert(cancel->canceller->requests > 0);
    cancel->canceller->requests--;
    PQfreeCancel(cancel->request);
    free(cancel);
}
