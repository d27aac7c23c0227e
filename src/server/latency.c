/* See latency.h. */
#include "server/latency.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/search.h"

static const char *const refusals[LATENCY_REFUSALS] = {"NOQUORUM", "UNKNOWN", "OVERLOADED", "DISKFULL",
                                                       "STALE",    "SESSION", "other"};

const char *latency_refusal_name(u32 refusal)
{
    assert(refusal < LATENCY_REFUSALS);
    return refusals[refusal];
}

const char *latency_kind_name(enum latency_kind kind)
{
    static const char *const names[LATENCY_KINDS] = {
        [LATENCY_WRITE] = "write",
        [LATENCY_READ + LEVEL_LEASE] = "lease",
        [LATENCY_READ + LEVEL_QUORUM] = "quorum",
        [LATENCY_READ + LEVEL_FOLLOWER] = "follower",
        [LATENCY_READ + LEVEL_STALE] = "stale",
        [LATENCY_READ + LEVEL_SEQUENTIAL] = "sequential",
        [LATENCY_READ + LEVEL_SESSION] = "session",
        [LATENCY_READ + LEVEL_LOCAL] = "local",
    };

    assert(kind < LATENCY_KINDS);
    return names[kind];
}

static u32 place_of(const struct latencies *l, u32 keyspace)
{
    u32 at;

    LOWER_BOUND(at, l->count, l->items[at].id < keyspace);
    return at;
}

static bool is_at(const struct latencies *l, u32 at, u32 keyspace)
{
    return at < l->count && l->items[at].id == keyspace;
}

static void drop(struct latencies *l, u32 at)
{
    for (u32 i = 0; i < LATENCY_KINDS; i++) mem_free(l->items[at].kinds[i]);
    l->count--;
    memmove(l->items + at, l->items + at + 1, (l->count - at) * sizeof *l->items);
}

static u32 longest_unused(const struct latencies *l)
{
    u32 found = 0;

    for (u32 i = 1; i < l->count; i++)
        if (l->items[i].used_at < l->items[found].used_at) found = i;
    return found;
}

static struct latency_keyspace *keyspace_of(struct latencies *l, u32 keyspace)
{
    if (LIKELY(is_at(l, l->latest, keyspace))) return &l->items[l->latest];
    if (!is_at(l, place_of(l, keyspace), keyspace)) {
        if (!l->items) l->items = mem_zalloc_array(LATENCY_KEYSPACES_MAX, sizeof *l->items);
        if (l->count == LATENCY_KEYSPACES_MAX) drop(l, longest_unused(l));
        u32 at = place_of(l, keyspace);
        memmove(l->items + at + 1, l->items + at, (l->count - at) * sizeof *l->items);
        l->items[at] = (struct latency_keyspace){.id = keyspace};
        l->count++;
    }
    l->latest = place_of(l, keyspace);
    return &l->items[l->latest];
}

static struct latency *kind_of(struct latencies *l, u32 keyspace, enum latency_kind kind, nanos now)
{
    struct latency_keyspace *k = keyspace_of(l, keyspace);

    assert(kind < LATENCY_KINDS);
    k->used_at = now;
    if (UNLIKELY(!k->kinds[kind])) k->kinds[kind] = mem_zalloc(sizeof *k->kinds[kind]);
    return k->kinds[kind];
}

void latencies_add(struct latencies *l, u32 keyspace, enum latency_kind kind, nanos now, u64 us)
{
    struct latency *k = kind_of(l, keyspace, kind, now);

    k->answered++;
    recent_add(&k->took, now, us);
}

static u32 refusal_of(str error)
{
    u32 i = 0;

    for (; i + 1 < LATENCY_REFUSALS; i++) {
        size_t len = strlen(refusals[i]);
        if (error.len > len && error.at[0] == '-' && mem_equal(error.at + 1, refusals[i], len)) break;
    }
    return i;
}

void latencies_refuse(struct latencies *l, u32 keyspace, enum latency_kind kind, nanos now, str error)
{
    kind_of(l, keyspace, kind, now)->refused[refusal_of(error)]++;
}

void latencies_forget(struct latencies *l, u32 keyspace)
{
    u32 at = place_of(l, keyspace);

    if (is_at(l, at, keyspace)) drop(l, at);
}

void latencies_done(struct latencies *l)
{
    while (l->count) drop(l, l->count - 1);
    mem_free(l->items);
    l->items = NULL;
}

const struct latency *latencies_of(const struct latencies *l, u32 keyspace, enum latency_kind kind)
{
    u32 at = place_of(l, keyspace);

    assert(kind < LATENCY_KINDS);
    return is_at(l, at, keyspace) ? l->items[at].kinds[kind] : NULL;
}
