/* Chunked bump allocation: 4 KiB first, doubling to 64 KiB; large requests get a chunk of their own. */
#include "base/arena.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_UNDER_ASAN 1
#endif
#endif

#ifdef ARENA_UNDER_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_GAP 16 /* poisoned bytes after each allocation: overruns inside a chunk are seen */
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ARENA_GAP 0
#endif

#define CHUNK_FIRST 4096
#define CHUNK_MAX 65536
#define ALIGNMENT 16

struct chunk {
    struct chunk *next; /* older chunk */
    size_t size;        /* bytes in data */
    size_t used;        /* bytes handed out */
    size_t pad;         /* keeps data aligned to 16 */
    uint8_t data[];
};

struct arena {
    struct chunk *newest; /* where small requests are served; its tail is the first chunk */
    size_t cap;           /* 0: none */
    size_t used;          /* bytes handed out */
    bool full;            /* sticky */
    ProtobufCAllocator protobuf;
};

static void *arena_take(struct arena *arena, size_t size);
static struct chunk *chunk_new(size_t size, struct chunk *next);
static void *protobuf_alloc(void *owner, size_t size);
static void protobuf_free(void *owner, void *memory);

struct arena *arena_new(size_t cap)
{
    struct arena *arena = xcalloc(1, sizeof *arena);
    arena->cap = cap;
    arena->newest = chunk_new(CHUNK_FIRST, NULL);
    arena->protobuf = (ProtobufCAllocator){
        .alloc = protobuf_alloc,
        .free = protobuf_free,
        .allocator_data = arena,
    };
    return arena;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    for (struct chunk *chunk = arena->newest; chunk != NULL;) {
        struct chunk *next = chunk->next;
        ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size);
        free(chunk);
        chunk = next;
    }
    free(arena);
}

void arena_free_ptr(struct arena **arena)
{
    arena_free(*arena);
    *arena = NULL;
}

/* The tail is the first chunk, of 4 KiB: a call that was large leaves nothing behind in the
 * pool. */
void arena_reset(struct arena *arena)
{
    struct chunk *chunk = arena->newest;
    while (chunk->next != NULL) {
        struct chunk *next = chunk->next;
        ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size);
        free(chunk);
        chunk = next;
    }
    chunk->used = 0;
    ASAN_POISON_MEMORY_REGION(chunk->data, chunk->size);
    arena->newest = chunk;
    arena->used = 0;
    arena->full = false;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory = arena_take(arena, size);
    memset(memory, 0, size);
    return memory;
}

void *arena_alloc_raw(struct arena *arena, size_t size)
{
    return arena_take(arena, size);
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_strndup(struct arena *arena, const void *bytes, size_t size)
{
    char *copy = arena_take(arena, size + 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    char *text = arena_take(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

bool arena_is_full(const struct arena *arena)
{
    return arena->full;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

ProtobufCAllocator *arena_protobuf(struct arena *arena)
{
    return &arena->protobuf;
}

/* What is left of the chunk before is given up until the reset. */
static void *arena_take(struct arena *arena, size_t size)
{
    assert(size < SIZE_MAX / 2);
    size_t step = (size + ARENA_GAP + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct chunk *chunk = arena->newest;
    if (step > chunk->size - chunk->used) {
        size_t wanted = chunk->size * 2 > CHUNK_MAX ? CHUNK_MAX : chunk->size * 2;
        arena->newest = chunk_new(step > wanted ? step : wanted, chunk);
        chunk = arena->newest;
    }
    uint8_t *memory = chunk->data + chunk->used;
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
    chunk->used += step;
    arena->used += step;
    if (arena->cap != 0 && arena->used > arena->cap)
        arena->full = true;
    return memory;
}

static struct chunk *chunk_new(size_t size, struct chunk *next)
{
    struct chunk *chunk = xmalloc(sizeof *chunk + size);
    *chunk = (struct chunk){.next = next, .size = size};
    ASAN_POISON_MEMORY_REGION(chunk->data, size);
    return chunk;
}

/* Refuses before it goes over, unlike arena_take(): protobuf-c knows how to fail, our own code
 * need not. */
static void *protobuf_alloc(void *owner, size_t size)
{
    struct arena *arena = owner;
    if (arena->full || (arena->cap != 0 && size > arena->cap - arena->used)) {
        arena->full = true;
        return NULL;
    }
    return arena_take(arena, size);
}

/* The arena frees as a whole. */
static void protobuf_free(void *owner, void *memory)
{
    (void)owner;
    (void)memory;
}
