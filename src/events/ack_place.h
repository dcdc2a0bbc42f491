/* Where a delivered message stands, out of the subject that its acknowledgement goes to.  Pure.
 *
 *  $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
 *  $JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
 *
 * The second form (ADR-15), which may have more tokens behind it, is that of servers in a domain. */
#ifndef EVENTS_ACK_PLACE_H
#define EVENTS_ACK_PLACE_H

#include "base/slice.h"

struct ack_place {
    struct slice stream;   /* borrows from the subject */
    struct slice consumer; /* the same */
    uint64_t delivered;    /* times, this one included: 1 at first */
    uint64_t stream_seq;
    uint64_t stored_ns; /* when the stream took it, nanoseconds since 1970 */
    uint64_t pending;   /* messages behind it that this consumer was never given */
};

/* False: no such subject; *out untouched. */
bool ack_place_parse(struct slice subject, struct ack_place *out);

#endif
