/* W3C Trace Context and request ids. */
#include "base/trace_ctx.h"

#include "base/id.h"
#include "base/random.h"

#include <stdbool.h>
#include <stdio.h>

static bool is_lower_hex(struct slice text);
static bool is_all_zero(struct slice text);
static void random_hex(char *out, size_t digits);
static bool traceparent_take(struct trace_ctx *trace, struct slice header);

/* W3C Trace Context section 3.2.2.3: an invalid trace-id means that the header is ignored, and
 * the trace begins here. */
void trace_ctx_begin(struct trace_ctx *trace, struct slice traceparent)
{
    trace->parent_span_id[0] = '\0';
    trace->flags = 0;
    if (!traceparent_take(trace, traceparent))
        random_hex(trace->trace_id, 32);
    random_hex(trace->span_id, 16);
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
    snprintf(out, TRACEPARENT_SIZE, "00-%s-%s-%02x", trace->trace_id, trace->span_id,
             trace->flags);
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
    uint8_t low = flags.data[1];
    trace->flags = (unsigned char)((low <= '9' ? low - '0' : low - 'a' + 10) & 1);
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

static void random_hex(char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    random_name_bytes(bytes, digits / 2);
    bytes[0] |= 1; /* "All bytes as zero is considered an invalid value" */
    for (size_t i = 0; i < digits; i++)
        out[i] = hex[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
    out[digits] = '\0';
}
