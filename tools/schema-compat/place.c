/* Places and their lines; see image.h. */
#include "image.h"

#include <assert.h>
#include <string.h>

struct place place_of_file(const FileProto *file)
{
    return (struct place){.file = file};
}

struct place place_inside(const struct place *place, int member, int index)
{
    assert(place->size + 2 <= PLACE_MAX);
    struct place inside = *place;
    inside.path[inside.size++] = member;
    if (index >= 0)
        inside.path[inside.size++] = index;
    return inside;
}

void place_position(const struct place *place, int *line, int *column)
{
    *line = *column = 0;
    const Google__Protobuf__SourceCodeInfo *info = place->file->source_code_info;
    if (info == NULL)
        return;
    size_t best = 0;
    *line = *column = 1;
    for (size_t i = 0; i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *location = info->location[i];
        if (location->n_span < 3 || location->n_path <= best || location->n_path > place->size ||
            memcmp(location->path, place->path, location->n_path * sizeof place->path[0]) != 0)
            continue;
        best = location->n_path;
        *line = location->span[0] + 1;
        *column = location->span[1] + 1;
    }
}
