/* Memory that dies together: many allocations, one free.
 *
 * Each call, connection and unit of background work has an arena.  Nothing outside may point into it.
 * An arena has a byte cap: a request cannot make us allocate without bound. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

#include <protobuf-c/protobuf-c.h>

#include <stddef.h>

struct arena;

/* A new arena whose allocations may add up to at most `cap` bytes (0: no cap).  Owner: the caller. */
struct arena *arena_new(size_t cap);
/* Frees everything at once.  Accepts NULL. */
void arena_free(struct arena *arena);
void arena_free_ptr(struct arena **arena); /* for AUTO */

/* Forgets all allocations, keeps the first chunk for reuse. */
void arena_reset(struct arena *arena);

/* 16-byte aligned, zeroed; never NULL.  Going over the cap is sticky: memory is still handed out
 * (small things on the error path must work) and arena_is_full() becomes true. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* Like arena_alloc, but not zeroed: for buffers that are filled at once. */
void *arena_alloc_raw(struct arena *arena, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *arena, const char *text) __attribute__((returns_nonnull));
/* A zero-terminated copy of bytes that need not be terminated. */
char *arena_strndup(struct arena *arena, const void *bytes, size_t size)
    __attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

/* True once the cap was exceeded. */
bool arena_is_full(const struct arena *arena);
/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

/* protobuf-c's allocator over the arena: unpacked messages need no freeing.  Its alloc returns NULL
 * once the cap would be exceeded, so unpacking fails cleanly.  Lives as long as the arena. */
ProtobufCAllocator *arena_protobuf(struct arena *arena);

#endif
