#include "cli/table.h"

#include "base/assert.h"

#include <stdarg.h>

void table_init(struct table *t, const char *const *headers, u32 columns)
{
    assert(columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){.columns = columns};
    for (u32 i = 0; i < columns; i++) t->headers[i] = headers[i];
}

void table_cell(struct table *t, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_append(&t->cells, text, strlen(text) + 1);
    t->count++;
}

void table_str(struct table *t, str s)
{
    table_cell(t, "%.*s", STR_ARG(s));
}

static const char *header(const struct table *t, u32 column)
{
    return t->headers[column] + (t->headers[column][0] == '>');
}

static void print_row(const struct table *t, const char *const *cells, const int *widths,
                      const char *indent, FILE *to)
{
    fputs(indent, to);
    for (u32 i = 0; i < t->columns; i++) {
        bool is_last = i + 1 == t->columns;
        if (t->headers[i][0] == '>')
            fprintf(to, "%*s%s", widths[i], cells[i], is_last ? "" : "  ");
        else if (is_last)
            fputs(cells[i], to);
        else
            fprintf(to, "%-*s  ", widths[i], cells[i]);
    }
    fputc('\n', to);
}

void table_print(struct table *t, const char *indent, FILE *to)
{
    int widths[TABLE_COLUMNS_MAX];
    const char *row[TABLE_COLUMNS_MAX];
    const char *at = (const char *)buf_bytes(&t->cells);

    assert(t->count % t->columns == 0);
    for (u32 i = 0; i < t->columns; i++) {
        row[i] = header(t, i);
        widths[i] = (int)strlen(row[i]);
    }
    const char *cell = at;
    for (u32 i = 0; i < t->count; i++, cell += strlen(cell) + 1)
        if ((int)strlen(cell) > widths[i % t->columns]) widths[i % t->columns] = (int)strlen(cell);
    print_row(t, row, widths, indent, to);
    for (u32 i = 0; i < t->count; i++, at += strlen(at) + 1) {
        row[i % t->columns] = at;
        if ((i + 1) % t->columns == 0) print_row(t, row, widths, indent, to);
    }
    buf_done(&t->cells);
    t->count = 0;
}

struct units_text units_bytes(u64 bytes)
{
    static const char *const names[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    struct units_text out;
    double value = (double)bytes;
    u32 unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_LEN(names)) {
        value /= 1024;
        unit++;
    }
    snprintf(out.at, sizeof out.at, "%.*f %s", unit ? 1 : 0, value, names[unit]);
    return out;
}

struct units_text units_ms(u64 ms)
{
    struct units_text out;

    if (ms < 1000)
        snprintf(out.at, sizeof out.at, "%lu ms", ms);
    else if (ms < 120 * 1000)
        snprintf(out.at, sizeof out.at, "%.1f s", (double)ms / 1e3);
    else if (ms < 120 * 60 * 1000)
        snprintf(out.at, sizeof out.at, "%lu min", ms / 60000);
    else
        snprintf(out.at, sizeof out.at, "%.1f h", (double)ms / 3.6e6);
    return out;
}

struct units_text units_count(u64 n)
{
    struct units_text out;

    if (n < 10000)
        snprintf(out.at, sizeof out.at, "%lu", n);
    else if (n < 1000000)
        snprintf(out.at, sizeof out.at, "%.1fk", (double)n / 1e3);
    else
        snprintf(out.at, sizeof out.at, "%.1fM", (double)n / 1e6);
    return out;
}
