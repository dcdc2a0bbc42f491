/* Host names to addresses, by the system's resolver (getaddrinfo(3)): /etc/hosts, DNS, what nsswitch.conf
 * says. */
#ifndef LOOP_RESOLVE_H
#define LOOP_RESOLVE_H

#include "base/ctx.h"

#include <netdb.h>

/* *places is the caller's, for freeaddrinfo(); never empty.  `host` is a name or a numeric address, `port`
 * a number.  The resolver runs on a thread of libuv's pool, or for a plain thread on one of its own, and the
 * wait ends at the earlier of deadline_ns and the work's deadline.  Suspends.  Faults: FAULT_CONFIG (no such
 * name, with its text), FAULT_IO (the resolver failed: it may work later), FAULT_TIMEOUT, FAULT_CANCELLED. */
int resolve_stream(struct ctx *ctx, const char *host, const char *port, uint64_t deadline_ns,
                   struct addrinfo **places) MUST_CHECK;

#endif
