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

u8 *buf_reserve(struct buf *b, size_t bytes)
{
    size_t need = b->len + bytes;

    if (b->start + need <= b->cap && b->data) return b->data + b->start + b->len;
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

void buf_extend(struct buf *b, size_t bytes)
{
    assert(b->start + b->len + bytes <= b->cap);
    b->len += bytes;
}

err buf_append_try(struct buf *b, const void *data, size_t bytes)
{
    if (bytes > buf_room(b)) return ERR_FULL;
    mem_copy(buf_reserve(b, bytes), data, bytes);
    b->len += bytes;
    return OK;
}

void buf_append(struct buf *b, const void *data, size_t bytes)
{
    err e = buf_append_try(b, data, bytes);
    assert(e == OK);
}

void buf_consume(struct buf *b, size_t bytes)
{
    assert(bytes <= b->len);
    b->start += bytes;
    b->len -= bytes;
    if (b->len == 0) b->start = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
}

void buf_append_str(struct buf *b, str s) { buf_append(b, s.at, s.len); }
void buf_append_text(struct buf *b, const char *text) { buf_append(b, text, strlen(text)); }
void buf_append_u8(struct buf *b, u8 v) { buf_append(b, &v, 1); }
void buf_append_u16(struct buf *b, u16 v) { buf_append(b, &v, 2); }
void buf_append_u32(struct buf *b, u32 v) { buf_append(b, &v, 4); }
void buf_append_u64(struct buf *b, u64 v) { buf_append(b, &v, 8); }

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

void rcbuf_unref(struct rcbuf *r)
{
    if (!r) return;
    assert(r->refs > 0);
    if (--r->refs == 0) mem_free(r);
}

static const u8 *reader_take(struct reader *r, size_t bytes)
{
    if (UNLIKELY(r->bad || bytes > reader_left(r))) {
        r->bad = true;
        return NULL;
    }
    const u8 *at = r->at;
    r->at += bytes;
    return at;
}

u8 reader_u8(struct reader *r)
{
    const u8 *p = reader_take(r, 1);
    return p ? *p : 0;
}

u16 reader_u16(struct reader *r)
{
    const u8 *p = reader_take(r, 2);
    return p ? get_u16(p) : 0;
}

u32 reader_u32(struct reader *r)
{
    const u8 *p = reader_take(r, 4);
    return p ? get_u32(p) : 0;
}

u64 reader_u64(struct reader *r)
{
    const u8 *p = reader_take(r, 8);
    return p ? get_u64(p) : 0;
}

str reader_str(struct reader *r, size_t bytes)
{
    const u8 *p = reader_take(r, bytes);
    return p ? str_from(p, bytes) : str_from("", 0);
}
