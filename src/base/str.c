#include "base/str.h"

int str_compare(str a, str b)
{
    int order = memcmp(a.len ? (const void *)a.at : "", b.len ? (const void *)b.at : "",
                       size_min(a.len, b.len));
    if (order) return order;
    return (a.len > b.len) - (a.len < b.len);
}

static u8 lower(u8 c) { return c >= 'A' && c <= 'Z' ? (u8)(c | 0x20) : c; }

bool str_is_word(str s, const char *word)
{
    size_t i = 0;
    for (; i < s.len; i++)
        if (word[i] == 0 || lower(s.at[i]) != lower((u8)word[i])) return false;
    return word[i] == 0;
}

bool str_to_i64(str s, i64 *out)
{
    size_t i = 0;
    bool negative = false;
    u64 value = 0;

    if (s.len == 0 || s.len > 20) return false;
    if (s.at[0] == '-') {
        negative = true;
        i = 1;
    }
    if (i == s.len) return false;
    if (s.at[i] == '0') {
        if (s.len != 1) return false; /* "-0" and "01" are not numbers to Redis */
        *out = 0;
        return true;
    }
    for (; i < s.len; i++) {
        u8 digit = (u8)(s.at[i] - '0');
        if (digit > 9) return false;
        if (__builtin_mul_overflow(value, (u64)10, &value)) return false;
        if (__builtin_add_overflow(value, (u64)digit, &value)) return false;
    }
    if (negative) {
        if (value > (u64)INT64_MAX + 1) return false;
        *out = (i64)(0 - value);
    } else {
        if (value > (u64)INT64_MAX) return false;
        *out = (i64)value;
    }
    return true;
}
