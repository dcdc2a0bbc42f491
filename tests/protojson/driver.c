/* Both directions of src/protojson for a test in another language, line by line:
 *
 *   print TYPE HEX     a message's bytes     → ok HEX of its JSON
 *   defaults TYPE HEX  the same with defaults
 *   parse TYPE HEX     a JSON text           → ok HEX of the message's bytes
 *   lenient TYPE HEX   the same, unknown members ignored
 *   repack TYPE HEX    a message's bytes     → ok HEX of the same, unpacked and packed by protobuf-c
 *   maps TYPE -        → ok, and the names of the fields that are maps
 *
 * A refusal is answered with `no PATH: RULE`. */
#include "protojson/protojson.h"
#include "protojson/shape.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_MAX (64u << 20)

#define TYPE(name) extern const ProtobufCMessageDescriptor name##__descriptor;
#include "types.inc"
#undef TYPE

static const ProtobufCMessageDescriptor *const types[] = {
#define TYPE(name) &name##__descriptor,
#include "types.inc"
#undef TYPE
};
#define TYPE_COUNT (sizeof types / sizeof types[0])

static const struct protojson_types any_types = {.types = types, .count = TYPE_COUNT};

static const ProtobufCMessageDescriptor *type_find(const char *name)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(types[i]->name, name) == 0)
            return types[i];
    }
    fprintf(stderr, "no type %s\n", name);
    exit(2);
}

static struct slice bytes_of_hex(struct arena *arena, const char *hex)
{
    size_t size = strlen(hex) / 2;
    uint8_t *bytes = arena_alloc(arena, size);
    for (size_t i = 0; i < size; i++) {
        char pair[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return slice_make(bytes, size);
}

static void answer(struct slice bytes)
{
    fputs("ok ", stdout);
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
    putchar('\n');
}

static void print(struct ctx *ctx, const ProtobufCMessageDescriptor *type, struct slice bytes,
                  bool defaults)
{
    struct protojson_print_options options = {.any_types = &any_types, .defaults = defaults};
    AUTO(buf_deinit) struct buf out = BUF_EMPTY;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, arena_protobuf(ctx->arena), bytes.size, bytes.data);
    if (message == NULL)
        puts("no : not a message");
    else if (protojson_print(ctx, message, &options, &out) == OK)
        answer(buf_slice(&out));
    else
        printf("no %s\n", ctx->fault.text);
}

static void pack(struct ctx *ctx, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(ctx->arena, size);
    assert(protobuf_c_message_pack(message, bytes) == size);
    answer(slice_make(bytes, size));
}

static void parse(struct ctx *ctx, const ProtobufCMessageDescriptor *type, struct slice json,
                  bool lenient)
{
    struct protojson_parse_options options = {.any_types = &any_types, .ignore_unknown = lenient};
    struct protojson_parsed parsed;
    if (protojson_parse(ctx, type, json, &options, &parsed) != OK) {
        printf("no %s: %s\n", parsed.path, parsed.rule);
        return;
    }
    pack(ctx, parsed.message);
}

static void repack(struct ctx *ctx, const ProtobufCMessageDescriptor *type, struct slice bytes)
{
    const ProtobufCMessage *message =
        protobuf_c_message_unpack(type, arena_protobuf(ctx->arena), bytes.size, bytes.data);
    if (message == NULL)
        puts("no : not a message");
    else
        pack(ctx, message);
}

static void maps(const ProtobufCMessageDescriptor *type)
{
    fputs("ok", stdout);
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (shape_is_map(type, &type->fields[i]))
            printf(" %s", type->fields[i].name);
    }
    putchar('\n');
}

static void command_run(char *line)
{
    AUTO(arena_free_ptr) struct arena *arena = arena_new(MEMORY_MAX);
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    char *rest = NULL;
    const char *verb = strtok_r(line, " \n", &rest);
    const char *name = strtok_r(NULL, " \n", &rest);
    const char *hex = strtok_r(NULL, " \n", &rest);
    if (verb == NULL || name == NULL)
        exit(2);
    const ProtobufCMessageDescriptor *type = type_find(name);
    struct slice bytes = bytes_of_hex(arena, hex == NULL || hex[0] == '-' ? "" : hex);
    if (strcmp(verb, "maps") == 0)
        maps(type);
    else if (strcmp(verb, "parse") == 0 || strcmp(verb, "lenient") == 0)
        parse(&ctx, type, bytes, verb[0] == 'l');
    else if (strcmp(verb, "repack") == 0)
        repack(&ctx, type, bytes);
    else
        print(&ctx, type, bytes, verb[0] == 'd');
    fflush(stdout);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0)
        command_run(line);
    free(line);
    return 0;
}
