/* Redis's glob patterns. A star is matched by trying again from the next byte: only the last star needs
 * to be remembered, so the work is at most pattern x text, whatever the pattern. Bytes in a range
 * compare as signed, a backslash escapes inside brackets too, and an open bracket without its end
 * ends with the pattern: all as Redis has it. */
#include "kv/kv_internal.h"

/* One byte against the bracket expression at pattern[*at], which is behind its '['. *at moves to the
 * last byte of the expression, or to the pattern's end if there is no ']'. */
static bool match_bracket(str pattern, size_t *at, u8 byte)
{
    size_t i = *at;
    bool negated = i < pattern.len && pattern.at[i] == '^';
    bool matched = false;

    if (negated) i++;
    for (;; i++) {
        size_t left = i < pattern.len ? pattern.len - i : 0;
        if (left >= 2 && pattern.at[i] == '\\') {
            i++;
            matched |= pattern.at[i] == byte;
        } else if (left == 0) {
            i--;
            break;
        } else if (pattern.at[i] == ']') {
            break;
        } else if (left >= 3 && pattern.at[i + 1] == '-') {
            int8_t from = (int8_t)pattern.at[i], to = (int8_t)pattern.at[i + 2];
            int8_t low = from < to ? from : to, high = from < to ? to : from;
            matched |= (int8_t)byte >= low && (int8_t)byte <= high;
            i += 2;
        } else {
            matched |= pattern.at[i] == byte;
        }
    }
    *at = i;
    return matched != negated;
}

/* One byte against the pattern element at *at, which is no star; *at moves behind the element. */
static bool match_one(str pattern, size_t *at, u8 byte)
{
    size_t i = *at;
    bool matched;

    switch (pattern.at[i]) {
    case '?': matched = true; break;
    case '[':
        i++;
        matched = match_bracket(pattern, &i, byte);
        break;
    case '\\':
        if (i + 1 < pattern.len) i++;
        matched = pattern.at[i] == byte;
        break;
    default: matched = pattern.at[i] == byte; break;
    }
    *at = i + 1;
    return matched;
}

bool glob_match(str pattern, str text)
{
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX, star_text = 0; /* behind the last star; where its rest is tried */

    while (t < text.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            while (p < pattern.len && pattern.at[p] == '*') p++;
            if (p == pattern.len) return true;
            star = p;
            star_text = t;
            continue;
        }
        if (p < pattern.len && match_one(pattern, &p, text.at[t])) {
            t++;
            continue;
        }
        if (star == SIZE_MAX) return false;
        p = star;
        t = ++star_text;
    }
    while (p < pattern.len && pattern.at[p] == '*') p++;
    return p == pattern.len;
}
