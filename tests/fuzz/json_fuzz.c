/* JSON as messages and messages as JSON.  Whatever is read can be printed, and reads back as what prints the same.
 *
 * Input: one byte that chooses the type, whether unknown members are ignored and the direction, then the text or the
 * message. */
#include "protojson/protojson.h"
#include "rpc/scan.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"
#include "gen/pb/tenant/v1/tenants.pb-c.h"

#include "all_types.pb-c.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

enum {
    CHOICE_TYPE = 0x0f,
    CHOICE_IGNORE = 0x10,
    CHOICE_MESSAGE = 0x20,
};

static const ProtobufCMessageDescriptor *const types[] = {
    &fixture__json__v1__tree__descriptor,           &fixture__json__v1__well_known__descriptor,
    &fixture__json__v1__scalars__descriptor,        &tenant__v1__create_tenant_request__descriptor,
    &tenant__v1__update_tenant_request__descriptor, &google__rpc__status__descriptor,
    &google__protobuf__value__descriptor,
};

static const ProtobufCMessageDescriptor *const known[] = {
    &fixture__json__v1__leaf__descriptor,       &fixture__json__v1__maps__descriptor,
    &google__protobuf__any__descriptor,         &google__protobuf__duration__descriptor,
    &google__rpc__error_info__descriptor,       &google__rpc__bad_request__descriptor,
    &google__protobuf__int64_value__descriptor,
};
static const struct protojson_types any_types = {
    .types = known,
    .count = sizeof known / sizeof known[0],
};

static bool print(struct ctx *ctx, const ProtobufCMessage *message, struct buf *out)
{
    struct protojson_print_options options = {.any_types = &any_types};
    int result = protojson_print(ctx, message, &options, out);
    EXPECT(result == OK || result == FAULT_INTERNAL);
    return result == OK;
}

static const ProtobufCMessage *parse(struct ctx *ctx, const ProtobufCMessageDescriptor *type,
                                     struct slice json, bool ignore)
{
    struct protojson_parse_options options = {.any_types = &any_types, .ignore_unknown = ignore};
    struct protojson_parsed parsed;
    memset(&parsed, 'x', sizeof parsed);
    int result = protojson_parse(ctx, type, json, &options, &parsed);
    EXPECT(memchr(parsed.path, 0, sizeof parsed.path) != NULL);
    if (result == OK) {
        EXPECT(parsed.path[0] == '\0' && parsed.rule == NULL);
        return parsed.message;
    }
    EXPECT(result > 0 && parsed.rule[0] != '\0' && parsed.message == NULL);
    return NULL;
}

/* What was read prints, and comes back. */
static void there_and_back(struct ctx *ctx, const ProtobufCMessage *message)
{
    AUTO(buf_deinit) struct buf first = BUF_EMPTY;
    AUTO(buf_deinit) struct buf second = BUF_EMPTY;
    EXPECT(print(ctx, message, &first));
    const ProtobufCMessage *again = parse(ctx, message->descriptor, buf_slice(&first), false);
    EXPECT(again != NULL && print(ctx, again, &second));
    EXPECT(slice_equal(buf_slice(&first), buf_slice(&second)));
}

/* A message may hold what JSON cannot tell apart, a NullValue of 7: what prints must be read, and that come back. */
static void from_message(struct ctx *ctx, const ProtobufCMessageDescriptor *type,
                         struct slice bytes)
{
    struct scan_report report;
    AUTO(buf_deinit) struct buf text = BUF_EMPTY;
    if (scan_message(type, bytes, &report) != SCAN_OK)
        return;
    const ProtobufCMessage *message =
        protobuf_c_message_unpack(type, arena_protobuf(ctx->arena), bytes.size, bytes.data);
    if (message == NULL || !print(ctx, message, &text))
        return;
    const ProtobufCMessage *again = parse(ctx, type, buf_slice(&text), false);
    EXPECT(again != NULL);
    there_and_back(ctx, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type =
        types[(data[0] & CHOICE_TYPE) % (sizeof types / sizeof types[0])];
    struct slice input = slice_make(data + 1, size - 1);
    AUTO(arena_free_ptr) struct arena *arena = arena_new(16 << 20);
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    if ((data[0] & CHOICE_MESSAGE) != 0) {
        from_message(&ctx, type, input);
        return 0;
    }
    const ProtobufCMessage *message = parse(&ctx, type, input, (data[0] & CHOICE_IGNORE) != 0);
    if (message != NULL)
        there_and_back(&ctx, message);
    return 0;
}
