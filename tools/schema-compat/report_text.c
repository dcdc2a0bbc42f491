/* The report for people: every finding with its reason and its way out; see findings.h. */
#include "findings.h"

#include <stdlib.h>
#include <string.h>

static void put_wrapped(struct buf *out, const char *label, const char *text);

void report_text(const struct report *report, struct buf *out)
{
    const struct findings *findings = report->findings;
    bool told[RULE_COUNT] = {false};
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        const struct rule_text *rule = rule_text(finding->rule);
        char *path = report_path(report, finding->file);
        if (finding->file[0] == '\0')
            buf_put_str(out, "(deleted)");
        else if (finding->line == 0)
            buf_put_str(out, path);
        else
            buf_printf(out, "%s:%d:%d", path, finding->line, finding->column);
        buf_printf(out, ": %s: %s", rule->name, finding->message);
        if (finding->against[0] != '\0')
            buf_printf(out, " (released in %s)", finding->against);
        buf_put_byte(out, '\n');
        free(path);
        if (!told[finding->rule]) {
            put_wrapped(out, "why", rule->why);
            put_wrapped(out, "instead", rule->instead);
        }
        told[finding->rule] = true;
    }
    if (findings->count == 0)
        buf_printf(out, "schema-compat: compatible with %zu released image%s\n",
                   report->image_count, report->image_count == 1 ? "" : "s");
    else
        buf_printf(out, "schema-compat: %zu finding%s\n", findings->count,
                   findings->count == 1 ? "" : "s");
}

/* Lines of at most 110 columns below the finding. */
static void put_wrapped(struct buf *out, const char *label, const char *text)
{
    enum { INDENT = 13, WIDTH = 110 };
    buf_printf(out, "    %-8s ", label);
    size_t column = INDENT;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column + word > WIDTH) {
            buf_printf(out, "\n%*s", INDENT, "");
            column = INDENT;
        }
        buf_put(out, text, word);
        text += word;
        column += word + 1;
        if (*text == ' ') {
            text++;
            if (column + strcspn(text, " ") <= WIDTH)
                buf_put_byte(out, ' ');
        }
    }
    buf_put_byte(out, '\n');
}
