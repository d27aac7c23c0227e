/* Memory for large requests. Any connection may buffer INPUT_SMALL_BYTES; one whose request is
 * larger asks for room, and gets it in the order of asking while the door's budget lasts. The first
 * in line always gets it, so holders that need still more can not wait for each other in a circle.
 */
#include "server/redis/redis_internal.h"

#define STALL_MAX  (30 * NANOS_SEC) /* without a byte, while others wait for room */
#define LOOK_EVERY NANOS_SEC

void redis_admission_init(struct admission *a, size_t budget)
{
    list_init(&a->large);
    a->granted = 0;
    a->budget = budget;
    a->next_look = 0;
}

static void grant(struct client *c)
{
    struct admission *a = &c->door->admission;
    a->granted += c->input_want - c->stream.in.limit;
    c->stream.in.limit = c->input_want;
    buf_reserve(&c->stream.in, c->input_want - c->stream.in.len); /* once, not in steps */
    redis_client_touch(c);                                        /* its flush resumes reading */
}

static void pump(struct admission *a)
{
    LIST_EACH(at, &a->large)
    {
        struct client *c = CONTAINER_OF(at, struct client, large);
        if (c->input_want <= c->stream.in.limit) continue;
        bool first = at == list_first(&a->large);
        if (!first && a->granted + (c->input_want - c->stream.in.limit) > a->budget) return;
        grant(c);
    }
}

void redis_admission_ask(struct client *c, size_t bytes)
{
    struct admission *a = &c->door->admission;

    assert(bytes > c->stream.in.limit);
    if (c->input_want < bytes) c->input_want = bytes;
    if (list_is_empty(&c->large)) list_push(&a->large, &c->large);
    pump(a);
    if (c->input_want <= c->stream.in.limit) return;
    c->door->stats.input_waits++;
    redis_door_count_limit(c->door, LIMIT_MEMORY_LARGE_REQUESTS);
}

void redis_admission_release(struct client *c)
{
    struct admission *a = &c->door->admission;
    size_t keep = c->gone ? 0 : c->stream.in.len;

    if (list_is_empty(&c->large)) return;
    keep = size_max(keep, INPUT_SMALL_BYTES); /* what is buffered already must have its room */
    a->granted -= c->stream.in.limit - keep;
    c->stream.in.limit = keep;
    c->input_want = 0;
    list_remove(&c->large);
    if (keep > INPUT_SMALL_BYTES) list_push(&a->large, &c->large); /* behind those who wait */
    pump(a);
}

void redis_admission_look(struct redis_door *d, nanos now)
{
    struct admission *a = &d->admission;
    bool waiting = false;

    if (now < a->next_look) return;
    a->next_look = now + LOOK_EVERY;
    LIST_EACH(at, &a->large)
    {
        struct client *c = CONTAINER_OF(at, struct client, large);
        waiting |= c->input_want > c->stream.in.limit;
    }
    if (!waiting) return;
    LIST_EACH_SAFE(at, &a->large)
    {
        struct client *c = CONTAINER_OF(at, struct client, large);
        bool holds = c->stream.in.limit > INPUT_SMALL_BYTES && c->input_want <= c->stream.in.limit;
        if (!holds || c->closed || c->gone || now - c->seen_at < STALL_MAX) continue;
        d->stats.input_dropped++;
        redis_client_drop(c, "stalled inside a large request while others wait for memory");
    }
}
