/* Bytes as hexadecimal digits, two each; written in lower case, read in either. */
#pragma once

#include "base/buf.h"

int hex_digit(u8 c); /* -1: it is none */
/* False: the text is not 2 * count digits. */
bool hex_read(str text, u8 *out, size_t count);
void hex_write(const void *bytes, size_t count, char *out); /* 2 * count of them, without a NUL */
void hex_append(struct buf *out, const void *bytes, size_t count);
