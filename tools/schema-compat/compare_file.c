/* Files: gone, moved to another package, or made for other languages; see compare.h. */
#include "compare.h"

#include <string.h>

typedef Google__Protobuf__FileOptions FileOptions;

/* Field numbers of FileOptions. */
enum {
    JAVA_PACKAGE = 1,
    JAVA_OUTER_CLASSNAME = 8,
    OPTIMIZE_FOR = 9,
    JAVA_MULTIPLE_FILES = 10,
    GO_PACKAGE = 11,
    CC_GENERIC_SERVICES = 16,
    JAVA_GENERIC_SERVICES = 17,
    PY_GENERIC_SERVICES = 18,
    CC_ENABLE_ARENAS = 31,
    OBJC_CLASS_PREFIX = 36,
    CSHARP_NAMESPACE = 37,
    SWIFT_PREFIX = 39,
    PHP_CLASS_PREFIX = 40,
    PHP_NAMESPACE = 41,
    PHP_METADATA_NAMESPACE = 44,
    RUBY_PACKAGE = 45,
};

static void compare_file(struct comparison *comparison, const FileProto *old, const FileProto *new);
static void same_text(struct comparison *comparison, enum rule rule, const struct place *place,
                      const char *const values[2]);
static void compare_options(struct comparison *comparison, const FileProto *old,
                            const FileProto *new);
static void deleted_elements(struct comparison *comparison, const FileProto *old,
                             const FileProto *new);

void compare_files(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->old->set->n_file; i++) {
        const FileProto *old = comparison->old->set->file[i];
        if (name_is_below(file_package(old), "google.protobuf"))
            continue;
        const FileProto *new = image_file(comparison->new, old->name);
        comparison->event = listed(comparison->policy->events, file_package(old));
        if (new == NULL)
            breach(comparison, RULE_FILE_NO_DELETE, NULL, old->name, "file %s was deleted",
                   old->name);
        else
            compare_file(comparison, old, new);
    }
    comparison->event = false;
}

static void compare_file(struct comparison *comparison, const FileProto *old, const FileProto *new)
{
    struct place top = place_of_file(new);
    struct place package = place_inside(&top, FILE_PACKAGE, -1);
    struct place syntax = place_inside(&top, FILE_SYNTAX, -1);
    same_text(comparison, RULE_FILE_SAME_PACKAGE, &package,
              (const char *[]){file_package(old), file_package(new)});
    same_text(comparison, RULE_FILE_SAME_SYNTAX, &syntax,
              (const char *[]){file_is_proto3(old) ? "proto3" : "proto2",
                               file_is_proto3(new) ? "proto3" : "proto2"});
    compare_options(comparison, old, new);
    deleted_elements(comparison, old, new);
}

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static const char *yes_no(bool value)
{
    return value ? "true" : "false";
}

static const char *optimize_text(Google__Protobuf__FileOptions__OptimizeMode mode)
{
    if (mode == GOOGLE__PROTOBUF__FILE_OPTIONS__OPTIMIZE_MODE__CODE_SIZE)
        return "CODE_SIZE";
    bool lite = mode == GOOGLE__PROTOBUF__FILE_OPTIONS__OPTIMIZE_MODE__LITE_RUNTIME;
    return lite ? "LITE_RUNTIME" : "SPEED";
}

/* Options that only programs of one language see.  An option that is not set counts as its default. */
static void compare_options(struct comparison *comparison, const FileProto *old,
                            const FileProto *new)
{
    FileOptions none;
    google__protobuf__file_options__init(&none);
    const FileOptions *a = old->options == NULL ? &none : old->options;
    const FileOptions *b = new->options == NULL ? &none : new->options;
#define TEXT(rule, number, member)                                                                 \
    {                                                                                              \
        RULE_FILE_SAME_##rule, number,                                                             \
        {                                                                                          \
            text_or_empty(a->member), text_or_empty(b->member)                                     \
        }                                                                                          \
    }
#define FLAG(rule, number, member)                                                                 \
    {                                                                                              \
        RULE_FILE_SAME_##rule, number,                                                             \
        {                                                                                          \
            yes_no(a->member), yes_no(b->member)                                                   \
        }                                                                                          \
    }
    const struct {
        enum rule rule;
        int number;
        const char *values[2];
    } options[] = {
        FLAG(CC_ENABLE_ARENAS, CC_ENABLE_ARENAS, cc_enable_arenas),
        FLAG(CC_GENERIC_SERVICES, CC_GENERIC_SERVICES, cc_generic_services),
        TEXT(CSHARP_NAMESPACE, CSHARP_NAMESPACE, csharp_namespace),
        TEXT(GO_PACKAGE, GO_PACKAGE, go_package),
        FLAG(JAVA_GENERIC_SERVICES, JAVA_GENERIC_SERVICES, java_generic_services),
        FLAG(JAVA_MULTIPLE_FILES, JAVA_MULTIPLE_FILES, java_multiple_files),
        TEXT(JAVA_OUTER_CLASSNAME, JAVA_OUTER_CLASSNAME, java_outer_classname),
        TEXT(JAVA_PACKAGE, JAVA_PACKAGE, java_package),
        TEXT(OBJC_CLASS_PREFIX, OBJC_CLASS_PREFIX, objc_class_prefix),
        {RULE_FILE_SAME_OPTIMIZE_FOR,
         OPTIMIZE_FOR,
         {optimize_text(a->optimize_for), optimize_text(b->optimize_for)}},
        TEXT(PHP_CLASS_PREFIX, PHP_CLASS_PREFIX, php_class_prefix),
        TEXT(PHP_METADATA_NAMESPACE, PHP_METADATA_NAMESPACE, php_metadata_namespace),
        TEXT(PHP_NAMESPACE, PHP_NAMESPACE, php_namespace),
        FLAG(PY_GENERIC_SERVICES, PY_GENERIC_SERVICES, py_generic_services),
        TEXT(RUBY_PACKAGE, RUBY_PACKAGE, ruby_package),
        TEXT(SWIFT_PREFIX, SWIFT_PREFIX, swift_prefix),
    };
#undef TEXT
#undef FLAG
    struct place top = place_of_file(new);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct place place = place_inside(&top, FILE_OPTIONS, options[i].number);
        same_text(comparison, options[i].rule, &place, options[i].values);
    }
}

static void same_text(struct comparison *comparison, enum rule rule, const struct place *place,
                      const char *const values[2])
{
    if (strcmp(values[0], values[1]) == 0)
        return;
    const char *what = rule == RULE_FILE_SAME_PACKAGE  ? "package"
                       : rule == RULE_FILE_SAME_SYNTAX ? "syntax"
                                                       : rule_text(rule)->what;
    if (strncmp(what, "a file keeps the ", 17) == 0)
        what += 17;
    breach(comparison, rule, place, place->file->name, "%s changed from \"%s\" to \"%s\"", what,
           values[0], values[1]);
}

/* By the name inside the file: a file whose package changes has kept its types. */
static void deleted_elements(struct comparison *comparison, const FileProto *old,
                             const FileProto *new)
{
    static const struct {
        enum rule rule;
        const char *kind;
    } rows[] = {
        [ELEMENT_MESSAGE] = {RULE_MESSAGE_NO_DELETE, "message"},
        [ELEMENT_ENUM] = {RULE_ENUM_NO_DELETE, "enum"},
        [ELEMENT_SERVICE] = {RULE_SERVICE_NO_DELETE, "service"},
        [ELEMENT_EXTENSION] = {RULE_EXTENSION_NO_DELETE, "extension"},
    };
    for (size_t kind = 0; kind < ELEMENT_KINDS; kind++) {
        const struct element_list *before = &comparison->old->kinds[kind];
        const struct element_list *after = &comparison->new->kinds[kind];
        for (size_t i = 0; i < before->count; i++) {
            if (before->items[i].file != old || is_retired(comparison, before->items[i].name))
                continue;
            bool found = false;
            for (size_t k = 0; k < after->count && !found; k++)
                found = after->items[k].file ==
                        new &&strcmp(after->items[k].nested, before->items[i].nested) == 0;
            struct place place = place_of_deleted(comparison->new, new, before->items[i].name);
            if (!found)
                breach(comparison, rows[kind].rule, &place, before->items[i].name,
                       "%s %s was deleted from the file", rows[kind].kind, before->items[i].name);
        }
    }
}
