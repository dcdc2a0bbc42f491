/* getaddrinfo(3) beside the loop, or beside a plain thread; see resolve.h.  Called where a connection to a
 * configured name begins.
 * A lookup that nobody waits for any more ends by itself: its request belongs to the callback then. */
#include "loop/resolve.h"

#include "base/alloc.h"
#include "base/clock.h"

#include "loop/loop_int.h"
#include "loop/resolve_thread.h"

#include <assert.h>
#include <stdlib.h>

/* Heap: the resolver's thread may outlive the task's wait. */
struct lookup {
    uv_getaddrinfo_t request;
    struct task *task; /* NULL: it has given up */
    int status;        /* libuv's, once done */
    bool done;
};

static int resolve_plainly(struct ctx *ctx, const char *host, const char *port,
                           uint64_t deadline_ns, struct addrinfo **places);
static int resolve_in_task(struct ctx *ctx, struct lookup *lookup, uint64_t deadline_ns);
static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *places);
static int resolve_fault(struct ctx *ctx, const char *host, const char *text, bool is_certain);

static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

int resolve_stream(struct ctx *ctx, const char *host, const char *port, uint64_t deadline_ns,
                   struct addrinfo **places)
{
    *places = NULL;
    if (ctx->task == NULL)
        return resolve_plainly(ctx, host, port, deadline_ns, places);
    struct lookup *lookup = xcalloc(1, sizeof *lookup);
    lookup->task = ctx->task;
    struct loop *loop = task_loop(ctx->task);
    int rc = uv_getaddrinfo(&loop->uv, &lookup->request, on_resolved, host, port, &hints);
    if (rc != 0) { /* a name that cannot be one, such as an empty or an overlong label */
        free(lookup);
        return resolve_fault(ctx, host, uv_strerror(rc), true);
    }
    loop->lookups++;
    TRY(resolve_in_task(ctx, lookup, deadline_ns)); /* else the callback frees it */
    int status = lookup->status;
    *places = lookup->request.addrinfo;
    free(lookup);
    bool is_certain = status != UV_EAI_AGAIN && status != UV_EAI_MEMORY && status != UV_ECANCELED;
    return status == 0 ? OK : resolve_fault(ctx, host, uv_strerror(status), is_certain);
}

/* An address needs no resolver, and no thread. */
static int resolve_plainly(struct ctx *ctx, const char *host, const char *port,
                           uint64_t deadline_ns, struct addrinfo **places)
{
    struct addrinfo numeric = hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    if (getaddrinfo(host, port, &numeric, places) == 0)
        return OK;
    *places = NULL;
    uint64_t deadline = ctx_deadline_before(ctx, deadline_ns);
    int failed = 0;
    if (!resolve_on_thread(host, port, &hints, deadline, &failed, places))
        return wait_fault(ctx, WAIT_TIMEOUT, "name lookup");
    bool is_certain = failed != EAI_AGAIN && failed != EAI_SYSTEM && failed != EAI_MEMORY;
    return failed == 0 ? OK : resolve_fault(ctx, host, gai_strerror(failed), is_certain);
}

static int resolve_in_task(struct ctx *ctx, struct lookup *lookup, uint64_t deadline_ns)
{
    struct task *task = ctx->task;
    uint64_t deadline = ctx_deadline_before(ctx, deadline_ns);
    enum wait_result result;
    while (!task_wait_over(task, lookup->done, &result))
        task_suspend(task, deadline);
    if (result != WAIT_READY) {
        lookup->task = NULL;
        (void)uv_cancel((uv_req_t *)&lookup->request); /* while no thread has begun it */
    }
    return wait_fault(ctx, result, "name lookup");
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *places)
{
    struct lookup *lookup = list_entry(request, struct lookup, request);
    struct loop *loop = list_entry(request->loop, struct loop, uv);
    assert(loop->lookups > 0);
    loop->lookups--;
    if (lookup->task == NULL) {
        uv_freeaddrinfo(places);
        free(lookup);
        return;
    }
    assert(status != 0 || places != NULL);
    lookup->status = status;
    lookup->done = true;
    task_wake(lookup->task);
}

static int resolve_fault(struct ctx *ctx, const char *host, const char *text, bool is_certain)
{
    return FAULT(ctx, is_certain ? FAULT_CONFIG : FAULT_IO, "host \"%s\": %s", host, text);
}
