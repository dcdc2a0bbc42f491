/* Open addressing with linear probing; a removal closes its gap, so there are no tombstones.  See
 * id_map.h. */
#include "consumer/id_map.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"

#include <assert.h>
#include <stdlib.h>

#define ROOM_FIRST 64

static size_t home_of(const struct id_map *map, const struct uuid *id);
static uint8_t *record_at(const struct id_map *map, size_t index);
static bool is_used(const struct id_map *map, size_t index);
static size_t index_of(const struct id_map *map, const struct uuid *id);
static void grow(struct id_map *map);

void id_map_init(struct id_map *map, size_t size)
{
    assert(size >= sizeof(struct uuid));
    *map = (struct id_map){.size = size};
}

void id_map_deinit(struct id_map *map)
{
    free(map->records);
    id_map_init(map, map->size);
}

void *id_map_find(const struct id_map *map, const struct uuid *id)
{
    if (map->room == 0)
        return NULL;
    size_t index = index_of(map, id);
    return is_used(map, index) ? record_at(map, index) : NULL;
}

void *id_map_put(struct id_map *map, const struct uuid *id)
{
    void *found = id_map_find(map, id);
    if (found != NULL)
        return found;
    if (map->count >= map->room / 4 * 3)
        grow(map);
    uint8_t *record = record_at(map, index_of(map, id));
    memset(record, 0, map->size);
    memcpy(record, id, sizeof *id);
    map->count++;
    return record;
}

/* Knuth's algorithm R (volume 3, 6.4): what stands behind and may come forward does. */
void id_map_remove(struct id_map *map, const struct uuid *id)
{
    if (map->room == 0)
        return;
    size_t gap = index_of(map, id);
    if (!is_used(map, gap))
        return;
    size_t mask = map->room - 1;
    for (size_t at = (gap + 1) & mask; is_used(map, at); at = (at + 1) & mask) {
        size_t home = home_of(map, (const struct uuid *)record_at(map, at));
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        memcpy(record_at(map, gap), record_at(map, at), map->size);
        gap = at;
    }
    memset(record_at(map, gap), 0, sizeof *id);
    map->count--;
}

void *id_map_next(const struct id_map *map, size_t *cursor)
{
    for (size_t index = *cursor; index < map->room; index++) {
        if (is_used(map, index)) {
            *cursor = index + 1;
            return record_at(map, index);
        }
    }
    *cursor = map->room;
    return NULL;
}

void *id_map_any(const struct id_map *map)
{
    if (map->count == 0)
        return NULL;
    size_t index = (size_t)random_below(map->room);
    while (!is_used(map, index))
        index = (index + 1) & (map->room - 1);
    return record_at(map, index);
}

/* Keyed, because the ids come from a stream. */
static size_t home_of(const struct id_map *map, const struct uuid *id)
{
    assert(!uuid_is_nil(id));
    return (size_t)hash_table(slice_make(id, sizeof *id)) & (map->room - 1);
}

static uint8_t *record_at(const struct id_map *map, size_t index)
{
    return map->records + index * map->size;
}

static bool is_used(const struct id_map *map, size_t index)
{
    return !uuid_is_nil((const struct uuid *)record_at(map, index));
}

/* Where it is, or where it would be put. */
static size_t index_of(const struct id_map *map, const struct uuid *id)
{
    size_t index = home_of(map, id);
    while (is_used(map, index) && !uuid_equal((const struct uuid *)record_at(map, index), id))
        index = (index + 1) & (map->room - 1);
    return index;
}

static void grow(struct id_map *map)
{
    struct id_map larger = {
        .size = map->size,
        .room = map->room == 0 ? ROOM_FIRST : 2 * map->room,
        .count = map->count,
    };
    larger.records = xcalloc(larger.room, larger.size);
    size_t cursor = 0;
    for (uint8_t *record = id_map_next(map, &cursor); record != NULL;
         record = id_map_next(map, &cursor))
        memcpy(record_at(&larger, index_of(&larger, (const struct uuid *)record)), record,
               map->size);
    free(map->records);
    *map = larger;
}
