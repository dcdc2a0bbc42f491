/* Figures of the process itself, by the names that Prometheus' own clients use, and of its loops. */
#ifndef OPS_PROCESS_H
#define OPS_PROCESS_H

#include "base/buf.h"
#include "base/metrics.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct build {
    const char *version; /* "0.1.0" */
    const char *commit;  /* "1482c3711d9a" */
};

/* Appends uptime, CPU, memory, descriptors and tenant_build_info.  What the system does not tell is left
 * out. */
void process_render(const struct build *build, uint64_t start_wall_ns, enum metrics_format format,
                    struct buf *out);

/* The longest turn of one worker's loop since the last scrape.  Written by the worker, read by the ops
 * thread; zero-initialise. */
struct loop_lag {
    _Atomic uint64_t worst_ns;
};

/* Notes one turn; the worst stays. */
void loop_lag_note(struct loop_lag *lag, uint64_t turn_ns);
/* Appends tenant_loop_lag_seconds{worker} for each and begins anew. */
void loop_lag_render(struct loop_lag *lags, size_t count, enum metrics_format format,
                     struct buf *out);

#endif
