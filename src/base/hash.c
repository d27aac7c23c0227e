#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

u64 hash64(const void *data, size_t bytes) { return XXH3_64bits(data, bytes); }
