/* Why an event was not applied, and how often that was for reasons of its own.  Only these attempts count:
 * deliveries, and looks at what is parked, grow with every outage, however healthy the event is. */
#ifndef INBOUND_ATTEMPTS_H
#define INBOUND_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

/* Of so many events at once.  When more than that fail for reasons of their own, it is hardly theirs. */
#define ATTEMPTS_EVENTS 1024
/* So many failed attempts, and the event is given up. */
#define ATTEMPTS_MAX 10

/* Counts of this process, in memory.  A restart, or another replica that fetches the event, begins anew: a
 * poisoned event becomes a dead letter some attempts later, and a healthy one never does.  With more events
 * than there is room for, the one that has not failed for longest begins anew. */
struct attempts {
    struct attempts_entry {
        uint64_t key; /* 0: unused */
        uint64_t age; /* the greater, the later it failed */
        unsigned failed;
        bool lettered;
    } entries[ATTEMPTS_EVENTS];
    uint64_t clock;
};

/* Whether a refusal or fault of a handler says something of the event: the database did not like what it was
 * asked, or our own rules did not.  All else passes by itself or by an operator's hand: a server that is away,
 * slow, full or read-only, a lock that somebody holds, a right or a table that is missing. */
bool failure_is_own(int rc);

/* One more attempt failed for the event's own reasons; returns how many that are.  `key` is not 0. */
unsigned attempts_failed(struct attempts *attempts, uint64_t key);
/* How long an event waits that failed so often: some seconds, jittered. */
uint64_t attempts_wait_ns(unsigned failed);

/* A dead letter of it is stored, so that it must not take effect any more.  It may come again all the same:
 * its acknowledgement was lost, or its row. */
void attempts_letter(struct attempts *attempts, uint64_t key);
bool attempts_is_lettered(struct attempts *attempts, uint64_t key);

/* It is over. */
void attempts_forget(struct attempts *attempts, uint64_t key);

#endif
