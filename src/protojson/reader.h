/* JSON's tokens (RFC 8259) from bytes that nobody has checked.
 *
 * Each function that returns false has set the rule that was broken; the first one stays. */
#ifndef PROTOJSON_READER_H
#define PROTOJSON_READER_H

#include "base/arena.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena; /* for strings with escapes */
    const char *rule;    /* NULL: none broken so far */
    bool too_complex;    /* the broken rule is a limit */
    unsigned depth;      /* open objects and arrays; the caller's too */
    size_t elements;     /* members and elements so far, … */
    size_t elements_max; /* … and at most */
};

enum json_kind {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_NOTHING, /* the end, or no value begins like this */
};

/* Borrows the bytes. */
void reader_init(struct reader *reader, struct slice json, size_t elements_max,
                 struct arena *arena);

/* Sets the rule, unless one is set.  Always false. */
bool reader_refuse(struct reader *reader, const char *rule);
/* The same for a limit. */
bool reader_refuse_limit(struct reader *reader, const char *rule);

/* What the next value is, white space skipped; nothing is taken. */
enum json_kind reader_peek(struct reader *reader);

/* Takes one punctuation byte if it is next.  Sets no rule. */
bool reader_accept(struct reader *reader, char byte);
/* Takes it or refuses. */
bool reader_expect(struct reader *reader, char byte);

/* Takes the opening byte and counts the depth. */
bool reader_open(struct reader *reader, char byte);
/* Before each member or element: false at the closing byte, which is taken, and on a refusal.  `first` says
 * that none was read yet. */
bool reader_next(struct reader *reader, char closing, bool first);

/* A member's name and its colon, as reader_string(). */
bool reader_name(struct reader *reader, struct slice *name);
/* The decoded text: in the arena, or in the input when it has no escapes.  `text` may be NULL: only the form is
 * looked at then. */
bool reader_string(struct reader *reader, struct slice *text);
/* The number as it stands. */
bool reader_number(struct reader *reader, struct slice *text);
/* true, false or null, the kind having been peeked. */
bool reader_literal(struct reader *reader, enum json_kind kind);
/* Any value, looked at only for its form. */
bool reader_skip(struct reader *reader);

/* True when nothing but white space is left. */
bool reader_is_done(struct reader *reader);

#endif
