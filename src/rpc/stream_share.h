/* The places for streaming calls that one identity has on a worker: such a call may last for hours, and without
 * a bound one identity's would leave none to the others. */
#ifndef RPC_STREAM_SHARE_H
#define RPC_STREAM_SHARE_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct stream_share; /* one per identity that is connected, or has such a call running */

/* The identity's in `shares`, made when it is the first to join.  Each needs one stream_share_leave(). */
struct stream_share *stream_share_join(struct list *shares, const char *identity_key);
void stream_share_leave(struct stream_share *share);
/* A place, and a hold on the share until it is given back; false: it has `most` already. */
bool stream_share_take(struct stream_share *share, uint32_t most);
void stream_share_give(struct stream_share *share);

#endif
