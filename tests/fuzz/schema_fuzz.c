/* Reads the input as two texts of schemas, as tenantctl meets them in files, and compares them: a text is equal
 * to itself, and what was read says again what was written.
 *
 * Input: two bytes that tell the size of the first text, the first text, the second text. */
#include "tools/tenantctl/schema_text.h"

#include "base/buf.h"

#include <inttypes.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

/* Numbers may be written with zeros in front, so a second reading of what the first one says is compared. */
static void written_again(struct arena *arena, const struct schema_text *text, struct buf *out)
{
    for (size_t i = 0; i < text->type_count; i++) {
        const struct schema_type *type = &text->types[i];
        buf_put_str(out, type->is_enum ? "enum " : "message ");
        buf_put_slice(out, type->name);
        buf_put_str(out, "\n");
        for (size_t k = 0; k < type->member_count; k++) {
            buf_printf(out, "%" PRId64 " ", type->members[k].number);
            buf_put_str(out, schema_member_text(arena, &type->members[k]));
            buf_put_str(out, "\n");
        }
    }
}

static bool all_unlike(const struct schema_text *text)
{
    for (size_t i = 0; i < text->type_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (slice_equal(text->types[i].name, text->types[k].name))
                return false;
        }
        const struct schema_type *type = &text->types[i];
        for (size_t k = 1; k < type->member_count; k++) {
            for (size_t j = 0; j < k; j++) {
                if (type->members[k].number == type->members[j].number)
                    return false;
            }
        }
    }
    return true;
}

static void compare(struct arena *arena, struct slice old_text, struct slice fresh_text)
{
    struct schema_text old, fresh;
    size_t line = 0;
    if (!schema_text_parse(arena, old_text, &old, &line)) {
        EXPECT(line >= 1 && line <= old_text.size + 1);
        return;
    }
    struct buf again = BUF_EMPTY;
    written_again(arena, &old, &again);
    bool printable = memchr(old_text.data, '\0', old_text.size) == NULL; /* "%.*s" ends at a NUL */
    if (printable) {
        EXPECT(schema_text_parse(arena, buf_slice(&again), &fresh, &line));
        struct schema_changes none = schema_text_compare(arena, &old, &fresh);
        EXPECT(!all_unlike(&old) || none.count == 0);
    }
    if (schema_text_parse(arena, fresh_text, &fresh, &line))
        (void)schema_text_compare(arena, &old, &fresh);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t first = ((size_t)data[0] << 8 | data[1]) % (size - 1);
    struct arena *arena = arena_new(0);
    uint8_t *text = malloc(first + 1); /* of its own, so that a byte too far is seen */
    EXPECT(text != NULL);
    uint8_t *exact = first == 0 ? text : realloc(text, first);
    EXPECT(exact != NULL);
    memcpy(exact, data + 2, first);
    compare(arena, slice_make(exact, first), slice_make(data + 2 + first, size - 2 - first));
    free(exact);
    arena_free(arena);
    return 0;
}
