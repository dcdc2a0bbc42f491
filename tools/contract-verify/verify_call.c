/* Judging a call: what is sent, then messages, status and metadata of the answer.  See verify.h. */
#include "verify_int.h"

#include "call.h"
#include "generate.h"

#include "base/base64.h"

#include "rpc/status.h"

#include <string.h>

static int compose(struct trial *trial, struct outgoing *outgoing);
static int compose_message(struct trial *trial, const struct part *part, struct slice *bytes);
static int compose_metadata(struct trial *trial, const struct part *part,
                            struct outgoing *outgoing);
static int judge_messages(struct trial *trial, const struct incoming *incoming);
static bool judge_status(struct trial *trial, const struct incoming *incoming, int expected);
static int judge_details(struct trial *trial, const struct incoming *incoming);
static int judge_metadata(struct trial *trial, const struct part *part,
                          const struct incoming *incoming);
static void report(struct trial *trial, const char *part, const char *expected, const char *actual);

int trial_call(struct trial *trial)
{
    const struct interaction *interaction = trial->interaction;
    const struct part *last = &interaction->responses[interaction->response_count - 1];
    struct outgoing outgoing = {.timeout_ns = trial->verifier->timeout_ns};
    struct incoming *incoming = arena_alloc(trial->ctx->arena, sizeof *incoming);
    if (trial->verifier->channel == NULL)
        return FAULT(trial->ctx, FAULT_CONFIG, "calls need --address and a certificate");
    TRY(compose(trial, &outgoing));
    TRY(call_perform(trial->ctx, trial->verifier->channel, interaction, &outgoing, incoming));
    int expected = part_status(last);
    if (!judge_status(trial, incoming, expected))
        return OK; /* whatever else there is speaks of another outcome */
    TRY(expected == GRPC_OK ? judge_messages(trial, incoming) : judge_details(trial, incoming));
    for (size_t i = 0; i < interaction->response_count; i++)
        TRY(judge_metadata(trial, &interaction->responses[i], incoming));
    return OK;
}

static int compose(struct trial *trial, struct outgoing *outgoing)
{
    const struct interaction *interaction = trial->interaction;
    struct slice *messages =
        arena_alloc(trial->ctx->arena, interaction->request_count * sizeof messages[0]);
    for (size_t i = 0; i < interaction->request_count; i++)
        TRY(compose_message(trial, &interaction->requests[i], &messages[i]));
    outgoing->messages = messages;
    outgoing->count = interaction->request_count;
    return compose_metadata(trial, &interaction->requests[0], outgoing);
}

/* The consumer's own bytes, unless a value of them is generated. */
static int compose_message(struct trial *trial, const struct part *part, struct slice *bytes)
{
    *bytes = part->bytes;
    if (part->body_generators.count == 0)
        return OK;
    struct value value = part->value;
    struct buf packed = BUF_EMPTY;
    TRY(generate_body(trial->ctx, &part->body_generators, trial->values, &value));
    int rc = wire_write(trial->ctx, &trial->interaction->types, &value, &packed);
    struct slice made = buf_slice(&packed);
    if (rc == OK)
        *bytes =
            slice_make(made.size == 0 ? "" : arena_strndup(trial->ctx->arena, made.data, made.size),
                       made.size);
    buf_deinit(&packed);
    return rc;
}

/* Keys are lower-case on the wire (RFC 9113 section 8.2). */
static char *lower_key(struct ctx *ctx, const char *key)
{
    char *lower = arena_strdup(ctx->arena, key);
    for (char *at = lower; *at != '\0'; at++)
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
    return lower;
}

/* Values of these are bytes, which a pact has as base 64. */
static bool is_binary(const char *key)
{
    size_t size = strlen(key);
    return size > 4 && strcmp(key + size - 4, "-bin") == 0;
}

static int compose_metadata(struct trial *trial, const struct part *part, struct outgoing *outgoing)
{
    struct ctx *ctx = trial->ctx;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)part->metadata_json, key, value)
    {
        const struct generator *generator = generator_of(&part->metadata_generators, key);
        json_t *made = NULL;
        if (is_content_type(key))
            continue;
        if (outgoing->metadata_count == CLIENT_METADATA_MAX)
            return FAULT(ctx, FAULT_CONFIG, "more than %d metadata", CLIENT_METADATA_MAX);
        if (generator != NULL)
            TRY(generate(ctx, generator, trial->values, &made));
        const char *text =
            arena_strdup(ctx->arena, generated_text(ctx, made == NULL ? value : made));
        json_decref(made);
        const char *lower = lower_key(ctx, key);
        struct slice bytes = slice_of_str(text);
        if (is_binary(lower) &&
            !base64_take(ctx->arena, bytes, BASE64_STANDARD | BASE64_PADDED | BASE64_UNPADDED,
                         &bytes))
            return FAULT(ctx, FAULT_CONFIG, "the metadata %.60s are not base 64", key);
        outgoing->metadata[outgoing->metadata_count++] = (struct client_field){lower, bytes};
    }
    return OK;
}

/* False: the call ended otherwise than expected, which is reported. */
static bool judge_status(struct trial *trial, const struct incoming *incoming, int expected)
{
    struct ctx *ctx = trial->ctx;
    const struct interaction *interaction = trial->interaction;
    if (incoming->is_late) {
        report(trial, "status",
               arena_printf(ctx->arena, "%zu messages%s", interaction->response_count,
                            interaction->left_open ? "" : " and a status"),
               arena_printf(ctx->arena, "%zu messages, then nothing within %llu ms",
                            incoming->count,
                            (unsigned long long)(trial->verifier->timeout_ns / NS_PER_MS)));
        return false;
    }
    if (!incoming->has_status) /* given up: for what was expected to go on, or came too much */
        return true;
    const struct client_call *call = &incoming->call;
    bool open = interaction->left_open && incoming->count >= interaction->response_count;
    if (call->status == expected && (!interaction->left_open || open))
        return true;
    report(trial, "status",
           interaction->left_open ? "a call that goes on" : grpc_code_name(expected),
           arena_printf(ctx->arena, "%s%s%s", grpc_code_name(call->status),
                        call->message[0] == '\0' ? "" : ": ", call->message));
    return false;
}

static int judge_messages(struct trial *trial, const struct incoming *incoming)
{
    const struct interaction *interaction = trial->interaction;
    struct ctx *ctx = trial->ctx;
    for (size_t i = 0; i < interaction->response_count && i < incoming->count; i++) {
        const struct given given = {incoming->messages[i], NULL, trial->values};
        size_t before = trial->found->count;
        TRY(trial_body(ctx, &interaction->types, &interaction->responses[i], &given, trial->found));
        for (size_t k = before; interaction->response_count > 1 && k < trial->found->count; k++)
            trial->found->items[k].path =
                arena_printf(ctx->arena, "%s of message %zu", trial->found->items[k].path, i);
    }
    if (incoming->count != interaction->response_count)
        report(trial, "body",
               arena_printf(ctx->arena, "%zu message%s", interaction->response_count,
                            interaction->response_count == 1 ? "" : "s"),
               arena_printf(ctx->arena, "%s%zu",
                            incoming->count > interaction->response_count ? "at least " : "",
                            incoming->count));
    return OK;
}

/* The contents of an error are google.rpc.Status, which travels beside grpc-status. */
static int judge_details(struct trial *trial, const struct incoming *incoming)
{
    const struct interaction *interaction = trial->interaction;
    const struct part *last = &interaction->responses[interaction->response_count - 1];
    if (last->form == CONTENTS_NONE)
        return OK;
    const struct given given = {incoming->call.details, NULL, trial->values};
    if (incoming->call.details.size == 0) {
        report(trial, "body", "grpc-status-details-bin", "");
        return OK;
    }
    return trial_body(trial->ctx, &interaction->types, last, &given, trial->found);
}

static struct slice base64_of(struct ctx *ctx, struct slice bytes)
{
    struct buf text = BUF_EMPTY;
    base64_put(&text, bytes, BASE64_STANDARD | BASE64_PADDED);
    const char *kept = arena_strdup(ctx->arena, buf_str(&text));
    buf_deinit(&text);
    return slice_of_str(kept);
}

static int judge_metadata(struct trial *trial, const struct part *part,
                          const struct incoming *incoming)
{
    struct ctx *ctx = trial->ctx;
    const struct match match = {
        .ctx = ctx, .rules = &part->metadata, .part = "metadata", .found = trial->found};
    const char *key;
    json_t *expected;
    json_object_foreach((json_t *)(uintptr_t)part->metadata_json, key, expected)
    {
        if (is_content_type(key) || strcmp(key, "grpc-status") == 0)
            continue;
        const char *lower = lower_key(ctx, key);
        struct slice text = strcmp(lower, "grpc-message") == 0
                                ? slice_of_str(incoming->call.message)
                                : client_answer(&incoming->call, lower);
        if (is_binary(lower) && text.data != NULL)
            text = base64_of(ctx, text);
        const struct value values[2] = {
            {.kind = VALUE_TEXT,
             .text = slice_of_str(arena_strdup(ctx->arena, generated_text(ctx, expected)))},
            {.kind = VALUE_TEXT, .text = text}};
        bool is_missing = text.data == NULL;
        match_metadata(&match, key, &values[0], is_missing ? NULL : &values[1]);
    }
    return OK;
}

/* Of a whole part: its status, its body. */
static void report(struct trial *trial, const char *part, const char *expected, const char *actual)
{
    const struct mismatch mismatch = {
        .part = part,
        .path = strcmp(part, "status") == 0 ? "grpc-status" : "$",
        .expected = expected,
        .actual = actual,
        .rule = "",
        .message = arena_printf(trial->ctx->arena, "%s instead of %s",
                                actual[0] == '\0' ? "nothing" : actual, expected)};
    mismatch_add(trial->ctx, trial->found, &mismatch);
}
