/* One call of a command: connected, repeated where that is safe, explained where it failed. */
#ifndef TENANTCTL_CALL_H
#define TENANTCTL_CALL_H

#include "cli.h"

#include "client/channel.h"

struct ctl_call {
    const struct rpc_method *method;
    const ProtobufCMessage *in;
    bool writes;               /* carries an idempotency key, so that it may be repeated */
    struct client_call answer; /* of the last attempt; its texts live in the cli's arena */
};

/* Performs the call with --timeout over all its attempts.  EXIT_DONE with *out, or an exit status after the
 * reason was printed.  Repeats, at most four times and with growing pauses, what never reached the service and
 * what the service says may be repeated; see --no-retry.  Suspends. */
int ctl_call(struct cli *cli, struct ctl_call *call, ProtobufCMessage **out);
/* The method of that name, which must be there (asserted). */
const struct rpc_method *ctl_method(const struct rpc_service *service, const char *name);
/* The connection is kept from call to call; closes it. */
void ctl_close(struct cli *cli);

/* With --watch, `look` again and again: it writes to cli->out and returns an exit status.  What it wrote is
 * shown when it has changed.  Ends at SIGINT or SIGTERM with EXIT_DONE. */
int ctl_watch(struct cli *cli, int (*look)(struct cli *cli));
/* Sleeps; true when SIGINT or SIGTERM came, which ctl_signals_block() keeps from ending the program. */
bool ctl_pause(uint64_t ns);
/* Before a library starts threads: one that does not block them would be given what comes while the
 * main thread is at work, and the program would die of it. */
void ctl_signals_block(void);

#endif
