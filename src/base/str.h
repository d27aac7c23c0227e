/* Borrowed bytes with their length. Not NUL-terminated, may hold any byte. */
#pragma once

#include "base/mem.h"
#include "base/types.h"

#include <string.h>

typedef struct str {
    const u8 *at;
    size_t len;
} str;

#define STR(literal) ((str){(const u8 *)(literal), sizeof(literal) - 1})

static inline str str_from(const void *at, size_t len) { return (str){at, len}; }
static inline str str_of(const char *text) { return (str){(const u8 *)text, strlen(text)}; }
static inline bool str_equal(str a, str b) { return a.len == b.len && mem_equal(a.at, b.at, a.len); }

/* Bytewise order; a prefix sorts first. */
int str_compare(str a, str b);

/* ASCII letters compare alike; `word` is a C string. */
bool str_is_word(str s, const char *word);

/* Redis's string2ll: an optional '-', no leading zeros, no spaces, the whole of s, in range. */
bool str_to_i64(str s, i64 *out);

/* For loops with printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).len, (const char *)(s).at
