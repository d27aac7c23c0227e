#include "check/findings.h"

#include <stdarg.h>
#include <stdio.h>

void findings_init(struct findings *f) { *f = (struct findings){0}; }
void findings_done(struct findings *f) { buf_done(&f->text); }

void findings_violation(struct findings *f, const struct history *h, const u32 *places, u32 count,
                        const char *format, ...)
{
    char line[512];
    va_list args;

    f->violations++;
    if (f->text.len > FINDINGS_TEXT_MAX) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_printf(&f->text, "violation: %s\n", line);
    for (u32 i = 0; i < count; i++) {
        buf_append_text(&f->text, "  ");
        history_write_entry(h, &h->items[places[i]], &f->text);
    }
}

u64 findings_operations(const struct findings *f)
{
    u64 sum = 0;

    for (u32 kind = 0; kind < LEVEL_KINDS; kind++) sum += f->operations[kind];
    return sum;
}

void findings_summary(const struct findings *f, struct buf *out)
{
    static const struct {
        const char *name;
        enum level_kind first, last;
    } rows[] = {{"linearizable", LEVEL_LEASE, LEVEL_FOLLOWER},
                {"stale", LEVEL_STALE, LEVEL_STALE},
                {"sequential", LEVEL_SEQUENTIAL, LEVEL_SEQUENTIAL},
                {"session", LEVEL_SESSION, LEVEL_SESSION},
                {"local", LEVEL_LOCAL, LEVEL_LOCAL}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        u64 count = 0;
        for (u32 kind = rows[i].first; kind <= rows[i].last; kind++) count += f->operations[kind];
        if (count > 0 || i == 0) buf_printf(out, "%s: %llu operations, ", rows[i].name, (unsigned long long)count);
    }
    buf_printf(out, "%u violations\n", f->violations);
}
