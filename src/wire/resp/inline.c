/* Inline requests: one line of words for people and telnet. A word may hold quoted parts: "..." with
 * \n \r \t \b \a \xHH and \ before any other byte, '...' with \' alone. A closing quote must be
 * followed by a space or the end. */
#include "wire/resp/resp_internal.h"

#include "base/assert.h"
#include "base/hex.h"

static bool is_space(u8 c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Fewer bytes end a word than may stand between words, as in Redis. */
static bool ends_word(u8 c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static u8 escaped(u8 c)
{
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* What follows an opening double quote. False: it never closes, or not at a word's end. */
static bool unquote_double(str line, size_t *at, struct buf *out)
{
    size_t i = *at;

    for (; i < line.len; i++) {
        u8 c = line.at[i];
        if (c == '"') {
            *at = i + 1;
            return i + 1 == line.len || is_space(line.at[i + 1]);
        }
        if (c == '\\' && i + 3 < line.len && line.at[i + 1] == 'x' &&
            hex_digit(line.at[i + 2]) >= 0 && hex_digit(line.at[i + 3]) >= 0) {
            c = (u8)(hex_digit(line.at[i + 2]) << 4 | hex_digit(line.at[i + 3]));
            i += 3;
        } else if (c == '\\' && i + 1 < line.len) {
            c = escaped(line.at[++i]);
        }
        buf_append_u8(out, c);
    }
    return false;
}

static bool unquote_single(str line, size_t *at, struct buf *out)
{
    size_t i = *at;

    for (; i < line.len; i++) {
        u8 c = line.at[i];
        if (c == '\'') {
            *at = i + 1;
            return i + 1 == line.len || is_space(line.at[i + 1]);
        }
        if (c == '\\' && i + 1 < line.len && line.at[i + 1] == '\'') c = line.at[++i];
        buf_append_u8(out, c);
    }
    return false;
}

/* One word from *at, which is no space. A quote opens inside a word, too: a"b" is ab. */
static bool split_word(str line, size_t *at, struct buf *out)
{
    while (*at < line.len && !ends_word(line.at[*at])) {
        u8 c = line.at[(*at)++];
        if (c == '"' || c == '\'')
            return c == '"' ? unquote_double(line, at, out) : unquote_single(line, at, out);
        buf_append_u8(out, c);
    }
    return true;
}

enum resp_status resp_parse_inline(struct resp_parser *p, str input, size_t *consumed)
{
    assert(p->at == 0);
    assert(p->scanned <= input.len);
    const u8 *end = memchr(input.at + p->scanned, '\n', input.len - p->scanned);
    size_t len = end ? (size_t)(end - input.at) : input.len;

    if (len > RESP_INLINE_MAX) return resp_refuse(p, "too big inline request");
    p->scanned = len;
    if (!end) return RESP_INCOMPLETE;
    if (len + 1 > p->request_max) return resp_refuse(p, "too big request");

    str line = {input.at, len};
    if (line.len && line.at[line.len - 1] == '\r') line.len--;
    buf_clear(&p->inline_text);
    for (size_t at = 0; at < line.len;) {
        if (is_space(line.at[at])) {
            at++;
            continue;
        }
        size_t from = p->inline_text.len;
        if (!split_word(line, &at, &p->inline_text))
            return resp_refuse(p, "unbalanced quotes in request");
        resp_add_argument(p, from, p->inline_text.len - from);
    }
    buf_reserve(&p->inline_text, 1); /* so that an empty argument has an address */
    return resp_finish(p, buf_bytes(&p->inline_text), len + 1, consumed);
}
