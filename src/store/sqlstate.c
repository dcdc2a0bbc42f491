/* What an error of the server means for the caller (PostgreSQL manual, appendix A). */
#include "store/store_int.h"

#include "gen/errors.h"

/* The first match wins; whole codes stand before their classes. */
enum sql_error sqlstate_class(const char *state)
{
    static const struct {
        const char *state; /* a whole code, or a class of two characters */
        enum sql_error error;
    } known[] = {
        {"23505", SQL_ERROR_UNIQUE},     {"22012", SQL_ERROR_GUARD},
        {"40001", SQL_ERROR_CONCURRENT}, {"40P01", SQL_ERROR_CONCURRENT},
        {"55P03", SQL_ERROR_CONCURRENT}, {"57014", SQL_ERROR_TIMEOUT},
        {"57P01", SQL_ERROR_GOING_DOWN}, {"57P02", SQL_ERROR_GOING_DOWN},
        {"57P03", SQL_ERROR_REFUSED},    {"53300", SQL_ERROR_REFUSED},
        {"25P03", SQL_ERROR_GOING_DOWN}, {"57P05", SQL_ERROR_GOING_DOWN},
        {"42501", SQL_ERROR_FORBIDDEN},  {"08", SQL_ERROR_UNREACHABLE},
        {"25006", SQL_ERROR_REFUSED},    {"53", SQL_ERROR_REFUSED},
        {"58", SQL_ERROR_REFUSED},       {"42", SQL_ERROR_SCHEMA},
        {"3F", SQL_ERROR_SCHEMA},
    };
    if (state == NULL)
        return SQL_ERROR_UNREACHABLE;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(state, known[i].state, strlen(known[i].state)) == 0)
            return known[i].error;
    }
    return SQL_ERROR_BUG;
}

/* The server's message is left out on purpose: it may quote values of a tenant.  What the database lacks for
 * every tenant is a fault of its set-up, as in startup_checks.c; the others may be this work's own. */
int sqlstate_result(struct ctx *ctx, const struct stmt *stmt, const char *sqlstate,
                    const char *constraint)
{
    const char *name = stmt == NULL ? "transaction" : stmt->name;
    switch (sqlstate_class(sqlstate)) {
    case SQL_ERROR_UNIQUE:
        if (stmt != NULL && stmt->unique_constraint != NULL && constraint != NULL &&
            strcmp(stmt->unique_constraint, constraint) == 0)
            return stmt->unique_refusal;
        return FAULT(ctx, FAULT_INTERNAL, "%s: unique constraint %s", name,
                     constraint == NULL ? "?" : constraint);
    case SQL_ERROR_GUARD:
        if (stmt != NULL && stmt->guard_refusal != OK)
            return stmt->guard_refusal;
        return FAULT(ctx, FAULT_INTERNAL, "%s: division by zero", name);
    case SQL_ERROR_CONCURRENT:
        return CONCURRENT_CHANGE;
    case SQL_ERROR_TIMEOUT:
        return FAULT(ctx, FAULT_TIMEOUT, "%s: statement time-out", name);
    case SQL_ERROR_GOING_DOWN:
    case SQL_ERROR_UNREACHABLE:
        return FAULT(ctx, FAULT_DATABASE, "%s: the server ends the session (%s)", name,
                     sqlstate == NULL ? "lost" : sqlstate);
    case SQL_ERROR_REFUSED:
        return DATABASE_UNAVAILABLE;
    case SQL_ERROR_FORBIDDEN:
        return FAULT(ctx, FAULT_CONFIG, "%s: forbidden by a grant or a policy", name);
    case SQL_ERROR_SCHEMA:
        return FAULT(ctx, FAULT_CONFIG, "%s: not a statement for this schema (%s)", name, sqlstate);
    case SQL_ERROR_BUG:
        return FAULT(ctx, FAULT_INTERNAL, "%s: SQLSTATE %s", name, sqlstate);
    }
    return FAULT(ctx, FAULT_INTERNAL, "%s: unclassified error", name);
}
