/* Results for people.  See report.h. */
#include "report.h"

#include "base/clock.h"

#include <string.h>

static void put_result(const struct result *result, struct buf *out);
static void put_mismatch(const struct mismatch *mismatch, struct buf *out);

void report_text(const struct results *results, struct buf *out)
{
    buf_printf(out, "%s -> %s  (%s)\n", results->pact->consumer, results->pact->provider,
               results->source);
    for (size_t i = 0; i < results->count; i++)
        put_result(&results->items[i], out);
}

static void put_result(const struct result *result, struct buf *out)
{
    static const char *const words[] = {
        [VERDICT_PASSED] = "ok", [VERDICT_FAILED] = "FAILED", [VERDICT_ERROR] = "ERROR"};
    bool pending = result->verdict != VERDICT_PASSED && result->interaction->pending;
    buf_printf(out, "  %-7s  %s  (%llu ms)\n", pending ? "PENDING" : words[result->verdict],
               result->interaction->description, (unsigned long long)(result->took_ns / NS_PER_MS));
    if (result->error != NULL)
        buf_printf(out, "      %s\n", result->error);
    for (size_t i = 0; i < result->mismatches.count; i++)
        put_mismatch(&result->mismatches.items[i], out);
    if (result->mismatches.dropped > 0)
        buf_printf(out, "      and %zu more\n", result->mismatches.dropped);
}

static void put_mismatch(const struct mismatch *mismatch, struct buf *out)
{
    buf_printf(out, "      %s %s\n", mismatch->part, mismatch->path);
    buf_printf(out, "        expected  %s", mismatch->expected);
    if (mismatch->rule[0] != '\0' && strcmp(mismatch->rule, "equality") != 0)
        buf_printf(out, "   by %s", mismatch->rule);
    buf_printf(out, "\n        actual    %s\n",
               mismatch->actual[0] == '\0' ? "(nothing)" : mismatch->actual);
    buf_printf(out, "        %s\n", mismatch->message);
}

void totals_add(struct totals *totals, const struct results *results)
{
    totals->failed += results->failed;
    totals->pending += results->pending;
    totals->passed += results->count - results->failed - results->pending;
}
