/* Parts of strings: APPEND, STRLEN, GETRANGE, SETRANGE. */
#include "kv/kv_internal.h"

#include "base/assert.h"

static bool fits(struct kv_call *c, u64 bytes, size_t more)
{
    u64 whole;

    if (!__builtin_add_overflow(bytes, (u64)more, &whole) && whole <= c->kv->options.value_bytes_max)
        return true;
    resp_error(&c->w, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

void cmd_append(struct kv_call *c)
{
    struct kv_row row;
    bool found;
    str more = c->argv[2];
    struct buf *whole = &c->kv->value;

    if (!kv_find_string(c, 1, &row, &found)) return;
    if (!found) {
        kv_put(c, c->db, c->argv[1], NULL, more, head_flags_of(more), 0);
        resp_integer(&c->w, (i64)more.len);
        return;
    }
    if (!fits(c, row.value.len, more.len)) return;
    buf_clear(whole);
    buf_reserve(whole, row.value.len + more.len);
    buf_append_str(whole, row.value);
    buf_append_str(whole, more);
    kv_put(c, c->db, c->argv[1], &row, buf_str(whole), HEAD_RAW, row.head.expire_us);
    resp_integer(&c->w, (i64)whole->len);
}

void cmd_strlen(struct kv_call *c)
{
    struct kv_row row;
    bool found;

    if (kv_find_string(c, 1, &row, &found)) resp_integer(&c->w, found ? (i64)row.value.len : 0);
}

void cmd_getrange(struct kv_call *c)
{
    struct kv_row row;
    bool found;
    i64 start, end;

    if (!kv_get_i64(c, c->argv[2], &start) || !kv_get_i64(c, c->argv[3], &end)) return;
    if (!kv_find_string(c, 1, &row, &found)) return;
    i64 len = found ? (i64)row.value.len : 0;
    bool empty = start < 0 && end < 0 && start > end; /* before either is cut to 0 */
    if (start < 0) start += len;
    if (end < 0) end += len;
    if (start < 0) start = 0;
    if (end < 0) end = 0;
    if (end >= len) end = len - 1;
    if (empty || start > end || len == 0)
        resp_bulk(&c->w, STR(""));
    else
        resp_bulk(&c->w, str_from(row.value.at + start, (size_t)(end - start + 1)));
}

void cmd_setrange(struct kv_call *c)
{
    struct kv_row row;
    bool found;
    i64 offset;
    str part = c->argv[3];
    struct buf *whole = &c->kv->value;

    if (!kv_get_i64(c, c->argv[2], &offset)) return;
    if (offset < 0) {
        resp_error(&c->w, "ERR offset is out of range");
        return;
    }
    if (!kv_find_string(c, 1, &row, &found)) return;
    if (part.len == 0) {
        resp_integer(&c->w, found ? (i64)row.value.len : 0);
        return;
    }
    if (!fits(c, (u64)offset, part.len)) return;
    size_t old_len = found ? row.value.len : 0;
    size_t at = (size_t)offset;
    size_t len = size_max(old_len, at + part.len);
    buf_clear(whole);
    u8 *bytes = buf_reserve(whole, len);
    if (found) mem_copy(bytes, row.value.at, old_len);
    if (at > old_len) memset(bytes + old_len, 0, at - old_len);
    memcpy(bytes + at, part.at, part.len);
    buf_extend(whole, len);
    kv_put(c, c->db, c->argv[1], found ? &row : NULL, buf_str(whole), HEAD_RAW,
           found ? row.head.expire_us : 0);
    resp_integer(&c->w, (i64)len);
}
