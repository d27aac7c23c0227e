#include "sim/heap.h"

#include "base/mem.h"

static bool before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void heap_done(struct heap *h)
{
    mem_free(h->items);
    *h = (struct heap){0};
}

void heap_push(struct heap *h, const struct event *e)
{
    if (h->count == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 256;
        h->items = mem_resize_array(h->items, h->cap, sizeof *h->items);
    }
    u32 at = h->count++;
    while (at > 0) {
        u32 parent = (at - 1) / 2;
        if (!before(e, &h->items[parent])) break;
        h->items[at] = h->items[parent];
        at = parent;
    }
    h->items[at] = *e;
}

bool heap_pop(struct heap *h, struct event *out)
{
    if (h->count == 0) return false;
    *out = h->items[0];

    struct event last = h->items[--h->count];
    u32 at = 0;
    for (;;) {
        u32 child = 2 * at + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && before(&h->items[child + 1], &h->items[child])) child++;
        if (!before(&h->items[child], &last)) break;
        h->items[at] = h->items[child];
        at = child;
    }
    h->items[at] = last;
    return true;
}
