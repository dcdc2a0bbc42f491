/* One JSON object (or one readable line) per write(2).
 *
 * Called by every thread: a line is put together on the caller's own buffer and written with
 * one write(2), so
 * that lines of several threads do not mix (on a pipe those up to PIPE_BUF).  Must never log through itself or
 * stop for a log that is full. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/ctx.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

/* container runtimes cut longer lines (CRI: 16 KiB) */
#define LINE_MAX_BYTES 16384
#define LOG_SCHEMA_VERSION 3

static const char *level_name(enum log_level level);
static void put_json(struct buf *line, const struct log *log, struct ctx *ctx,
                     enum log_level level, const char *event);
static void put_json_fields(struct buf *line, const struct log_field *fields);
static void put_text(struct buf *line, enum log_level level, const char *event,
                     const struct log_field *fields);
static void put_string(struct buf *line, const char *key, const char *value);
static void put_value(struct buf *line, const struct log_field *field, bool quoted);
static void write_line(int fd, struct slice line);
static void emit(const struct log *log, struct ctx *ctx, enum log_level level, const char *event,
                 const struct log_field *fields);

void log_line(struct ctx *ctx, enum log_level level, const char *event,
              const struct log_field *fields)
{
    emit(ctx->log, ctx, level, event, fields);
}

void log_on(const struct log *log, enum log_level level, const char *event,
            const struct log_field *fields)
{
    emit(log, NULL, level, event, fields);
}

void log_level_set(struct log *log, enum log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

/* Two threads at the same moment: the exchange lets one of them write, the other is counted as
 * held back. */
bool log_interval_due(struct log_interval *interval, uint64_t every_ns, uint64_t *suppressed)
{
    uint64_t now = clock_now();
    uint64_t next = atomic_load(&interval->next_ns);
    if (now < next || !atomic_compare_exchange_strong(&interval->next_ns, &next, now + every_ns)) {
        atomic_fetch_add(&interval->held, 1);
        return false;
    }
    *suppressed = atomic_exchange(&interval->held, 0);
    return true;
}

static void emit(const struct log *log, struct ctx *ctx, enum log_level level, const char *event,
                 const struct log_field *fields)
{
    if (log == NULL || (int)level < atomic_load_explicit(&log->level, memory_order_relaxed))
        return;
    struct buf line = {.limit = LINE_MAX_BYTES};
    if (log->text) {
        put_text(&line, level, event, fields);
    } else {
        put_json(&line, log, ctx, level, event);
        put_json_fields(&line, fields);
        buf_put_byte(&line, '}');
    }
    if (line.overflown) { /* a truncated object would not parse: name the event only */
        buf_clear(&line);
        put_json(&line, log, ctx, level, event);
        buf_put_str(&line, ",\"truncated\":true}");
    }
    buf_put_byte(&line, '\n');
    write_line(log->fd, buf_slice(&line));
    buf_deinit(&line);
}

/* The platform's keys first, in one order, so that a person finds them in the same place of
 * every line. */
static void put_json(struct buf *line, const struct log *log, struct ctx *ctx,
                     enum log_level level, const char *event)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall(), now);
    buf_printf(line, "{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", now, level_name(level),
               event);
    put_string(line, "service", log->service);
    put_string(line, "service_version", log->version);
    put_string(line, "region", log->region);
    put_string(line, "env", log->environment);
    buf_printf(line, ",\"log_schema_version\":%d", LOG_SCHEMA_VERSION);
    if (ctx == NULL)
        return;
    put_string(line, "trace_id", ctx->trace.trace_id);
    put_string(line, "span_id", ctx->trace.span_id);
    put_string(line, "request_id", ctx->trace.request_id);
    put_string(line, "tenant_id", ctx->tenant_id);
    put_string(line, "actor_role", ctx->caller);
    put_string(line, "method", ctx->method);
}

/* Empty values are left out: a key is there when it says something. */
static void put_string(struct buf *line, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    buf_printf(line, ",\"%s\":\"", key);
    buf_put_json_escaped(line, slice_of_str(value));
    buf_put_byte(line, '"');
}

static void put_json_fields(struct buf *line, const struct log_field *fields)
{
    for (const struct log_field *field = fields; field->key != NULL; field++) {
        buf_printf(line, ",\"%s\":", field->key);
        put_value(line, field, true);
    }
}

/* For a terminal: ids are left out, and text is escaped all the same, because it may hold
 * control characters. */
static void put_text(struct buf *line, enum log_level level, const char *event,
                     const struct log_field *fields)
{
    char now[CLOCK_TEXT_SIZE];
    clock_format(clock_wall(), now);
    now[19] = '\0'; /* seconds are enough for a person */
    buf_printf(line, "%s %-5s %s", now, level_name(level), event);
    for (const struct log_field *field = fields; field->key != NULL; field++) {
        buf_printf(line, " %s=", field->key);
        put_value(line, field, false);
    }
}

static void put_value(struct buf *line, const struct log_field *field, bool quoted)
{
    switch (field->type) {
    case LOG_FIELD_STR:
        buf_put_str(line, quoted ? "\"" : "");
        buf_put_json_escaped(line, field->str);
        buf_put_str(line, quoted ? "\"" : "");
        return;
    case LOG_FIELD_INT:
        buf_printf(line, "%lld", (long long)field->number);
        return;
    case LOG_FIELD_DOUBLE:
        if (isfinite(field->real))
            buf_printf(line, "%.9g", field->real);
        else
            buf_put_str(line, "null");
        return;
    case LOG_FIELD_BOOL:
        buf_put_str(line, field->truth ? "true" : "false");
        return;
    }
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "unknown";
}

/* A log that cannot be written must not stop the service: what does not fit is dropped. */
static void write_line(int fd, struct slice line)
{
    while (line.size > 0) {
        ssize_t written = write(fd, line.data, line.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        line = slice_skip(line, (size_t)written);
    }
}
