/* Events once more: a look at the past beside a group, and a group that begins anew. */
#ifndef TENANT_EVENTS_REPLAY_H
#define TENANT_EVENTS_REPLAY_H

#include "tenant/events.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Begin with TENANT_REPLAY_RANGE.  Borrowed for the call. */
struct tenant_replay_range {
    size_t size;            /* of this struct, as the caller was compiled */
    enum tenant_start from; /* TENANT_START_ALL, _TIME or _SEQUENCE … */
    uint64_t from_value;    /* … and which */
    uint32_t partitions;    /* bit i: partition i; 0: all */
    const char *tenant_id;  /* of this tenant alone; NULL: of all */
};
#define TENANT_REPLAY_RANGE                                                                        \
    {                                                                                              \
        .size = sizeof(struct tenant_replay_range)                                                 \
    }

/* Hands out what the streams hold, from the beginning of the range to what was stored when the replay
 * reached the partition; partition by partition, each in its order.  Touches no group: no positions, no
 * acknowledgements, no dead letters.  `event->before` is {0, 0} and is_replayed is set.  Of the settings
 * the connection's, `handle`, `context` and `batch` count; `group` must be given and is not used.  An
 * envelope that cannot be read is passed over with a notice.  Blocks.
 *
 * OK: handed out.  FAILED: the handler answered something else than TENANT_EVENT_DONE, and is not called
 * again. BROKER: NATS failed on the way; `handled` says how far it came: repeat from there.  INVALID:
 * settings, range. */
enum tenant_consumer_result tenant_replay_run(const struct tenant_consumer_settings *settings,
                                              const struct tenant_replay_range *range,
                                              uint64_t *handled,
                                              struct tenant_consumer_error *error);

/* Lets a group begin anew at settings->start and start_value: its consumers are made again.  Nobody of the
 * group may live; it is looked at for as long as its members' lease_ttl_ms.  What is kept of positions
 * still counts: events up to them are old and are not handled again.  To handle them again, forget the
 * positions before the members start (tenant_inbox_forget()).  Blocks.  Results: OK, BUSY, BROKER, INVALID. */
enum tenant_consumer_result tenant_consumer_reset(const struct tenant_consumer_settings *settings,
                                                  struct tenant_consumer_error *error);

#ifdef __cplusplus
}
#endif

#endif
