/* A growing run of owned bytes with a limit. Appending beyond the limit is refused by the *_try
 * form and a bug in the plain form; consuming from the front is O(1) amortised. */
#pragma once

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

u8 *buf_reserve(struct buf *b, size_t bytes);          /* room at the end, not yet live */
void buf_extend(struct buf *b, size_t bytes);          /* make reserved bytes live */
void buf_append(struct buf *b, const void *data, size_t bytes);
MUST_USE err buf_append_try(struct buf *b, const void *data, size_t bytes);
void buf_consume(struct buf *b, size_t bytes);         /* drop from the front */
void buf_truncate(struct buf *b, size_t len);          /* drop from the end */
static inline void buf_clear(struct buf *b) { b->start = b->len = 0; }

void buf_append_str(struct buf *b, str s);
void buf_append_text(struct buf *b, const char *text);
void buf_append_u8(struct buf *b, u8 v);
void buf_append_u16(struct buf *b, u16 v); /* little-endian, as all our formats */
void buf_append_u32(struct buf *b, u32 v);
void buf_append_u64(struct buf *b, u64 v);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Immutable shared bytes with a reference count; not thread-safe, one reactor owns it. */
struct rcbuf {
    u32 refs, len;
    u8 data[];
};

struct rcbuf *rcbuf_new(size_t bytes); /* one reference; contents uninitialised, fill before sharing */
struct rcbuf *rcbuf_from(str s);
static inline struct rcbuf *rcbuf_ref(struct rcbuf *r) { r->refs++; return r; }
void rcbuf_unref(struct rcbuf *r); /* NULL is accepted */
static inline str rcbuf_str(const struct rcbuf *r) { return str_from(r->data, r->len); }

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
u8 reader_u8(struct reader *r);
u16 reader_u16(struct reader *r);
u32 reader_u32(struct reader *r);
u64 reader_u64(struct reader *r);
str reader_str(struct reader *r, size_t bytes); /* borrowed; empty when it overruns */
