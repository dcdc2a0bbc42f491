/* The system's resolver with a deadline, for callers that have no loop. */
#ifndef LOOP_RESOLVE_THREAD_H
#define LOOP_RESOLVE_THREAD_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

/* getaddrinfo(3), which has no deadline of its own, on a thread that is left behind when it is too slow: one
 * per late look-up, and it ends when the resolver does (resolv.conf(5), "timeout" and "attempts").  False: the
 * deadline passed first.  *failed is getaddrinfo's; EAI_AGAIN also when there is no thread to be had.  *places
 * is the caller's, for freeaddrinfo(), when *failed is 0.  `hints` must be static.  Blocks. */
/* lint-allow parameters: getaddrinfo(3)'s three, the deadline, and two answers */
bool resolve_on_thread(const char *host, const char *port, const struct addrinfo *hints,
                       uint64_t deadline_ns, int *failed, struct addrinfo **places);

#endif
