/* Columns for a terminal: a header, then cells row by row; a column is as wide as its widest cell.
 */
#pragma once

#include "base/buf.h"

#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table {
    u32 columns;
    const char
        *headers[TABLE_COLUMNS_MAX]; /* one that begins with '>' is for numbers, to the right */
    struct buf cells;                /* each ends with a NUL */
    u32 count;
};

void table_init(struct table *t, const char *const *headers, u32 columns);
void table_cell(struct table *t, const char *format, ...) PRINTF_LIKE(2, 3);
void table_str(struct table *t, str s);
void table_print(struct table *t, const char *indent, FILE *to); /* and empty it */

/* Sizes and times as people read them. */
struct units_text {
    char at[32];
};
struct units_text units_bytes(u64 bytes); /* 0 B, 4.0 KB, 1.5 GB: units of 1024 */
struct units_text units_ms(u64 ms);       /* 250 ms, 3.2 s, 5 min, 2.5 h */
struct units_text units_count(u64 n);     /* 950, 12.3k, 4.1M */
