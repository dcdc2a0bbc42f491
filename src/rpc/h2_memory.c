/* nghttp2's memory; see h2_memory.h.
 *
 * A call costs the library some ten small blocks.  They are kept in lists by size, so that taking one
 * is a pointer and not a search.  Blocks of a frame buffer's size are mapped: an idle connection has
 * touched one page of five, while a block of malloc(3) would lie where a TLS record has been and hold
 * all of it. */
#include "rpc/h2_memory.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SMALLEST 64u
#define SPARE_MAX 2048 /* of each size: 4 MiB of all at most */
/* nghttp2's frame buffers are 16 KiB and a little; larger ones are as rare and as long-lived. */
#define MAPPED_MIN (16u << 10)

/* In front of each block; its size keeps what follows aligned to 16. */
struct h2_block {
    struct h2_block *next; /* while spare */
    size_t size;           /* that can be used */
};

static void *take(size_t size, void *owner);
static void give(void *bytes, void *owner);
static void *take_zeroed(size_t count, size_t size, void *owner);
static void *resize(void *bytes, size_t size, void *owner);
static int class_of(size_t size);
static struct h2_block *block_make(size_t size);
static struct h2_block *block_of(void *bytes);

nghttp2_mem h2_memory_functions(struct h2_memory *memory)
{
    return (nghttp2_mem){memory, take, give, take_zeroed, resize};
}

void h2_memory_deinit(struct h2_memory *memory)
{
    for (int class = 0; class < H2_MEMORY_CLASSES; class++) {
        while (memory->spare[class] != NULL) {
            struct h2_block *block = memory->spare[class];
            memory->spare[class] = block->next;
            free(block);
        }
        memory->spare_count[class] = 0;
    }
}

static void *take(size_t size, void *owner)
{
    struct h2_memory *memory = owner;
    int class = class_of(size);
    if (class < 0)
        return block_make(size) + 1;
    struct h2_block *block = memory->spare[class];
    if (block == NULL)
        return block_make((size_t)SMALLEST << class) + 1;
    assert(memory->spare_count[class] > 0);
    memory->spare[class] = block->next;
    memory->spare_count[class]--;
    return block + 1;
}

static void give(void *bytes, void *owner)
{
    struct h2_memory *memory = owner;
    if (bytes == NULL)
        return;
    struct h2_block *block = block_of(bytes);
    int class = class_of(block->size);
    if (block->size >= MAPPED_MIN) {
        int rc = munmap(block, sizeof *block + block->size);
        assert(rc == 0);
        return;
    }
    if (class < 0 || memory->spare_count[class] == SPARE_MAX) {
        free(block);
        return;
    }
    block->next = memory->spare[class];
    memory->spare[class] = block;
    memory->spare_count[class]++;
}

static void *take_zeroed(size_t count, size_t size, void *owner)
{
    size_t all = 0;
    if (__builtin_mul_overflow(count, size, &all))
        return NULL;
    void *bytes = take(all, owner);
    if (all < MAPPED_MIN) /* fresh pages are zero */
        memset(bytes, 0, all);
    return bytes;
}

static void *resize(void *bytes, size_t size, void *owner)
{
    if (bytes == NULL)
        return take(size, owner);
    const struct h2_block *block = block_of(bytes);
    if (size <= block->size)
        return bytes;
    void *larger = take(size, owner);
    memcpy(larger, bytes, block->size);
    give(bytes, owner);
    return larger;
}

/* -1: too large for a list.  Under ASan nothing is kept, so that it sees a use after the end. */
static int class_of(size_t size)
{
#ifdef __SANITIZE_ADDRESS__
    (void)size;
    return -1;
#else
    for (int class = 0; class < H2_MEMORY_CLASSES; class++) {
        if (size <= (size_t)SMALLEST << class)
            return class;
    }
    return -1;
#endif
}

/* Aborts when there is none, as all of ours do. */
static struct h2_block *block_make(size_t size)
{
    struct h2_block *block = NULL;
    size += size == 0;
    if (size < MAPPED_MIN) {
        block = xmalloc(sizeof *block + size);
    } else {
        assert(size < SIZE_MAX / 2);
        block = mmap(NULL, sizeof *block + size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            abort();
    }
    block->size = size;
    return block;
}

static struct h2_block *block_of(void *bytes)
{
    struct h2_block *block = (struct h2_block *)bytes - 1;
    assert(block->size > 0);
    return block;
}
