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
    r->refs = 1;
    r->len = (u32)bytes;
    return r;
}

struct rcbuf *rcbuf_from(str s)
{
    struct rcbuf *r = rcbuf_new(s.len);
    mem_copy(r->data, s.at, s.len);
    return r;
}
