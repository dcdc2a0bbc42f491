/*~ What a list of tenants is asked for: a filter (AIP-160, the part of it that indexes can answer) and an order
 * (AIP-132).  Pure. */
#ifndef DOMAIN_TENANT_QUERY_H
#define DOMAIN_TENANT_QUERY_H

#include "domain/tenant.h"

#define TENANT_FILTER_MAX 2048 /* bytes */
#define TENANT_FILTER_CONDITIONS 16

/* A text field's condition: equal to `exact`, or beginning with `prefix`; both NULL: any. */
struct text_condition {
    const char *exact;
    const char *prefix;
};

/* From inclusive, to exclusive, in microseconds since 1970; 0: open. */
struct time_condition {
    uint64_t from_us;
    uint64_t to_us;
};

enum tenant_order { TENANT_BY_CREATE_TIME, TENANT_BY_SLUG, TENANT_BY_DISPLAY_NAME };
#define TENANT_ORDER_COUNT 3

/* All conditions hold (AND).  Strings live in the arena that the filter was parsed into. */
struct tenant_query {
    const char *status; /* a stored name; NULL: any */
    const char *type;
    const char *plan_id;
    struct text_condition slug;
    struct text_condition display_name;
    struct string_map labels; /* all of them, with these values */
    struct time_condition create_time;
    struct time_condition update_time;
    enum tenant_order order;
    bool descending;
};

/* Fills the conditions of `query` from a filter; "" means all.  NULL: fine, else the broken rule, in the
 * arena, with the character where it was broken.  Grammar:
 *     filter    = condition *( "AND" condition )
 *     condition = field operator value
 *     operator  = "=" / "<" / "<=" / ">" / ">="
 *     value     = word / DQUOTE *( character / "\" DQUOTE / "\\" ) DQUOTE */
const char *tenant_filter_parse(struct arena *arena, const char *filter,
                                struct tenant_query *query);
/* Fills the order; "" means create_time, ascending.  NULL: fine, else the broken rule. */
const char *tenant_order_parse(const char *order_by, struct tenant_query *query);

/* RFC 3339: "2026-11-23T10:20:30.5Z", "…+02:00".  False: not one, or before 1970. */
bool time_parse_rfc3339(struct slice text, uint64_t *us);

#endif
