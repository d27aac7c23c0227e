#include "server/shipments.h"

#include "base/assert.h"
#include "base/mutant.h"

static u32 place_of(const struct shipments *s, node_id to)
{
    u32 free = SHIPMENTS_MAX;

    for (u32 i = 0; i < SHIPMENTS_MAX; i++) {
        if (s->each[i].count && s->each[i].to == to) return i;
        if (!s->each[i].count) free = i;
    }
    return free;
}

bool shipments_begin(struct shipments *s, node_id to)
{
    u32 at = place_of(s, to);

    if (s->total == SHIPMENTS_MAX) {
        s->waits_for_all++;
        return false;
    }
    assert(at < SHIPMENTS_MAX); /* not all places can be taken */
    if (s->each[at].count == SHIPMENTS_TO_ONE_MAX && !MUTANT(snapshots_pile_up)) {
        s->waits_for_one++;
        return false;
    }
    s->each[at].to = to;
    s->each[at].count++;
    s->total++;
    return true;
}

void shipments_end(struct shipments *s, node_id to)
{
    u32 at = place_of(s, to);

    assert(at < SHIPMENTS_MAX && s->each[at].count);
    s->each[at].count--;
    s->total--;
}

u32 shipments_most(const struct shipments *s)
{
    u32 most = 0;

    for (u32 i = 0; i < SHIPMENTS_MAX; i++)
        if (s->each[i].count > most) most = s->each[i].count;
    return most;
}
