/* Results for people and programs. */
#ifndef CONTRACT_VERIFY_REPORT_H
#define CONTRACT_VERIFY_REPORT_H

#include "verify.h"

/* Appends all of one pact's results. */
void report_text(const struct results *results, struct buf *out);

/* Totals over all pacts: "12 passed, 1 failed, 1 pending". */
struct totals {
    size_t passed, failed, pending;
};
void totals_add(struct totals *totals, const struct results *results);

/* The whole report as one JSON document; owner: the caller. */
json_t *report_json(const struct results *const *pacts, size_t count);

/* One interaction's mismatches, as the report and brokers have them.  Owner: the caller. */
json_t *report_mismatches(const struct mismatches *mismatches);

void report_junit(const struct results *const *pacts, size_t count, struct buf *out);

#endif
