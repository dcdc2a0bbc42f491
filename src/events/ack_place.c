/* Takes acknowledgement subjects apart.  Called for every message that is fetched; the subject comes from a
 * server. */
#include "events/ack_place.h"

#include "events/json_scan.h"

#define PREFIX "$JS.ACK."
#define TOKENS_SHORT 7 /* behind the prefix */
#define TOKENS_LONG 9

/* Further tokens are passed over: "Clients must tolerate additional tokens" (ADR-15). */
bool ack_place_parse(struct slice subject, struct ack_place *out)
{
    struct slice tokens[TOKENS_LONG];
    size_t count = 0;
    if (!slice_starts_with(subject, PREFIX))
        return false;
    struct slice rest = slice_skip(subject, strlen(PREFIX));
    while (count < TOKENS_LONG) {
        const uint8_t *dot = rest.size == 0 ? NULL : memchr(rest.data, '.', rest.size);
        size_t length = dot == NULL ? rest.size : (size_t)(dot - rest.data);
        if (length == 0)
            return false;
        tokens[count++] = slice_make(rest.data, length);
        if (dot == NULL)
            break;
        rest = slice_skip(rest, length + 1);
    }
    if (count != TOKENS_SHORT && count != TOKENS_LONG)
        return false;
    const struct slice *token = tokens + (count - TOKENS_SHORT);
    struct ack_place place = {.stream = token[0], .consumer = token[1]};
    uint64_t consumer_seq = 0;
    if (!json_scan_uint(token[2], &place.delivered) ||
        !json_scan_uint(token[3], &place.stream_seq) || !json_scan_uint(token[4], &consumer_seq) ||
        !json_scan_uint(token[5], &place.stored_ns) || !json_scan_uint(token[6], &place.pending))
        return false;
    *out = place;
    return true;
}
