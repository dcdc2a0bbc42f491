/* The query of a Connect GET, and what stands in its header fields: whatever is sent, values lie within the arena,
 * and what is encoded comes back. */
#include "rpc/connect_query.h"

#include "rpc/coding.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

/* Every byte escaped: a query that must be read back as `bytes`. */
static void check_round_trip(struct arena *arena, struct slice bytes, bool base64)
{
    static const char hex[] = "0123456789abcdef";
    struct buf text = BUF_EMPTY;
    struct buf query = BUF_EMPTY;
    if (base64) {
        base64_encode(&text, bytes);
        for (size_t i = text.start; i < text.end; i++)
            text.data[i] = text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i];
    } else {
        buf_put_slice(&text, bytes);
    }
    buf_put_str(&query, base64 ? "base64=1&encoding=proto&message=" : "encoding=proto&message=");
    for (size_t i = 0; i < buf_size(&text); i++) {
        uint8_t byte = buf_slice(&text).data[i];
        buf_put_byte(&query, '%');
        buf_put_byte(&query, (uint8_t)hex[byte >> 4]);
        buf_put_byte(&query, (uint8_t)hex[byte & 15]);
    }
    struct connect_query read;
    struct connect_query_fault fault = connect_query_parse(arena, buf_slice(&query), &read);
    EXPECT(fault.parameter == NULL);
    EXPECT(slice_equal(read.message, bytes));
    buf_deinit(&query);
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(1 << 20);
    struct slice bytes = slice_make(data, size);
    struct connect_query query;
    struct connect_query_fault fault = connect_query_parse(arena, bytes, &query);
    if (fault.parameter == NULL) {
        EXPECT(query.message.data != NULL && query.message.size <= size);
        volatile uint8_t sum = 0; /* every byte of it is ours to read */
        for (size_t i = 0; i < query.message.size; i++)
            sum = (uint8_t)(sum + query.message.data[i]);
    } else {
        EXPECT(fault.rule != NULL);
    }
    check_round_trip(arena, bytes, false);
    check_round_trip(arena, bytes, true);
    uint64_t duration;
    if (timeout_ms_parse(bytes, &duration))
        EXPECT(size >= 1 && size <= 10 && duration <= 9999999999u * UINT64_C(1000000));
    struct dialect dialect;
    struct http_refusal refusal = protocol_of_request(NULL, slice_of_str("POST"), bytes, &dialect);
    EXPECT(refusal.status == 0 || refusal.status == 415);
    if (refusal.status == 0)
        EXPECT(protocol_content_type(&dialect) != NULL);
    arena_free(arena);
    return 0;
}
