/* Forward-only migrations: numbered SQL files, each applied once, in order, in a transaction of its own.
 *
 * `NNNN_name.sql`; the checksum of every applied file is kept and compared, so history cannot be rewritten.
 * Direct connection of the migrator login (not through PgBouncer: an advisory lock of the session keeps two
 * runs apart).  Blocks: for the migrate command. */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "base/ctx.h"

/* Told of every file in order: applied now, or already there. */
typedef void migrate_report(void *owner, int version, const char *name, bool applied_now);

/* Faults: CONFIG (the folder, a file's name, a gap, a changed checksum), DATABASE (no connection), INTERNAL
 * (a statement failed: the text has PostgreSQL's message and the file). */
int migrate_run(struct ctx *ctx, const char *url, const char *folder, migrate_report *report,
                void *owner) MUST_CHECK;

#endif
