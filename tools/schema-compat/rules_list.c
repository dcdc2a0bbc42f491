/* Prints the rules; see rules_list.h. */
#include "rules_list.h"

#include "json_text.h"

#include <stdio.h>

static void print_line(const struct rule_text *rule);
static void print_all(const struct rule_text *rule);
static void put_json(const struct rule_text *rule, struct buf *out);
static void put_sets(const struct rule_text *rule, const char *between, struct buf *out);

bool rules_list(const struct settings *settings)
{
    if (settings->format == FORMAT_JSON) {
        struct buf out = BUF_EMPTY;
        for (enum rule rule = 0; rule < RULE_COUNT; rule++)
            put_json(rule_text(rule), &out);
        fwrite(buf_str(&out), 1, buf_size(&out), stdout);
        buf_deinit(&out);
        return true;
    }
    for (size_t i = 1; i < settings->words.count; i++) {
        const char *name = settings->words.items[i];
        unsigned set = rule_set_find(name);
        enum rule one = rule_find(name);
        if (set == 0 && one == RULE_COUNT) {
            fprintf(stderr, "schema-compat: there is no rule or set \"%s\"\n", name);
            return false;
        }
        if (one != RULE_COUNT)
            print_all(rule_text(one));
        for (enum rule rule = 0; rule < RULE_COUNT; rule++) {
            if ((rule_text(rule)->sets & set) != 0)
                print_line(rule_text(rule));
        }
    }
    for (enum rule rule = 0; settings->words.count == 1 && rule < RULE_COUNT; rule++)
        print_line(rule_text(rule));
    return true;
}

static void print_line(const struct rule_text *rule)
{
    struct buf sets = BUF_EMPTY;
    put_sets(rule, " ", &sets);
    printf("%-52s %-38s %s\n", rule->name, buf_str(&sets), rule->what);
    buf_deinit(&sets);
}

static void print_all(const struct rule_text *rule)
{
    struct buf sets = BUF_EMPTY;
    put_sets(rule, " ", &sets);
    printf("%s: %s\nsets     %s\nwhy      %s\ninstead  %s\n", rule->name, rule->what,
           buf_str(&sets), rule->why, rule->instead);
    buf_deinit(&sets);
}

/* One object a line. */
static void put_json(const struct rule_text *rule, struct buf *out)
{
    buf_put_str(out, "{");
    json_member(out, "rule", rule->name);
    buf_put_str(out, ", \"sets\": [\"");
    put_sets(rule, "\", \"", out);
    buf_put_str(out, "\"], ");
    json_member(out, "what", rule->what);
    buf_put_str(out, ", ");
    json_member(out, "why", rule->why);
    buf_put_str(out, ", ");
    json_member(out, "instead", rule->instead);
    buf_put_str(out, "}\n");
}

static void put_sets(const struct rule_text *rule, const char *between, struct buf *out)
{
    bool first = true;
    for (size_t i = 0; rule_set_name(i) != NULL; i++) {
        if ((rule->sets & 1U << i) == 0)
            continue;
        buf_printf(out, "%s%s", first ? "" : between, rule_set_name(i));
        first = false;
    }
}
