/* What a caller asked for, checked, copied, with the defaults filled in. */
#ifndef CONSUMER_SETTINGS_H
#define CONSUMER_SETTINGS_H

#include "base/arena.h"

#include "tenant/events.h"

/* *out gets copies in the arena, also of the backoff.  False: the error's text names the member and its
 * rule. */
bool settings_take(const struct tenant_consumer_settings *given, struct arena *arena,
                   struct tenant_consumer_settings *out, struct tenant_consumer_error *error);

#endif
