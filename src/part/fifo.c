#include "part/part_internal.h"

#define FIRST_CAP 2 /* a power of two; thousands of partitions have one item now and then */

void fifo_init(struct fifo *f, size_t item_bytes)
{
    *f = (struct fifo){.item_bytes = item_bytes};
}

void fifo_done(struct fifo *f)
{
    mem_free(f->items);
    fifo_init(f, f->item_bytes);
}

void *fifo_at(struct fifo *f, size_t i)
{
    assert(i < f->count);
    return f->items + ((f->head + i) & (f->cap - 1)) * f->item_bytes;
}

void *fifo_push(struct fifo *f)
{
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : FIRST_CAP;
        u8 *items = mem_zalloc_array(cap, f->item_bytes);
        for (size_t i = 0; i < f->count; i++)
            mem_copy(items + i * f->item_bytes, fifo_at(f, i), f->item_bytes);
        mem_free(f->items);
        f->items = items;
        f->cap = cap;
        f->head = 0;
    }
    f->count++;
    void *place = fifo_at(f, f->count - 1);
    memset(place, 0, f->item_bytes);
    return place;
}

void *fifo_push_front(struct fifo *f)
{
    fifo_push(f);
    f->head = (f->head - 1) & (f->cap - 1);
    void *place = fifo_at(f, 0);
    memset(place, 0, f->item_bytes);
    return place;
}

void *fifo_first(struct fifo *f)
{
    return f->count ? fifo_at(f, 0) : NULL;
}

void fifo_trim(struct fifo *f)
{
    if (!f->count) fifo_done(f);
}

void fifo_pop(struct fifo *f)
{
    assert(f->count > 0);
    f->head = (f->head + 1) & (f->cap - 1);
    f->count--;
}
