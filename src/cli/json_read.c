#include "cli/json_read.h"

#include "base/hex.h"
#include "base/mem.h"

struct parser {
    struct json *j;
    const u8 *at, *end;
    u32 open[JSON_DEPTH_MAX]; /* the arrays and objects around this place */
    u32 depth;
};

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

static bool take(struct parser *p, u8 c)
{
    skip_space(p);
    if (p->at == p->end || *p->at != c) return false;
    p->at++;
    return true;
}

static struct json_item *add(struct parser *p, enum json_type type)
{
    struct json *j = p->j;

    if (j->count == j->cap) {
        j->cap = j->cap ? 2 * j->cap : 64;
        j->items = mem_resize_array(j->items, j->cap, sizeof *j->items);
    }
    struct json_item *item = &j->items[j->count++];
    *item = (struct json_item){.type = type, .after = j->count, .at = j->text.len};
    return item;
}

/* Code points below 256 are bytes: what admin doors mean by them. Others become UTF-8. */
static void put_code(struct buf *out, u32 c)
{
    if (c < 0x100) {
        buf_append_u8(out, (u8)c);
        return;
    }
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
    u32 code = 0;

    if (p->at == p->end) return false;
    u8 c = *p->at++;
    const char *plain = c ? strchr(from, c) : NULL;
    if (plain) {
        buf_append_u8(out, (u8)to[plain - from]);
        return true;
    }
    if (c != 'u' || p->end - p->at < 4) return false;
    for (u32 i = 0; i < 4; i++) {
        i32 digit = hex_digit(*p->at++);
        if (digit < 0) return false;
        code = code << 4 | (u32)digit;
    }
    put_code(out, code);
    return true;
}

static bool parse_string(struct parser *p)
{
    struct buf *out = &p->j->text;
    u32 index = p->j->count;

    if (!take(p, '"')) return false;
    add(p, JSON_STRING);
    while (p->at < p->end) {
        u8 c = *p->at++;
        if (c == '"') {
            p->j->items[index].len = out->len - p->j->items[index].at;
            return true;
        }
        if (c < 0x20) return false;
        if (c != '\\')
            buf_append_u8(out, c);
        else if (!parse_escape(p, out))
            return false;
    }
    return false;
}

static bool parse_word(struct parser *p)
{
    static const struct {
        const char *word;
        enum json_type type;
    } words[] = {{"null", JSON_NULL}, {"true", JSON_TRUE}, {"false", JSON_FALSE}};
    const u8 *from = p->at;

    while (p->at < p->end && strchr("+-.0123456789Eeaflnrstu", *p->at) && *p->at) p->at++;
    str word = str_from(from, (size_t)(p->at - from));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!str_equal(word, str_of(words[i].word))) continue;
        add(p, words[i].type);
        return true;
    }
    if (word.len == 0 || !(word.at[0] == '-' || (word.at[0] >= '0' && word.at[0] <= '9')))
        return false;
    struct json_item *item = add(p, JSON_NUMBER);
    item->len = word.len;
    buf_append_str(&p->j->text, word);
    return true;
}

/* A value, or only its beginning if others are in it. */
static bool parse_value(struct parser *p)
{
    skip_space(p);
    if (p->at == p->end) return false;
    if (*p->at == '"') return parse_string(p);
    if (*p->at != '[' && *p->at != '{') return parse_word(p);
    if (p->depth == JSON_DEPTH_MAX) return false;
    p->open[p->depth++] = p->j->count;
    add(p, *p->at++ == '[' ? JSON_ARRAY : JSON_OBJECT);
    return true;
}

static bool is_object(const struct parser *p)
{
    return p->j->items[p->open[p->depth - 1]].type == JSON_OBJECT;
}

/* The ends here, then what comes between two values. True: a value follows. */
static bool close_and_separate(struct parser *p, bool *failed)
{
    while (p->depth) {
        u32 index = p->open[p->depth - 1];
        bool is_empty = p->j->count == index + 1;
        if (take(p, is_object(p) ? '}' : ']')) {
            p->j->items[index].after = p->j->count;
            p->depth--;
            continue;
        }
        bool separated = is_empty || take(p, ',');
        if (separated && is_object(p)) {
            skip_space(p);
            separated = parse_string(p) && take(p, ':');
        }
        *failed = !separated;
        return separated;
    }
    return false;
}

err json_parse(struct json *j, str text)
{
    struct parser p = {.j = j, .at = text.at, .end = text.at + text.len};
    bool failed = false;

    *j = (struct json){0};
    do {
        /* After an empty beginning close_and_separate asks for a value without a comma. */
        if (!parse_value(&p)) failed = true;
    } while (!failed && close_and_separate(&p, &failed));
    skip_space(&p);
    if (!failed && p.at == p.end) return OK;
    json_done(j);
    return ERR_MALFORMED;
}

void json_done(struct json *j)
{
    mem_free(j->items);
    buf_done(&j->text);
    *j = (struct json){0};
}

u32 json_get(const struct json *j, u32 object, const char *name)
{
    if (object >= j->count || j->items[object].type != JSON_OBJECT) return 0;
    for (u32 i = object + 1; i < j->items[object].after; i = j->items[i + 1].after)
        if (str_equal(json_str(j, i), str_of(name))) return i + 1;
    return 0;
}

u32 json_each(const struct json *j, u32 array, u32 item)
{
    if (array >= j->count || j->items[array].type != JSON_ARRAY) return 0;
    u32 next = item ? j->items[item].after : array + 1;
    return next < j->items[array].after ? next : 0;
}

u32 json_count(const struct json *j, u32 array)
{
    u32 count = 0;

    for (u32 i = json_each(j, array, 0); i; i = json_each(j, array, i)) count++;
    return count;
}

str json_str(const struct json *j, u32 item)
{
    if (item >= j->count ||
        (j->items[item].type != JSON_STRING && j->items[item].type != JSON_NUMBER))
        return str_from("", 0);
    return str_from(buf_bytes(&j->text) + j->items[item].at, j->items[item].len);
}

u64 json_u64(const struct json *j, u32 item)
{
    str text = json_str(j, item);
    u64 n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || n > UINT64_MAX / 10 - 1) return i ? n : 0;
        n = 10 * n + (u64)(text.at[i] - '0');
    }
    return n;
}

bool json_true(const struct json *j, u32 item)
{
    return item < j->count && j->items[item].type == JSON_TRUE;
}

str json_get_str(const struct json *j, u32 object, const char *name)
{
    u32 item = json_get(j, object, name);
    return item ? json_str(j, item) : str_from("", 0);
}

u64 json_get_u64(const struct json *j, u32 object, const char *name)
{
    u32 item = json_get(j, object, name);
    return item ? json_u64(j, item) : 0;
}

bool json_get_true(const struct json *j, u32 object, const char *name)
{
    u32 item = json_get(j, object, name);
    return item && json_true(j, item);
}
