#include "cli/clocks.h"

#define DRIFT_PPM 500 /* of one clock against another, at most */

/* Each look holds, widened by how far clocks may have drifted since. */
void clocks_bounds(const struct clocks *c, nanos now, i64 *low, i64 *high)
{
    *low = INT64_MIN;
    *high = INT64_MAX;
    for (u32 i = 0; i < c->count && i < CLOCKS_SEEN; i++) {
        i64 drift = (i64)((now - c->seen[i].at) / 1000000 * DRIFT_PPM);
        if (c->seen[i].low - drift > *low) *low = c->seen[i].low - drift;
        if (c->seen[i].high + drift < *high) *high = c->seen[i].high + drift;
    }
}

bool clocks_see(struct clocks *c, u64 node_us, nanos asked, nanos answered)
{
    i64 node = (i64)(node_us * 1000), low, high; /* and up to a microsecond more */
    u32 at = c->count % CLOCKS_SEEN;

    c->seen[at].low = (i64)asked - node - 1000;
    c->seen[at].high = (i64)answered - node;
    c->seen[at].at = answered;
    if (++c->count == 2 * CLOCKS_SEEN) c->count = CLOCKS_SEEN;
    clocks_bounds(c, answered, &low, &high);
    if (low <= high) return true;
    c->seen[0] = c->seen[at];
    c->count = 1;
    return false;
}
