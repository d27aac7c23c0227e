/* Requests: `*<count>\r\n` then count times `$<length>\r\n<bytes>\r\n`, or one inline line. The rules,
 * limits and sentences are those of Redis 7.0. As there, the two bytes behind a bulk are skipped
 * unseen, and the byte behind a header's '\r' too. */
#include "wire/resp/resp.h"
#include "wire/resp/resp_internal.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>

#define KEPT_SPANS 4096 /* a parser that met a huge request gives the memory back */

enum header {
    HEADER_MORE,     /* the line is not complete */
    HEADER_LINE,     /* complete, and its number is good */
    HEADER_BAD,      /* complete, not a number */
    HEADER_TOO_LONG, /* no end within RESP_INLINE_MAX */
};

void resp_parser_init(struct resp_parser *p, size_t bulk_max, size_t request_max)
{
    *p = (struct resp_parser){
        .args_wanted = -1,
        .bulk_wanted = -1,
        .bulk_max = bulk_max,
        .request_max = request_max ? request_max : SIZE_MAX,
    };
    buf_init(&p->inline_text, 0);
}

void resp_parser_done(struct resp_parser *p)
{
    mem_free(p->spans);
    mem_free(p->args);
    buf_done(&p->inline_text);
    resp_parser_init(p, p->bulk_max, p->request_max);
}

enum resp_status resp_refuse(struct resp_parser *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(p->problem, sizeof p->problem, format, args);
    va_end(args);
    return RESP_BAD;
}

void resp_add_argument(struct resp_parser *p, size_t at, size_t len)
{
    if (UNLIKELY(p->argc == p->arg_cap)) {
        p->arg_cap = p->arg_cap ? p->arg_cap * 2 : 16;
        p->spans = mem_resize_array(p->spans, p->arg_cap, sizeof *p->spans);
    }
    p->spans[p->argc++] = (struct resp_span){at, len};
}

enum resp_status resp_finish(struct resp_parser *p, const u8 *base, size_t bytes, size_t *consumed)
{
    if (UNLIKELY(p->argc > p->args_cap)) {
        p->args_cap = p->arg_cap;
        mem_free(p->args);
        p->args = mem_zalloc_array(p->args_cap, sizeof *p->args);
    }
    for (u32 i = 0; i < p->argc; i++)
        p->args[i] = str_from(base + p->spans[i].at, p->spans[i].len);
    p->at = 0;
    p->scanned = 0;
    p->args_wanted = -1;
    p->bulk_wanted = -1;
    *consumed = bytes;
    return RESP_REQUEST;
}

/* A new request begins. The arguments of the one before are dead by now. */
static void begin(struct resp_parser *p)
{
    p->argc = 0;
    if (UNLIKELY(p->arg_cap > KEPT_SPANS)) {
        mem_free(p->spans);
        mem_free(p->args);
        p->spans = NULL;
        p->args = NULL;
        p->arg_cap = 0;
        p->args_cap = 0;
    }
}

/* Nearly every header is a type byte, a few digits, "\r\n": read that without a second look at the
 * line. Anything else, also what only seems wrong, is left to header_line_slow. */
static inline bool header_line_fast(const u8 *line, size_t have, i64 *value, size_t *bytes)
{
    u32 n = 0;
    size_t i = 1;

    if (have < 4 || line[1] == '0') return false;
    for (; i < have && i < 9; i++) {
        u32 digit = (u32)line[i] - '0';
        if (digit > 9) break;
        n = n * 10 + digit;
    }
    if (i == 1 || i + 2 > have || line[i] != '\r') return false;
    *value = n;
    *bytes = i + 2;
    return true;
}

static enum header header_line_slow(struct resp_parser *p, str input, i64 *value, size_t *bytes)
{
    size_t from = size_max(p->at, p->scanned);
    const u8 *line = input.at + p->at;
    const u8 *end = memchr(input.at + from, '\r', input.len - from);
    size_t len = end ? (size_t)(end - line) : input.len - p->at;

    if (len > RESP_INLINE_MAX) return HEADER_TOO_LONG;
    p->scanned = p->at + len;
    if (!end || p->at + len + 2 > input.len) return HEADER_MORE;
    *bytes = len + 2;
    return len && str_to_i64(str_from(line + 1, len - 1), value) ? HEADER_LINE : HEADER_BAD;
}

static inline enum header header_line(struct resp_parser *p, str input, i64 *value, size_t *bytes)
{
    if (LIKELY(header_line_fast(input.at + p->at, input.len - p->at, value, bytes)))
        return HEADER_LINE;
    return header_line_slow(p, input, value, bytes);
}

static enum resp_status parse_count(struct resp_parser *p, str input)
{
    i64 count = 0;
    size_t bytes = 0;

    switch (header_line(p, input, &count, &bytes)) {
    case HEADER_MORE: return RESP_INCOMPLETE;
    case HEADER_TOO_LONG: return resp_refuse(p, "too big mbulk count string");
    case HEADER_BAD: return resp_refuse(p, "invalid multibulk length");
    case HEADER_LINE: break;
    }
    if (count > RESP_ARGS_MAX) return resp_refuse(p, "invalid multibulk length");
    p->at += bytes;
    p->args_wanted = count > 0 ? count : 0;
    return RESP_REQUEST;
}

static enum resp_status parse_bulk_length(struct resp_parser *p, str input)
{
    i64 length = 0;
    size_t bytes = 0;
    enum header h = HEADER_MORE;

    if (p->at < input.len) h = header_line(p, input, &length, &bytes);
    if (h == HEADER_MORE) return RESP_INCOMPLETE;
    if (h == HEADER_TOO_LONG) return resp_refuse(p, "too big bulk count string");
    if (UNLIKELY(input.at[p->at] != '$'))
        return resp_refuse(p, "expected '$', got '%c'", input.at[p->at]);
    if (UNLIKELY(h == HEADER_BAD || length < 0 || (u64)length > p->bulk_max))
        return resp_refuse(p, "invalid bulk length");
    if (UNLIKELY(p->at + bytes + (size_t)length + 2 > p->request_max))
        return resp_refuse(p, "too big request");
    p->at += bytes;
    p->bulk_wanted = length;
    return RESP_REQUEST;
}

enum resp_status resp_parse(struct resp_parser *p, str input, size_t *consumed)
{
    if (p->at == 0 && p->argc) begin(p);
    if (input.len == 0) return RESP_INCOMPLETE;
    if (input.at[0] != '*') return resp_parse_inline(p, input, consumed);
    if (p->args_wanted < 0) {
        enum resp_status s = parse_count(p, input);
        if (s != RESP_REQUEST) return s;
    }
    while (p->argc < p->args_wanted) {
        if (p->bulk_wanted < 0) {
            enum resp_status s = parse_bulk_length(p, input);
            if (s != RESP_REQUEST) return s;
        }
        size_t length = (size_t)p->bulk_wanted;
        if (input.len - p->at < length + 2) return RESP_INCOMPLETE;
        resp_add_argument(p, p->at, length);
        p->at += length + 2;
        p->bulk_wanted = -1;
    }
    assert(p->at <= input.len);
    return resp_finish(p, input.at, p->at, consumed);
}

size_t resp_parser_needs(const struct resp_parser *p, size_t have)
{
    if (p->bulk_wanted < 0) return 0;
    size_t whole = p->at + (size_t)p->bulk_wanted + 2;
    return whole > have ? whole - have : 0;
}
