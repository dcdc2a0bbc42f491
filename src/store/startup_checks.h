/* What must be true of the database before anything is served: the schema is new enough, and no login can get
 * around row-level security. */
#ifndef STORE_STARTUP_CHECKS_H
#define STORE_STARTUP_CHECKS_H

#include "store/store.h"

/* Checks a login's rights: neither superuser nor BYPASSRLS nor CREATEROLE, owner of no table, member of no
 * role that is, no right on a table beyond those this program uses, and row-level security forced on every
 * table that it can read and that has a tenant column.  `key`: the configuration key of its URL, for the text.
 * Fault: CONFIG, naming the right that is too many.  Refusals and faults of tx_run().  Suspends. */
int role_check(struct store *store, struct ctx *ctx, enum store_login login,
               const char *key) MUST_CHECK;

extern const struct stmt_list startup_statements;

#endif
