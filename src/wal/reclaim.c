/* Which file is not needed any more. Per segment and part: the largest entry and marker index in
 * it. Per part: what its owner released, and the newest hard state, which must outlive every file
 * it was in. */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutant.h"

/* --- parts --- */

static u32 slot_of(const struct wal_parts *p, u64 id)
{
    u32 slot = (u32)hash_mix(0, id) & (p->table_size - 1);

    while (p->table[slot] && p->parts[p->table[slot] - 1].id != id)
        slot = (slot + 1) & (p->table_size - 1);
    return slot;
}

static void table_grow(struct wal_parts *p)
{
    mem_free(p->table);
    p->table_size = p->table_size ? p->table_size * 2 : 64;
    p->table = mem_zalloc_array(p->table_size, sizeof *p->table);
    for (u32 i = 0; i < p->count; i++) p->table[slot_of(p, p->parts[i].id)] = i + 1;
}

/* Index of the part, made if it is new. */
static u32 part_at(struct wal_parts *p, u64 id)
{
    if (p->last < p->count && p->parts[p->last].id == id) return p->last;
    if ((p->count + 1) * 2 > p->table_size) table_grow(p);

    u32 slot = slot_of(p, id);
    if (!p->table[slot]) {
        if (p->count == p->cap) {
            p->cap = p->cap ? p->cap * 2 : 16;
            p->parts = mem_resize_array(p->parts, p->cap, sizeof *p->parts);
        }
        p->parts[p->count] = (struct wal_part){.id = id};
        p->table[slot] = ++p->count;
    }
    p->last = p->table[slot] - 1;
    return p->last;
}

static struct wal_use *use_of(struct wal_parts *p, u32 at, struct wal_segment *s)
{
    struct wal_part *part = &p->parts[at];

    if (part->use_seq != s->seq) {
        if (s->use_count == s->use_cap) {
            s->use_cap = s->use_cap ? s->use_cap * 2 : 8;
            s->uses = mem_resize_array(s->uses, s->use_cap, sizeof *s->uses);
        }
        part->use_seq = s->seq;
        part->use_at = s->use_count;
        s->uses[s->use_count++] = (struct wal_use){.part = at};
    }
    assert(s->uses[part->use_at].part == at);
    return &s->uses[part->use_at];
}

/* --- notes --- */

/* Entries from `index` on are void: they keep no file any more, once the truncation itself is
 * durable. */
static void note_truncation(struct wal *w, u32 part, u64 index, u64 lsn)
{
    for (u32 i = 0; i < w->segments.count; i++) {
        struct wal_segment *s = w->segments.at[i];
        for (u32 j = 0; j < s->use_count; j++) {
            struct wal_use *use = &s->uses[j];
            if (use->part != part || use->entry_last < index) continue;
            use->entry_last = index ? index - 1 : 0;
            s->pin_lsn = u64_max(s->pin_lsn, lsn);
        }
    }
}

static void note_hard_state(struct wal_part *part, const struct wal_segment *s,
                            const struct wal_frame *f, str payload, u64 lsn)
{
    if (payload.len > part->hard_cap) {
        part->hard_cap = (u32)round_up(payload.len, 16);
        part->hard = mem_resize(part->hard, part->hard_cap);
    }
    mem_copy(part->hard, payload.at, payload.len);
    part->hard_len = (u32)payload.len;
    part->hard_frame = *f;
    part->hard_seq = s->seq;
    part->hard_lsn = lsn;
}

static void forget_uses(struct wal *w, u32 part)
{
    for (u32 i = 0; i < w->segments.count; i++) {
        struct wal_segment *s = w->segments.at[i];
        for (u32 j = 0; j < s->use_count; j++)
            if (s->uses[j].part == part) s->uses[j].entry_last = s->uses[j].marker_last = 0;
    }
}

void wal_reclaim_forget(struct wal *w, u64 part)
{
    u32 at = part_at(&w->parts, part);

    forget_uses(w, at);
    w->parts.parts[at].hard_seq = 0;
}

void wal_reclaim_forget_others(struct wal *w, bool (*is_known)(void *context, u64 part), void *context)
{
    for (u32 i = 0; i < w->parts.count; i++)
        if (!is_known(context, w->parts.parts[i].id)) wal_reclaim_forget(w, w->parts.parts[i].id);
}

void wal_reclaim_note(struct wal *w, struct wal_segment *s, const struct wal_frame *f, str payload,
                      u64 lsn)
{
    struct wal_parts *p = &w->parts;

    if (f->type == WAL_PAD) return;
    u32 at = part_at(p, f->part);
    if (f->repl > p->parts[at].repl) { /* its indexes begin anew, and the rows of the one before are gone */
        if (p->parts[at].repl) forget_uses(w, at);
        p->parts[at].repl = f->repl;
        p->parts[at].released = 0;
    }
    switch (f->type) {
    case WAL_ENTRY: {
        struct wal_use *use = use_of(p, at, s);
        use->entry_last = u64_max(use->entry_last, f->index);
        break;
    }
    case WAL_HARD_STATE:
        use_of(p, at, s);
        note_hard_state(&p->parts[at], s, f, payload, lsn);
        break;
    case WAL_TRUNC_SUFFIX: note_truncation(w, at, f->index, lsn); break;
    default: {
        struct wal_use *use = use_of(p, at, s);
        use->marker_last = u64_max(use->marker_last, f->index);
        break;
    }
    }
}

void wal_reclaim_release(struct wal *w, u64 part, u64 index)
{
    u32 at = part_at(&w->parts, part); /* may move the array */
    struct wal_part *p = &w->parts.parts[at];

    p->released = u64_max(p->released, index);
}

/* --- the oldest segment --- */

/* Nothing but hard states, if those, keeps the oldest segment. */
static bool is_released(const struct wal *w)
{
    const struct wal_segments *row = &w->segments;

    if (row->head == 0) return false;
    const struct wal_segment *s = row->at[0];
    u64 durable = w->units.durable;
    if (durable < s->end_lsn || durable < s->pin_lsn) return false;
    if (durable <= row->at[1]->start_lsn) return false; /* no unit in a later file is durable */

    for (u32 i = 0; i < s->use_count; i++) {
        const struct wal_use *use = &s->uses[i];
        u64 released = w->parts.parts[use->part].released;
        if (MUTANT(wal_recycles_unreleased)) continue;
        if (use->entry_last > released || use->marker_last > released) return false;
    }
    return true;
}

void wal_reclaim_restage(struct wal *w)
{
    if (MUTANT(wal_recycle_forgets_hard_state)) return;
    if (!is_released(w)) return;

    const struct wal_segment *s = w->segments.at[0];
    for (u32 i = 0; i < s->use_count; i++) {
        struct wal_part *part = &w->parts.parts[s->uses[i].part];
        if (part->hard_seq != s->seq) continue;
        struct wal_frame f = part->hard_frame;
        str payload = str_from(part->hard, part->hard_len);
        wal_stage_frame(w, &f, &payload, 1);
        assert(part->hard_seq > s->seq);
    }
}

bool wal_reclaim_may_retire(const struct wal *w)
{
    if (!is_released(w)) return false;

    const struct wal_segment *s = w->segments.at[0];
    for (u32 i = 0; i < s->use_count; i++) {
        const struct wal_part *part = &w->parts.parts[s->uses[i].part];
        if (MUTANT(wal_recycle_forgets_hard_state)) continue;
        if (part->hard_seq == s->seq) return false;
        if (part->hard_seq && part->hard_lsn > w->units.durable) return false;
    }
    return true;
}

void wal_reclaim_free(struct wal *w)
{
    struct wal_parts *p = &w->parts;

    for (u32 i = 0; i < p->count; i++) mem_free(p->parts[i].hard);
    mem_free(p->parts);
    mem_free(p->table);
}
