/* Results as JUnit XML, which every CI shows.  See report.h. */
#include "report.h"

#include "base/clock.h"

static void put_case(const struct results *results, const struct result *result, struct buf *out);
static void put_text(struct buf *out, const char *text);
static void put_seconds(struct buf *out, uint64_t ns);

void report_junit(const struct results *const *pacts, size_t count, struct buf *out)
{
    buf_put_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (size_t i = 0; i < count; i++) {
        const struct results *results = pacts[i];
        uint64_t took = 0;
        for (size_t k = 0; k < results->count; k++)
            took += results->items[k].took_ns;
        buf_put_str(out, "  <testsuite name=\"");
        put_text(out, results->pact->consumer);
        buf_put_str(out, " - ");
        put_text(out, results->pact->provider);
        buf_printf(out, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" time=\"",
                   results->count, results->failed, results->pending);
        put_seconds(out, took);
        buf_put_str(out, "\">\n");
        for (size_t k = 0; k < results->count; k++)
            put_case(results, &results->items[k], out);
        buf_put_str(out, "  </testsuite>\n");
    }
    buf_put_str(out, "</testsuites>\n");
}

/* A pending interaction that fails is skipped: it must not turn a build red. */
static void put_case(const struct results *results, const struct result *result, struct buf *out)
{
    buf_put_str(out, "    <testcase classname=\"");
    put_text(out, results->pact->consumer);
    buf_put_str(out, "\" name=\"");
    put_text(out, result->interaction->description);
    buf_put_str(out, "\" time=\"");
    put_seconds(out, result->took_ns);
    if (result->verdict == VERDICT_PASSED) {
        buf_put_str(out, "\"/>\n");
        return;
    }
    const char *element = result->interaction->pending ? "skipped" : "failure";
    const char *first = result->error != NULL ? result->error : result->mismatches.items[0].message;
    buf_printf(out, "\">\n      <%s message=\"", element);
    put_text(out, first);
    buf_put_str(out, "\">");
    for (size_t i = 0; i < result->mismatches.count; i++) {
        const struct mismatch *mismatch = &result->mismatches.items[i];
        const char *const texts[] = {
            mismatch->part,     " ",         mismatch->path,   ": expected ",
            mismatch->expected, ", actual ", mismatch->actual, "\n"};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
            put_text(out, texts[k]);
    }
    buf_printf(out, "</%s>\n    </testcase>\n", element);
}

/* XML 1.0 has no control characters but tab and the ends of lines. */
static void put_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '<')
            buf_put_str(out, "&lt;");
        else if (byte == '>')
            buf_put_str(out, "&gt;");
        else if (byte == '&')
            buf_put_str(out, "&amp;");
        else if (byte == '"')
            buf_put_str(out, "&quot;");
        else
            buf_put_byte(out, byte < 0x20 && byte != '\n' && byte != '\t' ? '?' : byte);
    }
}

static void put_seconds(struct buf *out, uint64_t ns)
{
    buf_printf(out, "%llu.%03llu", (unsigned long long)(ns / NS_PER_S),
               (unsigned long long)(ns % NS_PER_S / NS_PER_MS));
}
