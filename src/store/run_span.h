/* A run of a transaction as a span of its call's trace; for tx.c. */
#ifndef STORE_RUN_SPAN_H
#define STORE_RUN_SPAN_H

#include "base/ctx.h"

/* What was run; zero: nobody traces. */
struct run_span {
    uint64_t began_ns;
    const char *first; /* name of the first statement; NULL: there is none but COMMIT */
    size_t statements;
};

/* The run has ended with `rc`.  Does nothing for one that nobody traces. */
void run_span_end(struct ctx *ctx, const struct run_span *run, int rc);

#endif
