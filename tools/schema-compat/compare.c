/* Walks two images side by side; see compare.h. */
#include "compare.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void mark_events(struct comparison *comparison);
static void mark(struct comparison *comparison, const FieldProto *field, bool *changed);
static bool *event_flag(const struct comparison *comparison, const struct element *element);

void compare_images(const struct policy *policy, const struct named_image *named,
                    const struct image *new, struct findings *findings)
{
    const struct image *old = &named->image;
    struct comparison comparison = {policy, old, new, named->name, findings, NULL, false};
    mark_events(&comparison);
    compare_files(&comparison);
    compare_packages(&comparison);
    static void (*const compare[])(struct comparison *, const struct element *,
                                   const struct element *) = {
        [ELEMENT_MESSAGE] = compare_message,
        [ELEMENT_ENUM] = compare_enum,
        [ELEMENT_SERVICE] = compare_service,
    };
    for (enum element_kind kind = ELEMENT_MESSAGE; kind <= ELEMENT_SERVICE; kind++) {
        const struct element_list *list = &old->kinds[kind];
        for (size_t i = 0; i < list->count; i++) {
            const struct element *now = image_find(new, kind, list->items[i].name);
            if (now == NULL || !is_ours(now))
                continue;
            comparison.event = is_event(&comparison, &list->items[i]);
            compare[kind](&comparison, &list->items[i], now);
        }
    }
    comparison.event = false;
    compare_extensions(&comparison);
    compare_payloads(&comparison);
    free(comparison.old_events);
}

void breach(struct comparison *comparison, enum rule rule, const struct place *place,
            const char *subject, const char *format, ...)
{
    bool wanted = comparison->policy->rules[rule] ||
                  (comparison->event && (rule_text(rule)->sets & SET_EVENT) != 0);
    if (!wanted)
        return;
    struct finding finding = {.rule = rule};
    struct buf message = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&message, format, arguments);
    va_end(arguments);
    finding.message = xstrdup(buf_str(&message));
    buf_deinit(&message);
    finding.subject = xstrdup(subject);
    finding.against = xstrdup(comparison->against);
    finding.file = xstrdup(place == NULL ? "" : place->file->name);
    if (place != NULL)
        place_position(place, &finding.line, &finding.column);
    findings_add(comparison->findings, finding);
}

struct place place_of_deleted(const struct image *new, const FileProto *file, const char *name)
{
    char *around = xstrdup(name);
    struct place place = place_of_file(file);
    for (char *dot; (dot = strrchr(around, '.')) != NULL;) {
        *dot = '\0';
        const struct element *message = image_find(new, ELEMENT_MESSAGE, around);
        if (message != NULL && message->file == file) {
            place = message->place;
            break;
        }
    }
    free(around);
    return place;
}

bool is_event(const struct comparison *comparison, const struct element *old)
{
    return (old->kind == ELEMENT_MESSAGE || old->kind == ELEMENT_ENUM) &&
           *event_flag(comparison, old);
}

bool is_ours(const struct element *element)
{
    return !name_is_below(file_package(element->file), "google.protobuf");
}

bool listed(const char *const *list, const char *name)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        if (name_is_below(name, list[i]))
            return true;
    }
    return false;
}

/* What an event carries is part of it, in whatever package it stands: the marks spread along the fields until
 * none is added.  Each round but the last marks something, so it ends. */
static void mark_events(struct comparison *comparison)
{
    const struct element_list *messages = &comparison->old->kinds[ELEMENT_MESSAGE];
    const struct element_list *enums = &comparison->old->kinds[ELEMENT_ENUM];
    comparison->old_events = xcalloc(messages->count + enums->count + 1, sizeof(bool));
    for (size_t i = 0; i < messages->count; i++) {
        comparison->old_events[i] = listed(comparison->policy->events, messages->items[i].name) ||
                                    listed(comparison->policy->envelopes, messages->items[i].name);
    }
    for (size_t i = 0; i < enums->count; i++)
        comparison->old_events[messages->count + i] =
            listed(comparison->policy->events, enums->items[i].name);
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < messages->count; i++) {
            const MessageProto *message = messages->items[i].message;
            for (size_t k = 0; comparison->old_events[i] && k < message->n_field; k++)
                mark(comparison, message->field[k], &changed);
        }
    }
}

static void mark(struct comparison *comparison, const FieldProto *field, bool *changed)
{
    if (field->type_name == NULL)
        return;
    const struct element *type =
        image_find_type(comparison->old, ELEMENT_MESSAGE, field->type_name);
    if (type == NULL)
        type = image_find_type(comparison->old, ELEMENT_ENUM, field->type_name);
    if (type == NULL || *event_flag(comparison, type))
        return;
    *event_flag(comparison, type) = true;
    *changed = true;
}

static bool *event_flag(const struct comparison *comparison, const struct element *element)
{
    const struct element_list *messages = &comparison->old->kinds[ELEMENT_MESSAGE];
    const struct element_list *enums = &comparison->old->kinds[ELEMENT_ENUM];
    if (element->kind == ELEMENT_MESSAGE)
        return &comparison->old_events[element - messages->items];
    return &comparison->old_events[messages->count + (size_t)(element - enums->items)];
}
