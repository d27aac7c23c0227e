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
