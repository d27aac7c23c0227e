#include "base/buf.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *b, size_t limit) { *b = (struct buf){.limit = limit}; }

void buf_done(struct buf *b)
{
    mem_free(b->data);
    buf_init(b, b->limit);
}

u8 *buf_make_room(struct buf *b, size_t bytes)
{
    size_t need = b->len + bytes;

    if (b->start) {
        memmove(b->data, b->data + b->start, b->len);
        b->start = 0;
    }
    if (need > b->cap || !b->data) {
        size_t cap = size_max(b->cap + b->cap / 2, 256);
        b->cap = size_max(cap, need);
        b->data = mem_resize(b->data, b->cap);
    }
    return b->data + b->len;
}

err buf_append_try(struct buf *b, const void *data, size_t bytes)
{
    if (bytes > buf_room(b)) return ERR_FULL;
    mem_copy(buf_reserve(b, bytes), data, bytes);
    b->len += bytes;
    return OK;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int bytes = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(bytes >= 0);
    assert((size_t)bytes <= buf_room(b));
    u8 *at = buf_reserve(b, (size_t)bytes + 1);
    va_start(args, format);
    vsnprintf((char *)at, (size_t)bytes + 1, format, args);
    va_end(args);
    b->len += (size_t)bytes;
}

struct rcbuf *rcbuf_new(size_t bytes)
{
    assert(bytes <= UINT32_MAX);
    struct rcbuf *r = mem_alloc(sizeof *r + bytes);
    *r = (struct rcbuf){.refs = 1, .len = (u32)bytes};
    return r;
}

struct rcbuf *rcbuf_from(str s)
{
    struct rcbuf *r = rcbuf_new(s.len);
    mem_copy(r->data, s.at, s.len);
    return r;
}

struct rcblock {
    size_t refs, used, cap;
    u8 bytes[];
};

_Static_assert(sizeof(struct rcblock) % 8 == 0 && sizeof(struct rcbuf) % 8 == 0,
               "every rcbuf of a block is aligned");

struct rcblock *rcblock_new(size_t bytes)
{
    struct rcblock *b = mem_alloc(sizeof *b + bytes);
    *b = (struct rcblock){.refs = 1, .cap = bytes};
    return b;
}

void rcblock_unref(struct rcblock *b)
{
    if (!b) return;
    assert(b->refs > 0);
    if (--b->refs == 0) mem_free(b);
}

struct rcbuf *rcblock_take(struct rcblock *b, size_t bytes)
{
    size_t whole = rcblock_bytes(bytes);

    assert(bytes <= UINT32_MAX);
    if (whole > b->cap - b->used) return NULL;
    struct rcbuf *r = (struct rcbuf *)(void *)(b->bytes + b->used);
    *r = (struct rcbuf){.refs = 1, .len = (u32)bytes, .block = b};
    b->used += whole;
    b->refs++;
    return r;
}

void rcbuf_free(struct rcbuf *r)
{
    if (r->block)
        rcblock_unref(r->block);
    else
        mem_free(r);
}
