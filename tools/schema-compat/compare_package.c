/* Packages: gone, or without a type that they had; see compare.h. */
#include "compare.h"

#include <string.h>

static bool is_first_of_package(const struct image *image, size_t at);
static void package_kept(struct comparison *comparison, const char *package);
static void element_kept(struct comparison *comparison, const struct element *old);

void compare_packages(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->old->set->n_file; i++) {
        const char *package = file_package(comparison->old->set->file[i]);
        if (name_is_below(package, "google.protobuf") || !is_first_of_package(comparison->old, i))
            continue;
        comparison->event = listed(comparison->policy->events, package);
        package_kept(comparison, package);
    }
    comparison->event = false;
}

static bool is_first_of_package(const struct image *image, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(file_package(image->set->file[i]), file_package(image->set->file[at])) == 0)
            return false;
    }
    return true;
}

static void package_kept(struct comparison *comparison, const char *package)
{
    if (!image_has_package(comparison->new, package)) {
        breach(comparison, RULE_PACKAGE_NO_DELETE, NULL, package, "package %s was deleted",
               package);
        return;
    }
    for (size_t kind = 0; kind < ELEMENT_KINDS; kind++) {
        const struct element_list *list = &comparison->old->kinds[kind];
        for (size_t i = 0; i < list->count; i++) {
            const struct element *old = &list->items[i];
            if (element_in_package(old, package) && !is_retired(comparison, old->name))
                element_kept(comparison, old);
        }
    }
}

static void element_kept(struct comparison *comparison, const struct element *old)
{
    static const struct {
        enum rule rule;
        const char *kind;
    } rows[] = {
        [ELEMENT_MESSAGE] = {RULE_PACKAGE_MESSAGE_NO_DELETE, "message"},
        [ELEMENT_ENUM] = {RULE_PACKAGE_ENUM_NO_DELETE, "enum"},
        [ELEMENT_SERVICE] = {RULE_PACKAGE_SERVICE_NO_DELETE, "service"},
        [ELEMENT_EXTENSION] = {RULE_PACKAGE_EXTENSION_NO_DELETE, "extension"},
    };
    const struct element *now = image_find(comparison->new, old->kind, old->name);
    if (now != NULL && element_in_package(now, file_package(old->file)))
        return;
    const FileProto *file = image_file(comparison->new, old->file->name);
    struct place place = {0};
    if (file != NULL)
        place = place_of_deleted(comparison->new, file, old->name);
    comparison->event = is_event(comparison, old);
    breach(comparison, rows[old->kind].rule, file == NULL ? NULL : &place, old->name,
           "%s %s was deleted from package %s", rows[old->kind].kind, old->name,
           file_package(old->file));
}
