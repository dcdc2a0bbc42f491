/* Memory for nghttp2, per worker: its small blocks come back in moments and in few sizes, its one
 * large block per connection is hardly touched.  Worker's thread only. */
#ifndef RPC_H2_MEMORY_H
#define RPC_H2_MEMORY_H

#include <nghttp2/nghttp2.h>

#include <stddef.h>

#define H2_MEMORY_CLASSES 5 /* 64, 128, 256, 512 and 1024 bytes */

struct h2_block;

/* All zero is an empty one. */
struct h2_memory {
    struct h2_block *spare[H2_MEMORY_CLASSES];
    size_t spare_count[H2_MEMORY_CLASSES];
};

/* The library's view of it; valid as long as `memory`, which must outlive all sessions made with it. */
nghttp2_mem h2_memory_functions(struct h2_memory *memory);
/* Gives the spare blocks back. */
void h2_memory_deinit(struct h2_memory *memory);

#endif
