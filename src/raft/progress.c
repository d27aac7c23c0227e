#include "raft/progress.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

void progress_init(struct progress *p, u32 ring_max)
{
    assert(ring_max > 0);
    *p = (struct progress){.ring_max = ring_max, .next = 1};
}

void progress_done(struct progress *p)
{
    mem_free(p->ring);
}

void progress_trim(struct progress *p)
{
    if (p->ring_count || !p->ring_cap) return;
    mem_free(p->ring);
    p->ring = NULL;
    p->ring_cap = p->ring_head = 0;
}

static void grow(struct progress *p)
{
    u32 cap = p->ring_cap ? 2 * p->ring_cap : 8;
    if (cap > p->ring_max) cap = p->ring_max;
    struct inflight *ring = mem_zalloc_array(cap, sizeof *ring);

    for (u32 i = 0; i < p->ring_count; i++) ring[i] = p->ring[(p->ring_head + i) % p->ring_cap];
    mem_free(p->ring);
    p->ring = ring;
    p->ring_cap = cap;
    p->ring_head = 0;
}

static void window_clear(struct progress *p)
{
    p->ring_head = p->ring_count = 0;
    p->inflight_bytes = 0;
}

void progress_reset(struct progress *p, u64 next)
{
    struct inflight *ring = p->ring;
    u32 cap = p->ring_cap;
    progress_init(p, p->ring_max);
    p->ring = ring;
    p->ring_cap = cap;
    p->next = next;
}

void progress_become_probe(struct progress *p, u64 next)
{
    assert(next > p->match);
    window_clear(p);
    p->state = PROGRESS_PROBE;
    p->next = next;
    p->paused = false;
}

void progress_become_replicate(struct progress *p, u64 next)
{
    assert(next > p->match);
    window_clear(p);
    p->state = PROGRESS_REPLICATE;
    p->next = next;
    p->paused = false;
}

void progress_become_snapshot(struct progress *p, nanos wait_until)
{
    window_clear(p);
    p->state = PROGRESS_SNAPSHOT;
    p->wait_until = wait_until;
    p->paused = false;
}

void progress_sent(struct progress *p, u64 last, u64 bytes)
{
    assert(p->state == PROGRESS_REPLICATE);
    assert(p->ring_count < p->ring_max);
    assert(last >= p->next);
    if (p->ring_count == p->ring_cap) grow(p);
    u32 at = p->ring_head + p->ring_count;
    if (at >= p->ring_cap) at -= p->ring_cap;
    p->ring[at] = (struct inflight){last, bytes};
    p->ring_count++;
    p->inflight_bytes += bytes;
    p->next = last + 1;
}

void progress_acked(struct progress *p, u64 index)
{
    if (MUTANT(match_goes_back))
        p->match = index;
    else
        p->match = u64_max(p->match, index);
    if (!MUTANT(next_not_above_match)) p->next = u64_max(p->next, p->match + 1);
    while (p->ring_count && p->ring[p->ring_head].last <= p->match) {
        p->inflight_bytes -= p->ring[p->ring_head].bytes;
        p->ring_head = p->ring_head + 1 == p->ring_cap ? 0 : p->ring_head + 1;
        p->ring_count--;
    }
}

u64 progress_window(const struct progress *p, u64 inflight_bytes_max)
{
    switch (p->state) {
    case PROGRESS_PROBE: return p->paused ? 0 : inflight_bytes_max;
    case PROGRESS_REPLICATE:
        if (p->ring_count == 0) return inflight_bytes_max;
        if (p->ring_count == p->ring_max) return 0;
        if (p->inflight_bytes >= inflight_bytes_max) return 0;
        return inflight_bytes_max - p->inflight_bytes;
    case PROGRESS_SNAPSHOT: return 0;
    }
    return 0;
}

void progress_check(const struct progress *p, u64 last)
{
    assert(p->match <= last);
    assert(p->next > p->match);
    assert(p->next <= last + 1);
    assert(p->ring_count <= p->ring_cap);
    assert(p->ring_count > 0 || p->inflight_bytes == 0);
    assert(p->ring_count == 0 || p->state == PROGRESS_REPLICATE);
    assert(!p->may_heal || p->impaired);
    u64 bytes = 0, last_sent = p->match;
    for (u32 i = 0; i < p->ring_count; i++) {
        const struct inflight *f = &p->ring[(p->ring_head + i) % p->ring_cap];
        assert(f->last > last_sent);
        last_sent = f->last;
        bytes += f->bytes;
    }
    assert(bytes == p->inflight_bytes);
    assert(last_sent < p->next);
}
