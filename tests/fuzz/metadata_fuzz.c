/* Metadata values: what is read must be what was meant, whatever the bytes.
 *
 * Input: one byte of kind, then the value. */
#include "base/clock.h"
#include "base/id.h"
#include "base/trace_ctx.h"

#include "rpc/coding.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

static void percent(struct arena *arena, struct slice value)
{
    struct buf coded = BUF_EMPTY;
    char *any = percent_decode(arena, value);
    EXPECT(strlen(any) <= value.size);
    percent_encode(&coded, value);
    for (size_t i = 0; i < buf_size(&coded); i++)
        EXPECT(buf_slice(&coded).data[i] >= 0x20 && buf_slice(&coded).data[i] <= 0x7E);
    char *again = percent_decode(arena, buf_slice(&coded));
    if (value.size == 0 || memchr(value.data, '\0', value.size) == NULL)
        EXPECT(slice_equal(slice_of_str(again), value));
    buf_deinit(&coded);
}

static void base64(struct arena *arena, struct slice value)
{
    struct buf coded = BUF_EMPTY;
    struct slice decoded = {NULL, 0};
    (void)base64_decode(arena, value, &decoded);
    base64_encode(&coded, value);
    EXPECT(base64_decode(arena, buf_slice(&coded), &decoded));
    EXPECT(slice_equal(decoded, value));
    buf_deinit(&coded);
}

static void timeout(struct slice value)
{
    uint64_t duration = 0;
    if (!timeout_parse(value, &duration))
        return;
    EXPECT(value.size >= 2 && value.size <= 9);
    char text[TIMEOUT_TEXT_SIZE];
    uint64_t again = 0;
    timeout_format(duration, text);
    EXPECT(timeout_parse(slice_of_str(text), &again));
    EXPECT(again >= duration || duration > UINT64_C(99999999) * 3600 * NS_PER_S); /* rounded up */
}

static void ids(struct slice value)
{
    struct trace_ctx trace;
    char text[TRACEPARENT_SIZE];
    trace_ctx_begin(&trace, value);
    trace_ctx_request_id(&trace, value);
    EXPECT(strlen(trace.trace_id) == 32 && strlen(trace.span_id) == 16);
    EXPECT(strlen(trace.request_id) >= 1 && strlen(trace.request_id) < REQUEST_ID_SIZE);
    trace_ctx_format(&trace, text);
    EXPECT(strlen(text) + 1 == TRACEPARENT_SIZE);
    struct uuid id;
    char shown[ID_TEXT_SIZE];
    if (id_parse(ID_TENANT, value, &id)) {
        struct uuid again;
        id_format(ID_TENANT, &id, shown);
        EXPECT(id_parse(ID_TENANT, slice_of_str(shown), &again) && uuid_equal(&id, &again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* memory of its own size: a byte read too far is seen */
    uint8_t *own = malloc(size > 1 ? size - 1 : 1);
    EXPECT(own != NULL);
    memcpy(own, data + 1, size - 1);
    struct slice value = slice_make(own, size - 1);
    struct arena *arena = arena_new(0);
    switch (data[0] % 4) {
    case 0:
        percent(arena, value);
        break;
    case 1:
        base64(arena, value);
        break;
    case 2:
        timeout(value);
        break;
    case 3:
        ids(value);
        break;
    }
    arena_free(arena);
    free(own);
    return 0;
}
