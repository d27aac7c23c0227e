/* For tests only: random work on a log, the same for the same seed. */
#pragma once

#include "wal/wal_test_rig.h"

static inline u32 script_size(struct rig *r)
{
    if (prng_below(&r->prng, 12) == 0) return (u32)prng_between(&r->prng, 4096, 5 * 4096);
    return (u32)prng_between(&r->prng, 8, 1500);
}

/* The largest index of an entry of the part that was seen durable. */
static inline u64 script_acked_index(struct rig *r, u64 part)
{
    u64 index = 0;

    for (u32 i = 0; i < r->count; i++) {
        const struct rig_frame *m = &r->frames[i];
        if (m->id > r->acked || m->f.part != part || m->f.type != WAL_ENTRY) continue;
        if (m->voided_by) continue;
        index = u64_max(index, m->f.index);
    }
    return index;
}

static inline void script_stage(struct rig *r)
{
    u64 part = prng_below(&r->prng, RIG_PARTS);
    u64 next = r->next_index[part];
    u64 what = prng_below(&r->prng, 20);
    u32 bytes = script_size(r);

    if (what < 14) {
        if (wal_room(r->w) >= bytes + WAL_FRAME_OVERHEAD) rig_entry(r, part, bytes);
    } else if (what < 17) {
        rig_stage(r, WAL_HARD_STATE, part, 0, 24);
    } else if (what < 18 && next > r->released[part] + 1) {
        u64 from = prng_between(&r->prng, r->released[part] + 1, next - 1);
        rig_stage(r, WAL_TRUNC_SUFFIX, part, from, 8);
        r->next_index[part] = from;
    } else if (what < 19) {
        rig_stage(r, WAL_CKPT, part, r->released[part], 8);
    }
}

static inline err script_turn(struct rig *r)
{
    err e = OK;

    for (u64 n = prng_below(&r->prng, 5); n > 0; n--) script_stage(r);
    rig_flush(r);
    while (!e && r->f->op_count && prng_below(&r->prng, 3))
        e = rig_complete(r, (u32)prng_below(&r->prng, r->f->op_count));
    if (!e && prng_below(&r->prng, 2)) e = rig_job(r);
    if (!e && prng_below(&r->prng, 4) == 0) {
        u64 part = prng_below(&r->prng, RIG_PARTS);
        rig_release(r, part, script_acked_index(r, part));
    }
    r->f->clock += prng_below(&r->prng, 30) * NANOS_MS;
    return e;
}

static inline err script_run(struct rig *r, u32 turns)
{
    err e = OK;

    for (u32 i = 0; i < turns && !e; i++) e = script_turn(r);
    return e;
}
