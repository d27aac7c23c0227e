#include "base/mem.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#ifdef QUORATE_FAULTS
/* Test builds: fail the k-th allocation, k from QUORATE_FAIL_ALLOC (1 is the first). */
static bool allocation_fails(void)
{
    static _Atomic u64 count;
    static _Atomic u64 fail_at = UINT64_MAX;
    if (fail_at == UINT64_MAX) {
        const char *k = getenv("QUORATE_FAIL_ALLOC");
        fail_at = k ? strtoull(k, NULL, 10) : 0;
    }
    return fail_at && ++count == fail_at;
}
#else
static bool allocation_fails(void) { return false; }
#endif

static void *checked(void *p, size_t bytes)
{
    if (UNLIKELY(!p || allocation_fails()))
        panic("out of memory: %zu bytes refused; every acknowledged write is on disk, "
              "lower --memory or add memory and start again",
              bytes);
    return p;
}

static size_t array_bytes(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) panic("allocation size overflows");
    return total;
}

void *mem_alloc(size_t bytes) { return checked(malloc(bytes ? bytes : 1), bytes); }
void *mem_zalloc(size_t bytes) { return checked(calloc(1, bytes ? bytes : 1), bytes); }
void *mem_zalloc_array(size_t count, size_t bytes) { return mem_zalloc(array_bytes(count, bytes)); }
void *mem_resize(void *old, size_t bytes) { return checked(realloc(old, bytes ? bytes : 1), bytes); }

void *mem_resize_array(void *old, size_t count, size_t bytes)
{
    return mem_resize(old, array_bytes(count, bytes));
}

void *mem_alloc_aligned(size_t alignment, size_t bytes)
{
    return checked(aligned_alloc(alignment, round_up(bytes, alignment)), bytes);
}

void *mem_copy_of(const void *data, size_t bytes)
{
    void *p = mem_alloc(bytes);
    mem_copy(p, data, bytes);
    return p;
}

char *mem_strdup(const char *text) { return mem_copy_of(text, strlen(text) + 1); }
void mem_free(void *p) { free(p); }
