/* The options of a connection to NATS, from our settings.  Inner to events/: jetstream.c only. */
#ifndef EVENTS_NATS_OPTIONS_H
#define EVENTS_NATS_OPTIONS_H

#include "events/jetstream.h"

#include <nats/nats.h>

/* The longest wait for one answer of a server: connecting or a request. */
#define NATS_TIMEOUT_MS 5000

/* On OK the caller destroys *out.  Faults: a file cannot be read, is not what it should be. */
int nats_options_make(struct ctx *ctx, const struct jetstream_settings *settings,
                      natsOptions **out) MUST_CHECK;

/* OK, or a fault "NATS what: the library's text".  That text never holds a seed or a payload. */
int nats_checked(struct ctx *ctx, natsStatus status, const char *what) MUST_CHECK;

#endif
