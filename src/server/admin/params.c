/* application/x-www-form-urlencoded (WHATWG URL, section 5): of a query and of a POST's body alike.
 */
#include "server/admin/admin_internal.h"

#include "base/hex.h"

/* Decoded, at *to, which moves on; false: a broken escape. */
static bool decode(str s, char **to, str *out)
{
    char *from = *to, *at = from;

    for (size_t i = 0; i < s.len; i++) {
        u8 c = s.at[i];
        if (c == '%') {
            i32 high = i + 2 < s.len ? hex_digit(s.at[i + 1]) : -1;
            i32 low = high >= 0 ? hex_digit(s.at[i + 2]) : -1;
            if (low < 0) return false;
            c = (u8)(high << 4 | low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        *at++ = (char)c;
    }
    *to = at;
    *out = str_from(from, (size_t)(at - from));
    return true;
}

static bool add_pair(struct admin_params *p, str pair, char **to)
{
    const u8 *equals = memchr(pair.at, '=', pair.len);
    size_t name_len = equals ? (size_t)(equals - pair.at) : pair.len;
    struct admin_param row = {0};

    if (p->count == ADMIN_PARAMS_MAX) return false;
    if (!decode(str_from(pair.at, name_len), to, &row.name)) return false;
    str value = equals ? str_from(equals + 1, pair.len - name_len - 1) : (str){0};
    if (!decode(value, to, &row.value)) return false;
    p->rows[p->count++] = row;
    return true;
}

bool admin_params_add(struct admin_params *p, str encoded)
{
    const struct admin_param *last = p->count ? &p->rows[p->count - 1] : NULL;
    char *to = last ? (char *)(uintptr_t)(last->value.at + last->value.len) : p->text;

    assert((size_t)(to - p->text) + encoded.len <= sizeof p->text);
    while (encoded.len) {
        const u8 *end = memchr(encoded.at, '&', encoded.len);
        size_t len = end ? (size_t)(end - encoded.at) : encoded.len;
        if (len && !add_pair(p, str_from(encoded.at, len), &to)) return false;
        len = size_min(len + 1, encoded.len);
        encoded = str_from(encoded.at + len, encoded.len - len);
    }
    return true;
}

static struct admin_param *find(struct admin_params *p, const char *name)
{
    for (u32 i = 0; i < p->count; i++)
        if (str_equal(p->rows[i].name, str_of(name))) return &p->rows[i];
    return NULL;
}

str admin_param(struct admin_params *p, const char *name)
{
    struct admin_param *row = find(p, name);

    if (!row) return (str){0};
    row->used = true;
    return row->value;
}

bool admin_param_is_given(struct admin_params *p, const char *name)
{
    return find(p, name) != NULL;
}

str admin_param_unknown(const struct admin_params *p)
{
    for (u32 i = 0; i < p->count; i++)
        if (!p->rows[i].used) return p->rows[i].name;
    return (str){0};
}
