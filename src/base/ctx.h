/* The context of one piece of work: who does it, until when, on whose behalf, and what broke.
 *
 * A function may suspend only if it takes a `struct ctx *` (or the struct call or struct tx that holds
 * one).  A ctx without a task belongs to a plain thread: waiting there blocks in poll(2). */
#ifndef BASE_CTX_H
#define BASE_CTX_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/trace_ctx.h"

#include <stdint.h>

struct task;
struct log;
struct span_ring;

#define FAULT_TEXT_SIZE 256

/* The last fault of this work.  Written by FAULT() only. */
struct fault {
    enum fault_kind kind;       /* meaningful when file is not NULL */
    const char *file;           /* where FAULT stands; NULL: no fault so far */
    int line;                   /* line in file */
    int saved_errno;            /* errno at that moment, 0 when none */
    char text[FAULT_TEXT_SIZE]; /* what happened, for the log only: never sent to a client */
};

struct ctx {
    struct task *task;       /* the task doing the work; NULL on a plain thread */
    struct arena *arena;     /* lives as long as the work */
    uint64_t deadline_ns;    /* clock_now() time after which every wait ends; NO_DEADLINE: none */
    const struct log *log;   /* where lines go; NULL: nowhere */
    struct trace_ctx trace;  /* ids that every log line and event carries */
    struct span_ring *spans; /* where spans of a sampled trace go; NULL: nobody wants them */
    const char *method;      /* "/tenant.v1.TenantService/GetTenant" or a job's name; may be NULL */
    const char *caller;      /* the caller's identity name ("admin"), NULL for our own work */
    char tenant_id[31];      /* "tnt_…" once it is known and checked, "" before */
    struct fault fault;      /* the last fault */
};

/* A context for a plain thread: no task, no deadline yet, empty trace ids.  Borrows both; the
 * log may be NULL. */
void ctx_init(struct ctx *ctx, const struct log *log, struct arena *arena);

/* The earlier of the work's own deadline and now + duration_ns.  In clock_now() time. */
uint64_t ctx_deadline_within(const struct ctx *ctx, uint64_t duration_ns);
/* The earlier of the work's own deadline and this one. */
uint64_t ctx_deadline_before(const struct ctx *ctx, uint64_t deadline_ns);

/* "DATABASE"; a constant. */
const char *fault_kind_name(enum fault_kind kind);

/* "DATABASE: connect: refused (src/store/pg_conn.c:42)", in the arena; for logs only. */
const char *ctx_fault_text(struct ctx *ctx);

#endif
