/* A ring with one writer and one reader: each owns one of the two ends and only looks at the other's.  Must
 * never hand out a slot that the other side may still touch. */
#include "base/span.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

struct span_ring {
    struct span_ring_settings settings;
    struct span *spans;
    _Atomic size_t written;        /* ever; the writer's */
    size_t read_seen;              /* `read` as the writer saw it last */
    char between_them[CACHE_LINE]; /* so that neither slows the other down */
    _Atomic size_t read;           /* ever; the reader's */
};

static bool is_power_of_two(size_t number);
static bool is_visible(struct slice text);
static struct span_attribute *attribute_new(struct span *span, const char *key);

struct span_ring *span_ring_new(const struct span_ring_settings *settings)
{
    assert(is_power_of_two(settings->size) && is_power_of_two(settings->wake_every));
    struct span_ring *ring = xcalloc(1, sizeof *ring);
    ring->settings = *settings;
    ring->spans = xcalloc(settings->size, sizeof *ring->spans);
    return ring;
}

void span_ring_free(struct span_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->spans);
    free(ring);
}

struct span *span_reserve(struct span_ring *ring, const struct trace_ctx *trace)
{
    size_t at = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (at - ring->read_seen == ring->settings.size)
        ring->read_seen = atomic_load_explicit(&ring->read, memory_order_acquire);
    if (at - ring->read_seen == ring->settings.size) {
        metric_inc(ring->settings.dropped);
        return NULL;
    }
    struct span *span = &ring->spans[at & (ring->settings.size - 1)];
    memcpy(span->trace_id, trace->trace_id, sizeof span->trace_id);
    memcpy(span->span_id, trace->span_id, sizeof span->span_id);
    memcpy(span->parent_id, trace->parent_span_id, sizeof span->parent_id);
    span->parent_is_local = false;
    span->flags = trace->flags;
    span->error = NULL;
    span->attribute_count = 0;
    span->copied = 0;
    return span;
}

void span_make_child(struct span *span)
{
    memcpy(span->parent_id, span->span_id, sizeof span->parent_id);
    span->parent_is_local = true;
    trace_random_id(span->span_id, 16);
}

void span_put_text(struct span *span, const char *key, const char *text)
{
    attribute_new(span, key)->text = text;
}

void span_put_number(struct span *span, const char *key, int64_t number)
{
    attribute_new(span, key)->number = number;
}

void span_put_copy(struct span *span, const char *key, struct slice text)
{
    if (text.size == 0 || text.size >= SPAN_COPIES_MAX - span->copied || !is_visible(text))
        return;
    char *copy = span->copies + span->copied;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    span->copied += text.size + 1;
    span_put_text(span, key, copy);
}

/* By count and not by what waits, which only both sides together know for sure. */
void span_commit(struct span_ring *ring)
{
    size_t written = atomic_load_explicit(&ring->written, memory_order_relaxed) + 1;
    atomic_store_explicit(&ring->written, written, memory_order_release);
    if ((written & (ring->settings.wake_every - 1)) == 0)
        ring->settings.wake(ring->settings.owner);
}

size_t span_ring_count(const struct span_ring *ring)
{
    size_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    return atomic_load_explicit(&ring->written, memory_order_acquire) - read;
}

const struct span *span_ring_at(const struct span_ring *ring, size_t index)
{
    assert(index < span_ring_count(ring));
    size_t at = atomic_load_explicit(&ring->read, memory_order_relaxed) + index;
    return &ring->spans[at & (ring->settings.size - 1)];
}

void span_ring_drop(struct span_ring *ring, size_t count)
{
    assert(count <= span_ring_count(ring));
    size_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    atomic_store_explicit(&ring->read, read + count, memory_order_release);
}

static bool is_power_of_two(size_t number)
{
    return number > 0 && (number & (number - 1)) == 0;
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7F)
            return false;
    }
    return true;
}

static struct span_attribute *attribute_new(struct span *span, const char *key)
{
    assert(span->attribute_count < SPAN_ATTRIBUTES_MAX);
    struct span_attribute *attribute = &span->attributes[span->attribute_count++];
    *attribute = (struct span_attribute){.key = key};
    return attribute;
}
