#include "base/crc.h"

#include <isa-l/crc.h>

u32 crc32c_more(u32 crc, const void *data, size_t bytes)
{
    unsigned char *at = (unsigned char *)(uintptr_t)data; /* ISA-L reads only, but says not so */
    u32 state = ~crc;

    while (bytes) {
        int step = bytes > (1u << 30) ? (1 << 30) : (int)bytes; /* its length is an int */
        state = crc32_iscsi(at, step, state);
        at += step;
        bytes -= (size_t)step;
    }
    return ~state;
}

u32 crc32c(const void *data, size_t bytes) { return crc32c_more(0, data, bytes); }
