/* Where a login connects to: a parsed libpq URL with the address that its host name stands for, so that
 * opening a connection never waits for DNS. */
#ifndef STORE_PG_TARGET_H
#define STORE_PG_TARGET_H

#include "base/ctx.h"

#include <libpq-fe.h>

#define PG_ADDRESS_SIZE 64

struct pg_password;
struct pg_target;

/* Looks the host up (may block on DNS).  Fault: CONFIG. */
int pg_target_new(struct ctx *ctx, const char *url, struct pg_target **target) MUST_CHECK;
/* From now on connections begin with this password, which must outlive the target, and not with the URL's. */
void pg_target_set_password(struct pg_target *target, struct pg_password *password);
void pg_target_free(struct pg_target *target); /* accepts NULL; a look-up under way ends by itself */

/* Begins a connection; NULL only when libpq has no memory.  Does not block. */
PGconn *pg_target_connect(struct pg_target *target);

/* After a failed connect: looks a host name up again on a thread of its own; the next connect uses what
 * it found.  At most one look-up runs at a time.  Does nothing for an address. */
void pg_target_refresh(struct pg_target *target);

/* "host:port/database as user", never the password. */
const char *pg_target_text(const struct pg_target *target);
const char *pg_target_user(const struct pg_target *target);

#endif
