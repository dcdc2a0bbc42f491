/* The tokens of JSON, called by parse.c for every byte of a document.  Takes no byte twice and never recurses;
 * knows nothing of messages. */
#include "protojson/reader.h"

#include "protojson/protojson.h"
#include "protojson/text.h"

#include "base/utf8.h"

#include <assert.h>

#define SURROGATE_HIGH 0xd800u
#define SURROGATE_LOW 0xdc00u
#define SURROGATE_END 0xe000u

static void space_skip(struct reader *reader);
static const uint8_t *plain_skip(const uint8_t *at, const uint8_t *end);
static bool string_measure(struct reader *reader, size_t *size, bool *escaped);
static bool string_check(struct reader *reader, struct slice text);
static bool string_decode(struct reader *reader, struct slice raw, struct slice *text);
static bool escape_decode(struct reader *reader, struct slice *raw, uint8_t **out);
static bool unicode_decode(struct reader *reader, struct slice *raw, uint8_t **out);
static bool hex_read(struct slice *raw, uint32_t *unit);
static bool value_skip(struct reader *reader, enum json_kind kind);
static size_t value_next(struct reader *reader, uint64_t *arrays, size_t depth, bool *first);

void reader_init(struct reader *reader, struct slice json, size_t elements_max,
                 struct arena *arena)
{
    *reader = (struct reader){
        .at = json.data,
        .end = json.size == 0 ? json.data : json.data + json.size,
        .arena = arena,
        .elements_max = elements_max == 0 ? PROTOJSON_ELEMENTS_MAX : elements_max,
    };
}

bool reader_refuse(struct reader *reader, const char *rule)
{
    if (reader->rule == NULL)
        reader->rule = rule;
    return false;
}

bool reader_refuse_limit(struct reader *reader, const char *rule)
{
    if (reader->rule == NULL)
        reader->too_complex = true;
    return reader_refuse(reader, rule);
}

enum json_kind reader_peek(struct reader *reader)
{
    space_skip(reader);
    if (reader->at == reader->end)
        return JSON_NOTHING;
    uint8_t byte = *reader->at;
    if (byte == '-' || text_is_digit(byte))
        return JSON_NUMBER;
    switch (byte) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NOTHING;
    }
}

bool reader_accept(struct reader *reader, char byte)
{
    space_skip(reader);
    if (reader->at == reader->end || *reader->at != (uint8_t)byte)
        return false;
    reader->at++;
    return true;
}

bool reader_expect(struct reader *reader, char byte)
{
    return reader_accept(reader, byte) || reader_refuse(reader, "must be JSON");
}

/* Arrays and objects alike: what it bounds is the walk's frames. */
bool reader_open(struct reader *reader, char byte)
{
    if (!reader_expect(reader, byte))
        return false;
    if (reader->depth == PROTOJSON_DEPTH_MAX)
        return reader_refuse_limit(reader, "must not be nested deeper than 64 objects and arrays");
    reader->depth++;
    return true;
}

bool reader_next(struct reader *reader, char closing, bool first)
{
    assert(reader->depth > 0);
    if (reader_accept(reader, closing)) {
        reader->depth--;
        return false;
    }
    if (!first && !reader_expect(reader, ','))
        return false;
    if (reader->elements == reader->elements_max) {
        const char *rule =
            arena_printf(reader->arena, "must not come after %zu other members and elements",
                         reader->elements_max);
        return reader_refuse_limit(reader, rule);
    }
    reader->elements++;
    return true;
}

bool reader_name(struct reader *reader, struct slice *name)
{
    if (reader_peek(reader) != JSON_STRING)
        return reader_refuse(reader, "must be JSON");
    return reader_string(reader, name) && reader_expect(reader, ':');
}

bool reader_string(struct reader *reader, struct slice *text)
{
    assert(reader->at < reader->end && *reader->at == '"');
    reader->at++;
    size_t size = 0;
    bool escaped = false;
    if (!string_measure(reader, &size, &escaped))
        return false;
    struct slice raw = slice_make(reader->at, size);
    if (!string_check(reader, raw))
        return false;
    reader->at += size + 1;
    if (escaped)
        return string_decode(reader, raw, text);
    if (text != NULL)
        *text = raw;
    return true;
}

bool reader_number(struct reader *reader, struct slice *text)
{
    size_t size = text_number_size(slice_make(reader->at, (size_t)(reader->end - reader->at)));
    if (size == 0)
        return reader_refuse(reader, "must be JSON");
    *text = slice_make(reader->at, size);
    reader->at += size;
    return true;
}

bool reader_literal(struct reader *reader, enum json_kind kind)
{
    const char *word = kind == JSON_TRUE ? "true" : kind == JSON_FALSE ? "false" : "null";
    if (!slice_starts_with(slice_make(reader->at, (size_t)(reader->end - reader->at)), word))
        return reader_refuse(reader, "must be JSON");
    reader->at += strlen(word);
    return true;
}

/* The open levels above the caller's are bits: 1 for an array. */
bool reader_skip(struct reader *reader)
{
    _Static_assert(PROTOJSON_DEPTH_MAX <= 64, "a bit for each level");
    uint64_t arrays = 0;
    size_t depth = 0;
    bool first = true;
    do {
        enum json_kind kind = reader_peek(reader);
        if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
            if (!reader_open(reader, kind == JSON_OBJECT ? '{' : '['))
                return false;
            arrays = arrays << 1 | (kind == JSON_ARRAY);
            depth++;
            first = true;
        } else if (!value_skip(reader, kind)) {
            return false;
        }
        depth = value_next(reader, &arrays, depth, &first);
    } while (depth > 0 && reader->rule == NULL);
    return reader->rule == NULL;
}

/* Goes on to where the next value stands; returns how many levels are open then. */
static size_t value_next(struct reader *reader, uint64_t *arrays, size_t depth, bool *first)
{
    while (depth > 0) {
        bool array = (*arrays & 1) != 0;
        if (reader_next(reader, array ? ']' : '}', *first)) {
            if (!array)
                (void)reader_name(reader, NULL);
            *first = false;
            assert(depth <= reader->depth);
            return depth;
        }
        if (reader->rule != NULL)
            return depth;
        *arrays >>= 1;
        *first = false;
        depth--;
    }
    return 0;
}

static bool value_skip(struct reader *reader, enum json_kind kind)
{
    struct slice text;
    switch (kind) {
    case JSON_STRING:
        return reader_string(reader, NULL);
    case JSON_NUMBER:
        return reader_number(reader, &text);
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        return reader_literal(reader, kind);
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_NOTHING:
        break;
    }
    return reader_refuse(reader, "must be JSON");
}

bool reader_is_done(struct reader *reader)
{
    space_skip(reader);
    return reader->at == reader->end;
}

static void space_skip(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

/* Words of which no byte means anything in a string: ASCII from the space on without the quotation mark and the
 * backslash.  Warren's test for bytes below n. */
static const uint8_t *plain_skip(const uint8_t *at, const uint8_t *end)
{
    for (uint64_t word = 0; (size_t)(end - at) >= sizeof word; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        uint64_t quotes = word ^ UTF8_WORD_ONES * '"';
        uint64_t escapes = word ^ UTF8_WORD_ONES * '\\';
        uint64_t special = (word - UTF8_WORD_ONES * ' ') | (quotes - UTF8_WORD_ONES) |
                           (escapes - UTF8_WORD_ONES) | word;
        if ((special & UTF8_WORD_ONES << 7) != 0)
            break;
    }
    return at;
}

/* The bytes up to the closing quote. */
static bool string_measure(struct reader *reader, size_t *size, bool *escaped)
{
    const uint8_t *at = plain_skip(reader->at, reader->end);
    const uint8_t *again = at + sizeof(uint64_t); /* a word with something in it is not looked at twice */
    for (; at < reader->end && *at != '"'; at++) {
        if (at >= again) {
            at = plain_skip(at, reader->end);
            again = at + sizeof(uint64_t);
            if (at == reader->end || *at == '"')
                break;
        }
        if (*at < 0x20)
            return reader_refuse(reader, "must be JSON");
        if (*at == '\\') {
            *escaped = true;
            at++;
            if (at == reader->end)
                break;
        }
    }
    if (at >= reader->end)
        return reader_refuse(reader, "must be JSON");
    *size = (size_t)(at - reader->at);
    return true;
}

static bool string_check(struct reader *reader, struct slice text)
{
    return text_is_utf8(text) || reader_refuse(reader, "must be UTF-8");
}

/* No escape decodes to more bytes than it has.  What is only skipped takes no memory: a look ahead may pass it
 * often. */
static bool string_decode(struct reader *reader, struct slice raw, struct slice *text)
{
    const size_t size = raw.size;
    uint8_t sink[4];
    uint8_t *begin = text == NULL ? sink : arena_alloc_raw(reader->arena, raw.size);
    uint8_t *out = begin;
    while (raw.size > 0) {
        if (text == NULL)
            out = sink;
        if (raw.data[0] != '\\') {
            *out++ = raw.data[0];
            raw = slice_skip(raw, 1);
        } else if (!escape_decode(reader, &raw, &out)) {
            return false;
        }
    }
    assert(text == NULL || (size_t)(out - begin) <= size);
    if (text != NULL)
        *text = slice_make(begin, (size_t)(out - begin));
    return true;
}

static bool escape_decode(struct reader *reader, struct slice *raw, uint8_t **out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    assert(raw->size >= 2);
    uint8_t letter = raw->data[1];
    *raw = slice_skip(*raw, 2);
    if (letter == 'u')
        return unicode_decode(reader, raw, out);
    const char *found = letter == 0 ? NULL : strchr(letters, letter);
    if (found == NULL)
        return reader_refuse(reader, "must be JSON");
    *(*out)++ = (uint8_t)meanings[found - letters];
    return true;
}

/* After the u: a unit, or two that are a surrogate pair. */
static bool unicode_decode(struct reader *reader, struct slice *raw, uint8_t **out)
{
    uint32_t point = 0;
    if (!hex_read(raw, &point))
        return reader_refuse(reader, "must be JSON");
    if (point == 0)
        return reader_refuse(reader, "must not contain NUL");
    if (point >= SURROGATE_HIGH && point < SURROGATE_END) {
        uint32_t low = 0;
        if (point >= SURROGATE_LOW || !slice_starts_with(*raw, "\\u"))
            return reader_refuse(reader, "must not contain an unpaired surrogate");
        *raw = slice_skip(*raw, 2);
        if (!hex_read(raw, &low))
            return reader_refuse(reader, "must be JSON");
#ifndef PLANTED_BUG /* for tests/fuzz: behind a high surrogate anything stands for a low one */
        if (low < SURROGATE_LOW || low >= SURROGATE_END)
            return reader_refuse(reader, "must not contain an unpaired surrogate");
#endif
        point = 0x10000 + ((point - SURROGATE_HIGH) << 10) + (low - SURROGATE_LOW);
    }
    *out += text_utf8_put(point, *out);
    return true;
}

static bool hex_read(struct slice *raw, uint32_t *unit)
{
    if (raw->size < 4)
        return false;
    uint32_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t byte = raw->data[i];
        uint8_t lower = byte | 0x20;
        if (!text_is_digit(byte) && (lower < 'a' || lower > 'f'))
            return false;
        sum = sum << 4 | (uint32_t)(text_is_digit(byte) ? byte - '0' : lower - 'a' + 10);
    }
    *raw = slice_skip(*raw, 4);
    *unit = sum;
    return true;
}
