/* Replies. RESP2 has no maps, sets, pushes, booleans, doubles, verbatim strings and no null of its
 * own; they become what Redis 7 sends to a RESP2 client. */
#include "wire/resp/resp.h"

#include "base/assert.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define HEADER_MAX (1 + RESP_I64_TEXT + 2)

u32 resp_format_i64(i64 v, u8 out[RESP_I64_TEXT])
{
    u8 digits[RESP_I64_TEXT];
    u64 left = v < 0 ? 0 - (u64)v : (u64)v;
    u32 count = 0, len = 0;

    do {
        digits[count++] = (u8)('0' + left % 10);
        left /= 10;
    } while (left);
    if (v < 0) out[len++] = '-';
    while (count) out[len++] = digits[--count];
    return len;
}

static void put_header(struct buf *out, u8 type, i64 number)
{
    u8 *at = buf_reserve(out, HEADER_MAX);
    u32 len;

    at[0] = type;
    if (number >= 0 && number < 10) {
        at[1] = (u8)('0' + number);
        len = 2;
    } else {
        len = 1 + resp_format_i64(number, at + 1);
    }
    at[len] = '\r';
    at[len + 1] = '\n';
    buf_extend(out, len + 2);
}

void resp_simple(struct resp_writer *w, const char *text)
{
    size_t len = strlen(text);
    u8 *at = buf_reserve(w->out, len + 3);

    at[0] = '+';
    memcpy(at + 1, text, len);
    memcpy(at + 1 + len, "\r\n", 2);
    buf_extend(w->out, len + 3);
}

/* An error is one line whatever was put into it. */
static void end_error_line(struct buf *out, size_t from)
{
    u8 *at = buf_bytes(out);

    while (out->len > from && (at[out->len - 1] == '\r' || at[out->len - 1] == '\n'))
        buf_truncate(out, out->len - 1);
    for (size_t i = from; i < out->len; i++)
        if (at[i] == '\r' || at[i] == '\n') at[i] = ' ';
    buf_append(out, "\r\n", 2);
}

void resp_error(struct resp_writer *w, const char *text)
{
    buf_append_u8(w->out, '-');
    size_t from = w->out->len;

    buf_append_text(w->out, text);
    end_error_line(w->out, from);
}

void resp_errorf(struct resp_writer *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int bytes = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(bytes >= 0);
    buf_append_u8(w->out, '-');
    size_t from = w->out->len;
    u8 *at = buf_reserve(w->out, (size_t)bytes + 1);
    va_start(args, format);
    vsnprintf((char *)at, (size_t)bytes + 1, format, args);
    va_end(args);
    buf_extend(w->out, (size_t)bytes);
    end_error_line(w->out, from);
}

void resp_integer(struct resp_writer *w, i64 v) { put_header(w->out, ':', v); }

static void put_blob(struct buf *out, u8 type, str s)
{
    put_header(out, type, (i64)s.len);
    u8 *at = buf_reserve(out, s.len + 2);
    mem_copy(at, s.at, s.len);
    memcpy(at + s.len, "\r\n", 2);
    buf_extend(out, s.len + 2);
}

void resp_bulk(struct resp_writer *w, str s) { put_blob(w->out, '$', s); }

void resp_bulk_text(struct resp_writer *w, const char *text) { resp_bulk(w, str_of(text)); }

void resp_bulk_integer(struct resp_writer *w, i64 v)
{
    u8 text[RESP_I64_TEXT];

    resp_bulk(w, str_from(text, resp_format_i64(v, text)));
}

void resp_null(struct resp_writer *w)
{
    if (w->proto >= 3)
        buf_append(w->out, "_\r\n", 3);
    else
        buf_append(w->out, "$-1\r\n", 5);
}

void resp_null_array(struct resp_writer *w)
{
    if (w->proto >= 3)
        buf_append(w->out, "_\r\n", 3);
    else
        buf_append(w->out, "*-1\r\n", 5);
}

void resp_array(struct resp_writer *w, size_t count) { put_header(w->out, '*', (i64)count); }

void resp_map(struct resp_writer *w, size_t pairs)
{
    if (w->proto >= 3)
        put_header(w->out, '%', (i64)pairs);
    else
        resp_array(w, pairs * 2);
}

void resp_set(struct resp_writer *w, size_t count)
{
    put_header(w->out, w->proto >= 3 ? '~' : '*', (i64)count);
}

void resp_push(struct resp_writer *w, size_t count)
{
    put_header(w->out, w->proto >= 3 ? '>' : '*', (i64)count);
}

void resp_bool(struct resp_writer *w, bool v)
{
    if (w->proto >= 3)
        buf_append(w->out, v ? "#t\r\n" : "#f\r\n", 4);
    else
        resp_integer(w, v);
}

void resp_double(struct resp_writer *w, double v)
{
    char text[64];

    if (isinf(v))
        snprintf(text, sizeof text, v > 0 ? "inf" : "-inf");
    else if (isnan(v))
        snprintf(text, sizeof text, "nan"); /* never "-nan" */
    else
        snprintf(text, sizeof text, "%.17g", v);
    if (w->proto >= 3)
        buf_printf(w->out, ",%s\r\n", text);
    else
        resp_bulk_text(w, text);
}

void resp_verbatim_txt(struct resp_writer *w, str s)
{
    if (w->proto < 3) {
        resp_bulk(w, s);
        return;
    }
    put_header(w->out, '=', (i64)s.len + 4);
    buf_append(w->out, "txt:", 4);
    buf_append_str(w->out, s);
    buf_append(w->out, "\r\n", 2);
}
