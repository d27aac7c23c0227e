/* See window.h. */
#include "server/window.h"

#define PART_TIME   (2 * NANOS_SEC)
#define SAMPLE_TIME (20 * NANOS_MS) /* long beside a turn, short beside a pause of the disk */
#define SMOOTH      8u              /* samples */
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
    nanos time = now - w->sampled, mean = w->work / w->answered;

    if (w->sampled && time <= SAMPLE_MAX) {
        w->rate = u64_max(w->rate, w->answered * NANOS_SEC / time);
        w->delay = w->delay ? (w->delay * (SMOOTH - 1) + mean) / SMOOTH : mean;
        u64 busy = u64_max(w->rate, w->before) / 1000 * w->delay / (NANOS_SEC / 1000);
        w->bytes = u64_max(WINDOW_GAIN * busy, WINDOW_MIN_BYTES);
    }
    w->answered = w->work = 0;
    w->sampled = now;
    if (now < w->since + PART_TIME) return;
    w->before = w->rate;
    w->rate = 0;
    w->since = now;
}

void window_note(struct window *w, nanos now, size_t bytes, nanos least_delay)
{
    w->answered += bytes;
    w->work += bytes * u64_max(least_delay, WINDOW_DELAY_MIN);
    if (now >= w->sampled + SAMPLE_TIME) take_sample(w, now);
}
