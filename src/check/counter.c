/* A counter that starts at 0: INCR by one answers the sum, GET reads it. The answers name the order: an
 * INCR that answered r is the r-th to take effect, a GET of r comes after it and before the next. What is left
 * is to see that this order agrees with real time, and that every missing answer can be one of an
 * operation whose outcome is unknown. */
#include "check/checkers.h"

#include "base/mem.h"

#include <stdlib.h>

struct point {
    i64 sum;
    bool is_read;
    u32 place;
    nanos invoked, returned;
};

static int by_order(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (x->sum != y->sum) return x->sum < y->sum ? -1 : 1;
    if (x->is_read != y->is_read) return x->is_read ? 1 : -1;
    return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

static int by_time(const void *a, const void *b)
{
    const nanos *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* How many of the ascending times are below `before`? */
static u32 count_below(const nanos *times, u32 count, nanos before)
{
    u32 low = 0, high = count;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (times[middle] < before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void check_order(const struct history *h, const struct point *points, u32 count, const nanos *open,
                        u32 open_count, struct findings *f)
{
    const struct point *latest = NULL; /* the latest invocation so far */
    const struct point *previous = NULL; /* the latest INCR in the order */
    i64 acknowledged = 0;

    for (u32 i = 0; i < count; i++) {
        const struct point *p = &points[i];
        if (latest && p->returned < latest->invoked) {
            u32 pair[] = {latest->place, p->place};
            findings_violation(f, h, pair, 2, "the counter went back: the second was over before the first began");
            return;
        }
        if (!p->is_read) {
            if (previous && previous->sum == p->sum) {
                u32 pair[] = {previous->place, p->place};
                findings_violation(f, h, pair, 2, "two increments gave the same sum");
                return;
            }
            previous = p;
            acknowledged++;
        }
        i64 missing = p->sum - acknowledged;
        if (missing > count_below(open, open_count, p->returned)) {
            findings_violation(f, h, &p->place, 1, "the sum is larger than all increments so far can explain");
            return;
        }
        if (!latest || p->invoked > latest->invoked) latest = p;
    }
}

void check_counter(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    struct point *points = mem_zalloc_array(count + 1, sizeof *points);
    nanos *open = mem_zalloc_array(count + 1, sizeof *open);
    u32 point_count = 0, open_count = 0;
    bool readable = true;

    for (u32 i = 0; i < count && readable; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->op == HISTORY_INCR && e->outcome == HISTORY_UNKNOWN) open[open_count++] = e->invoked;
        if (e->outcome != HISTORY_OK) continue;
        struct point p = {.is_read = e->op == HISTORY_GET, .place = places[i], .invoked = e->invoked,
                          .returned = e->returned};
        bool starts = p.is_read && e->result == HISTORY_NULL;
        if (!starts && (!history_number(h, e->result, &p.sum) || p.sum < !p.is_read)) {
            findings_violation(f, h, &places[i], 1, "not the answer of a counter");
            readable = false;
        }
        points[point_count++] = p;
    }
    if (readable) {
        qsort(points, point_count, sizeof *points, by_order);
        qsort(open, open_count, sizeof *open, by_time);
        check_order(h, points, point_count, open, open_count, f);
    }
    mem_free(points);
    mem_free(open);
}
