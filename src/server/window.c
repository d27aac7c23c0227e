/* See window.h. */
#include "server/window.h"

#define PART_TIME   (2 * NANOS_SEC)
#define SAMPLE_TIME (20 * NANOS_MS) /* long beside a turn, short beside a pause of the disk */
#define SAMPLE_MAX  NANOS_SEC       /* a longer one tells of a client that rested, not of what can be done */

void delay_note(struct delay *d, nanos now, nanos took)
{
    if (!d->since || now >= d->since + PART_TIME) {
        d->before = d->since ? d->least : NANOS_NEVER;
        d->least = NANOS_NEVER;
        d->since = now;
    }
    d->least = u64_min(d->least, took);
}

nanos delay_least(const struct delay *d)
{
    return d->since ? u64_min(d->least, d->before) : NANOS_NEVER;
}

static void take_sample(struct window *w, nanos now)
{
    nanos time = now - w->sampled;

    if (w->sampled && time <= SAMPLE_MAX) w->most = u64_max(w->most, w->work / time);
    w->work = 0;
    w->sampled = now;
    if (w->most) w->bytes = u64_max(WINDOW_GAIN * u64_max(w->most, w->before), WINDOW_MIN_BYTES);
    if (now < w->since + PART_TIME) return;
    w->before = w->most;
    w->most = 0;
    w->since = now;
}

void window_note(struct window *w, nanos now, size_t bytes, nanos least_delay)
{
    w->work += bytes * u64_max(least_delay, WINDOW_DELAY_MIN);
    if (now >= w->sampled + SAMPLE_TIME) take_sample(w, now);
}
