/* Judging one message: its body, then its metadata.  See verify.h. */
#include "verify_int.h"

#include "generate.h"

#include <string.h>
#include <strings.h>

static int decode(struct ctx *ctx, const struct wire_types *types, const struct part *part,
                  struct slice bytes, struct value *value);
static int match_state_values(struct ctx *ctx, const struct part *part, const struct given *given,
                              const struct value *actual, struct mismatches *found);
static int metadata_of_message(struct ctx *ctx, const struct part *part, const struct given *given,
                               struct mismatches *found);
static int state_metadata(struct ctx *ctx, const struct generator *generator,
                          const struct given *given, const json_t *actual,
                          struct mismatches *found);

int verify_part(struct ctx *ctx, const struct interaction *interaction, const struct part *part,
                const struct given *given, struct mismatches *found)
{
    TRY(trial_body(ctx, &interaction->types, part, given, found));
    return metadata_of_message(ctx, part, given, found);
}

int trial_body(struct ctx *ctx, const struct wire_types *types, const struct part *part,
               const struct given *given, struct mismatches *found)
{
    struct value actual;
    if (part->form == CONTENTS_NONE)
        return OK;
    int rc = decode(ctx, types, part, given->contents, &actual);
    if (rc != OK) {
        struct buf expected = BUF_EMPTY;
        value_print(&expected, &part->value, 160);
        const struct mismatch mismatch = {
            .part = "body",
            .path = "$",
            .expected = arena_strdup(ctx->arena, buf_str(&expected)),
            .actual = "",
            .rule = "",
            .message = arena_printf(ctx->arena, "cannot be read: %s", ctx->fault.text)};
        buf_deinit(&expected);
        mismatch_add(ctx, found, &mismatch);
        return OK;
    }
    const struct match match = {.ctx = ctx,
                                .image = types->image,
                                .rules = &part->body,
                                .is_json = part->form == CONTENTS_JSON,
                                .part = "body",
                                .found = found};
    match_body(&match, &part->value, &actual);
    return match_state_values(ctx, part, given, &actual, found);
}

static int decode(struct ctx *ctx, const struct wire_types *types, const struct part *part,
                  struct slice bytes, struct value *value)
{
    json_error_t error;
    if (part->form == CONTENTS_PROTOBUF)
        return wire_read(ctx, types, part->type, bytes, value);
    if (part->form != CONTENTS_JSON) {
        *value = (struct value){.kind = VALUE_BYTES, .text = bytes};
        return OK;
    }
    if (bytes.size > PACT_BYTES_MAX)
        return FAULT(ctx, FAULT_PROTOCOL, "it is too large");
    json_t *json = json_loadb((const char *)bytes.data, bytes.size,
                              JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        return FAULT(ctx, FAULT_PROTOCOL, "%s", error.text);
    int rc = value_of_json(ctx, json, value);
    json_decref(json);
    return rc;
}

/* What a provider state gave is a further demand: the rule that stands beside it (for verifiers that know
 * the example alone) says of what form the value is, the state says which. */
static int match_state_values(struct ctx *ctx, const struct part *part, const struct given *given,
                              const struct value *actual, struct mismatches *found)
{
    for (size_t i = 0; given->values != NULL && i < part->body_generators.count; i++) {
        const struct generator *generator = &part->body_generators.items[i];
        json_t *made = NULL;
        if (!generator_is_of_state(generator))
            continue;
        TRY(generate(ctx, generator, given->values, &made));
        const char *wanted = arena_strdup(ctx->arena, generated_text(ctx, made));
        json_decref(made);
        struct value copy = *actual;
        const struct value *value = path_find(&generator->path, &copy);
        struct slice text = value == NULL ? slice_of_str("") : value_text(ctx->arena, value);
        if (value != NULL && slice_is(text, wanted))
            continue;
        const char *seen =
            arena_strndup(ctx->arena, text.data == NULL ? "" : (const char *)text.data, text.size);
        const struct mismatch mismatch = {
            .part = "body",
            .path = generator->name,
            .expected = wanted,
            .actual = seen,
            .rule = "value of the provider state",
            .message = value == NULL ? "is missing"
                                     : arena_printf(ctx->arena, "%s is not %s", seen, wanted)};
        mismatch_add(ctx, found, &mismatch);
    }
    return OK;
}

bool is_content_type(const char *key)
{
    return strcasecmp(key, "contentType") == 0 || strcasecmp(key, "content-type") == 0;
}

/* JSON on both sides.  A content type is said by the contents already. */
static int metadata_of_message(struct ctx *ctx, const struct part *part, const struct given *given,
                               struct mismatches *found)
{
    const struct match match = {
        .ctx = ctx, .rules = &part->metadata, .is_json = true, .part = "metadata", .found = found};
    const char *key;
    json_t *expected;
    json_object_foreach((json_t *)(uintptr_t)part->metadata_json, key, expected)
    {
        const json_t *actual = json_object_get(given->metadata, key);
        const struct generator *generator = generator_of(&part->metadata_generators, key);
        struct value values[2];
        if (is_content_type(key))
            continue;
        TRY(value_of_json(ctx, expected, &values[0]));
        if (actual != NULL)
            TRY(value_of_json(ctx, actual, &values[1]));
        match_metadata(&match, key, &values[0], actual == NULL ? NULL : &values[1]);
        if (generator != NULL && generator_is_of_state(generator) && actual != NULL)
            TRY(state_metadata(ctx, generator, given, actual, found));
    }
    return OK;
}

static int state_metadata(struct ctx *ctx, const struct generator *generator,
                          const struct given *given, const json_t *actual, struct mismatches *found)
{
    json_t *made = NULL;
    if (given->values == NULL)
        return OK;
    TRY(generate(ctx, generator, given->values, &made));
    const char *wanted = arena_strdup(ctx->arena, generated_text(ctx, made));
    const char *seen = arena_strdup(ctx->arena, generated_text(ctx, actual));
    json_decref(made);
    if (strcmp(wanted, seen) == 0)
        return OK;
    const struct mismatch mismatch = {
        .part = "metadata",
        .path = generator->name,
        .expected = wanted,
        .actual = seen,
        .rule = "value of the provider state",
        .message = arena_printf(ctx->arena, "%s is not %s", seen, wanted)};
    mismatch_add(ctx, found, &mismatch);
    return OK;
}
