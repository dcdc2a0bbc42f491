/* Results for programs.  See report.h. */
#include "report.h"

#include "base/clock.h"

static json_t *pact_json(const struct results *results);

json_t *report_json(const struct results *const *pacts, size_t count)
{
    struct totals totals = {0};
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        totals_add(&totals, pacts[i]);
        json_array_append_new(list, pact_json(pacts[i]));
    }
    return json_pack("{s:b, s:I, s:I, s:I, s:o}", "success", totals.failed == 0, "passed",
                     (json_int_t)totals.passed, "failed", (json_int_t)totals.failed, "pending",
                     (json_int_t)totals.pending, "pacts", list);
}

static json_t *pact_json(const struct results *results)
{
    static const char *const words[] = {
        [VERDICT_PASSED] = "passed", [VERDICT_FAILED] = "failed", [VERDICT_ERROR] = "error"};
    json_t *list = json_array();
    for (size_t i = 0; i < results->count; i++) {
        const struct result *result = &results->items[i];
        json_t *one = json_pack("{s:s, s:s, s:b, s:I, s:o}", "description",
                                result->interaction->description, "verdict", words[result->verdict],
                                "pending", result->interaction->pending, "milliseconds",
                                (json_int_t)(result->took_ns / NS_PER_MS), "mismatches",
                                report_mismatches(&result->mismatches));
        if (result->error != NULL)
            json_object_set_new(one, "error", json_string(result->error));
        json_array_append_new(list, one);
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "consumer", results->pact->consumer, "provider",
                     results->pact->provider, "source", results->source, "interactions", list);
}

json_t *report_mismatches(const struct mismatches *mismatches)
{
    json_t *list = json_array();
    for (size_t i = 0; i < mismatches->count; i++) {
        const struct mismatch *mismatch = &mismatches->items[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "attribute",
                                        mismatch->part, "identifier", mismatch->path, "description",
                                        mismatch->message, "expected", mismatch->expected, "actual",
                                        mismatch->actual, "rule", mismatch->rule));
    }
    return list;
}
