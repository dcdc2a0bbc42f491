/* Structured logs: one JSON object per line on one descriptor, with the platform's keys (blueprint
 * section 13: trace_id, span_id, request_id, tenant_id, actor, service, service_version, region, env,
 * log_schema_version = 3).
 *
 * The event name is a constant; everything that varies is a field.  Never a secret, never a message
 * built from input. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ctx;

/* In the order of weight.  ERROR is for what an operator has to look at. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* The process's logger; filled once at start, read by all threads, and only the level may change
 * meanwhile.  The texts are borrowed and must outlive every thread that logs. */
struct log {
    int fd;                   /* where lines go; each line is one write(2) */
    _Atomic int level;        /* an enum log_level: lines below are dropped */
    bool text;                /* human-readable lines instead of JSON (tools, make run) */
    const char *service;      /* "tenant-service" */
    const char *version;      /* of the binary */
    const char *region;       /* "eu" */
    const char *environment;  /* "development", "production" */
};

/* From now on lines below `level` are dropped.  Any thread. */
void log_level_set(struct log *log, enum log_level level);

/* What a field's value is; the union's member follows from it. */
enum log_field_type { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_DOUBLE, LOG_FIELD_BOOL };

/* Built by the KV_ macros below; borrowed for the call. */
struct log_field {
    const char *key; /* NULL ends the list */
    enum log_field_type type;
    union {
        struct slice str;
        int64_t number;
        double real;
        bool truth;
    };
};

/* Keys are constants of ours and go out unescaped; values are escaped.  A NULL text is written
 * as an empty one. */
#define KV_STR(k, v)                                                                               \
    (struct log_field) { .key = (k), .type = LOG_FIELD_STR, .str = slice_of_str(v) }
#define KV_SLICE(k, v)                                                                             \
    (struct log_field) { .key = (k), .type = LOG_FIELD_STR, .str = (v) }
#define KV_INT(k, v)                                                                               \
    (struct log_field) { .key = (k), .type = LOG_FIELD_INT, .number = (int64_t)(v) }
#define KV_DOUBLE(k, v)                                                                            \
    (struct log_field) { .key = (k), .type = LOG_FIELD_DOUBLE, .real = (v) }
#define KV_BOOL(k, v)                                                                              \
    (struct log_field) { .key = (k), .type = LOG_FIELD_BOOL, .truth = (v) }

/* Writes one line: the event, the ids of ctx (which may be NULL only for log_on), the fields.
 * One write(2) of at most 16 KiB; a longer line is cut to its event with "truncated":true.
 * Blocks only as the descriptor does.  ctx->log NULL: nowhere.  Never fails: what cannot be
 * written is lost. */
void log_line(struct ctx *ctx, enum log_level level, const char *event,
              const struct log_field *fields);
/* The same without a ctx: process-level lines. `log` NULL: nowhere. */
void log_on(const struct log *log, enum log_level level, const char *event,
            const struct log_field *fields);

/* log_info(ctx, "tenant.created", KV_STR("slug", slug)); at least one field.  The list ends
 * with a field without a key, in the caller's frame. */
#define LOG_FIELDS_(...)                                                                           \
    (const struct log_field[])                                                                     \
    {                                                                                              \
        __VA_ARGS__, (struct log_field) { .key = NULL }                                            \
    }
#define log_debug(ctx, event, ...) log_line((ctx), LOG_DEBUG, (event), LOG_FIELDS_(__VA_ARGS__))
#define log_info(ctx, event, ...) log_line((ctx), LOG_INFO, (event), LOG_FIELDS_(__VA_ARGS__))
#define log_warn(ctx, event, ...) log_line((ctx), LOG_WARN, (event), LOG_FIELDS_(__VA_ARGS__))
#define log_error(ctx, event, ...) log_line((ctx), LOG_ERROR, (event), LOG_FIELDS_(__VA_ARGS__))
#define log_on_info(log, event, ...) log_on((log), LOG_INFO, (event), LOG_FIELDS_(__VA_ARGS__))
#define log_on_warn(log, event, ...) log_on((log), LOG_WARN, (event), LOG_FIELDS_(__VA_ARGS__))
#define log_on_error(log, event, ...) log_on((log), LOG_ERROR, (event), LOG_FIELDS_(__VA_ARGS__))

/* Repeating faults: true at most once per interval; *suppressed gets how many were held back
 * since.  Zero-initialise; may be shared by threads.  The first call is always due. */
struct log_interval {
    _Atomic uint64_t next_ns; /* clock_now() time from which a line may be written again */
    _Atomic uint64_t held; /* lines held back since the last one */
};
bool log_interval_due(struct log_interval *interval, uint64_t every_ns, uint64_t *suppressed);

#endif
