/* Reads the input as a pact, or as matching rules with two messages of one of our types.
 *
 * A pact that is read can be judged: each example fits itself, and what was packed from it reads as the same.  Input:
 * a JSON object is a pact; else a byte chooses the type, two say where the rules (JSON) end, one where the first
 * message ends. */
#include "tools/contract-verify/verify.h"

#include "gen/descriptors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())
#define ARENA_MAX (64u << 20)

/* Of all our files; read once and kept for the whole run. */
static const struct image *own_image(void)
{
    static struct image image; /* lint-allow global: the fuzzer calls us for ever */
    static bool is_read;       /* lint-allow global: the same */
    struct buf bytes = BUF_EMPTY;
    char *why = NULL;
    for (size_t i = 0; !is_read && i < file_descriptor_count; i++) {
        struct slice file = file_descriptors[i].bytes;
        buf_put_byte(&bytes, 0x0A);
        size_t length = file.size;
        for (; length >= 0x80; length >>= 7)
            buf_put_byte(&bytes, (uint8_t)(length | 0x80));
        buf_put_byte(&bytes, (uint8_t)length);
        buf_put_slice(&bytes, file);
    }
    if (!is_read)
        EXPECT(image_read(&image, buf_slice(&bytes), &why));
    is_read = true;
    buf_deinit(&bytes);
    return &image;
}

static size_t mismatches_of(struct ctx *ctx, const struct image *image, const struct rules *rules,
                            const struct value *pair[2])
{
    struct mismatches found = {0};
    const struct match match = {.ctx = ctx,
                                .image = image,
                                .rules = rules,
                                .is_json = image == NULL,
                                .part = "body",
                                .found = &found};
    match_body(&match, pair[0], pair[1]);
    return found.count;
}

static void fits_itself(struct ctx *ctx, const struct image *image, const struct value *value)
{
    static const struct rules none = {NULL, 0};
    const struct value *pair[2] = {value, value};
    EXPECT(mismatches_of(ctx, image, &none, pair) == 0);
}

static void comes_back(struct ctx *ctx, const struct wire_types *types, const struct value *value)
{
    struct buf packed = BUF_EMPTY;
    struct value again;
    EXPECT(wire_write(ctx, types, value, &packed) == OK);
    EXPECT(wire_read(ctx, types, value->type, buf_slice(&packed), &again) == OK);
    EXPECT(value_equal(value, &again));
    buf_deinit(&packed);
}

static void judge_part(struct ctx *ctx, const struct interaction *interaction,
                       const struct part *part)
{
    const struct image *image = part->form == CONTENTS_JSON ? NULL : interaction->types.image;
    const struct value *pair[2] = {&part->value, &part->value};
    if (part->form == CONTENTS_NONE)
        return;
    (void)mismatches_of(ctx, image, &part->body, pair);
    fits_itself(ctx, image, &part->value);
    if (part->form == CONTENTS_PROTOBUF)
        comes_back(ctx, &interaction->types, &part->value);
}

static void judge_pact(struct ctx *ctx, struct slice bytes)
{
    struct pact pact;
    if (pact_read(ctx, bytes, &pact) == OK) {
        for (size_t i = 0; i < pact.interaction_count; i++) {
            const struct interaction *interaction = &pact.interactions[i];
            for (size_t k = 0; k < interaction->request_count; k++)
                judge_part(ctx, interaction, &interaction->requests[k]);
            for (size_t k = 0; k < interaction->response_count; k++)
                judge_part(ctx, interaction, &interaction->responses[k]);
        }
    }
    pact_deinit(&pact);
}

static void judge_messages(struct ctx *ctx, struct slice input)
{
    const struct image *image = own_image();
    const struct wire_types types = {.image = image};
    const struct element_list *all = &image->kinds[ELEMENT_MESSAGE];
    const struct element *type = &all->items[input.data[0] % all->count];
    size_t rules_size = ((size_t)input.data[1] << 8 | input.data[2]) % (input.size - 3);
    struct slice rest = slice_skip(input, 4);
    rules_size = rules_size > rest.size ? rest.size : rules_size;
    struct slice text = slice_make(rest.data, rules_size), both = slice_skip(rest, rules_size);
    size_t first = both.size == 0 ? 0 : input.data[3] % (both.size + 1);
    struct pattern_pool *pool = pattern_pool_new();
    struct rules rules = {0};
    struct value values[2];
    json_t *json = json_loadb((const char *)text.data, text.size, 0, NULL);
    bool fine = rules_read(ctx, pool, json, &rules) == OK;
    if (wire_read(ctx, &types, type, slice_make(both.data, first), &values[0]) == OK) {
        fits_itself(ctx, image, &values[0]);
        comes_back(ctx, &types, &values[0]);
        const struct value *pair[2] = {&values[0], &values[1]};
        if (fine && wire_read(ctx, &types, type, slice_skip(both, first), &values[1]) == OK)
            (void)mismatches_of(ctx, image, &rules, pair);
    }
    json_decref(json);
    pattern_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(ARENA_MAX);
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    if (size > 0 && data[0] == '{')
        judge_pact(&ctx, slice_make(data, size));
    else if (size > 4)
        judge_messages(&ctx, slice_make(data, size));
    arena_free(arena);
    return 0;
}
