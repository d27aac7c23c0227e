#include "cli/progress.h"

#include "cli/table.h"
#include "env/env_real.h"

#include <unistd.h>

#define REDRAW (250 * NANOS_MS)
#define RETELL (5 * NANOS_SEC)

void progress_begin(struct progress *p, const char *what, u64 all)
{
    *p = (struct progress){
        .what = what, .all = all, .begun = env_real_mono(), .is_screen = isatty(STDERR_FILENO)};
}

static void show(struct progress *p, nanos now, const char *end)
{
    u64 all = p->all > p->done ? p->all : p->done;
    double seconds = (double)(now - p->begun) / 1e9;
    double speed = seconds > 0 ? (double)p->done / seconds : 0;

    fprintf(stderr, "%s%s: %s of about %s, %lu%%, %s/s", p->is_screen ? "\r\033[K" : "", p->what,
            units_bytes(p->done).at, units_bytes(all).at, all ? p->done * 100 / all : 100,
            units_bytes((u64)speed).at);
    if (speed > 0 && all > p->done)
        fprintf(stderr, ", %s left", units_ms((u64)((double)(all - p->done) / speed * 1000)).at);
    fputs(end, stderr);
    p->shown_at = now;
}

void progress_add(struct progress *p, u64 bytes)
{
    nanos now = env_real_mono();

    p->done += bytes;
    if (p->is_screen) {
        if (now >= p->shown_at + REDRAW) show(p, now, "");
        return;
    }
    if (now >= (p->shown_at ? p->shown_at : p->begun) + RETELL) show(p, now, "\n");
}

void progress_end(struct progress *p)
{
    p->all = p->done;
    if (p->is_screen) show(p, env_real_mono(), "\n");
}
