#include "sim/chance.h"

/* -ln(u) for u uniform in (0, 1): the leading zeros of u give the whole binary digits of -log2(u), a
 * straight line between powers of two the rest. Good to 6%, and the same on every machine, which
 * log() of a C library is not. */
nanos chance_exponential(struct prng *p, nanos mean)
{
    u64 u = prng_next(p) | 1;
    u32 zeros = (u32)__builtin_clzll(u);
    u64 fraction = (u << zeros) << 1 >> 44; /* 20 bits below the leading one */
    u64 log2_q20 = ((u64)(zeros + 1) << 20) - fraction;
    u64 ln_q20 = log2_q20 * 45426 >> 16; /* times ln 2 */
    return (nanos)(((unsigned __int128)mean * ln_q20) >> 20);
}
