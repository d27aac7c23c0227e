#include "base/hex.h"

int hex_digit(u8 c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hex_read(str text, u8 *out, size_t count)
{
    if (text.len != 2 * count) return false;
    for (size_t i = 0; i < count; i++) {
        int high = hex_digit(text.at[2 * i]), low = hex_digit(text.at[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (u8)(high << 4 | low);
    }
    return true;
}

void hex_write(const void *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const u8 *from = bytes;

    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
}

void hex_append(struct buf *out, const void *bytes, size_t count)
{
    const u8 *from = bytes;

    for (size_t i = 0; i < count; i++) {
        char text[2];
        hex_write(&from[i], 1, text);
        buf_append(out, text, sizeof text);
    }
}
