/* How long is the RESP value these bytes begin with? For taking the array of an EXEC apart.
 * Iterative: what is nested is counted, not descended into. */
#include "server/redis/redis_internal.h"

/* One header line: its type byte, its number where it has one. Returns the bytes, 0 if incomplete.
 */
static size_t header(str bytes, u8 *type, i64 *number)
{
    if (bytes.len < 3) return 0;
    const u8 *end = memchr(bytes.at, '\n', bytes.len);
    if (!end || end < bytes.at + 2 || end[-1] != '\r') return 0;
    size_t len = (size_t)(end - bytes.at) + 1;
    *type = bytes.at[0];
    *number = 0;
    bool counted = strchr("$=!*~>%|", *type) != NULL && *type;
    if (counted && !str_to_i64(str_from(bytes.at + 1, len - 3), number)) return 0;
    return len;
}

size_t redis_value_length(str bytes)
{
    size_t at = 0;
    u64 wanted = 1;

    while (wanted) {
        u8 type = 0;
        i64 number = 0;
        size_t line = header(str_from(bytes.at + at, bytes.len - at), &type, &number);
        if (line == 0) return 0;
        at += line;
        wanted--;
        if (number < 0) continue; /* a null of RESP2 */
        switch (type) {
        case '+':
        case '-':
        case ':':
        case ',':
        case '#':
        case '(':
        case '_': break;
        case '$':
        case '=':
        case '!':
            if ((u64)number + 2 > bytes.len - at) return 0;
            at += (size_t)number + 2;
            break;
        case '*':
        case '~':
        case '>': wanted += (u64)number; break;
        case '|':
            wanted += 1; /* an attribute stands before the value it is about */
            /* fall through */
        case '%':
            if (number > INT64_MAX / 4) return 0;
            wanted += 2 * (u64)number;
            break;
        default: return 0;
        }
        if (wanted > bytes.len - at) return 0; /* no value is shorter than one byte */
    }
    return at;
}

bool redis_take_number(str bytes, u8 type, i64 *number, str *rest)
{
    u8 found = 0;
    size_t line = header(bytes, &found, number);

    if (!line || found != type || !str_to_i64(str_from(bytes.at + 1, line - 3), number)) return false;
    *rest = str_from(bytes.at + line, bytes.len - line);
    return true;
}

bool redis_take_bulk(str *rest, str *whole, str *value)
{
    size_t len = redis_value_length(*rest);
    i64 bytes;
    str behind;

    if (!len || !redis_take_number(*rest, '$', &bytes, &behind) || bytes < 0) return false;
    *whole = str_from(rest->at, len);
    *value = str_from(behind.at, (size_t)bytes);
    *rest = str_from(rest->at + len, rest->len - len);
    return true;
}
