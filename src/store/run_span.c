/* Names are those of OpenTelemetry's conventions for databases.  A statement's text is never told: its name is
 * what groups runs, and what they are about stands in the parameters alone. */
#include "store/run_span.h"

#include "base/span.h"

#include "gen/errors.h"

static const char *failure_of(int rc);

void run_span_end(struct ctx *ctx, const struct run_span *run, int rc)
{
    struct span *span = run->began_ns == 0 ? NULL : span_reserve(ctx->spans, &ctx->trace);
    if (span == NULL)
        return;
    span_make_child(span);
    span->kind = SPAN_CLIENT;
    span->name = run->first == NULL ? "COMMIT" : run->first;
    span->began_ns = run->began_ns;
    span->ended_ns = clock_now();
    span->error = failure_of(rc);
    span_put_text(span, "db.system.name", "postgresql");
    span_put_text(span, "db.query.summary", span->name);
    if (run->statements > 1)
        span_put_number(span, "db.operation.batch.size", (int64_t)run->statements);
    span_commit(ctx->spans);
}

/* Refusals are answers of the database, but for those that say it could not be asked. */
static const char *failure_of(int rc)
{
    switch (rc) {
    case OVERLOADED:
        return "OVERLOADED";
    case DATABASE_UNAVAILABLE:
        return "DATABASE_UNAVAILABLE";
    case COMMIT_UNCERTAIN:
        return "COMMIT_UNCERTAIN";
    default:
        return rc < OK ? fault_kind_name((enum fault_kind)rc) : NULL;
    }
}
