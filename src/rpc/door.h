/* What stands between accept() and a worker: the pace of offenders, the first byte and the TLS handshake.
 *
 * On the listener's loop and never on a worker's: a handshake costs a millisecond of signatures, which calls of
 * those who are in must not wait for.  Everything here belongs to the listener's thread. */
#ifndef RPC_DOOR_H
#define RPC_DOOR_H

#include "base/log.h"
#include "base/metrics.h"

#include "loop/loop.h"
#include "rpc/offenders.h"
#include "rpc/rpc.h"
#include "tls/tls.h"

/* Who may go to a worker.  The descriptor's place in the total count goes along. */
struct arrival {
    int fd;
    struct tls_stream
        *tls; /* its handshake is done; NULL: a plain probe, of which nothing was read */
    struct peer_address address;
};

/* Takes the contents over, never the struct. */
typedef void door_callback(void *owner, struct arrival *arrival);
/* Somebody who was entered has gone without a word, and so without the cost of a handshake. */
typedef void door_silent_callback(void *owner);

struct door_settings {
    struct loop *loop;
    struct tls_context *tls; /* server side; referenced */
    struct rpc_shared *shared;
    struct metrics *metrics;
    const struct log *log;
    const struct rpc_limits *limits; /* copied */
    door_callback *admit;
    door_silent_callback *left_silently;
    void *owner;
};

struct door;
struct door *door_open(const struct door_settings *settings);
/* Whoever has not passed is shut out.  Accepts NULL. */
void door_close(struct door *door);
/* For who comes from now on. */
void door_set_limits(struct door *door, const struct rpc_limits *limits);
/* Takes an accepted descriptor over, whose place in the total count the caller has taken: admits it in a later
 * turn, or closes it and gives the place back. */
void door_enter(struct door *door, int fd, const struct sockaddr_storage *from);

/* Shuts out who came first of those who have said nothing for a quarter of a second; false: there is nobody. */
bool door_make_room(struct door *door);
/* How many may talk and have said nothing yet. */
size_t door_silent(const struct door *door);

/* Closes what arrived and gives its place back.  Any thread that owns it. */
void arrival_refuse(struct arrival *arrival, struct rpc_shared *shared);

#endif
