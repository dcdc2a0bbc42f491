/* Reads /proc/self at each scrape: a few system calls, no state. */
#include "ops/process.h"

#include "base/clock.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct metric_family cpu_family = {.name = "process_cpu_seconds_total",
                                                .help = "User and system CPU time.",
                                                .kind = METRIC_COUNTER};
static const struct metric_family build_family = {.name = "tenant_build_info",
                                                  .help = "What is running; always 1.",
                                                  .kind = METRIC_GAUGE,
                                                  .labels = {"version", "commit", "compiler"}};
static const struct metric_family lag_family = {
    .name = "tenant_loop_lag_seconds",
    .help = "The longest turn of a worker's loop since the last scrape.",
    .kind = METRIC_GAUGE,
    .labels = {"worker"}};

static void put_gauge(struct buf *out, const char *name, const char *help, double value);
static double cpu_seconds(void);
static bool memory_bytes(double *virtual_bytes, double *resident_bytes);
static bool open_descriptors(double *count);

void process_render(const struct build *build, uint64_t start_wall_ns, enum metrics_format format,
                    struct buf *out)
{
    double start = (double)start_wall_ns / (double)NS_PER_S;
    double now = (double)clock_wall() / (double)NS_PER_S;
    metrics_render_head(out, format, &cpu_family);
    buf_printf(out, "process_cpu_seconds_total %.15g\n", cpu_seconds());
    put_gauge(out, "process_start_time_seconds", "Start, in seconds since 1970.", start);
    put_gauge(out, "tenant_uptime_seconds", "Time since the start.", now > start ? now - start : 0);
    double virtual_bytes = 0;
    double resident_bytes = 0;
    if (memory_bytes(&virtual_bytes, &resident_bytes)) {
        put_gauge(out, "process_virtual_memory_bytes", "Address space.", virtual_bytes);
        put_gauge(out, "process_resident_memory_bytes", "Memory in use.", resident_bytes);
    }
    double descriptors = 0;
    if (open_descriptors(&descriptors))
        put_gauge(out, "process_open_fds", "Open file descriptors.", descriptors);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        put_gauge(out, "process_max_fds", "The limit of open file descriptors.",
                  (double)limit.rlim_cur);
    metrics_render_head(out, format, &build_family);
    buf_printf(out, "tenant_build_info{version=\"%s\",commit=\"%s\",compiler=\"%s\"} 1\n",
               build->version, build->commit, __VERSION__);
}

/* Relaxed: only the number matters, nothing is published with it. */
void loop_lag_note(struct loop_lag *lag, uint64_t turn_ns)
{
    uint64_t worst = atomic_load_explicit(&lag->worst_ns, memory_order_relaxed);
    while (turn_ns > worst &&
           !atomic_compare_exchange_weak_explicit(&lag->worst_ns, &worst, turn_ns,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

/* Two scrapers would share the worst between them; one is what Prometheus does. */
void loop_lag_render(struct loop_lag *lags, size_t count, enum metrics_format format,
                     struct buf *out)
{
    if (count == 0)
        return;
    metrics_render_head(out, format, &lag_family);
    for (size_t worker = 0; worker < count; worker++) {
        uint64_t worst = atomic_exchange_explicit(&lags[worker].worst_ns, 0, memory_order_relaxed);
        buf_printf(out, "tenant_loop_lag_seconds{worker=\"%zu\"} %.9g\n", worker,
                   (double)worst / (double)NS_PER_S);
    }
}

static void put_gauge(struct buf *out, const char *name, const char *help, double value)
{
    const struct metric_family family = {.name = name, .help = help, .kind = METRIC_GAUGE};
    metrics_render_head(out, METRICS_PROMETHEUS, &family); /* the same in both formats */
    buf_printf(out, "%s %.15g\n", name, value);
}

/* getrusage(2) adds up all threads, those that ended too. */
static double cpu_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* proc(5): the first two numbers of statm are pages. */
static bool memory_bytes(double *virtual_bytes, double *resident_bytes)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return false;
    unsigned long total = 0;
    unsigned long resident = 0;
    bool is_read = fscanf(file, "%lu %lu", &total, &resident) == 2;
    fclose(file);
    double page = (double)sysconf(_SC_PAGESIZE);
    *virtual_bytes = (double)total * page;
    *resident_bytes = (double)resident * page;
    return is_read;
}

/* Linear in what is open: 4,096 connections take about a millisecond, on the ops thread. */
static bool open_descriptors(double *count)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return false;
    double entries = 0;
    while (readdir(folder) != NULL)
        entries++;
    closedir(folder);
    *count = entries - 3; /* ".", ".." and the folder's own descriptor */
    return true;
}
