/* Reads images.  They come from protoc, from a released folder or from anywhere: nothing in them is trusted,
 * so that the comparison behind may take everything for granted.  See image.h. */
#include "image.h"

#include "image_check.h"
#include "wire_depth.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void index_file(struct image *image, const FileProto *file);
static void index_message(struct image *image, const struct element *above,
                          const MessageProto *message, struct place place);
static struct element *element_add(struct image *image, enum element_kind kind, const char *name,
                                   const struct element *above);
static int compare_names(const void *a, const void *b);

bool image_read(struct image *image, struct slice bytes, char **why)
{
    *image = (struct image){0};
    if (!wire_depth_is_fine(bytes)) {
        *why = xstrdup("not a FileDescriptorSet, or messages nested too deeply");
        return false;
    }
    image->set = google__protobuf__file_descriptor_set__unpack(NULL, bytes.size, bytes.data);
    if (image->set == NULL || image->set->n_file == 0) {
        *why = xstrdup("not a FileDescriptorSet");
        image_deinit(image);
        return false;
    }
    *why = image_check(image->set);
    for (size_t i = 0; *why == NULL && i < image->set->n_file; i++)
        index_file(image, image->set->file[i]);
    for (size_t kind = 0; kind < ELEMENT_KINDS; kind++) {
        struct element_list *list = &image->kinds[kind];
        if (list->count > 0)
            qsort(list->items, list->count, sizeof list->items[0], compare_names);
    }
    if (*why == NULL)
        *why = image_check_names(image);
    if (*why == NULL)
        return true;
    image_deinit(image);
    return false;
}

void image_deinit(struct image *image)
{
    for (size_t kind = 0; kind < ELEMENT_KINDS; kind++) {
        for (size_t i = 0; i < image->kinds[kind].count; i++)
            free(image->kinds[kind].items[i].name);
        free(image->kinds[kind].items);
    }
    if (image->set != NULL)
        google__protobuf__file_descriptor_set__free_unpacked(image->set, NULL);
    *image = (struct image){0};
}

const FileProto *image_file(const struct image *image, const char *name)
{
    for (size_t i = 0; i < image->set->n_file; i++) {
        if (strcmp(image->set->file[i]->name, name) == 0)
            return image->set->file[i];
    }
    return NULL;
}

bool image_has_package(const struct image *image, const char *package)
{
    for (size_t i = 0; i < image->set->n_file; i++) {
        if (strcmp(file_package(image->set->file[i]), package) == 0)
            return true;
    }
    return false;
}

const struct element *image_find(const struct image *image, enum element_kind kind,
                                 const char *name)
{
    const struct element_list *list = &image->kinds[kind];
    struct element wanted = {.name = (char *)(uintptr_t)name};
    return list->count == 0
               ? NULL
               : bsearch(&wanted, list->items, list->count, sizeof list->items[0], compare_names);
}

const struct element *image_find_type(const struct image *image, enum element_kind kind,
                                      const char *type_name)
{
    return image_find(image, kind, type_name + (type_name[0] == '.'));
}

const char *file_package(const FileProto *file)
{
    return file->package == NULL ? "" : file->package;
}

bool file_is_proto3(const FileProto *file)
{
    return file->syntax != NULL && strcmp(file->syntax, "proto3") == 0;
}

bool element_in_package(const struct element *element, const char *package)
{
    return strcmp(file_package(element->file), package) == 0;
}

bool name_is_below(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(name, prefix, size) == 0 && (name[size] == '\0' || name[size] == '.');
}

static void index_file(struct image *image, const FileProto *file)
{
    struct place top = place_of_file(file);
    struct element nowhere = {.name = NULL, .file = file};
    for (size_t i = 0; i < file->n_message_type; i++)
        index_message(image, &nowhere, file->message_type[i],
                      place_inside(&top, FILE_MESSAGE, (int)i));
    for (size_t i = 0; i < file->n_enum_type; i++) {
        struct element *element =
            element_add(image, ELEMENT_ENUM, file->enum_type[i]->name, &nowhere);
        element->enumeration = file->enum_type[i];
        element->place = place_inside(&top, FILE_ENUM, (int)i);
    }
    for (size_t i = 0; i < file->n_service; i++) {
        struct element *element =
            element_add(image, ELEMENT_SERVICE, file->service[i]->name, &nowhere);
        element->service = file->service[i];
        element->place = place_inside(&top, FILE_SERVICE, (int)i);
    }
    for (size_t i = 0; i < file->n_extension; i++) {
        struct element *element =
            element_add(image, ELEMENT_EXTENSION, file->extension[i]->name, &nowhere);
        element->extension = file->extension[i];
        element->place = place_inside(&top, FILE_EXTENSION, (int)i);
    }
}

/* Recursion is bounded: wire_depth_is_fine came before. */
static void index_message(struct image *image, const struct element *above,
                          const MessageProto *message, struct place place)
{
    struct element *added = element_add(image, ELEMENT_MESSAGE, message->name, above);
    added->message = message;
    added->place = place;
    struct element self = *added; /* the list moves while it grows; the name does not */
    for (size_t i = 0; i < message->n_nested_type; i++)
        index_message(image, &self, message->nested_type[i],
                      place_inside(&place, MESSAGE_NESTED, (int)i));
    for (size_t i = 0; i < message->n_enum_type; i++) {
        struct element *element =
            element_add(image, ELEMENT_ENUM, message->enum_type[i]->name, &self);
        element->enumeration = message->enum_type[i];
        element->place = place_inside(&place, MESSAGE_ENUM, (int)i);
    }
    for (size_t i = 0; i < message->n_extension; i++) {
        struct element *element =
            element_add(image, ELEMENT_EXTENSION, message->extension[i]->name, &self);
        element->extension = message->extension[i];
        element->place = place_inside(&place, MESSAGE_EXTENSION, (int)i);
    }
}

static struct element *element_add(struct image *image, enum element_kind kind, const char *name,
                                   const struct element *above)
{
    struct element_list *list = &image->kinds[kind];
    if ((list->count & (list->count - 1)) == 0) /* grows at every power of two */
        list->items =
            xrealloc(list->items, (list->count == 0 ? 1 : 2 * list->count) * sizeof list->items[0]);
    struct element *element = &list->items[list->count++];
    const char *package = file_package(above->file);
    const char *scope = above->name == NULL ? package : above->name;
    struct buf full = BUF_EMPTY;
    buf_printf(&full, "%s%s%s", scope, scope[0] == '\0' ? "" : ".", name);
    char *owned = xstrdup(buf_str(&full));
    buf_deinit(&full);
    *element = (struct element){.kind = kind, .name = owned, .file = above->file};
    element->nested = owned + (package[0] == '\0' ? 0 : strlen(package) + 1);
    return element;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct element *)a)->name, ((const struct element *)b)->name);
}
