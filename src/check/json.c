/* The JSON-lines form of a history (docs/formats/history.md): flat objects of strings, integers, booleans
 * and null, one per line. */
#include "check/history.h"

#include "base/mem.h"

#include <stdio.h>

/* ---- writing ---- */

static void write_string(struct buf *out, str s)
{
    static const char hex[] = "0123456789abcdef";

    buf_append_u8(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        u8 c = s.at[i];
        if (c == '"' || c == '\\') {
            buf_append_u8(out, '\\');
            buf_append_u8(out, c);
        } else if (c < 0x20 || c >= 0x7f) { /* bytes, as the code points of the same number */
            const u8 escape[6] = {'\\', 'u', '0', '0', (u8)hex[c >> 4], (u8)hex[c & 15]};
            buf_append(out, escape, sizeof escape);
        } else {
            buf_append_u8(out, c);
        }
    }
    buf_append_u8(out, '"');
}

static void write_text(const struct history *h, struct buf *out, const char *name, u32 id)
{
    buf_printf(out, ",\"%s\":", name);
    if (id == HISTORY_NULL)
        buf_append_text(out, "null");
    else
        write_string(out, history_text(h, id));
}

void history_write_entry(const struct history *h, const struct history_entry *e, struct buf *out)
{
    static const char *const outcomes[] = {"ok", "failed", "unknown"};

    buf_printf(out, "{\"process\":%u,\"op\":\"%s\"", e->process, history_op_name(e->op));
    write_text(h, out, "key", e->key);
    if (e->value) write_text(h, out, "value", e->value);
    if (e->op == HISTORY_CAS) write_text(h, out, "expect", e->expect);
    if (e->outcome == HISTORY_OK && e->op != HISTORY_SET) write_text(h, out, "result", e->result);
    if (e->session) write_text(h, out, "session", e->session);
    if (e->part) write_text(h, out, "part", e->part);
    if (e->level.kind != LEVEL_LEASE) {
        buf_append_text(out, ",\"level\":\"");
        level_print(e->level, out);
        buf_append_u8(out, '"');
    }
    buf_printf(out, ",\"invoke\":%llu", (unsigned long long)e->invoked);
    if (e->outcome != HISTORY_UNKNOWN) buf_printf(out, ",\"return\":%llu", (unsigned long long)e->returned);
    buf_printf(out, ",\"outcome\":\"%s\"}\n", outcomes[e->outcome]);
}

void history_write(const struct history *h, struct buf *out)
{
    for (u32 i = 0; i < h->count; i++) history_write_entry(h, &h->items[i], out);
}

/* ---- reading ---- */

struct parser {
    const u8 *at, *end;
    const char *problem;
};

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')) p->at++;
}

static bool take(struct parser *p, u8 c)
{
    skip_space(p);
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static i32 hex_digit(u8 c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static void put_utf8(struct buf *out, u32 c)
{
    if (c < 0x800) {
        buf_append_u8(out, (u8)(0xc0 | c >> 6));
    } else {
        buf_append_u8(out, (u8)(0xe0 | c >> 12));
        buf_append_u8(out, (u8)(0x80 | (c >> 6 & 0x3f)));
    }
    buf_append_u8(out, (u8)(0x80 | (c & 0x3f)));
}

static bool parse_escape(struct parser *p, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (p->at == p->end) return false;
    u8 c = *p->at++;
    const char *plain = c ? strchr(from, c) : NULL;
    if (plain) {
        buf_append_u8(out, (u8)to[plain - from]);
        return true;
    }
    if (c != 'u' || p->end - p->at < 4) return false;
    u32 code = 0;
    for (u32 i = 0; i < 4; i++) {
        i32 digit = hex_digit(*p->at++);
        if (digit < 0) return false;
        code = code << 4 | (u32)digit;
    }
    if (code < 0x100) /* our writer's form of a byte */
        buf_append_u8(out, (u8)code);
    else
        put_utf8(out, code);
    return true;
}

static bool parse_string(struct parser *p, struct buf *out)
{
    buf_clear(out);
    if (!take(p, '"')) return false;
    while (p->at < p->end) {
        u8 c = *p->at++;
        if (c == '"') return true;
        if (c < 0x20) return false;
        if (c != '\\')
            buf_append_u8(out, c);
        else if (!parse_escape(p, out))
            return false;
    }
    return false;
}

/* A string, or the text of a number, true (as 1) or false (as 0). */
static bool parse_value(struct parser *p, struct buf *out, bool *is_null)
{
    *is_null = false;
    skip_space(p);
    if (p->at < p->end && *p->at == '"') return parse_string(p, out);
    buf_clear(out);
    while (p->at < p->end && *p->at != ',' && *p->at != '}' && *p->at != ' ') buf_append_u8(out, *p->at++);
    str word = buf_str(out);
    i64 number;
    if (str_equal(word, STR("null"))) {
        *is_null = true;
    } else if (str_equal(word, STR("true")) || str_equal(word, STR("false"))) {
        u8 digit = word.at[0] == 't' ? '1' : '0';
        buf_clear(out);
        buf_append_u8(out, digit);
    } else if (!str_to_i64(word, &number)) {
        return false;
    }
    return true;
}

struct line {
    struct history_entry entry;
    bool has_op, has_key, has_invoke, has_return;
};

static const char *set_op(struct line *l, str value)
{
    for (u32 op = 0; op < HISTORY_OPS; op++)
        if (str_equal(value, str_of(history_op_name(op)))) {
            l->entry.op = (u16)op;
            l->has_op = true;
            return NULL;
        }
    return "unknown op";
}

static const char *set_outcome(struct line *l, str value)
{
    if (str_equal(value, STR("ok")))
        l->entry.outcome = HISTORY_OK;
    else if (str_equal(value, STR("failed")))
        l->entry.outcome = HISTORY_FAILED;
    else if (str_equal(value, STR("unknown")))
        l->entry.outcome = HISTORY_UNKNOWN;
    else
        return "outcome is ok, failed or unknown";
    return NULL;
}

/* Where a field whose text is kept goes; NULL: it is another. Only these are interned: every number would be a text. */
static u32 *text_field(struct history_entry *e, str name)
{
    if (str_equal(name, STR("key"))) return &e->key;
    if (str_equal(name, STR("value"))) return &e->value;
    if (str_equal(name, STR("expect"))) return &e->expect;
    if (str_equal(name, STR("result"))) return &e->result;
    if (str_equal(name, STR("session"))) return &e->session;
    if (str_equal(name, STR("part"))) return &e->part;
    return NULL;
}

static const char *set_number(struct line *l, str name, str value, bool is_null)
{
    struct history_entry *e = &l->entry;
    i64 number = 0;
    bool is_number = !is_null && str_to_i64(value, &number) && number >= 0;

    if (str_equal(name, STR("process"))) {
        if (!is_number || number > UINT32_MAX) return "process is a number";
        e->process = (u32)number;
    } else if (str_equal(name, STR("invoke"))) {
        if (!is_number) return "invoke is a number";
        e->invoked = (nanos)number;
        l->has_invoke = true;
    } else if (str_equal(name, STR("return"))) {
        if (!is_number && !is_null) return "return is a number or null";
        l->has_return = is_number;
        if (is_number) e->returned = (nanos)number;
    }
    return NULL; /* other fields are comments */
}

static const char *set_field(struct history *h, struct line *l, str name, str value, bool is_null)
{
    u32 *text = text_field(&l->entry, name);

    if (text) {
        *text = is_null ? HISTORY_NULL : history_intern(h, value);
        if (text == &l->entry.key) l->has_key = !is_null;
        return NULL;
    }
    if (str_equal(name, STR("op"))) return set_op(l, value);
    if (str_equal(name, STR("outcome"))) return set_outcome(l, value);
    if (!str_equal(name, STR("level"))) return set_number(l, name, value, is_null);
    return is_null || level_parse(value, &l->entry.level) ? NULL : "level is " LEVEL_WORDS;
}

static const char *parse_line(struct history *h, struct parser *p, struct buf *name, struct buf *value)
{
    struct line l = {.entry = {.outcome = HISTORY_UNKNOWN, .returned = NANOS_NEVER}};
    bool is_null;

    if (!take(p, '{')) return "a line is one JSON object";
    do {
        if (!parse_string(p, name) || !take(p, ':')) return "a name in quotes and a colon belong here";
        if (!parse_value(p, value, &is_null)) return "a value is a string, an integer, true, false or null";
        const char *problem = set_field(h, &l, buf_str(name), buf_str(value), is_null);
        if (problem) return problem;
    } while (take(p, ','));
    if (!take(p, '}')) return "the object does not end";
    skip_space(p);
    if (p->at != p->end) return "text after the object";

    struct history_entry *e = &l.entry;
    if (!l.has_op || !l.has_key || !l.has_invoke) return "op, key and invoke are needed";
    if (e->outcome != HISTORY_UNKNOWN && !l.has_return) return "an operation with an outcome needs its return";
    if (e->outcome == HISTORY_UNKNOWN) e->returned = NANOS_NEVER;
    if (e->returned < e->invoked) return "it returns before it is invoked";
    if (history_is_weak(e) && e->op != HISTORY_GET) return "writes are linearizable: only a get has such a level";
    u32 place = history_open(h, e->process, e->op, e->key, e->value, e->expect, e->invoked);
    history_set_level(h, place, e->level);
    history_set_session(h, place, e->session);
    history_set_part(h, place, e->part);
    if (e->outcome != HISTORY_UNKNOWN) history_close(h, place, e->outcome, e->result, e->returned);
    return NULL;
}

err history_read(struct history *h, str text, u32 *line, char *problem, size_t problem_size)
{
    struct buf name = {0}, value = {0};
    const char *wrong = NULL;
    const u8 *at = text.at, *end = text.at + text.len;

    for (*line = 1; at < end && !wrong; ++*line) {
        const u8 *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        struct parser p = {.at = at, .end = stop};
        skip_space(&p);
        if (p.at < stop) wrong = parse_line(h, &p, &name, &value);
        if (wrong) break;
        at = stop + 1;
    }
    if (wrong) snprintf(problem, problem_size, "%s", wrong);
    buf_done(&name);
    buf_done(&value);
    return wrong ? ERR_MALFORMED : OK;
}
