/* See stream_share.h.  On a worker's thread; looked for when a connection begins, which costs a handshake. */
#include "rpc/stream_share.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct stream_share {
    struct list *shares;
    struct list_node node; /* on it */
    char *identity_key;
    uint32_t holders; /* connections and places */
    uint32_t places;
};

struct stream_share *stream_share_join(struct list *shares, const char *identity_key)
{
    for (struct list_node *node = list_first(shares); node != NULL;
         node = list_next(shares, node)) {
        struct stream_share *share = list_entry(node, struct stream_share, node);
        if (strcmp(share->identity_key, identity_key) == 0) {
            share->holders++;
            return share;
        }
    }
    struct stream_share *share = xcalloc(1, sizeof *share);
    share->shares = shares;
    share->identity_key = xstrdup(identity_key);
    share->holders = 1;
    list_push_back(shares, &share->node);
    return share;
}

void stream_share_leave(struct stream_share *share)
{
    assert(share->holders > share->places);
    if (--share->holders > 0)
        return;
    list_remove(share->shares, &share->node);
    free(share->identity_key);
    free(share);
}

bool stream_share_take(struct stream_share *share, uint32_t most)
{
    if (share->places >= most)
        return false;
    share->places++;
    share->holders++;
    return true;
}

void stream_share_give(struct stream_share *share)
{
    assert(share->places > 0);
    share->places--;
    stream_share_leave(share);
}
