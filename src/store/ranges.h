/* Ranges copied from a caller, for the stages of both engines. */
#pragma once

#include "base/assert.h"
#include "base/mem.h"
#include "store/kvs.h"

struct range_set {
    struct kvs_range *range; /* ascending, not overlapping */
    u32 count;
    struct buf bounds;
};

static inline void range_set_init(struct range_set *r, const struct kvs_range *ranges, u32 count)
{
    size_t bytes = 0;
    for (u32 i = 0; i < count; i++) {
        assert(str_compare(ranges[i].lower, ranges[i].upper) < 0);
        assert(i == 0 || str_compare(ranges[i - 1].upper, ranges[i].lower) <= 0);
        bytes += ranges[i].lower.len + ranges[i].upper.len;
    }
    *r = (struct range_set){.range = mem_zalloc_array(count, sizeof *r->range), .count = count};
    u8 *at = buf_reserve(&r->bounds, bytes);
    for (u32 i = 0; i < count; i++) {
        str lower = ranges[i].lower, upper = ranges[i].upper;
        mem_copy(at, lower.at, lower.len);
        mem_copy(at + lower.len, upper.at, upper.len);
        r->range[i] = (struct kvs_range){str_from(at, lower.len), str_from(at + lower.len, upper.len)};
        at += lower.len + upper.len;
    }
}

static inline void range_set_done(struct range_set *r)
{
    mem_free(r->range);
    buf_done(&r->bounds);
}

static inline bool range_set_has(const struct range_set *r, str key)
{
    for (u32 i = 0; i < r->count; i++)
        if (str_compare(r->range[i].lower, key) <= 0 && str_compare(key, r->range[i].upper) < 0)
            return true;
    return false;
}
