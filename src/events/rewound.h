/* The event that tells a tenant's consumers what a rewind of the database took back, and what its lost events
 * say. Pure. */
#ifndef EVENTS_REWOUND_H
#define EVENTS_REWOUND_H

#include "events/envelope.h"
#include "store/rewind_store.h"

struct rewound_event {
    struct uuid id;
    const struct loss *loss;
    const struct event_source *source;
    const char *region; /* whose law the tenant's data falls under: "eu" */
    uint64_t time_us;   /* microseconds since 1970 */
};

/* Its subject, without the partition. */
const char *rewound_subject(void);
/* Its envelope without what the relay appends, in the arena. */
struct slice rewound_pack(struct arena *arena, const struct rewound_event *event);

/* The reason that a lost tenant.org.suspended or .closed event gave, from its whole envelope; "" for others,
 * and for what cannot be read.  At most REWOUND_REASON_MAX bytes, cut between characters. */
#define REWOUND_REASON_MAX 512
const char *rewound_reason(struct arena *arena, struct slice envelope);

#endif
