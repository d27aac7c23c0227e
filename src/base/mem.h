/* The only door to malloc. Allocation does not fail: out of memory is a panic, and because every
 * acknowledged write is on disk a panic loses nothing. Sizes are computed by these helpers only. */
#pragma once

#include "base/types.h"

#include <string.h>

void *mem_alloc(size_t bytes);                            /* uninitialised */
void *mem_zalloc(size_t bytes);                           /* zero-filled */
void *mem_zalloc_array(size_t count, size_t bytes);       /* zero-filled, overflow checked */
void *mem_resize(void *old, size_t bytes);
void *mem_resize_array(void *old, size_t count, size_t bytes);
void *mem_alloc_aligned(size_t alignment, size_t bytes);  /* free with mem_free */
void *mem_copy_of(const void *data, size_t bytes);
char *mem_strdup(const char *text);
void mem_free(void *p);                                   /* NULL is accepted */

/* Copy and compare, accepting (NULL, 0). */
static inline void mem_copy(void *to, const void *from, size_t bytes)
{
    if (bytes) memcpy(to, from, bytes);
}
static inline bool mem_equal(const void *a, const void *b, size_t bytes)
{
    return bytes == 0 || memcmp(a, b, bytes) == 0;
}
