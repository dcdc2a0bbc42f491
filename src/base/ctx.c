/* Contexts and the record of what broke. */
#include "base/ctx.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void ctx_init(struct ctx *ctx, const struct log *log, struct arena *arena)
{
    *ctx = (struct ctx){.log = log, .arena = arena, .deadline_ns = NO_DEADLINE};
}

uint64_t ctx_deadline_within(const struct ctx *ctx, uint64_t duration_ns)
{
    return ctx_deadline_before(ctx, deadline_after(clock_now(), duration_ns));
}

uint64_t ctx_deadline_before(const struct ctx *ctx, uint64_t deadline_ns)
{
    return deadline_ns < ctx->deadline_ns ? deadline_ns : ctx->deadline_ns;
}

/* errno first: formatting may change it.  Only the last fault is kept, and the one that is
 * forwarded is the last. */
int fault_at(struct ctx *ctx, enum fault_kind kind, const char *file, int line, const char *format,
             ...)
{
    int saved_errno = errno;
    assert(kind < 0);
    if (ctx == NULL)
        return kind;
    struct fault *fault = &ctx->fault;
    fault->kind = kind;
    fault->file = file;
    fault->line = line;
    fault->saved_errno = saved_errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    return kind;
}

/* For logs.  Without an arena there is only the text itself. */
const char *ctx_fault_text(struct ctx *ctx)
{
    struct fault *fault = &ctx->fault;
    if (fault->file == NULL)
        return "no fault";
    if (ctx->arena == NULL)
        return fault->text;
    return arena_printf(ctx->arena, "%s: %s (%s:%d)", fault_kind_name(fault->kind), fault->text,
                        fault->file, fault->line);
}

const char *fault_kind_name(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_INTERNAL:
        return "INTERNAL";
    case FAULT_TIMEOUT:
        return "TIMEOUT";
    case FAULT_CANCELLED:
        return "CANCELLED";
    case FAULT_DATABASE:
        return "DATABASE";
    case FAULT_CACHE:
        return "CACHE";
    case FAULT_BROKER:
        return "BROKER";
    case FAULT_IO:
        return "IO";
    case FAULT_TLS:
        return "TLS";
    case FAULT_CONFIG:
        return "CONFIG";
    case FAULT_PROTOCOL:
        return "PROTOCOL";
    }
    return "UNKNOWN";
}
