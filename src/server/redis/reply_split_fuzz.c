/* A value is never longer than the input, and what it is found to be does not depend on what
 * follows. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    size_t len = redis_value_length(str_from(data, size));

    assert(len <= size);
    if (len == 0) return 0;
    u8 *alone = mem_copy_of(data, len); /* reads behind it are seen */
    assert(redis_value_length(str_from(alone, len)) == len);
    assert(redis_value_length(str_from(alone, len - 1)) == 0);
    mem_free(alone);
    return 0;
}
