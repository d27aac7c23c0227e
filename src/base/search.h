/* Binary search of sorted tables. */
#pragma once

#include "base/types.h"

/* Sets at (a u32) to the first place of 0..count-1 whose row is not below what is sought, or to
 * count. `is_below` is an expression of at, true for the rows before that place and false from it
 * on. */
#define LOWER_BOUND(at, count, is_below)                                                           \
    do {                                                                                           \
        u32 low_ = 0, high_ = (count);                                                             \
        while (low_ < high_) {                                                                     \
            (at) = low_ + (high_ - low_) / 2;                                                      \
            if (is_below)                                                                          \
                low_ = (at) + 1;                                                                   \
            else                                                                                   \
                high_ = (at);                                                                      \
        }                                                                                          \
        (at) = low_;                                                                               \
    } while (0)
