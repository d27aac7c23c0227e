/* A growing run of owned bytes with a limit. Appending beyond the limit is refused by the *_try
 * form and a bug in the plain form; consuming from the front is O(1) amortised. */
#pragma once

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "base/types.h"

struct buf {
    u8 *data;     /* owned; the first live byte is data[start] */
    size_t start; /* consumed bytes still in front */
    size_t len;   /* live bytes */
    size_t cap;
    size_t limit; /* most live bytes; 0: no limit but memory */
};

void buf_init(struct buf *b, size_t limit);
void buf_done(struct buf *b); /* gives memory back; b stays usable and empty */

/* NULL + 0 is undefined, and an empty buf has no data. */
static inline u8 *buf_bytes(const struct buf *b) { return b->data ? b->data + b->start : NULL; }
static inline str buf_str(const struct buf *b) { return str_from(buf_bytes(b), b->len); }
static inline size_t buf_room(const struct buf *b) { return b->limit ? b->limit - b->len : SIZE_MAX / 2; }

MUST_USE err buf_append_try(struct buf *b, const void *data, size_t bytes);
u8 *buf_make_room(struct buf *b, size_t bytes); /* move or grow: the rare half of buf_reserve */

/* Room at the end, not yet live. */
static inline u8 *buf_reserve(struct buf *b, size_t bytes)
{
    if (LIKELY(b->start + b->len + bytes <= b->cap && b->data)) return b->data + b->start + b->len;
    return buf_make_room(b, bytes);
}

/* Make reserved bytes live. */
static inline void buf_extend(struct buf *b, size_t bytes)
{
    assert(b->start + b->len + bytes <= b->cap);
    b->len += bytes;
}

/* Drop from the front. */
static inline void buf_consume(struct buf *b, size_t bytes)
{
    assert(bytes <= b->len);
    b->start += bytes;
    b->len -= bytes;
    if (b->len == 0) b->start = 0;
}

/* Drop from the end. */
static inline void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
}
static inline void buf_clear(struct buf *b) { b->start = b->len = 0; }

static inline void buf_append(struct buf *b, const void *data, size_t bytes)
{
    assert(bytes <= buf_room(b));
    mem_copy(buf_reserve(b, bytes), data, bytes);
    b->len += bytes;
}
static inline void buf_append_str(struct buf *b, str s) { buf_append(b, s.at, s.len); }
static inline void buf_append_text(struct buf *b, const char *text) { buf_append(b, text, strlen(text)); }

/* Little-endian, as all our formats. */
static inline void buf_append_u8(struct buf *b, u8 v) { buf_append(b, &v, 1); }
static inline void buf_append_u16(struct buf *b, u16 v) { buf_append(b, &v, 2); }
static inline void buf_append_u32(struct buf *b, u32 v) { buf_append(b, &v, 4); }
static inline void buf_append_u64(struct buf *b, u64 v) { buf_append(b, &v, 8); }
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Immutable shared bytes with a reference count; not thread-safe, one reactor owns it. */
struct rcbuf {
    u32 refs, len;
    struct rcblock *block; /* where it lies; NULL: it is an allocation of its own */
    u8 data[];
};

struct rcbuf *rcbuf_new(size_t bytes); /* one reference; contents uninitialised, fill before sharing */
struct rcbuf *rcbuf_from(str s);
static inline struct rcbuf *rcbuf_ref(struct rcbuf *r) { r->refs++; return r; }
void rcbuf_free(struct rcbuf *r); /* for rcbuf_unref */
static inline void rcbuf_unref(struct rcbuf *r) /* NULL is accepted */
{
    if (!r) return;
    assert(r->refs > 0);
    if (--r->refs == 0) rcbuf_free(r);
}
static inline str rcbuf_str(const struct rcbuf *r) { return str_from(r->data, r->len); }

/* One allocation for many rcbufs that are made and dropped in one order, as entries of a log are. It goes with
 * the last of them, so one that stays keeps them all. */
struct rcblock *rcblock_new(size_t bytes); /* one reference: the maker's */
void rcblock_unref(struct rcblock *b);     /* NULL is accepted */
struct rcbuf *rcblock_take(struct rcblock *b, size_t bytes); /* NULL: full */
static inline size_t rcblock_bytes(size_t bytes) /* what one takes */
{
    return (sizeof(struct rcbuf) + bytes + 7) / 8 * 8;
}

/* A bounds-checked reader over borrowed bytes. After the first overrun `bad` stays set and reads
 * give zeros, so a decoder may check once at its end. */
struct reader {
    const u8 *at, *end;
    bool bad;
};

static inline struct reader reader_of(str s)
{
    return (struct reader){s.at, s.len ? s.at + s.len : s.at, false};
}
static inline size_t reader_left(const struct reader *r) { return (size_t)(r->end - r->at); }

/* A decoder has read everything it wanted, and nothing is left over. */
MUST_USE static inline err reader_end(const struct reader *r)
{
    return r->bad || reader_left(r) ? ERR_MALFORMED : OK;
}

static inline const u8 *reader_take(struct reader *r, size_t bytes) /* NULL when it overruns */
{
    if (UNLIKELY(r->bad || bytes > reader_left(r))) {
        r->bad = true;
        return NULL;
    }
    const u8 *at = r->at;
    r->at += bytes;
    return at;
}
static inline u8 reader_u8(struct reader *r)
{
    const u8 *p = reader_take(r, 1);
    return p ? *p : 0;
}
static inline u16 reader_u16(struct reader *r)
{
    const u8 *p = reader_take(r, 2);
    return p ? get_u16(p) : 0;
}
static inline u32 reader_u32(struct reader *r)
{
    const u8 *p = reader_take(r, 4);
    return p ? get_u32(p) : 0;
}
static inline u64 reader_u64(struct reader *r)
{
    const u8 *p = reader_take(r, 8);
    return p ? get_u64(p) : 0;
}
static inline str reader_str(struct reader *r, size_t bytes) /* borrowed; empty when it overruns */
{
    const u8 *p = reader_take(r, bytes);
    return p ? str_from(p, bytes) : str_from("", 0);
}
