/* Redis's answers (RESP2), parsed by hiredis into small trees of bounded size. */
#ifndef CACHE_REDIS_REPLY_H
#define CACHE_REDIS_REPLY_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum redis_kind { REDIS_NIL, REDIS_TEXT, REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_ARRAY };

struct redis_reply {
    enum redis_kind kind;
    int64_t integer;               /* REDIS_INTEGER */
    struct slice text;             /* REDIS_TEXT, REDIS_STATUS, REDIS_ERROR */
    struct redis_reply **elements; /* REDIS_ARRAY */
    size_t count;
};

#define REDIS_STRING_BYTES ((size_t)256 * 1024)     /* one string, and what is not yet parsed */
#define REDIS_REPLY_BYTES ((size_t)4 * 1024 * 1024) /* one whole answer in memory */
#define REDIS_REPLY_ELEMENTS 65536                  /* of one answer, over all levels */

struct redis_parser;

enum redis_parsed {
    REDIS_PARSED_REPLY,
    REDIS_PARSED_PART,    /* more bytes are needed */
    REDIS_PARSED_GARBAGE, /* not RESP: the connection is of no more use */
    REDIS_PARSED_LARGE,   /* over a bound: likewise */
};

struct redis_parser *redis_parser_new(void);
void redis_parser_free(struct redis_parser *parser); /* accepts NULL */
/* Takes bytes as they came. */
void redis_parser_feed(struct redis_parser *parser, const void *bytes, size_t size);
/* The next answer, valid until the next call.  After garbage or an oversized answer only free() is
 * allowed. */
enum redis_parsed redis_parser_next(struct redis_parser *parser, const struct redis_reply **reply);

/* Error replies are an upper-case code, a space and a text. */
bool redis_reply_is_error(const struct redis_reply *reply, const char *code);

#endif
