/* The report for programs; see findings.h and docs/schema-gate.md for its members. */
#include "findings.h"
#include "json_text.h"

#include <stdlib.h>

static void put_finding(const struct report *report, const struct finding *finding,
                        struct buf *out);

void report_json(const struct report *report, struct buf *out)
{
    buf_printf(out, "{\n  \"tool\": \"schema-compat\",\n  \"images\": %zu,\n  \"findings\": [",
               report->image_count);
    for (size_t i = 0; i < report->findings->count; i++) {
        buf_put_str(out, i == 0 ? "\n" : ",\n");
        put_finding(report, &report->findings->items[i], out);
    }
    buf_put_str(out, report->findings->count == 0 ? "]\n}\n" : "\n  ]\n}\n");
}

static void put_finding(const struct report *report, const struct finding *finding, struct buf *out)
{
    const struct rule_text *rule = rule_text(finding->rule);
    char *path = report_path(report, finding->file);
    buf_put_str(out, "    {");
    json_member(out, "rule", rule->name);
    buf_put_str(out, ", \"sets\": [");
    bool first = true;
    for (size_t i = 0; rule_set_name(i) != NULL; i++) {
        if ((rule->sets & 1U << i) == 0)
            continue;
        buf_printf(out, "%s\"%s\"", first ? "" : ", ", rule_set_name(i));
        first = false;
    }
    buf_put_str(out, "], ");
    json_member(out, "file", path);
    buf_printf(out, ", \"line\": %d, \"column\": %d, ", finding->line, finding->column);
    json_member(out, "subject", finding->subject);
    buf_put_str(out, ", ");
    json_member(out, "message", finding->message);
    buf_put_str(out, ", ");
    json_member(out, "released_in", finding->against);
    buf_put_str(out, ",\n     ");
    json_member(out, "why", rule->why);
    buf_put_str(out, ",\n     ");
    json_member(out, "instead", rule->instead);
    buf_put_str(out, "}");
    free(path);
}

void json_member(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\"%s\": ", name);
    json_string(out, value);
}

void json_string(struct buf *out, const char *value)
{
    buf_put_byte(out, '"');
    buf_put_json_escaped(out, slice_of_str(value));
    buf_put_byte(out, '"');
}
