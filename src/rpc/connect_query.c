/* Unary-Get-Request of the Connect protocol (https://connectrpc.com/docs/protocol). */
#include "rpc/connect_query.h"

#include "base/base64.h"

#include <assert.h>

enum parameter {
    PARAMETER_CONNECT,
    PARAMETER_ENCODING,
    PARAMETER_MESSAGE,
    PARAMETER_BASE64,
    PARAMETER_COMPRESSION,
    PARAMETERS
};

static const char *const names[PARAMETERS] = {
    [PARAMETER_CONNECT] = "connect",         [PARAMETER_ENCODING] = "encoding",
    [PARAMETER_MESSAGE] = "message",         [PARAMETER_BASE64] = "base64",
    [PARAMETER_COMPRESSION] = "compression",
};

static enum parameter take(struct arena *arena, struct slice *query,
                           struct slice values[PARAMETERS]);
static struct slice cut(struct slice *text, uint8_t at);
static bool unescape(struct arena *arena, struct slice text, struct slice *out);
static int hex_value(uint8_t digit);
static bool base64url_decode(struct arena *arena, struct slice text, struct slice *out);

struct connect_query_fault connect_query_parse(struct arena *arena, struct slice query,
                                               struct connect_query *out)
{
    struct slice values[PARAMETERS] = {{NULL, 0}};
    while (query.size > 0) {
        enum parameter broken = take(arena, &query, values);
        if (broken != PARAMETERS)
            return (struct connect_query_fault){names[broken], "must be percent-encoded",
                                                .is_type = false};
    }
    struct slice version = values[PARAMETER_CONNECT];
    if (version.data != NULL && !slice_is(version, "v1"))
        return (struct connect_query_fault){names[PARAMETER_CONNECT], "must be v1",
                                            .is_type = false};
    struct slice encoding = values[PARAMETER_ENCODING];
    bool json = slice_is(encoding, "json");
    if (!json && !slice_is(encoding, "proto"))
        return (struct connect_query_fault){names[PARAMETER_ENCODING], "must be json or proto",
                                            .is_type = true};
    struct slice message = values[PARAMETER_MESSAGE];
    if (message.data == NULL)
        return (struct connect_query_fault){names[PARAMETER_MESSAGE], "must be set",
                                            .is_type = false};
    struct slice base64 = values[PARAMETER_BASE64];
    if (base64.size > 0 && !slice_is(base64, "1"))
        return (struct connect_query_fault){names[PARAMETER_BASE64], "must be 1", .is_type = false};
    if (base64.size > 0 && !base64url_decode(arena, message, &message))
        return (struct connect_query_fault){names[PARAMETER_MESSAGE], "must be URL-safe base64",
                                            .is_type = false};
    *out = (struct connect_query){json ? CODEC_JSON : CODEC_PROTO, message,
                                  values[PARAMETER_COMPRESSION]};
    return (struct connect_query_fault){NULL, NULL, .is_type = false};
}

/* One "name=value".  PARAMETERS: good, or none of ours; else the one whose value is broken. */
static enum parameter take(struct arena *arena, struct slice *query,
                           struct slice values[PARAMETERS])
{
    struct slice value = cut(query, '&');
    struct slice name = cut(&value, '=');
    for (unsigned i = 0; i < PARAMETERS; i++) {
        if (!slice_is(name, names[i]) || values[i].data != NULL)
            continue;
        return unescape(arena, value, &values[i]) ? PARAMETERS : (enum parameter)i;
    }
    return PARAMETERS;
}

/* What stands before the separator; *text goes on behind it. */
static struct slice cut(struct slice *text, uint8_t at)
{
    const uint8_t *found = text->size == 0 ? NULL : memchr(text->data, at, text->size);
    size_t size = found == NULL ? text->size : (size_t)(found - text->data);
    struct slice before = slice_make(text->data, size);
    *text = slice_skip(*text, found == NULL ? size : size + 1);
    return before;
}

/* As application/x-www-form-urlencoded: a plus is a space.  Not NULL when it is empty. */
static bool unescape(struct arena *arena, struct slice text, struct slice *out)
{
    uint8_t *bytes = arena_alloc_raw(arena, text.size + 1);
    size_t end = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '%') {
#ifdef PLANTED_BUG /* for tests/fuzz: an escape at the end is not cut short */
            bool whole = true;
#else
            bool whole = text.size - i > 2;
#endif
            int high = whole ? hex_value(text.data[i + 1]) : -1;
            int low = whole ? hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        bytes[end++] = byte;
    }
    assert(end <= text.size);
    *out = slice_make(bytes, end);
    return true;
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* "If present, the base64 parameter indicates … URL-safe base64 (padded or unpadded)": the other alphabet is
 * refused, whose plus would be a space. */
static bool base64url_decode(struct arena *arena, struct slice text, struct slice *out)
{
    return base64_take(arena, text, BASE64_URL | BASE64_PADDED | BASE64_UNPADDED, out);
}
