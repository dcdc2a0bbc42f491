/* The beginning of a connection; for connection.c. */
#ifndef CLIENT_CONNECT_H
#define CLIENT_CONNECT_H

#include "client/connection.h"

/* Fills fd, io, tls and stream of `connection`, also where it fails: its owner drops them.  Suspends.
 * Faults: FAULT_CONFIG (the address, no such name), FAULT_IO, FAULT_TLS, FAULT_TIMEOUT, FAULT_CANCELLED. */
int connect_secured(struct ctx *ctx, struct client_connection *connection,
                    const struct client_settings *settings, uint64_t deadline_ns) MUST_CHECK;
/* Closes descriptor and watch, if there are any. */
void connect_drop(struct client_connection *connection);

#endif
