#include "sim/world.h"

#include "base/assert.h"
#include "base/crc.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sim/host.h"

#include <stdarg.h>
#include <stdio.h>

struct world *world_new(const struct sim_options *options, u64 seed)
{
    struct world *w = mem_zalloc(sizeof *w);

    w->options = options;
    w->seed = seed;
    w->trace_hash = hash_mix(0, seed);
    for (u32 c = 0; c < CHANCE_COUNT; c++) prng_init(&w->chance[c], seed, c);
    return w;
}

void world_free(struct world *w)
{
    if (!w) return;
    heap_done(&w->heap);
    mem_free(w->keys_seen);
    for (u32 i = 0; i < w->violation_count && i < WORLD_VIOLATIONS_MAX; i++)
        mem_free(w->violations[i]);
    mem_free(w);
}

void world_at(struct world *w, nanos at, enum event_kind kind, u32 actor, event_fn fire,
              void *context, u64 arg)
{
    assert(at >= w->now);
    struct event e = {.at = at, .seq = w->seq++, .kind = kind, .actor = actor, .fire = fire,
                      .context = context, .arg = arg};
    heap_push(&w->heap, &e);
}

void world_run(struct world *w, nanos until)
{
    struct event e;

    while (!w->stopped && w->heap.count > 0 && w->heap.items[0].at <= until) {
        (void)heap_pop(&w->heap, &e);
        assert(e.at >= w->now);
        w->now = e.at;
        w->events++;
        world_trace(w, e.at);
        world_trace(w, ((u64)e.kind << 32) | e.actor);
        world_trace(w, e.arg);
        e.fire(w, e.context, e.arg);
    }
    if (!w->stopped && w->now < until) w->now = until;
}

void world_trace(struct world *w, u64 value) { w->trace_hash = hash_mix(w->trace_hash, value); }

void world_trace_bytes(struct world *w, const void *data, size_t bytes)
{
    world_trace(w, ((u64)bytes << 32) | crc32c(data, bytes));
}

void world_violation(struct world *w, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (w->violation_count < WORLD_VIOLATIONS_MAX)
        w->violations[w->violation_count] = mem_strdup(text);
    w->violation_count++;
    w->stopped = true;
    world_say(w, NULL, "VIOLATION %s", text);
}

void world_say(struct world *w, const struct host *h, const char *format, ...)
{
    va_list args;

    if (!w->options->verbose) return;
    printf("%3llu.%09llu ", (unsigned long long)(w->now / NANOS_SEC),
           (unsigned long long)(w->now % NANOS_SEC));
    if (h)
        printf("%s%u ", h->is_node ? "n" : "c", h->is_node ? h->id : h->id - w->nodes);
    else
        fputs("-- ", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}
