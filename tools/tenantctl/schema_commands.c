/* tenantctl schema show|list|diff.  Called by main; schema_lint.c has the fourth. */
#include "schema_commands.h"

#include "output.h"
#include "schema_find.h"

#include "gen/schemas.h"

#include <stdio.h>

static const struct flag schema_flags[] = {
    FLAG("registry", "DIR",
         "a folder like contracts/schemas, for addresses that this version does not know"),
    FLAGS_END,
};
const struct flag_set schema_set = {"flags", schema_flags};

static const struct flag list_flags[] = {
    FLAG("status", "STATUS", "only these", .choices = "released superseded draft", .exact = true),
    FLAGS_END,
};
const struct flag_set schema_list_set = {"flags", list_flags};

static const char *status_of(const struct schema_entry *entry);
static json_t *entry_json(const struct schema_entry *entry);
static json_t *schema_json(struct arena *arena, const struct found_schema *schema);
static json_t *members_json(const struct schema_type *type);
static json_t *text_json(struct slice text);
static json_t *words_json(const char *words);
static void change_print(const struct cli *cli, const struct schema_change *change);
static json_t *change_json(struct arena *arena, const struct schema_change *change);

int schema_show(struct cli *cli)
{
    struct found_schema schema;
    TRY(schema_find(cli, cli->argument, &schema));
    if (cli->form != FORM_TABLE) {
        output_value(cli, schema_json(cli->arena, &schema));
        return EXIT_DONE;
    }
    output_row(cli, "Schema", schema.uri);
    if (schema.event[0] != '\0') {
        output_row(cli, "Event", schema.event);
        output_row(cli, "Payload", schema.message);
    }
    output_row(cli, "Status", schema.status);
    if (schema.releases[0] != '\0')
        output_row(cli, "Releases", schema.releases);
    fprintf(cli->out, "\n%s", schema.text);
    return EXIT_DONE;
}

int schema_list(struct cli *cli)
{
    const char *status = cli_value(cli, "status");
    json_t *all = json_array();
    if (cli->form == FORM_TABLE) {
        output_cell(cli, "EVENT", 44);
        output_cell(cli, "STATUS", 12);
        fputs("SCHEMA\n", cli->out);
    }
    for (size_t i = 0; i < schema_entry_count; i++) {
        const struct schema_entry *entry = &schema_entries[i];
        if (status != NULL && strcmp(status, status_of(entry)) != 0)
            continue;
        json_array_append_new(all, entry_json(entry));
        if (cli->form != FORM_TABLE)
            continue;
        output_cell(cli, arena_printf(cli->arena, "%s.v%u", entry->name, entry->version), 44);
        output_cell(cli, status_of(entry), 12);
        fprintf(cli->out, "%.12s\n", strstr(entry->uri, "#sha256-") + strlen("#sha256-"));
    }
    if (cli->form != FORM_TABLE)
        output_value(cli, json_incref(all));
    json_decref(all);
    return EXIT_DONE;
}

static const char *status_of(const struct schema_entry *entry)
{
    return entry->draft ? "draft" : entry->current ? "released" : "superseded";
}

static json_t *entry_json(const struct schema_entry *entry)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:o}", "uri", entry->uri, "eventType", entry->name,
                     "eventVersion", (int)entry->version, "message", entry->message, "status",
                     status_of(entry), "releases", words_json(entry->releases));
}

static json_t *schema_json(struct arena *arena, const struct found_schema *schema)
{
    json_t *types = json_array();
    for (size_t i = 0; i < schema->parsed.type_count; i++) {
        const struct schema_type *type = &schema->parsed.types[i];
        json_array_append_new(
            types, json_pack("{s:s, s:o, s:o}", "kind", type->is_enum ? "enum" : "message", "name",
                             text_json(type->name), type->is_enum ? "values" : "fields",
                             members_json(type)));
    }
    (void)arena;
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "uri", schema->uri, "event",
                     schema->event, "message", schema->message, "status", schema->status,
                     "releases", words_json(schema->releases), "types", types, "text",
                     schema->text);
}

static json_t *members_json(const struct schema_type *type)
{
    json_t *members = json_array();
    for (size_t i = 0; i < type->member_count; i++) {
        const struct schema_member *member = &type->members[i];
        json_t *row = json_pack("{s:I, s:o}", "number", (json_int_t)member->number, "name",
                                text_json(member->name));
        if (!type->is_enum) {
            json_object_set_new(row, "type", text_json(member->type));
            json_object_set_new(row, "repeated", json_boolean(member->repeated));
        }
        json_array_append_new(members, row);
    }
    return members;
}

/* null for what is not UTF-8. */
static json_t *text_json(struct slice text)
{
    json_t *value = json_stringn((const char *)text.data, text.size);
    return value != NULL ? value : json_null();
}

static json_t *words_json(const char *words)
{
    json_t *list = json_array();
    while (*words != '\0') {
        size_t size = strcspn(words, " ");
        json_array_append_new(list, json_stringn(words, size));
        words += size + strspn(words + size, " ");
    }
    return list;
}

int schema_diff(struct cli *cli)
{
    struct found_schema old;
    struct found_schema fresh;
    TRY(schema_find(cli, cli->arguments[0], &old));
    TRY(schema_find(cli, cli->arguments[1], &fresh));
    struct schema_changes changes = schema_text_compare(cli->arena, &old.parsed, &fresh.parsed);
    int status = changes.breaks ? EXIT_REFUSED : EXIT_DONE;
    if (cli->form != FORM_TABLE) {
        json_t *list = json_array();
        for (size_t i = 0; i < changes.count; i++)
            json_array_append_new(list, change_json(cli->arena, &changes.items[i]));
        output_value(cli, json_pack("{s:s, s:s, s:b, s:b, s:o}", "old", old.uri, "new", fresh.uri,
                                    "equal", changes.count == 0, "compatible", !changes.breaks,
                                    "changes", list));
        return status;
    }
    for (size_t i = 0; i < changes.count; i++)
        change_print(cli, &changes.items[i]);
    fputs(
        changes.count == 0 ? "equal: the same schema\n"
        : changes.breaks
            ? "breaking: what is stored under the one cannot be read by the other as it was meant\n"
            : "compatible: each reads what was stored under the other\n",
        cli->out);
    return status;
}

/* "+ tenant.v1.Tenant 13 string parent_id": what has come (+), gone (-) or become another (~); "!" in front of
 * what breaks. */
static void change_print(const struct cli *cli, const struct schema_change *change)
{
    static const char *const marks[] = {"+", "-", "~"};
    struct arena *arena = cli->arena;
    const struct schema_member *member = change->fresh != NULL ? change->fresh : change->old;
    const char *line = arena_printf(arena, "%s%s %.*s", change->breaks ? "!" : " ",
                                    marks[change->kind], (int)change->type->name.size,
                                    (const char *)change->type->name.data);
    if (member != NULL)
        line = arena_printf(arena, "%s %lld %s%s%s", line, (long long)member->number,
                            change->old == NULL ? "" : schema_member_text(arena, change->old),
                            change->kind == SCHEMA_CHANGED ? " → " : "",
                            change->fresh == NULL ? "" : schema_member_text(arena, change->fresh));
    enum colour colour = change->breaks ? COLOUR_RED : COLOUR_GREEN;
    fprintf(cli->out, "%s\n",
            text_paint(arena, cli->terminal.out_colour, colour, text_clean(arena, line)));
}

static json_t *change_json(struct arena *arena, const struct schema_change *change)
{
    static const char *const kinds[] = {"added", "removed", "changed"};
    json_t *row = json_pack("{s:s, s:b, s:o}", "change", kinds[change->kind], "breaking",
                            change->breaks, "type", text_json(change->type->name));
    const struct schema_member *member = change->fresh != NULL ? change->fresh : change->old;
    if (member == NULL)
        return row;
    json_object_set_new(row, "number", json_integer((json_int_t)member->number));
    if (change->old != NULL)
        json_object_set_new(row, "old", json_string(schema_member_text(arena, change->old)));
    if (change->fresh != NULL)
        json_object_set_new(row, "new", json_string(schema_member_text(arena, change->fresh)));
    return row;
}
