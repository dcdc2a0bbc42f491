/* Addresses whose connections had to be ended lately, and how soon each may shake hands again.
 *
 * A handshake costs us more than it costs the peer, and who was cut off may come back at once: so the next
 * ones of that address are spread over time.  They are delayed, not refused, because others may share the
 * address.
 * Any thread. */
#ifndef RPC_OFFENDERS_H
#define RPC_OFFENDERS_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct offenders;
struct offenders *offenders_new(void);
void offenders_free(struct offenders *offenders); /* accepts NULL */

/* Who is held responsible: an IPv4 address, or the network of an IPv6 one, all of whose addresses are one
 * customer's (RFC 6177). */
struct peer_address {
    uint8_t bytes[16];
};
struct peer_address peer_address_of(const struct sockaddr_storage *from);

/* A connection from there had to be ended, or its handshake failed. */
void offenders_note(struct offenders *offenders, const struct peer_address *address,
                    uint64_t now_ns);

struct offender_pace {
    uint32_t burst;       /* handshakes at once … */
    uint32_t rate;        /* … and per second */
    uint64_t memory_ns;   /* from the last offence on */
    uint64_t patience_ns; /* the longest delay */
};

/* When a handshake that came at now_ns may begin; now_ns itself for who has not offended.  Later ones of the
 * address count from there.  NO_DEADLINE: the delay would be too long, and nothing was counted. */
uint64_t offenders_turn(struct offenders *offenders, const struct peer_address *address,
                        const struct offender_pace *pace, uint64_t now_ns);

#endif
