/* JSON (RFC 8259) as the admin door writes it. */
#include "server/admin/admin_internal.h"

#include <stdarg.h>
#include <stdio.h>

void json_put(struct buf *out, str s)
{
    buf_append_u8(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        u8 c = s.at[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f) /* bytes, as the code points of the same number */
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_u8(out, c);
    }
    buf_append_u8(out, '"');
}

void json_put_name(struct buf *out, bool *first, const char *name)
{
    buf_printf(out, "%s\"%s\":", *first ? "" : ",", name);
    *first = false;
}

void json_put_text(struct buf *out, bool *first, const char *name, str value)
{
    json_put_name(out, first, name);
    json_put(out, value);
}

void json_put_number(struct buf *out, bool *first, const char *name, u64 value)
{
    json_put_name(out, first, name);
    buf_printf(out, "%llu", (unsigned long long)value);
}

void json_put_bool(struct buf *out, bool *first, const char *name, bool value)
{
    json_put_name(out, first, name);
    buf_append_text(out, value ? "true" : "false");
}

void admin_refuse(struct admin_reply *r, u32 status, const char *error, const char *format, ...)
{
    char reason[1024];
    bool first = true;
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    r->status = status;
    r->type = "application/json";
    buf_clear(&r->body);
    buf_append_u8(&r->body, '{');
    json_put_text(&r->body, &first, "error", str_of(error));
    json_put_text(&r->body, &first, "reason", str_of(reason));
    buf_append_text(&r->body, "}\n");
}
