/* What this process knows of changes: the newest epoch of every tenant that changed lately, and how long that
 * knowledge may be relied on.
 *
 * One per process.  A feed looks at the database a few times per `freshness` and applies what it saw; every
 * cache asks the view about every entry it is about to give.  An entry is good when the view is younger than
 * `freshness` and no change is known that the entry has not seen.  Nothing else decides freshness: not the age
 * of an entry, not Redis, not another machine's clock. */
#ifndef CACHE_EPOCH_VIEW_H
#define CACHE_EPOCH_VIEW_H

#include "base/epoch.h"
#include "base/id.h"
#include "base/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoch_view;

struct epoch_view_settings {
    uint64_t freshness_ns;   /* how long a look at the database counts; 0: 200 ms */
    size_t tenants;          /* bound on the changes kept; 0: 65,536 */
    struct metrics *metrics; /* where its gauges stand; NULL: not counted */
};

struct epoch_view *epoch_view_new(const struct epoch_view_settings *settings);
void epoch_view_free(struct epoch_view *view); /* accepts NULL */

/* --- asking: any thread ------------------------------------------------------------------------- */

/* What an entry knows of the state that it shows. */
struct epoch_stamp {
    uint64_t era; /* of the database; see epoch_view_era() */
    struct epoch_seen seen;
};

enum epoch_verdict {
    EPOCH_GOOD,
    EPOCH_VIEW_STALE, /* no look at the database within `freshness` */
    EPOCH_OLDER,      /* a newer epoch of the tenant is known */
    EPOCH_BELOW_BASE, /* read so early that the view may not know what happened since */
    EPOCH_OTHER_ERA,  /* read before the database was taken back in time or failed over */
};
#define EPOCH_VERDICT_COUNT 5

/* age_ns (set when GOOD): since the look at the database that vouches for the entry. */
enum epoch_verdict epoch_view_judge(struct epoch_view *view, const struct uuid *tenant,
                                    const struct epoch_stamp *stamp, uint64_t *age_ns);

/* The era to stamp on what was read from `read_began_ns` (clock_now()) on.  False: the read may be of another
 * era; then it must not be kept. */
bool epoch_view_era(const struct epoch_view *view, uint64_t read_began_ns, uint64_t *era);
/* A look at the database within `freshness` stands. */
bool epoch_view_is_fresh(const struct epoch_view *view);
/* Since the last look, in ns; UINT64_MAX: there was none. */
uint64_t epoch_view_age(const struct epoch_view *view);

/* --- telling: any thread ------------------------------------------------------------------------ */

/* A commit of this process: from here on no older state of the tenant is good.  Never extends the view. */
void epoch_view_raise(struct epoch_view *view, const struct uuid *tenant, struct epoch epoch);

/* --- the feed: one thread ----------------------------------------------------------------------- */

struct epoch_change {
    struct uuid tenant;
    struct epoch epoch;
};

/* One look at the database. */
struct epoch_look {
    uint64_t t0_ns; /* clock_boot() before it was sent */
    uint64_t era;   /* of the server; another after a crash, fail-over or restore */
    uint64_t xmin;  /* of its snapshot: lower ids are all decided … */
    uint64_t xmax;  /* … and this one and higher ones have not begun */
    bool first;     /* its changes are those of ids >= base; else those that the last look did not see */
    uint64_t base;  /* of a first look alone */
    bool complete;  /* false: there were more changes than a look may bring, they are left out */
    const struct epoch_change *changes;
    size_t count;
};

enum epoch_applied {
    EPOCH_APPLIED,
    EPOCH_REWOUND, /* the database went back, or is another one: the view is void until a `first` look */
};

/* Afterwards the view holds until t0 + freshness, if it is not older than the look before. */
enum epoch_applied epoch_view_apply(struct epoch_view *view, const struct epoch_look *look);
/* The view vouches for nothing until the next look. */
void epoch_view_void(struct epoch_view *view);

/* Ids from here on are known; for tests and logs. */
uint64_t epoch_view_base(const struct epoch_view *view);

#endif
