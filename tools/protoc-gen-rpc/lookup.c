/* Finds messages of the request by name, and where they stand in their files. */
#include "model.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Field numbers in descriptor.proto that make up a source location's path. */
enum { FILE_MESSAGE = 4, MESSAGE_FIELD = 2, MESSAGE_NESTED = 3 };

static bool find_in(const MessageProto *message, const char *prefix, const char *wanted,
                    struct message_place *place);

bool message_locate(const struct generator *generator, const char *full_name,
                    struct message_place *place)
{
    for (size_t i = 0; i < generator->request->n_proto_file; i++) {
        const FileProto *file = generator->request->proto_file[i];
        char *prefix = format_text(".%s%s", file->package, file->package[0] ? "." : "");
        bool found = false;
        for (size_t k = 0; k < file->n_message_type && !found; k++) {
            *place = (struct message_place){file, NULL, {FILE_MESSAGE, (int)k}, 2};
            found = find_in(file->message_type[k], prefix, full_name, place);
        }
        free(prefix);
        if (found)
            return true;
    }
    return false;
}

const MessageProto *message_find(const struct generator *generator, const char *full_name)
{
    struct message_place place;
    return message_locate(generator, full_name, &place) ? place.message : NULL;
}

void field_error(struct generator *generator, const struct message_place *place, size_t field,
                 const char *rule)
{
    int path[PLACE_MAX + 2];
    memcpy(path, place->path, place->path_size * sizeof path[0]);
    path[place->path_size] = MESSAGE_FIELD;
    path[place->path_size + 1] = (int)field;
    generator_error(generator, place->file, path, place->path_size + 2, "%s.%s: %s",
                    place->message->name, place->message->field[field]->name, rule);
}

static bool find_in(const MessageProto *message, const char *prefix, const char *wanted,
                    struct message_place *place)
{
    char *name = format_text("%s%s", prefix, message->name);
    bool found = strcmp(name, wanted) == 0;
    if (found)
        place->message = message;
    char *inner = format_text("%s.", name);
    size_t size = place->path_size;
    for (size_t i = 0; !found && i < message->n_nested_type && size + 2 <= PLACE_MAX; i++) {
        place->path[size] = MESSAGE_NESTED;
        place->path[size + 1] = (int)i;
        place->path_size = size + 2;
        found = find_in(message->nested_type[i], inner, wanted, place);
    }
    if (!found)
        place->path_size = size;
    free(inner);
    free(name);
    return found;
}
