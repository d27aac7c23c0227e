/* Bounded staleness: a `stale:MS` read that was invoked at t returns what was current at some moment from t - MS on
 * (Azure Cosmos DB's bounded staleness, by time; Spanner's exact and max staleness reads). So the version it saw
 * must not have been over before: `until` (versions.h) is the latest moment at which it can have ended, which is
 * when a write that certainly came later had certainly happened. Times are nanoseconds. */
#include "check/checkers.h"

#include "check/versions.h"

static void check_read(const struct versions *v, u32 place, struct findings *f)
{
    const struct history_entry *e = &v->h->items[place];
    u32 seen = versions_seen(v, e);
    nanos allowed = e->level.ms * NANOS_MS + f->slack;

    if (seen >= v->count || v->items[seen].until >= e->invoked) return;
    const struct version *it = &v->items[seen];
    nanos late = e->invoked - it->until;
    if (late <= allowed) return;
    u32 proof[3], n = 0;
    if (it->place != PLACE_NONE) proof[n++] = it->place;
    proof[n++] = v->items[it->next].place;
    proof[n++] = place;
    findings_violation(f, v->h, proof, n, "a read was %llu us too stale: another value was there %llu us before it",
                       (unsigned long long)((late - allowed) / 1000), (unsigned long long)(late / 1000));
}

void check_stale(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    struct versions v;

    versions_init(&v, h, places, count);
    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &h->items[places[i]];
        if (e->outcome == HISTORY_OK && e->level.kind == LEVEL_STALE) check_read(&v, places[i], f);
    }
    versions_done(&v);
}
