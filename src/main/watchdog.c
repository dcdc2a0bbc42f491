/* Says which tasks kept a worker's other calls waiting.  On the worker's own thread. */
#include "main/app.h"

#include <dlfcn.h>
#include <string.h>

#define SLICE_LIMIT_NS (5 * NS_PER_MS)
#define LINE_EVERY_NS NS_PER_S /* per process: one bad request can come a thousand times */

static const struct metric_family slow_family = {
    .name = "tenant_task_slow_slices_total",
    .help = "Times a task held a worker's CPU for more than 5 ms without a wait.",
    .kind = METRIC_COUNTER};

static void on_slow_slice(void *owner, const struct slow_slice *slice);
static void put_frame(struct buf *out, void *address);

void watchdog_start(struct worker_thread *worker)
{
    worker->slow_slices = metrics_series(worker->metrics, &slow_family, NULL);
    loop_watch_slices(worker->loop, SLICE_LIMIT_NS, on_slow_slice, worker);
}

static void on_slow_slice(void *owner, const struct slow_slice *slice)
{
    struct worker_thread *worker = owner;
    metric_inc(worker->slow_slices);
    uint64_t held = 0;
    if (!log_interval_due(&worker->serve->slow_lines, LINE_EVERY_NS, &held))
        return;
    struct buf frames = {.data = NULL};
    for (size_t i = 0; i < slice->frame_count; i++)
        put_frame(&frames, slice->frames[i]);
    log_on_warn(&worker->serve->app->log, "task.slow",
                KV_DOUBLE("slice_ms", (double)slice->ns / (double)NS_PER_MS),
                KV_INT("worker", worker->number), KV_INT("suppressed", held),
                KV_SLICE("frames", buf_slice(&frames)));
    buf_deinit(&frames);
}

/* "tenant-service+0x1a2b ": what `addr2line -f -e tenant-service 0x1a2b` takes, whatever the address
 * space was. */
static void put_frame(struct buf *out, void *address)
{
    Dl_info info;
    if (dladdr(address, &info) == 0 || info.dli_fname == NULL) {
        buf_printf(out, "%p ", address);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    buf_printf(out, "%s+0x%zx ", slash == NULL ? info.dli_fname : slash + 1,
               (size_t)((char *)address - (char *)info.dli_fbase));
}
