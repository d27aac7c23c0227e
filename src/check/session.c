/* What one session sees of a key, in its program order (also inside a pipeline, where operations overlap): its own
 * writes, and never an older value after a newer one: read your writes and monotonic reads (Terry et al. 1994). The
 * other two guarantees, monotonic writes and writes follow reads, follow from the log: a write goes behind all that
 * anyone has seen. Reads that promise less (stale, local) are not looked at, and teach the session nothing. */
#include "check/checkers.h"

#include "base/mem.h"
#include "check/versions.h"

#include <stdlib.h>

struct step { /* of a session */
    u64 who;
    u32 place;
};

struct seen { /* the latest version that a session knows of, and where it learned that */
    u32 version, at;
};

static int by_who(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->who != y->who) return x->who < y->who ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Must a's write come before b's? It was over before b began, or one session asked for both in this order (perhaps
 * in one pipeline) and both were done. */
static bool precedes(const struct versions *v, const struct version *a, const struct version *b)
{
    if (a->place == PLACE_NONE) return b->place != PLACE_NONE;
    if (b->place == PLACE_NONE) return false;
    const struct history_entry *x = &v->h->items[a->place], *y = &v->h->items[b->place];
    if (a->to < b->from) return true;
    return history_who(x) == history_who(y) && a->place < b->place && x->outcome == HISTORY_OK &&
           y->outcome == HISTORY_OK;
}

static void report(const struct versions *v, struct seen known, u32 now, u32 place, struct findings *f)
{
    u32 proof[4], n = 0, known_place = v->items[known.version].place, now_place = v->items[now].place;

    if (known_place != PLACE_NONE) proof[n++] = known_place;
    if (known.at != known_place) proof[n++] = known.at;
    if (now_place != PLACE_NONE && now_place != place) proof[n++] = now_place;
    proof[n++] = place;
    findings_violation(f, v->h, proof, n, "a process went back in time");
}

static bool has_memory(const struct history_entry *e)
{
    return e->outcome == HISTORY_OK && (level_is_linearizable(e->level) || level_has_memory(e->level));
}

void check_session(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    struct step *steps = mem_zalloc_array(count + 1, sizeof *steps);
    struct seen known = {0};
    struct versions v;
    u32 n = 0;

    versions_init(&v, h, places, count);
    for (u32 i = 0; i < count; i++)
        if (has_memory(&h->items[places[i]]))
            steps[n++] = (struct step){history_who(&h->items[places[i]]), places[i]};
    qsort(steps, n, sizeof *steps, by_who);
    for (u32 i = 0; i < n; i++) {
        if (i == 0 || steps[i].who != steps[i - 1].who) known.version = VERSION_NOBODY;
        u32 now = versions_shown(&v, steps[i].place);
        if (now >= v.count) continue;
        if (known.version != VERSION_NOBODY && precedes(&v, &v.items[now], &v.items[known.version]))
            report(&v, known, now, steps[i].place, f);
        /* Of a window, what a weak read saw may be an older version with the same value. */
        if (h->is_window && history_is_weak(&h->items[steps[i].place])) continue;
        known = (struct seen){.version = now, .at = steps[i].place};
    }
    mem_free(steps);
    versions_done(&v);
}
