/* The password of one login, which may be changed while threads connect with it.
 *
 * Connections that are open stay: the server asks for a password only when one begins. */
#ifndef STORE_PG_PASSWORD_H
#define STORE_PG_PASSWORD_H

#include "base/ctx.h"

#include <stdbool.h>

struct pg_password;

/* With the password of a libpq URL, which may be none.  Fault: CONFIG, never with the URL. */
int pg_password_new(struct ctx *ctx, const char *url, struct pg_password **password) MUST_CHECK;
/* When nobody connects with it any more.  Accepts NULL. */
void pg_password_free(struct pg_password *password);

/* From now on connections begin with the password of `url`.  False, and nothing changes, when the URL differs
 * from the first one in anything else.  Any thread. */
bool pg_password_renew(struct pg_password *password, const char *url);

/* A copy, owned by the caller, to be given to pg_password_drop(); NULL: none.  Any thread. */
char *pg_password_copy(struct pg_password *password);
void pg_password_drop(char *copy); /* accepts NULL */

#endif
