/* Tokens that come back: nothing opens that was not sealed for the same purpose and scope, everything opens that was.
 *
 * Input: one byte of kind, then: a text to open as a page and as a consistency token (0), a cursor that is
 * sealed, opened, and opened again with one byte changed (1), or a keys file (2). */
#include "tokens/consistency_token.h"
#include "tokens/page_token.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

static struct token_keys *fixed_keys(void)
{
    static struct token_keys *keys;
    static const char text[] =
        "k1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    if (keys == NULL)
        EXPECT(token_keys_parse(&ctx, slice_of_str(text), &keys) == OK);
    return keys;
}

static const struct page_query query = {
    .principal = "admin", .method = "/s/List", .filter = "a = b", .order_by = "slug"};

static void open_foreign(struct arena *arena, struct slice text)
{
    struct consistency_point point;
    EXPECT(page_token_parse(arena, fixed_keys(), &query, text) == NULL);
    EXPECT(!consistency_token_parse(arena, fixed_keys(), text, &point));
}

static void open_own(struct arena *arena, struct slice bytes)
{
    if (bytes.size < 2 || bytes.size > 900 || memchr(bytes.data + 2, '\0', bytes.size - 2) != NULL)
        return;
    const struct page_cursor cursor = {
        .key = arena_strndup(arena, bytes.data + 2, bytes.size - 2),
        .id = {{bytes.data[0], bytes.data[1]}},
    };
    char *text = page_token_make(arena, fixed_keys(), &query, &cursor);
    const struct page_cursor *again =
        page_token_parse(arena, fixed_keys(), &query, slice_of_str(text));
    EXPECT(again != NULL && strcmp(again->key, cursor.key) == 0);
    EXPECT(uuid_equal(&again->id, &cursor.id));
    struct page_query other = query;
    other.principal = "gateway";
    EXPECT(page_token_parse(arena, fixed_keys(), &other, slice_of_str(text)) == NULL);
    size_t at = (bytes.data[0] * 256u + bytes.data[1]) % strlen(text);
    text[at] = text[at] == 'A' ? 'B' : 'A';
    EXPECT(page_token_parse(arena, fixed_keys(), &query, slice_of_str(text)) == NULL);
}

static void parse_keys(struct slice text)
{
    struct ctx ctx;
    struct token_keys *keys = NULL;
    ctx_init(&ctx, NULL, NULL);
    if (token_keys_parse(&ctx, text, &keys) == OK) {
        char id[TOKEN_KEY_ID_MAX + 1];
        token_keys_signer(keys, id);
        EXPECT(id[0] != '\0');
    } else {
        EXPECT(keys == NULL && ctx.fault.text[0] != '\0');
    }
    token_keys_free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* memory of its own size: a byte read too far is seen */
    uint8_t *own = malloc(size > 1 ? size - 1 : 1);
    EXPECT(own != NULL);
    memcpy(own, data + 1, size - 1);
    struct slice rest = slice_make(own, size - 1);
    struct arena *arena = arena_new(0);
    switch (data[0] % 3) {
    case 0:
        open_foreign(arena, rest);
        break;
    case 1:
        open_own(arena, rest);
        break;
    case 2:
        parse_keys(rest);
        break;
    }
    arena_free(arena);
    free(own);
    return 0;
}
