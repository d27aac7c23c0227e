#include "sim/reply.h"

static bool read_line(str *rest, str *line)
{
    const u8 *end = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
    if (!end) return false;
    size_t bytes = (size_t)(end - rest->at) + 1;
    *line = str_from(rest->at, bytes >= 2 ? bytes - 2 : 0);
    *rest = str_from(rest->at + bytes, rest->len - bytes);
    return true;
}

static enum reply_status read_bulk(str *rest, i64 bytes, str *out)
{
    if ((i64)rest->len < bytes + 2) return REPLY_INCOMPLETE;
    if (rest->at[bytes] != '\r' || rest->at[bytes + 1] != '\n') return REPLY_BAD;
    *out = str_from(rest->at, (size_t)bytes);
    *rest = str_from(rest->at + bytes + 2, rest->len - (size_t)bytes - 2);
    return REPLY_READY;
}

static enum reply_status read_one(struct reply_reader *r, str *rest, struct reply *out, u32 depth);

static enum reply_status read_items(struct reply_reader *r, str *rest, i64 count, struct reply *out, u32 depth)
{
    bool fits = count <= REPLY_ITEMS_MAX - (i64)r->used;

    out->kind = REPLY_ARRAY;
    out->count = fits ? (u32)count : 0;
    out->items = fits ? &r->pool[r->used] : NULL;
    if (fits) r->used += (u32)count;
    for (i64 i = 0; i < count; i++) {
        struct reply spare;
        enum reply_status s = read_one(r, rest, fits ? &out->items[i] : &spare, depth + 1);
        if (s != REPLY_READY) return s;
    }
    return REPLY_READY;
}

static enum reply_status read_one(struct reply_reader *r, str *rest, struct reply *out, u32 depth)
{
    str line;

    *out = (struct reply){0};
    if (depth > 8) return REPLY_BAD;
    if (!read_line(rest, &line)) return REPLY_INCOMPLETE;
    if (line.len == 0) return REPLY_BAD;
    str tail = str_from(line.at + 1, line.len - 1);
    i64 number = 0;
    bool is_number = str_to_i64(tail, &number);

    out->text = tail;
    switch (line.at[0]) {
    case '+': out->kind = REPLY_SIMPLE; return REPLY_READY;
    case '-': out->kind = REPLY_ERROR; return REPLY_READY;
    case '_': out->kind = REPLY_NULL; return REPLY_READY;
    case ':':
        out->kind = REPLY_INTEGER;
        out->integer = number;
        return is_number ? REPLY_READY : REPLY_BAD;
    case '$':
        if (!is_number || number < -1) return REPLY_BAD;
        out->kind = number < 0 ? REPLY_NULL : REPLY_BULK;
        return number < 0 ? REPLY_READY : read_bulk(rest, number, &out->text);
    case '*':
        if (!is_number || number < -1) return REPLY_BAD;
        out->kind = REPLY_NULL;
        return number < 0 ? REPLY_READY : read_items(r, rest, number, out, depth);
    default: return REPLY_BAD;
    }
}

enum reply_status reply_read(struct reply_reader *r, str input, struct reply *out, size_t *consumed)
{
    str rest = input;

    r->used = 0;
    enum reply_status s = read_one(r, &rest, out, 0);
    if (s == REPLY_READY) *consumed = input.len - rest.len;
    return s;
}

bool reply_is_error(const struct reply *r, const char *name)
{
    size_t bytes = strlen(name);
    return r->kind == REPLY_ERROR && r->text.len >= bytes && mem_equal(r->text.at, name, bytes) &&
           (r->text.len == bytes || r->text.at[bytes] == ' ');
}
