/* Sorted string maps and lists: one form per value, so that equality is byte equality. */
#include "domain/tenant.h"

#include <stdlib.h>

/* strcmp(3) orders bytes, which for UTF-8 is the order of code points, and the same on every
 * machine: no locale. */
static int pair_compare(const void *a, const void *b)
{
    return strcmp(((const struct string_pair *)a)->key, ((const struct string_pair *)b)->key);
}

static int item_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool string_map_sort(struct string_map *map)
{
    if (map->count > 1)
        qsort(map->pairs, map->count, sizeof *map->pairs, pair_compare);
    for (size_t i = 1; i < map->count; i++) {
        if (strcmp(map->pairs[i - 1].key, map->pairs[i].key) == 0)
            return false;
    }
    return true;
}

void string_list_sort(struct string_list *list)
{
    if (list->count < 2)
        return;
    qsort(list->items, list->count, sizeof *list->items, item_compare);
    size_t kept = 1;
    for (size_t i = 1; i < list->count; i++) {
        if (strcmp(list->items[kept - 1], list->items[i]) != 0)
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

bool string_map_equal(const struct string_map *a, const struct string_map *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        bool same = strcmp(a->pairs[i].key, b->pairs[i].key) == 0 &&
                    strcmp(a->pairs[i].value, b->pairs[i].value) == 0;
        if (!same)
            return false;
    }
    return true;
}

bool string_list_equal(const struct string_list *a, const struct string_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return true;
}
