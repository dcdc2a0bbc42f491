/* SARIF 2.1.0 (OASIS), as code hosts read it to put findings beside the lines of a change; see findings.h. */
#include "findings.h"
#include "json_text.h"

#include <stdlib.h>

static void put_rule(const struct rule_text *rule, struct buf *out);
static void put_result(const struct report *report, const struct finding *finding, struct buf *out);
static void put_location(const struct finding *finding, const char *path, struct buf *out);

void report_sarif(const struct report *report, struct buf *out)
{
    buf_put_str(out, "{\n  \"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\",\n"
                     "  \"version\": \"2.1.0\",\n  \"runs\": [{\n    \"tool\": {\"driver\": {\n"
                     "      \"name\": \"schema-compat\", \"version\": \"" TENANT_VERSION
                     "\",\n      \"rules\": [\n");
    for (enum rule rule = 0; rule < RULE_COUNT; rule++) {
        put_rule(rule_text(rule), out);
        buf_put_str(out, rule + 1 < RULE_COUNT ? ",\n" : "\n");
    }
    buf_put_str(out, "      ]}},\n    \"columnKind\": \"unicodeCodePoints\",\n    \"results\": [");
    for (size_t i = 0; i < report->findings->count; i++) {
        buf_put_str(out, i == 0 ? "\n" : ",\n");
        put_result(report, &report->findings->items[i], out);
    }
    buf_put_str(out, "\n    ]\n  }]\n}\n");
}

static void put_rule(const struct rule_text *rule, struct buf *out)
{
    buf_put_str(out, "        {");
    json_member(out, "id", rule->name);
    buf_put_str(out, ", \"shortDescription\": {");
    json_member(out, "text", rule->what);
    buf_put_str(out, "}, \"fullDescription\": {");
    json_member(out, "text", rule->why);
    buf_put_str(out, "}, \"help\": {");
    json_member(out, "text", rule->instead);
    buf_put_str(out, "}, \"defaultConfiguration\": {\"level\": \"error\"}}");
}

static void put_result(const struct report *report, const struct finding *finding, struct buf *out)
{
    const struct rule_text *rule = rule_text(finding->rule);
    char *path = report_path(report, finding->file);
    struct buf text = BUF_EMPTY;
    buf_put_str(&text, finding->message);
    if (finding->against[0] != '\0')
        buf_printf(&text, " (released in %s)", finding->against);
    buf_printf(&text, ". %s %s", rule->why, rule->instead);
    buf_put_str(out, "      {");
    json_member(out, "ruleId", rule->name);
    buf_printf(out, ", \"ruleIndex\": %d, \"level\": \"error\", \"message\": {",
               (int)finding->rule);
    json_member(out, "text", buf_str(&text));
    buf_put_str(out, "}");
    if (path[0] != '\0')
        put_location(finding, path, out);
    buf_put_str(out, "}");
    buf_deinit(&text);
    free(path);
}

static void put_location(const struct finding *finding, const char *path, struct buf *out)
{
    buf_put_str(out, ", \"locations\": [{\"physicalLocation\": {\"artifactLocation\": {");
    json_member(out, "uri", path);
    buf_put_str(out, "}");
    if (finding->line > 0)
        buf_printf(out, ", \"region\": {\"startLine\": %d, \"startColumn\": %d}", finding->line,
                   finding->column);
    buf_put_str(out, "}}]");
}
