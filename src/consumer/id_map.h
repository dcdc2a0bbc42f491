/* A table of small records by a 128-bit id.  The records move when it grows or shrinks: no pointer into it
 * outlives the next call that adds or removes. */
#ifndef CONSUMER_ID_MAP_H
#define CONSUMER_ID_MAP_H

#include "base/id.h"

#include <stddef.h>

struct id_map {
    uint8_t
        *records; /* `room` of `size` bytes; each begins with its struct uuid, nil when unused */
    size_t size;  /* of a record, set by id_map_init() */
    size_t room;  /* a power of two, or 0 */
    size_t count;
};

/* A record's first member must be a struct uuid. */
void id_map_init(struct id_map *map, size_t size);
void id_map_deinit(struct id_map *map); /* empty and usable afterwards */

/* NULL when there is none.  The id must not be nil (asserted), here and below. */
void *id_map_find(const struct id_map *map, const struct uuid *id);
/* Finds it or adds one, zeroed but for its id. */
void *id_map_put(struct id_map *map, const struct uuid *id);
/* One that is not there is no error. */
void id_map_remove(struct id_map *map, const struct uuid *id);

/* Walks over all: begin with *cursor 0; NULL: that were all.  The table must not change meanwhile. */
void *id_map_next(const struct id_map *map, size_t *cursor);
/* Some record, by chance; NULL when empty. */
void *id_map_any(const struct id_map *map);

#endif
