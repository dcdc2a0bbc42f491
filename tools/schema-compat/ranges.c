/* Ranges of field and enum numbers; see compare.h. */
#include "compare.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static int compare_ranges(const void *a, const void *b);
static struct ranges sorted(struct ranges ranges);

struct ranges ranges_reserved(const MessageProto *message)
{
    struct ranges ranges = {xcalloc(message->n_reserved_range + 1, sizeof(struct range)),
                            message->n_reserved_range};
    for (size_t i = 0; i < ranges.count; i++)
        ranges.items[i] = (struct range){message->reserved_range[i]->start,
                                         (int64_t)message->reserved_range[i]->end - 1};
    return sorted(ranges);
}

struct ranges ranges_extension(const MessageProto *message)
{
    struct ranges ranges = {xcalloc(message->n_extension_range + 1, sizeof(struct range)),
                            message->n_extension_range};
    for (size_t i = 0; i < ranges.count; i++)
        ranges.items[i] = (struct range){message->extension_range[i]->start,
                                         (int64_t)message->extension_range[i]->end - 1};
    return sorted(ranges);
}

struct ranges ranges_reserved_enum(const EnumProto *enumeration)
{
    struct ranges ranges = {xcalloc(enumeration->n_reserved_range + 1, sizeof(struct range)),
                            enumeration->n_reserved_range};
    for (size_t i = 0; i < ranges.count; i++)
        ranges.items[i] = (struct range){enumeration->reserved_range[i]->start,
                                         enumeration->reserved_range[i]->end};
    return sorted(ranges);
}

void ranges_deinit(struct ranges *ranges)
{
    free(ranges->items);
    *ranges = (struct ranges){0};
}

bool ranges_hold(const struct ranges *ranges, int64_t number)
{
    int64_t missing;
    return ranges_cover(ranges, (struct range){number, number}, &missing);
}

bool ranges_cover(const struct ranges *ranges, struct range range, int64_t *missing)
{
    *missing = range.first;
    for (size_t i = 0; i < ranges->count && *missing <= range.last; i++) {
        if (ranges->items[i].first <= *missing && *missing <= ranges->items[i].last)
            *missing = ranges->items[i].last + 1;
    }
    return *missing > range.last;
}

bool names_hold(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static struct ranges sorted(struct ranges ranges)
{
    if (ranges.count > 0)
        qsort(ranges.items, ranges.count, sizeof ranges.items[0], compare_ranges);
    return ranges;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *left = a, *right = b;
    return (left->first > right->first) - (left->first < right->first);
}
