/* What must be true of the database before anything is served: the schema is new enough, and no login can get
 * around row-level security. */
#ifndef STORE_STARTUP_CHECKS_H
#define STORE_STARTUP_CHECKS_H

#include "store/store.h"

/* Checks a login's rights: neither superuser nor BYPASSRLS nor CREATEROLE nor REPLICATION, owner of nothing,
 * member of no role, no right on a table, partition or function beyond those this program uses; that functions
 * with their owner's rights have a fixed search path and are not for everybody; and that row-level security is
 * forced on every table with a tenant column, with the restrictive tenant policy, and that every other
 * table's comment says why it has none.  On tables that this program does not know (a newer schema) only
 * TRUNCATE, REFERENCES and TRIGGER are too much.  `key`: the configuration key of its URL, for the text.
 * Fault: CONFIG, naming everything that is too much.  Refusals and faults of tx_run().  Suspends. */
int role_check(struct store *store, struct ctx *ctx, enum store_login login,
               const char *key) MUST_CHECK;

extern const struct stmt_list startup_statements;

#endif
