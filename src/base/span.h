/* Spans of a trace, from the thread that worked to the one that exports: fixed-size records in a bounded ring,
 * one ring per thread, so that recording allocates nothing, takes no lock and never waits.
 *
 * One thread writes a ring and one reads it.  What a span says is its writer's business: names and keys are
 * constants, and so are texts, but for the few that are copied into the record. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include "base/metrics.h"
#include "base/slice.h"
#include "base/trace_ctx.h"

#define SPAN_ATTRIBUTES_MAX 10
#define SPAN_COPIES_MAX 128 /* bytes of copied texts in one span */

/* The side of the operation that the span is of. */
enum span_kind { SPAN_SERVER, SPAN_CLIENT };

struct span_attribute {
    const char *key;
    const char *text; /* NULL: it is a number */
    int64_t number;
};

struct span {
    char trace_id[33]; /* ids as in struct trace_ctx */
    char span_id[17];
    char parent_id[17];   /* "": the trace begins here */
    bool parent_is_local; /* of this process */
    unsigned char flags;
    enum span_kind kind;
    const char *name;
    uint64_t began_ns; /* clock_now() */
    uint64_t ended_ns;
    const char *error; /* what failed, in one word; NULL: nothing did */
    size_t attribute_count;
    struct span_attribute attributes[SPAN_ATTRIBUTES_MAX];
    size_t copied;
    char copies[SPAN_COPIES_MAX];
};

struct span_ring;

struct span_ring_settings {
    size_t size;               /* spans at most; a power of two */
    size_t wake_every;         /* of so many spans the last one wakes the reader; a power of two */
    void (*wake)(void *owner); /* on the writer's thread; must not wait */
    void *owner;
    struct metric *dropped; /* counts those for which there was no room */
};

struct span_ring *span_ring_new(const struct span_ring_settings *settings); /* owner: the caller */
void span_ring_free(struct span_ring *ring);                                /* accepts NULL */

/* --- the writer's thread ---------------------------------------------------------------------------- */

/* The next span, with the ids of `trace` and nothing else yet; NULL: the ring is full, which is counted.
 * Nobody sees it before span_commit(). */
struct span *span_reserve(struct span_ring *ring, const struct trace_ctx *trace);
/* Makes it a part of the span that is `trace`'s own, instead of that span. */
void span_make_child(struct span *span);
/* Add an attribute; key and text are constants.  At most SPAN_ATTRIBUTES_MAX (asserted). */
void span_put_text(struct span *span, const char *key, const char *text);
void span_put_number(struct span *span, const char *key, int64_t number);
/* The same with a copy of the text, which is left out when it is not visible ASCII or there is no room. */
void span_put_copy(struct span *span, const char *key, struct slice text);
/* Hands the reserved span to the reader. */
void span_commit(struct span_ring *ring);

/* --- the reader's thread ---------------------------------------------------------------------------- */

/* Spans that wait.  Any thread. */
size_t span_ring_count(const struct span_ring *ring);
/* The one with that index, 0 the oldest, below the count; valid until it is dropped. */
const struct span *span_ring_at(const struct span_ring *ring, size_t index);
/* Forgets the oldest. */
void span_ring_drop(struct span_ring *ring, size_t count);

#endif
