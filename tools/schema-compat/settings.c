/* Options and configuration; see settings.h.  A line of the configuration file is an option without its dashes:
 *
 *     # comment
 *     rules FILE
 *     events tenant.events.v1
 */
#include "settings.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool option(struct settings *settings, const char *name, const char *value);
static struct list *list_of(struct settings *settings, const char *name);
static bool read_config(struct settings *settings, const char *path);
static bool config_line(struct settings *settings, char *line, const char *path, int number);
static bool switch_rules(struct policy *policy, const struct list *names, bool on);
static int compare_texts(const void *a, const void *b);

bool settings_read(struct settings *settings, int argc, char **argv)
{
    *settings = (struct settings){0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            settings->help = true;
        } else if (strncmp(argv[i], "--", 2) != 0) {
            list_add(&settings->words, argv[i]);
        } else {
            char *name = xstrdup(argv[i] + 2);
            char *equals = strchr(name, '=');
            if (equals != NULL)
                *equals = '\0';
            const char *value = equals != NULL ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
            bool fine = option(settings, name, value);
            free(name);
            if (!fine)
                return false;
        }
    }
    return true;
}

void settings_deinit(struct settings *settings)
{
    struct list *lists[] = {&settings->words,   &settings->rules,       &settings->except,
                            &settings->against, &settings->proto_paths, &settings->images,
                            &settings->events,  &settings->envelopes,   &settings->drafts,
                            &settings->retired};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        list_deinit(lists[i]);
}

bool settings_policy(const struct settings *settings, struct policy *policy)
{
    *policy = (struct policy){.events = list_texts(&settings->events),
                              .envelopes = list_texts(&settings->envelopes),
                              .drafts = list_texts(&settings->drafts),
                              .retired = list_texts(&settings->retired)};
    char *file[] = {(char[]){"FILE"}, NULL};
    struct list usual = {file, 1};
    return switch_rules(policy, settings->rules.count == 0 ? &usual : &settings->rules, true) &&
           switch_rules(policy, &settings->except, false);
}

void list_add(struct list *list, const char *text)
{
    list->items = xrealloc(list->items, (list->count + 2) * sizeof list->items[0]);
    list->items[list->count++] = xstrdup(text);
    list->items[list->count] = NULL;
}

void list_sort(struct list *list)
{
    if (list->count > 0)
        qsort(list->items, list->count, sizeof list->items[0], compare_texts);
}

void list_deinit(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct list){0};
}

const char *const *list_texts(const struct list *list)
{
    return (const char *const *)list->items;
}

static bool option(struct settings *settings, const char *name, const char *value)
{
    struct list *list = list_of(settings, name);
    bool known = list != NULL || strcmp(name, "config") == 0 || strcmp(name, "format") == 0;
    if (!known || value == NULL || value[0] == '\0') {
        fprintf(stderr, "schema-compat: --%s: %s (see schema-compat --help)\n", name,
                known ? "needs a value" : "unknown option");
        return false;
    }
    if (strcmp(name, "config") == 0)
        return read_config(settings, value);
    if (list != NULL) {
        list_add(list, value);
        char *added = list->items[list->count - 1]; /* "proto/" and "proto" are one folder */
        for (size_t size = strlen(added); size > 1 && added[size - 1] == '/'; size--)
            added[size - 1] = '\0';
        return true;
    }
    static const char *const formats[] = {
        [FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", [FORMAT_SARIF] = "sarif"};
    for (enum format format = FORMAT_TEXT; format <= FORMAT_SARIF; format++) {
        if (strcmp(formats[format], value) == 0) {
            settings->format = format;
            return true;
        }
    }
    fprintf(stderr, "schema-compat: --format is text, json or sarif, not \"%s\"\n", value);
    return false;
}

static struct list *list_of(struct settings *settings, const char *name)
{
    const struct {
        const char *name;
        struct list *list;
    } rows[] = {
        {"rules", &settings->rules},        {"except", &settings->except},
        {"against", &settings->against},    {"proto-path", &settings->proto_paths},
        {"image", &settings->images},       {"events", &settings->events},
        {"envelope", &settings->envelopes}, {"draft", &settings->drafts},
        {"retired", &settings->retired},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].list;
    }
    return NULL;
}

static bool read_config(struct settings *settings, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "schema-compat: %s: %s\n", path, strerror(errno));
        return false;
    }
    char *line = NULL;
    size_t room = 0;
    int number = 0;
    bool fine = true;
    while (fine && getline(&line, &room, file) >= 0)
        fine = config_line(settings, line, path, ++number);
    free(line);
    fclose(file);
    return fine;
}

static bool config_line(struct settings *settings, char *line, const char *path, int number)
{
    line[strcspn(line, "#\r\n")] = '\0';
    char *name = line + strspn(line, " \t");
    char *value = name + strcspn(name, " \t");
    if (*value != '\0')
        *value++ = '\0';
    if (name[0] == '\0')
        return true;
    if (strcmp(name, "config") == 0 ||
        (list_of(settings, name) == NULL && strcmp(name, "format") != 0)) {
        fprintf(stderr, "schema-compat: %s:%d: unknown setting \"%s\"\n", path, number, name);
        return false;
    }
    bool any = false;
    for (value += strspn(value, " \t"); *value != '\0'; any = true) {
        char *end = value + strcspn(value, " \t");
        char *next = end + strspn(end, " \t");
        *end = '\0';
        if (!option(settings, name, value))
            return false;
        value = next;
    }
    if (!any)
        fprintf(stderr, "schema-compat: %s:%d: \"%s\" needs a value\n", path, number, name);
    return any;
}

/* Each item may hold several names, with commas between them. */
static bool switch_rules(struct policy *policy, const struct list *names, bool on)
{
    for (size_t i = 0; i < names->count; i++) {
        for (const char *at = names->items[i]; *at != '\0'; at += *at == ',') {
            size_t size = strcspn(at, ",");
            char *name = xstrndup(at, size);
            unsigned set = rule_set_find(name);
            enum rule one = rule_find(name);
            for (enum rule rule = 0; rule < RULE_COUNT; rule++) {
                if (rule == one || (rule_text(rule)->sets & set) != 0)
                    policy->rules[rule] = on;
            }
            if (set == 0 && one == RULE_COUNT)
                fprintf(stderr,
                        "schema-compat: there is no rule or set \"%s\" (see schema-compat rules)\n",
                        name);
            free(name);
            if (set == 0 && one == RULE_COUNT)
                return false;
            at += size;
        }
    }
    return true;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}
