/* Trees of values: comparing, printing, making them of JSON.  See value.h. */
#include "value.h"

#include "base/base64.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct json_walk {
    struct ctx *ctx;
    size_t count;
};

static int of_json(struct json_walk *walk, const json_t *json, unsigned depth, struct value *value);
static int list_of_json(struct json_walk *walk, const json_t *json, unsigned depth,
                        struct value *value);
static int map_of_json(struct json_walk *walk, const json_t *json, unsigned depth,
                       struct value *value);
static bool members_equal(const struct value *a, const struct value *b);
static void print(struct buf *out, const struct value *value, size_t end);
static void print_members(struct buf *out, const struct value *value, size_t end);
static void print_real(struct buf *out, double real);

const struct value *value_member(const struct value *value, struct slice key)
{
    for (size_t i = 0; i < value->count; i++) {
        if (slice_equal(value->members[i].key, key))
            return &value->members[i].value;
    }
    return NULL;
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NULL:
        return true;
    case VALUE_BOOL:
        return a->truth == b->truth;
    case VALUE_INT:
        return a->integer == b->integer;
    case VALUE_UINT:
        return a->natural == b->natural;
    case VALUE_REAL: /* a NaN stays what it was */
        return a->real == b->real || (isnan(a->real) && isnan(b->real));
    case VALUE_TEXT:
    case VALUE_BYTES:
        return slice_equal(a->text, b->text);
    case VALUE_ENUM:
        return a->integer == b->integer;
    case VALUE_LIST:
        for (size_t i = 0; a->count == b->count && i < a->count; i++) {
            if (!value_equal(&a->items[i], &b->items[i]))
                return false;
        }
        return a->count == b->count;
    case VALUE_MAP:
    case VALUE_MESSAGE:
        return members_equal(a, b);
    }
    return false;
}

static bool members_equal(const struct value *a, const struct value *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++) {
        const struct value *other = value_member(b, a->members[i].key);
        if (other == NULL || !value_equal(&a->members[i].value, other))
            return false;
    }
    return a->count == b->count;
}

bool value_has_parts(const struct value *value)
{
    return value->kind == VALUE_LIST || value->kind == VALUE_MAP || value->kind == VALUE_MESSAGE;
}

const char *value_kind_name(const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL:
        return "null";
    case VALUE_BOOL:
        return "bool";
    case VALUE_INT:
    case VALUE_UINT:
        return "integer";
    case VALUE_REAL:
        return "decimal";
    case VALUE_TEXT:
        return "string";
    case VALUE_BYTES:
        return "bytes";
    case VALUE_ENUM:
        return "enum";
    case VALUE_LIST:
        return "list";
    case VALUE_MAP:
        return "map";
    case VALUE_MESSAGE:
        return "message";
    }
    return "?";
}

void value_print(struct buf *out, const struct value *value, size_t limit)
{
    size_t begin = buf_size(out);
    print(out, value, begin + limit);
    if (buf_size(out) > begin + limit) {
        out->end = out->start + begin + limit;
        while (out->end > out->start + begin && (out->data[out->end] & 0xC0) == 0x80)
            out->end--; /* not inside a character */
        buf_put_str(out, "…");
    }
}

static void print(struct buf *out, const struct value *value, size_t end)
{
    if (buf_size(out) > end)
        return;
    switch (value->kind) {
    case VALUE_NULL:
        buf_put_str(out, "null");
        return;
    case VALUE_BOOL:
        buf_put_str(out, value->truth ? "true" : "false");
        return;
    case VALUE_INT:
        buf_printf(out, "%" PRId64, value->integer);
        return;
    case VALUE_UINT:
        buf_printf(out, "%" PRIu64, value->natural);
        return;
    case VALUE_REAL:
        print_real(out, value->real);
        return;
    case VALUE_TEXT:
        buf_put_byte(out, '"');
        buf_put_json_escaped(out, value->text);
        buf_put_byte(out, '"');
        return;
    case VALUE_BYTES:
        buf_put_byte(out, '"');
        base64_put(out, value->text, BASE64_STANDARD | BASE64_PADDED);
        buf_put_byte(out, '"');
        return;
    case VALUE_ENUM:
        buf_put_slice(out, value->text);
        return;
    case VALUE_LIST:
        buf_put_byte(out, '[');
        for (size_t i = 0; i < value->count && buf_size(out) <= end; i++) {
            buf_put_str(out, i == 0 ? "" : ", ");
            print(out, &value->items[i], end);
        }
        buf_put_byte(out, ']');
        return;
    case VALUE_MAP:
    case VALUE_MESSAGE:
        print_members(out, value, end);
        return;
    }
}

static void print_members(struct buf *out, const struct value *value, size_t end)
{
    buf_put_byte(out, '{');
    for (size_t i = 0; i < value->count && buf_size(out) <= end; i++) {
        buf_put_str(out, i == 0 ? "\"" : ", \"");
        buf_put_json_escaped(out, value->members[i].key);
        buf_put_str(out, "\": ");
        print(out, &value->members[i].value, end);
    }
    buf_put_byte(out, '}');
}

/* The shortest that reads back as the same; always with a sign of being a decimal. */
static void print_real(struct buf *out, double real)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real || isnan(real))
            break;
    }
    buf_put_str(out, text);
    if (strpbrk(text, ".eni") == NULL)
        buf_put_str(out, ".0");
}

struct slice value_text(struct arena *arena, const struct value *value)
{
    if (value->kind == VALUE_TEXT || value->kind == VALUE_ENUM || value->kind == VALUE_BYTES)
        return value->text;
    struct buf text = BUF_EMPTY;
    print(&text, value, SIZE_MAX - 1);
    struct slice bytes = buf_slice(&text);
    struct slice kept = slice_make(arena_strndup(arena, bytes.data, bytes.size), bytes.size);
    buf_deinit(&text);
    return kept;
}

int value_of_json(struct ctx *ctx, const json_t *json, struct value *value)
{
    struct json_walk walk = {ctx, 0};
    return of_json(&walk, json, 0, value);
}

static int of_json(struct json_walk *walk, const json_t *json, unsigned depth, struct value *value)
{
    if (depth > VALUE_DEPTH_MAX || ++walk->count > VALUE_COUNT_MAX)
        return FAULT(walk->ctx, FAULT_CONFIG, "the document is too deep or too large");
    *value = (struct value){.kind = VALUE_NULL};
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return map_of_json(walk, json, depth, value);
    case JSON_ARRAY:
        return list_of_json(walk, json, depth, value);
    case JSON_STRING:
        value->kind = VALUE_TEXT;
        value->text.size = json_string_length(json);
        value->text.data = (const uint8_t *)arena_strndup(walk->ctx->arena, json_string_value(json),
                                                          value->text.size);
        return OK;
    case JSON_INTEGER:
        value->kind = VALUE_INT;
        value->integer = json_integer_value(json);
        return OK;
    case JSON_REAL:
        value->kind = VALUE_REAL;
        value->real = json_real_value(json);
        return OK;
    case JSON_TRUE:
    case JSON_FALSE:
        value->kind = VALUE_BOOL;
        value->truth = json_is_true(json);
        return OK;
    case JSON_NULL:
        return OK;
    }
    return OK;
}

static int list_of_json(struct json_walk *walk, const json_t *json, unsigned depth,
                        struct value *value)
{
    value->kind = VALUE_LIST;
    value->count = json_array_size(json);
    value->items = arena_alloc(walk->ctx->arena, (value->count + 1) * sizeof value->items[0]);
    for (size_t i = 0; i < value->count; i++)
        TRY(of_json(walk, json_array_get(json, i), depth + 1, &value->items[i]));
    return OK;
}

static int by_key(const void *a, const void *b)
{
    const struct slice x = ((const struct member *)a)->key, y = ((const struct member *)b)->key;
    size_t common = x.size < y.size ? x.size : y.size;
    int order = common == 0 ? 0 : memcmp(x.data, y.data, common);
    return order != 0 ? order : (x.size > y.size) - (x.size < y.size);
}

static int map_of_json(struct json_walk *walk, const json_t *json, unsigned depth,
                       struct value *value)
{
    value->kind = VALUE_MAP;
    size_t room = json_object_size(json);
    value->members = arena_alloc(walk->ctx->arena, (room + 1) * sizeof value->members[0]);
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)json, key, item)
    {
        struct member *member = &value->members[value->count++];
        member->key = slice_of_str(arena_strdup(walk->ctx->arena, key));
        TRY(of_json(walk, item, depth + 1, &member->value));
    }
    value_sort(value);
    return OK;
}

void value_sort(struct value *map)
{
    if (map->count > 0)
        qsort(map->members, map->count, sizeof map->members[0], by_key);
}

void *value_grow(struct arena *arena, void *items, size_t count, size_t size)
{
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
        return items;
    void *larger = arena_alloc(arena, (count < 4 ? 4 : 2 * count) * size);
    if (count > 0)
        memcpy(larger, items, count * size);
    return larger;
}
