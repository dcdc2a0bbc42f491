/* getaddrinfo(3) for a caller on a plain thread, who waits for it no longer than its deadline; see resolve.h.
 *
 *    caller ── begin ──> resolver's thread ── finished ──> caller
 *          └── deadline: goes; the thread ends by itself, when the system's resolver gives up
 *
 * Called by resolve.c; must never hand a look-up's memory to two, nor free it under the other. */
#include "loop/resolve_thread.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/result.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Heap: the resolver's thread may outlive the wait.  The last of the two frees it. */
struct look_up {
    char *host;                   /* owned */
    char *port;                   /* owned */
    const struct addrinfo *hints; /* static */
    pthread_mutex_t lock;         /* guards what follows */
    pthread_cond_t finished;      /* of CLOCK_MONOTONIC */
    struct addrinfo *places;      /* owned until the caller takes them */
    int failed;                   /* getaddrinfo's */
    bool done;
    bool left; /* the caller waits no more */
};

static struct look_up *look_up_new(const char *host, const char *port,
                                   const struct addrinfo *hints);
static bool look_up_begin(struct look_up *look_up);
static void *look_up_main(void *argument);
static bool look_up_await(struct look_up *look_up, uint64_t deadline_ns);
static void look_up_free(struct look_up *look_up);

/* lint-allow parameters: getaddrinfo(3)'s three, the deadline, and two answers */
bool resolve_on_thread(const char *host, const char *port, const struct addrinfo *hints,
                       uint64_t deadline_ns, int *failed, struct addrinfo **places)
{
    struct look_up *look_up = look_up_new(host, port, hints);
    if (!look_up_begin(look_up)) {
        look_up_free(look_up);
        *failed = EAI_AGAIN;
        return true;
    }
    bool done = look_up_await(look_up, deadline_ns);
    if (!done)
        return false; /* it is the thread's now */
    *failed = look_up->failed;
    *places = TAKE(look_up->places);
    look_up_free(look_up);
    return true;
}

static struct look_up *look_up_new(const char *host, const char *port, const struct addrinfo *hints)
{
    struct look_up *look_up = xcalloc(1, sizeof *look_up);
    look_up->host = xstrdup(host);
    look_up->port = xstrdup(port);
    look_up->hints = hints;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&look_up->finished, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&look_up->lock, NULL);
    return look_up;
}

/* The program's signals are for its own threads: a new one has its creator's mask.  False: no thread. */
static bool look_up_begin(struct look_up *look_up)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    bool begun = pthread_create(&thread, NULL, look_up_main, look_up) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (begun)
        pthread_detach(thread);
    return begun;
}

static void *look_up_main(void *argument)
{
    struct look_up *look_up = argument;
    struct addrinfo *places = NULL;
    int failed = getaddrinfo(look_up->host, look_up->port, look_up->hints, &places);
    pthread_mutex_lock(&look_up->lock);
    look_up->failed = failed;
    look_up->places = places;
    look_up->done = true;
    bool left = look_up->left;
    pthread_cond_signal(&look_up->finished);
    pthread_mutex_unlock(&look_up->lock);
    if (left)
        look_up_free(look_up);
    return NULL;
}

/* False: too late, and nobody waits any more. */
static bool look_up_await(struct look_up *look_up, uint64_t deadline_ns)
{
    pthread_mutex_lock(&look_up->lock);
    const struct timespec end = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                                 .tv_nsec = (long)(deadline_ns % NS_PER_S)};
    int rc = 0;
    while (!look_up->done && rc == 0)
        rc = deadline_ns == NO_DEADLINE
                 ? pthread_cond_wait(&look_up->finished, &look_up->lock)
                 : pthread_cond_timedwait(&look_up->finished, &look_up->lock, &end);
    bool done = look_up->done;
    look_up->left = !done;
    pthread_mutex_unlock(&look_up->lock);
    return done;
}

static void look_up_free(struct look_up *look_up)
{
    if (look_up->places != NULL)
        freeaddrinfo(look_up->places);
    pthread_cond_destroy(&look_up->finished);
    pthread_mutex_destroy(&look_up->lock);
    free(look_up->host);
    free(look_up->port);
    free(look_up);
}
