/* gRPC's interoperability cases as a client plays them (grpc/doc/interop-test-descriptions.md). */
#ifndef TESTS_CONFORMANCE_CLIENT_CASES_H
#define TESTS_CONFORMANCE_CLIENT_CASES_H

#include "client/channel.h"

#include <stdbool.h>

/* A case's surroundings: on a plain thread or in a task. */
struct interop {
    struct ctx *ctx;
    struct client_channel *channel;
    const char *name; /* of the case */
    unsigned soak;    /* calls of rpc_soak */
    unsigned channels; /* of channel_soak … */
    const char *address, *folder; /* … and where they lead, with whose certificates */
};

struct interop_case {
    const char *name;
    bool (*run)(struct interop *interop); /* false: it said on standard error what was wrong */
    bool needs_gzip; /* and that the server tells how a message came */
};

extern const struct interop_case interop_cases[]; /* ends with a NULL name */

/* Owner: the caller. */
struct client_channel *interop_channel(const char *address, const char *folder);

/* 271,828 bytes there, 314,159 back. */
bool large_unary(struct interop *interop);

#endif
