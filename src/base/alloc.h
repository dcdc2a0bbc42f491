/* Heap allocation that never returns NULL: a failure aborts, because limits keep us far from it
 * and no caller could do anything better. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

/* The caller owns the memory and gives it back with free().  xcalloc zeroes and checks overflow. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *xrealloc(void *memory, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t size) __attribute__((malloc, returns_nonnull));

/* For AUTO: frees what the variable points to. */
void auto_free(void *pointer_to_pointer);

#endif
