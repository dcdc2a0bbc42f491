/* W3C Trace Context and request ids. */
#include "base/trace_ctx.h"

#include "base/id.h"
#include "base/random.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>

#define RANDOM_DIGITS 14 /* 56 bits */

static bool is_lower_hex(struct slice text);
static bool is_all_zero(struct slice text);
static bool traceparent_take(struct trace_ctx *trace, struct slice header);
static unsigned hex_value(char digit);

/* W3C Trace Context section 3.2.2.3: an invalid trace-id means that the header is ignored, and
 * the trace begins here. */
void trace_ctx_begin(struct trace_ctx *trace, struct slice traceparent)
{
    trace->parent_span_id[0] = '\0';
    trace->flags = 0;
    if (!traceparent_take(trace, traceparent))
        trace_random_id(trace->trace_id, 32);
    trace_random_id(trace->span_id, 16);
}

/* The 56 bits that are random in every id (Trace Context Level 2, "Random trace-id flag"), against a threshold
 * of rejection (OpenTelemetry, "TraceState: Probability Sampling"). */
void trace_ctx_sample(struct trace_ctx *trace, uint64_t threshold)
{
    if (trace->parent_span_id[0] != '\0')
        return;
    uint64_t number = 0;
    for (const char *digit = trace->trace_id + 32 - RANDOM_DIGITS; *digit != '\0'; digit++)
        number = number << 4 | hex_value(*digit);
    trace->flags = number >= threshold ? TRACE_SAMPLED : 0;
}

uint64_t trace_threshold(double ratio)
{
    const uint64_t end = UINT64_C(1) << 4 * RANDOM_DIGITS;
    return end - (uint64_t)(ratio * (double)end);
}

void trace_id_bytes(const char *id, size_t size, uint8_t *out)
{
    assert(strlen(id) == 2 * size);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(hex_value(id[2 * i]) << 4 | hex_value(id[2 * i + 1]));
}

/* Printable ASCII without a space and not too long: it goes into logs, headers and error
 * messages as it is. */
void trace_ctx_request_id(struct trace_ctx *trace, struct slice received)
{
    bool usable = received.size > 0 && received.size < REQUEST_ID_SIZE;
    for (size_t i = 0; usable && i < received.size; i++)
        usable = received.data[i] > 0x20 && received.data[i] < 0x7F;
    if (usable) {
        memcpy(trace->request_id, received.data, received.size);
        trace->request_id[received.size] = '\0';
        return;
    }
    struct uuid uuid = uuid_new_name();
    id_format(ID_REQUEST, &uuid, trace->request_id);
}

void trace_ctx_format(const struct trace_ctx *trace, char out[TRACEPARENT_SIZE])
{
    snprintf(out, TRACEPARENT_SIZE, "00-%s-%s-%02x", trace->trace_id, trace->span_id, trace->flags);
}

/* version "-" trace-id "-" parent-id "-" trace-flags; a higher version may have more behind a dash. */
static bool traceparent_take(struct trace_ctx *trace, struct slice header)
{
    if (header.size < TRACEPARENT_SIZE - 1)
        return false;
    struct slice version = slice_make(header.data, 2);
    struct slice trace_id = slice_make(header.data + 3, 32);
    struct slice parent = slice_make(header.data + 36, 16);
    struct slice flags = slice_make(header.data + 53, 2);
    if (header.data[2] != '-' || header.data[35] != '-' || header.data[52] != '-')
        return false;
    if (!is_lower_hex(version) || slice_is(version, "ff") || !is_lower_hex(flags))
        return false;
    if (slice_is(version, "00") && header.size != TRACEPARENT_SIZE - 1)
        return false;
    if (header.size > TRACEPARENT_SIZE - 1 && header.data[TRACEPARENT_SIZE - 1] != '-')
        return false;
    if (!is_lower_hex(trace_id) || is_all_zero(trace_id))
        return false;
    if (!is_lower_hex(parent) || is_all_zero(parent))
        return false;
    memcpy(trace->trace_id, trace_id.data, trace_id.size);
    trace->trace_id[trace_id.size] = '\0';
    memcpy(trace->parent_span_id, parent.data, parent.size);
    trace->parent_span_id[parent.size] = '\0';
    trace->flags = hex_value((char)flags.data[1]) & TRACE_SAMPLED;
    return true;
}

static bool is_lower_hex(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (!(byte >= '0' && byte <= '9') && !(byte >= 'a' && byte <= 'f'))
            return false;
    }
    return true;
}

static bool is_all_zero(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '0')
            return false;
    }
    return true;
}

static unsigned hex_value(char digit)
{
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

void trace_random_id(char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    random_name_bytes(bytes, digits / 2);
    bytes[0] |= 1; /* "All bytes as zero is considered an invalid value" */
    for (size_t i = 0; i < digits / 2; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
    out[digits] = '\0';
}
