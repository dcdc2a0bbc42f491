/* Called by h2_answer.c when the status of a call is known.  What is written here is small: details are held
 * below 4 KiB by status.c, a handler's trailers by CALL_HEADERS_MAX. */
#include "rpc/ending.h"

#include "base/random.h"

#include "rpc/call_int.h"
#include "rpc/coding.h"
#include "rpc/connect.h"
#include "rpc/framing.h"

#include <assert.h>

#define FLAG_END_STREAM 0x02 /* Connect: "EndStreamResponse" */
#define FLAG_TRAILERS 0x80 /* PROTOCOL-WEB.md: "the most significant bit … indicates trailers" */

static void web_put(struct buf *out, const struct running_call *call, const struct status *status);
static void web_field_put(struct buf *out, const char *name, struct slice value);
static void stream_put(struct buf *out, const struct running_call *call,
                       const struct status *status);
static void metadata_put(struct buf *out, const struct running_call *call,
                         const struct status *status);
static void values_put(struct buf *out, const struct call_header_list *list, size_t first);
static void envelope_put(struct buf *out, uint8_t flags, struct slice text);

void ending_put(struct buf *out, const struct running_call *call, const struct status *status)
{
    switch (call->dialect.protocol) {
    case PROTOCOL_GRPC:
        assert(false);
        return;
    case PROTOCOL_GRPC_WEB:
        web_put(out, call, status);
        return;
    case PROTOCOL_CONNECT_UNARY:
    case PROTOCOL_CONNECT_GET:
        if (status->code != GRPC_OK)
            connect_error_put(out, call->arena, status);
        return;
    case PROTOCOL_CONNECT_STREAM:
        stream_put(out, call, status);
        return;
    }
}

const char *ending_retry_after(struct arena *arena, const struct status *status)
{
    if (status->retry_ns == 0)
        return NULL;
    return arena_printf(arena, "%llu",
                        (unsigned long long)((status->retry_ns + NS_PER_S - 1) / NS_PER_S));
}

/* RetryInfo is the least pause.  gRPC's clients wait exactly as long as they are told: those refused together
 * would come back together, so each is told up to half as much more.  No other code is about load. */
const char *ending_retry_pushback(struct arena *arena, const struct status *status)
{
    bool busy = status->code == GRPC_UNAVAILABLE || status->code == GRPC_RESOURCE_EXHAUSTED;
    if (status->retry_ns == 0 || !busy)
        return NULL;
    uint64_t least_ms = status->retry_ns / NS_PER_MS + (status->retry_ns % NS_PER_MS != 0);
    uint64_t told_ms = least_ms + random_below(least_ms / 2 + 1);
    /* "an ASCII encoded signed 32-bit integer": one that does not fit would mean never */
    if (told_ms > INT32_MAX)
        told_ms = INT32_MAX;
    return arena_printf(arena, "%llu", (unsigned long long)told_ms);
}

/* "Key-value pairs encoded as a HTTP/1 headers block (without the terminating newline)", names in lower case
 * (PROTOCOL-WEB.md). */
static void web_put(struct buf *out, const struct running_call *call, const struct status *status)
{
    struct buf block = BUF_EMPTY;
    struct buf text = BUF_EMPTY;
    buf_printf(&block, "grpc-status: %d\r\n", (int)status->code);
    if (status->code != GRPC_OK) {
        percent_encode(&text, slice_of_str(status->message));
        web_field_put(&block, "grpc-message", buf_slice(&text));
        buf_clear(&text);
        base64_encode(&text, status->details);
        if (status->details.size > 0)
            web_field_put(&block, "grpc-status-details-bin", buf_slice(&text));
    }
    const char *retry_after = ending_retry_after(call->arena, status);
    if (retry_after != NULL)
        web_field_put(&block, "retry-after", slice_of_str(retry_after));
    const char *pushback = ending_retry_pushback(call->arena, status);
    if (pushback != NULL)
        web_field_put(&block, "grpc-retry-pushback-ms", slice_of_str(pushback));
    for (size_t i = 0; i < call->trailers.count; i++)
        web_field_put(&block, call->trailers.items[i].key, call->trailers.items[i].value);
    envelope_put(out, FLAG_TRAILERS, buf_slice(&block));
    buf_deinit(&text);
    buf_deinit(&block);
}

static void web_field_put(struct buf *out, const char *name, struct slice value)
{
    buf_put_str(out, name);
    buf_put_str(out, ": ");
    buf_put_slice(out, value);
    buf_put_str(out, "\r\n");
}

static void stream_put(struct buf *out, const struct running_call *call,
                       const struct status *status)
{
    struct buf text = BUF_EMPTY;
    buf_put_str(&text, "{");
    if (status->code != GRPC_OK) {
        buf_put_str(&text, "\"error\":");
        connect_error_put(&text, call->arena, status);
    }
    metadata_put(&text, call, status);
    buf_put_str(&text, "}");
    envelope_put(out, FLAG_END_STREAM, buf_slice(&text));
    buf_deinit(&text);
}

/* Every key once, with all its values. */
static void metadata_put(struct buf *out, const struct running_call *call,
                         const struct status *status)
{
    const struct call_header_list *list = &call->trailers;
    const char *retry_after = ending_retry_after(call->arena, status);
    if (list->count == 0 && retry_after == NULL)
        return;
    buf_put_str(out, status->code != GRPC_OK ? ",\"metadata\":{" : "\"metadata\":{");
    if (retry_after != NULL)
        buf_printf(out, "\"retry-after\":[\"%s\"]%s", retry_after, list->count > 0 ? "," : "");
    for (size_t i = 0; i < list->count; i++) {
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again = again || strcmp(list->items[k].key, list->items[i].key) == 0;
        if (again)
            continue;
        buf_put_str(out, i > 0 ? "," : "");
        values_put(out, list, i);
    }
    buf_put_str(out, "}");
}

static void values_put(struct buf *out, const struct call_header_list *list, size_t first)
{
    const char *key = list->items[first].key;
    buf_printf(out, "\"%s\":[", key);
    for (size_t i = first; i < list->count; i++) {
        if (strcmp(list->items[i].key, key) != 0)
            continue;
        buf_put_str(out, i > first ? ",\"" : "\"");
        buf_put_json_escaped(out, list->items[i].value);
        buf_put_str(out, "\"");
    }
    buf_put_str(out, "]");
}

static void envelope_put(struct buf *out, uint8_t flags, struct slice text)
{
    uint8_t prefix[FRAME_PREFIX_SIZE];
    framing_prefix(prefix, flags, text.size);
    buf_put(out, prefix, sizeof prefix);
    buf_put_slice(out, text);
}
