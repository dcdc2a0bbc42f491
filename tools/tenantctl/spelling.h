/* What somebody probably meant who wrote something else. */
#ifndef TENANTCTL_SPELLING_H
#define TENANTCTL_SPELLING_H

#include "base/slice.h"

/* The best of the words offered so far.  Zeroed but for `written`. */
struct spelling {
    struct slice written;
    const char *best; /* NULL: nothing is near */
    unsigned distance;
};

/* Offers a word; it is kept when it is nearer than the best one, and near enough to be a slip. */
void spelling_offer(struct spelling *spelling, const char *word);

#endif
