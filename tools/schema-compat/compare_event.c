/* Events: stored for months, replayed, and read by programs that nobody rebuilds; see compare.h.
 *
 * The EVENT set adds to buf's rules what these leave open: numbers and names never come back (each released
 * image is compared with, so an old one remembers what later ones have forgotten), enums never narrow, the
 * envelope only grows, and a payload version goes only after a release that had its successor too. */
#include "compare.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUCCESSOR 512 /* room for a full name */

static void numbers_not_reused(struct comparison *comparison, const struct element *old,
                               const struct element *new, size_t at);
static void compare_envelope(struct comparison *comparison, const struct element *old,
                             const struct element *new);
static void envelope_field(struct comparison *comparison, const struct element *old,
                           const struct element *new, size_t at);
static const char *successor_of(const struct comparison *comparison, const char *name,
                                char out[SUCCESSOR]);
static bool was_dual_published(const struct comparison *comparison, const char *name,
                               const char *successor);
static void imports(const struct policy *policy, const struct image *new, const FileProto *file,
                    struct findings *findings);
static void refers(const struct policy *policy, const struct element *owner,
                   const FieldProto *field, struct findings *findings);

void compare_event_message(struct comparison *comparison, const struct element *old,
                           const struct element *new)
{
    for (size_t i = 0; i < new->message->n_field; i++)
        numbers_not_reused(comparison, old, new, i);
    if (listed(comparison->policy->envelopes, old->name))
        compare_envelope(comparison, old, new);
}

/* Also for the enums of other packages that events carry, and for values that moved to another number. */
void compare_event_enum(struct comparison *comparison, const struct element *old,
                        const struct element *new)
{
    for (size_t i = 0; i < old->enumeration->n_value; i++) {
        const EnumValueProto *value = old->enumeration->value[i];
        bool found = false;
        for (size_t k = 0; k < new->enumeration->n_value && !found; k++)
            found = new->enumeration->value[k]->number ==
                    value->number &&strcmp(new->enumeration->value[k]->name, value->name) == 0;
        if (!found)
            breach(comparison, RULE_EVENT_ENUM_NO_NARROW, &new->place, new->name,
                   "enum %s, which events carry, lost %s = %d", new->name, value->name,
                   value->number);
    }
}

/* Whether `old` had given the number or the name of the new field to another one, or had reserved it. */
static void numbers_not_reused(struct comparison *comparison, const struct element *old,
                               const struct element *new, size_t at)
{
    const FieldProto *field = new->message->field[at];
    struct place place = place_inside(&new->place, MESSAGE_FIELD, (int)at);
    size_t index;
    const FieldProto *before = field_by_number(old->message, field->number, &index);
    if (before != NULL && (strcmp(before->name, field->name) != 0 || before->type != field->type))
        breach(comparison, RULE_EVENT_FIELD_NUMBER_NO_REUSE, &place, new->name,
               "number %d of %s was %s \"%s\" and is used for %s \"%s\"", field->number, new->name,
               field_type_text(before), before->name, field_type_text(field), field->name);
    struct ranges reserved = ranges_reserved(old->message);
    if (ranges_hold(&reserved, field->number))
        breach(comparison, RULE_EVENT_FIELD_NUMBER_NO_REUSE, &place, new->name,
               "number %d of %s was reserved and is used for \"%s\"", field->number, new->name,
               field->name);
    ranges_deinit(&reserved);
    for (size_t i = 0; i < old->message->n_field; i++) {
        const FieldProto *same = old->message->field[i];
        if (strcmp(same->name, field->name) == 0 && same->number != field->number)
            breach(comparison, RULE_EVENT_FIELD_NAME_NO_REUSE, &place, new->name,
                   "\"%s\" of %s was field %d and is field %d", field->name, new->name,
                   same->number, field->number);
    }
    if (names_hold(old->message->reserved_name, old->message->n_reserved_name, field->name))
        breach(comparison, RULE_EVENT_FIELD_NAME_NO_REUSE, &place, new->name,
               "the name \"%s\" of %s was reserved and is used again", field->name, new->name);
}

static void compare_envelope(struct comparison *comparison, const struct element *old,
                             const struct element *new)
{
    for (size_t i = 0; i < old->message->n_field; i++)
        envelope_field(comparison, old, new, i);
    int32_t highest = 0;
    for (size_t i = 0; i < old->message->n_field; i++) {
        if (old->message->field[i]->number > highest)
            highest = old->message->field[i]->number;
    }
    for (size_t i = 0; i < new->message->n_field; i++) {
        struct field_view field = field_of(comparison->new, new, i);
        size_t at;
        if (field_by_number(old->message, field.field->number, &at) != NULL)
            continue;
        char label[FIELD_LABEL];
        bool required = field_cardinality(&field) == REQUIRED;
        if (required || field_oneof(&field) != NULL || field.field->number < highest)
            breach(comparison, RULE_EVENT_ENVELOPE_ADDITIVE, &field.place, new->name, "%s %s",
                   field_label(&field, label),
                   required                      ? "is required"
                   : field_oneof(&field) != NULL ? "was added to a oneof"
                                                 : "was added under a number below the last one");
    }
}

/* Everything the descriptor says of a field, down to its options, in bytes. */
static struct buf field_bytes(const FieldProto *field)
{
    struct buf bytes = BUF_EMPTY;
    size_t size = google__protobuf__field_descriptor_proto__get_packed_size(field);
    google__protobuf__field_descriptor_proto__pack(field, buf_reserve(&bytes, size));
    buf_commit(&bytes, size);
    return bytes;
}

/* Being deprecated changes nothing for anybody. */
static bool same_field(const FieldProto *old, const FieldProto *new)
{
    FieldProto plain[2] = {*old, *new};
    Google__Protobuf__FieldOptions options[2];
    struct buf bytes[2];
    for (size_t i = 0; i < 2; i++) {
        if (plain[i].options != NULL) {
            options[i] = *plain[i].options;
            options[i].has_deprecated = false;
            bool empty = google__protobuf__field_options__get_packed_size(&options[i]) == 0;
            plain[i].options = empty ? NULL : &options[i];
        }
        bytes[i] = field_bytes(&plain[i]);
    }
    bool same = slice_equal(buf_slice(&bytes[0]), buf_slice(&bytes[1]));
    buf_deinit(&bytes[0]);
    buf_deinit(&bytes[1]);
    return same;
}

static void envelope_field(struct comparison *comparison, const struct element *old,
                           const struct element *new, size_t at)
{
    const FieldProto *field = old->message->field[at];
    size_t index;
    const FieldProto *now = field_by_number(new->message, field->number, &index);
    if (now == NULL) {
        breach(comparison, RULE_EVENT_ENVELOPE_ADDITIVE, &new->place, new->name,
               "field %d \"%s\" of the envelope %s is gone", field->number, field->name, new->name);
        return;
    }
    struct place place = place_inside(&new->place, MESSAGE_FIELD, (int)index);
    if (!same_field(field, now))
        breach(comparison, RULE_EVENT_ENVELOPE_ADDITIVE, &place, new->name,
               "field %d \"%s\" of the envelope %s is no longer what it was", field->number,
               field->name, new->name);
}

bool is_retired(const struct comparison *comparison, const char *name)
{
    char successor[SUCCESSOR];
    const char *const *retired = comparison->policy->retired;
    for (size_t i = 0; retired != NULL && retired[i] != NULL; i++) {
        if (name_is_below(name, retired[i]) && listed(comparison->policy->events, retired[i]) &&
            successor_of(comparison, retired[i], successor) != NULL &&
            was_dual_published(comparison, retired[i], successor))
            return true;
    }
    return false;
}

/* A payload message of `old` that is gone: had it been released beside its successor, and was it declared? */
void compare_payloads(struct comparison *comparison)
{
    const struct element_list *messages = &comparison->old->kinds[ELEMENT_MESSAGE];
    for (size_t i = 0; i < messages->count; i++) {
        const struct element *old = &messages->items[i];
        bool payload = listed(comparison->policy->events, old->name) &&
                       strchr(old->nested, '.') == NULL;
        if (!payload || image_find(comparison->new, ELEMENT_MESSAGE, old->name) != NULL ||
            is_retired(comparison, old->name))
            continue;
        const FileProto *file = image_file(comparison->new, old->file->name);
        struct place place = {0};
        if (file != NULL)
            place = place_of_file(file);
        comparison->event = true;
        char successor[SUCCESSOR];
        bool succeeded = successor_of(comparison, old->name, successor) != NULL;
        bool dual = succeeded && was_dual_published(comparison, old->name, successor);
        breach(comparison, RULE_EVENT_PAYLOAD_DUAL_PUBLISH, file == NULL ? NULL : &place, old->name,
               "payload %s is gone %s", old->name,
               !succeeded ? "without a successor"
               : dual     ? "and is not declared `retired`"
                          : "without a release that has it beside its successor");
    }
    comparison->event = false;
}

static bool was_dual_published(const struct comparison *comparison, const char *name,
                               const char *successor)
{
    for (size_t i = 0; i < comparison->policy->release_count; i++) {
        const struct image *image = &comparison->policy->releases[i].image;
        if (image_find(image, ELEMENT_MESSAGE, name) != NULL &&
            image_find(image, ELEMENT_MESSAGE, successor) != NULL)
            return true;
    }
    return false;
}

/* "a.v1.X" → "a.v2.X" where the new image has it, or "a.v1.XV2"; "a.v1.XV2" → "a.v1.XV3". */
static const char *successor_of(const struct comparison *comparison, const char *name,
                                char out[SUCCESSOR])
{
    for (const char *part = strstr(name, ".v"); part != NULL; part = strstr(part + 1, ".v")) {
        char *end;
        unsigned long version = strtoul(part + 2, &end, 10);
        if (end == part + 2 || *end != '.' || version > 1000)
            continue;
        snprintf(out, SUCCESSOR, "%.*s.v%lu%s", (int)(part - name), name, version + 1, end);
        if (image_find(comparison->new, ELEMENT_MESSAGE, out) != NULL)
            return out;
    }
    size_t digits = strlen(name);
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9')
        digits--;
    bool versioned = digits > 0 && name[digits - 1] == 'V' && name[digits] != '\0';
    unsigned long version = versioned ? strtoul(name + digits, NULL, 10) : 1;
    int stem = (int)(versioned ? digits - 1 : strlen(name));
    snprintf(out, SUCCESSOR, "%.*sV%lu", stem, name, version + 1);
    return image_find(comparison->new, ELEMENT_MESSAGE, out) == NULL ? NULL : out;
}

void compare_drafts(const struct policy *policy, const struct image *new, struct findings *findings)
{
    for (size_t i = 0; i < new->set->n_file; i++)
        imports(policy, new, new->set->file[i], findings);
    for (size_t i = 0; i < new->kinds[ELEMENT_MESSAGE].count; i++) {
        const struct element *owner = &new->kinds[ELEMENT_MESSAGE].items[i];
        for (size_t k = 0; !listed(policy->drafts, owner->name) && k < owner->message->n_field; k++)
            refers(policy, owner, owner->message->field[k], findings);
    }
    for (size_t i = 0; i < new->kinds[ELEMENT_SERVICE].count; i++) {
        const struct element *owner = &new->kinds[ELEMENT_SERVICE].items[i];
        for (size_t k = 0; !listed(policy->drafts, owner->name) && k < owner->service->n_method;
             k++) {
            const MethodProto *method = owner->service->method[k];
            FieldProto both[2] = {{.name = method->name, .type_name = method->input_type},
                                  {.name = method->name, .type_name = method->output_type}};
            refers(policy, owner, &both[0], findings);
            refers(policy, owner, &both[1], findings);
        }
    }
}

bool is_draft_file(const char *const *drafts, const FileProto *file)
{
    size_t declared = file->n_message_type + file->n_enum_type + file->n_service;
    bool all = declared > 0 && file->n_extension == 0;
    for (size_t i = 0; all && i < file->n_message_type; i++)
        all = is_draft(drafts, file, file->message_type[i]->name);
    for (size_t i = 0; all && i < file->n_enum_type; i++)
        all = is_draft(drafts, file, file->enum_type[i]->name);
    for (size_t i = 0; all && i < file->n_service; i++)
        all = is_draft(drafts, file, file->service[i]->name);
    return all || listed(drafts, file_package(file));
}

bool is_draft(const char *const *drafts, const FileProto *file, const char *name)
{
    struct buf full = BUF_EMPTY;
    const char *package = file_package(file);
    buf_printf(&full, "%s%s%s", package, package[0] == '\0' ? "" : ".", name);
    bool draft = listed(drafts, buf_str(&full));
    buf_deinit(&full);
    return draft;
}

/* A released file cannot be compiled without what it imports, used or not. */
static void imports(const struct policy *policy, const struct image *new, const FileProto *file,
                    struct findings *findings)
{
    struct policy always = *policy;
    always.rules[RULE_EVENT_DRAFT_NOT_REFERRED_TO] = true;
    struct comparison comparison = {.policy = &always, .against = "", .findings = findings};
    struct place top = place_of_file(file);
    for (size_t i = 0; !is_draft_file(policy->drafts, file) && i < file->n_dependency; i++) {
        const FileProto *imported = image_file(new, file->dependency[i]);
        struct place place = place_inside(&top, FILE_DEPENDENCY, (int)i);
        if (imported != NULL && is_draft_file(policy->drafts, imported))
            breach(&comparison, RULE_EVENT_DRAFT_NOT_REFERRED_TO, &place, file->name,
                   "%s imports the draft %s", file->name, imported->name);
    }
}

static void refers(const struct policy *policy, const struct element *owner,
                   const FieldProto *field, struct findings *findings)
{
    const char *type = field->type_name == NULL ? "" : field->type_name;
    type += type[0] == '.';
    if (!listed(policy->drafts, type))
        return;
    struct policy always = *policy;
    always.rules[RULE_EVENT_DRAFT_NOT_REFERRED_TO] = true;
    struct comparison comparison = {.policy = &always, .against = "", .findings = findings};
    struct place place = owner->place;
    for (size_t i = 0; owner->kind == ELEMENT_MESSAGE && i < owner->message->n_field; i++) {
        if (owner->message->field[i] == field)
            place = place_inside(&owner->place, MESSAGE_FIELD, (int)i);
    }
    breach(&comparison, RULE_EVENT_DRAFT_NOT_REFERRED_TO, &place, owner->name,
           "%s.%s refers to the draft %s", owner->name, field->name, type);
}
