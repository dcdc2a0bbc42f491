/* hiredis's reader with our own object functions.  Its own would allocate whatever a length says. */
#include "cache/redis_reply.h"

#include "base/alloc.h"
#include "base/arena.h"

#include <hiredis/read.h>

#include <assert.h>
#include <stdlib.h>

struct redis_parser {
    redisReader *reader;
    redisReplyObjectFunctions functions; /* how it builds answers */
    struct arena *arena;                 /* of the answer being built */
    size_t elements;                     /* in it so far */
    bool large;                          /* a bound was hit */
};

static void *make_string(const redisReadTask *task, char *bytes, size_t size);
static void *make_array(const redisReadTask *task, int count);
static void *make_integer(const redisReadTask *task, long long value);
static void *make_nil(const redisReadTask *task);
static void free_nothing(void *object);
static struct redis_reply *reply_new(const redisReadTask *task, enum redis_kind kind);
static enum redis_kind text_kind(int type);

struct redis_parser *redis_parser_new(void)
{
    struct redis_parser *parser = xcalloc(1, sizeof *parser);
    parser->functions = (redisReplyObjectFunctions){.createString = make_string,
                                                    .createArray = make_array,
                                                    .createInteger = make_integer,
                                                    .createNil = make_nil,
                                                    .freeObject = free_nothing};
    parser->arena = arena_new(0);
    parser->reader = redisReaderCreateWithFunctions(&parser->functions);
    if (parser->reader == NULL)
        abort();
    parser->reader->privdata = parser;
    return parser;
}

void redis_parser_free(struct redis_parser *parser)
{
    if (parser == NULL)
        return;
    redisReaderFree(parser->reader);
    arena_free(parser->arena);
    free(parser);
}

void redis_parser_feed(struct redis_parser *parser, const void *bytes, size_t size)
{
    /* A failed feed leaves reader->err set, and the next redis_parser_next() says so. */
    (void)redisReaderFeed(parser->reader, bytes, size);
}

enum redis_parsed redis_parser_next(struct redis_parser *parser, const struct redis_reply **reply)
{
    redisReader *reader = parser->reader;
    if (reader->reply == NULL) { /* no answer is half-built */
        arena_reset(parser->arena);
        parser->elements = 0;
    }
    void *object = NULL;
    int result = redisReaderGetReply(reader, &object);
    if (parser->large)
        return REDIS_PARSED_LARGE;
    if (result != REDIS_OK)
        return REDIS_PARSED_GARBAGE;
    if (object != NULL) {
        *reply = object;
        return REDIS_PARSED_REPLY;
    }
    /* hiredis keeps an unfinished line or bulk whole, however long it claims to become. */
    if (reader->len - reader->pos > REDIS_STRING_BYTES)
        return REDIS_PARSED_LARGE;
    return REDIS_PARSED_PART;
}

bool redis_reply_is_error(const struct redis_reply *reply, const char *code)
{
    size_t length = strlen(code);
    return reply->kind == REDIS_ERROR && slice_starts_with(reply->text, code) &&
           (reply->text.size == length || reply->text.data[length] == ' ');
}

static void *make_string(const redisReadTask *task, char *bytes, size_t size)
{
    struct redis_reply *reply = reply_new(task, text_kind(task->type));
    struct redis_parser *parser = task->privdata;
    if (reply == NULL)
        return NULL;
    if (size > REDIS_STRING_BYTES) {
        parser->large = true;
        return NULL;
    }
    reply->text = slice_make(arena_strndup(parser->arena, bytes, size), size);
    return reply;
}

static void *make_array(const redisReadTask *task, int count)
{
    struct redis_parser *parser = task->privdata;
    if (count < 0 || count > REDIS_REPLY_ELEMENTS) {
        parser->large = true;
        return NULL;
    }
    struct redis_reply *reply = reply_new(task, REDIS_ARRAY);
    if (reply == NULL)
        return NULL;
    reply->count = (size_t)count;
    if (count > 0)
        reply->elements = arena_alloc(parser->arena, reply->count * sizeof(struct redis_reply *));
    return reply;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    struct redis_reply *reply = reply_new(task, REDIS_INTEGER);
    if (reply != NULL)
        reply->integer = value;
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    return reply_new(task, REDIS_NIL);
}

/* The arena frees as a whole. */
static void free_nothing(void *object)
{
    (void)object;
}

/* NULL makes the reader fail; `large` tells why. */
static struct redis_reply *reply_new(const redisReadTask *task, enum redis_kind kind)
{
    struct redis_parser *parser = task->privdata;
    parser->elements++;
    if (parser->elements > REDIS_REPLY_ELEMENTS || arena_used(parser->arena) > REDIS_REPLY_BYTES) {
        parser->large = true;
        return NULL;
    }
    struct redis_reply *reply = arena_alloc(parser->arena, sizeof *reply);
    reply->kind = kind;
    if (task->parent != NULL) {
        struct redis_reply *parent = task->parent->obj;
        assert(parent->kind == REDIS_ARRAY && (size_t)task->idx < parent->count);
        parent->elements[task->idx] = reply;
    }
    return reply;
}

static enum redis_kind text_kind(int type)
{
    if (type == REDIS_REPLY_ERROR)
        return REDIS_ERROR;
    return type == REDIS_REPLY_STATUS ? REDIS_STATUS : REDIS_TEXT;
}
