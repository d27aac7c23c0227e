/* CRC-32C (Castagnoli, RFC 3720 B.4): "123456789" gives 0xe3069283. */
#pragma once

#include "base/types.h"

u32 crc32c(const void *data, size_t bytes);
u32 crc32c_more(u32 crc, const void *data, size_t bytes); /* continue: crc of the concatenation */
