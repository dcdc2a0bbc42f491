/* The bookkeeping of one publish window.  Called by the relay for each shard; it decides nothing about
 * what happens next. */
#include "events/window.h"

#include "events/json_scan.h"

#include <assert.h>

/* Error codes of the JetStream API (nats-server/server/errors.json). */
#define ERR_WRONG_LAST_SEQUENCE 10071
#define ERR_WRONG_LAST_SEQUENCE_CONSTANT 10164
#define ERR_WRONG_LAST_MSG_ID 10070
#define ERR_MESSAGE_TOO_LARGE 10054
#define ERR_HEADERS_TOO_LARGE 10097

#define TAG_INDEX_BITS 10
static_assert(WINDOW_MAX <= 1 << TAG_INDEX_BITS, "an index fits into its part of the tag");

static enum ack_kind refusal_kind(uint64_t err_code);

const char *ack_kind_name(enum ack_kind kind)
{
    static const char *const names[ACK_KIND_COUNT] = {
        [ACK_STORED] = "stored",       [ACK_FENCED] = "fenced",   [ACK_DUPLICATE] = "duplicate",
        [ACK_TOO_LARGE] = "too_large", [ACK_REFUSED] = "refused", [ACK_STRANGE] = "strange",
    };
    assert(kind < ACK_KIND_COUNT);
    return names[kind];
}

/* {"stream":"TENANT_03","seq":42} is stored, with "duplicate":true it was stored before;
 * {"error":{…}} is not.  The HTTP-like "code" beside err_code is not looked at: it does not
 * tell a fence from a full disk. */
enum ack_kind ack_parse(struct slice payload, uint64_t *seq, uint64_t *err_code)
{
    struct slice value;
    bool duplicate = false;
    *seq = 0;
    *err_code = 0;
    if (json_scan_member(payload, "error", &value)) {
        struct slice code;
        if (!json_scan_member(value, "err_code", &code) || !json_scan_uint(code, err_code))
            return ACK_STRANGE;
        return refusal_kind(*err_code);
    }
    if (!json_scan_member(payload, "seq", &value) || !json_scan_uint(value, seq) || *seq == 0)
        return ACK_STRANGE;
    if (json_scan_member(payload, "duplicate", &value) && !json_scan_bool(value, &duplicate))
        return ACK_STRANGE;
    return duplicate ? ACK_DUPLICATE : ACK_STORED;
}

void window_begin(struct window *window, uint64_t generation, uint64_t base_seq, size_t count)
{
    assert(window->state == WINDOW_EMPTY);
    assert(count > 0 && count <= WINDOW_MAX);
    *window = (struct window){
        .state = WINDOW_OPEN,
        .generation = generation,
        .base_seq = base_seq,
        .count = count,
    };
}

uint64_t window_expected(const struct window *window, size_t index)
{
    assert(index < window->count);
    return window->base_seq + index;
}

uint64_t window_seq(const struct window *window, size_t index)
{
    return window_expected(window, index) + 1;
}

/* A duplicate breaks the window although the event is stored: no sequence was
 * consumed, so all that were sent behind it expect one more than the stream has. */
enum window_state window_take(struct window *window, size_t index, struct slice payload)
{
    uint64_t seq = 0;
    uint64_t err_code = 0;
    assert(index < window->count);
    if (window->state != WINDOW_OPEN)
        return window->state;
    uint64_t bit = UINT64_C(1) << (index % 64);
    if ((window->bits[index / 64] & bit) != 0)
        return window->state;
    enum ack_kind kind = ack_parse(payload, &seq, &err_code);
    if (kind == ACK_STORED && seq != window_seq(window, index))
        kind = ACK_STRANGE;
    if (kind != ACK_STORED) {
        window_break(window, index, kind);
        window->cause_err_code = err_code;
        return window->state;
    }
    window->bits[index / 64] |= bit;
    window->acked++;
    if (window->acked == window->count)
        window->state = WINDOW_DONE;
    return window->state;
}

void window_break(struct window *window, size_t index, enum ack_kind cause)
{
    assert(window->state == WINDOW_OPEN && cause != ACK_STORED);
    window->state = WINDOW_BROKEN;
    window->cause = cause;
    window->cause_index = index;
}

uint64_t window_tag(const struct window *window, size_t index)
{
    assert(index < window->count);
    return window->generation << TAG_INDEX_BITS | index;
}

bool window_tag_matches(const struct window *window, uint64_t tag, size_t *index)
{
    size_t position = (size_t)(tag & ((1u << TAG_INDEX_BITS) - 1));
    if (window->state == WINDOW_EMPTY || tag >> TAG_INDEX_BITS != window->generation ||
        position >= window->count)
        return false;
    *index = position;
    return true;
}

/* Fenced and too large are told apart because only the first heals by asking the stream again. */
static enum ack_kind refusal_kind(uint64_t err_code)
{
    switch (err_code) {
    case ERR_WRONG_LAST_SEQUENCE:
    case ERR_WRONG_LAST_SEQUENCE_CONSTANT:
    case ERR_WRONG_LAST_MSG_ID:
        return ACK_FENCED;
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_HEADERS_TOO_LARGE:
        return ACK_TOO_LARGE;
    default:
        return ACK_REFUSED;
    }
}
