/* For tests only: a log on the fake world, beside a naive model of what it was told and what it
 * promised. rig_verdict compares a replay with the model. */
#pragma once

#include "base/test.h"

#include "base/bytes.h"
#include "base/mutant.h"
#include "wal/wal_internal.h"
#include "wal/wal_test_faults.h"

#define RIG_PARTS 3
#define RIG_DIR   "wal/r0"

struct rig_frame {
    struct wal_frame f;
    u64 id; /* also the first 8 bytes of its payload; counts up as frames are staged */
    u32 bytes;
    u64 lsn;
    u64 voided_by; /* id of the truncation; 0: none */
};

struct rig {
    struct fake_env *f;
    struct wal_config config;
    struct wal *w;
    struct prng prng;
    struct rig_frame *frames; /* told, in order; a replay cuts what did not survive */
    u32 count, cap;
    u64 next_id, next_index[RIG_PARTS], released[RIG_PARTS];
    u64 acked;             /* frames up to this id were seen durable */
    struct rig_frame *got; /* replayed */
    u32 got_count, got_cap;
    struct wal_damage damages[64];
    u32 damage_count;
    const char *bad_payload;
};

/* Mutants in tests: QUORATE_MUTANT=name in the environment of a -DQUORATE_MUTANTS build. */
FAKE void rig_mutant(void)
{
#ifdef QUORATE_MUTANTS
    static const char *const names[] = {
        "none",
#define MUTANT_ROW(name, kind, breaks) #name,
#include "sim/mutants.def"
#undef MUTANT_ROW
    };
    const char *wanted = getenv("QUORATE_MUTANT");
    for (u32 i = 0; wanted && i < ARRAY_LEN(names); i++)
        if (!strcmp(names[i], wanted)) mutant_active = (enum mutant)i;
#endif
}

FAKE struct rig *rig_new(u64 seed)
{
    struct rig *r = mem_zalloc(sizeof *r);

    rig_mutant();
    r->f = fake_new(seed);
    prng_init(&r->prng, seed, 11);
    r->config = (struct wal_config){
        .dir = RIG_DIR,
        .segment_bytes = 16 * 4096,
        .units_in_flight_max = 2,
        .unit_bytes_max = 2 * 4096,
        .frame_bytes_max = 5 * 4096,
        .backlog_bytes_max = 16 * 4096,
        .salt = 0x5a17 ^ seed,
    };
    r->next_id = 1;
    for (u32 i = 0; i < RIG_PARTS; i++) r->next_index[i] = 1;
    return r;
}

FAKE void rig_free(struct rig *r)
{
    wal_free(r->w);
    fake_free(r->f);
    mem_free(r->frames);
    mem_free(r->got);
    mem_free(r);
}

/* --- payloads --- */

FAKE void rig_fill(u8 *to, u64 id, u32 bytes)
{
    for (u32 i = 8; i < bytes; i++) to[i] = (u8)(id * 31 + i);
    put_u64(to, id);
}

FAKE void rig_on_frame(void *context, const struct wal_replayed *p)
{
    struct rig *r = context;
    struct rig_frame g = {.f = p->frame, .bytes = (u32)p->payload.len, .lsn = p->lsn};

    if (p->payload.len < 8) {
        r->bad_payload = "a payload is short";
        return;
    }
    g.id = get_u64(p->payload.at);
    u8 *want = mem_alloc(p->payload.len);
    rig_fill(want, g.id, g.bytes);
    if (!mem_equal(want, p->payload.at, p->payload.len)) r->bad_payload = "a payload differs";
    mem_free(want);
    if (r->got_count == r->got_cap) {
        r->got_cap = r->got_cap ? r->got_cap * 2 : 64;
        r->got = mem_resize_array(r->got, r->got_cap, sizeof *r->got);
    }
    r->got[r->got_count++] = g;
}

FAKE void rig_on_damage(void *context, const struct wal_damage *d)
{
    struct rig *r = context;

    assert(r->damage_count < ARRAY_LEN(r->damages));
    r->damages[r->damage_count++] = *d;
}

/* --- driving --- */

FAKE err rig_open(struct rig *r)
{
    assert(!r->w);
    r->got_count = r->damage_count = 0;
    r->bad_payload = NULL;
    r->config.boot_epoch++;
    return wal_open(&r->f->env, &r->config, rig_on_frame, rig_on_damage, r, &r->w);
}

/* What is durable now counts as promised. */
FAKE void rig_note(struct rig *r)
{
    u64 durable = wal_durable(r->w);

    for (u32 i = r->count; i-- > 0;) {
        if (r->frames[i].lsn > durable) continue;
        r->acked = u64_max(r->acked, r->frames[i].id);
        return;
    }
}

FAKE u64 rig_stage(struct rig *r, u8 type, u64 part, u64 index, u32 bytes)
{
    struct rig_frame m = {.f = {.type = type, .part = part, .index = index, .term = 1, .repl = 3},
                          .id = r->next_id++,
                          .bytes = bytes};
    u8 *payload = mem_alloc(bytes);

    assert(bytes >= 8);
    rig_fill(payload, m.id, bytes);
    size_t cut = bytes / 3;
    str parts[2] = {str_from(payload, cut), str_from(payload + cut, bytes - cut)};
    m.lsn = wal_stage(r->w, &m.f, parts, 2);
    mem_free(payload);
    if (type == WAL_TRUNC_SUFFIX)
        for (u32 i = 0; i < r->count; i++)
            if (!r->frames[i].voided_by && r->frames[i].f.type == WAL_ENTRY &&
                r->frames[i].f.part == part && r->frames[i].f.index >= index)
                r->frames[i].voided_by = m.id;
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->frames = mem_resize_array(r->frames, r->cap, sizeof *r->frames);
    }
    r->frames[r->count++] = m;
    return m.lsn;
}

FAKE u64 rig_entry(struct rig *r, u64 part, u32 bytes)
{
    return rig_stage(r, WAL_ENTRY, part, r->next_index[part]++, bytes);
}

FAKE void rig_release(struct rig *r, u64 part, u64 index)
{
    r->released[part] = u64_max(r->released[part], index);
    wal_release(r->w, part, index);
}

FAKE void rig_flush(struct rig *r)
{
    wal_flush(r->w, r->f->clock);
    rig_note(r);
}

/* Complete the i-th op under way. */
FAKE err rig_complete(struct rig *r, u32 i)
{
    struct disk_op *op = fake_complete(r->f, i);

    if (!op) return ERR_IO;
    assert(wal_owns_op(r->w, op));
    err e = wal_on_disk_done(r->w, op, r->f->clock);
    rig_note(r);
    return e;
}

FAKE err rig_job(struct rig *r)
{
    struct env_job *job = r->f->job;

    if (!job) return OK;
    job->run(job);
    if (r->f->crashed) return ERR_IO;
    r->f->job = NULL;
    assert(wal_owns_job(r->w, job));
    return wal_on_job_done(r->w, job, r->f->clock);
}

/* Flush, complete and run jobs until nothing is left to do. */
FAKE err rig_settle(struct rig *r)
{
    err e = OK;

    do {
        rig_flush(r);
        if (r->f->job) e = rig_job(r);
        while (!e && r->f->op_count) e = rig_complete(r, 0);
        if (!e) rig_flush(r);
    } while (!e && !r->f->crashed && (r->f->op_count || r->f->job));
    return r->f->crashed ? ERR_IO : e;
}

/* Silence until the empty unit was written. */
FAKE err rig_prove(struct rig *r)
{
    err e = rig_settle(r);
    if (e) return e;
    r->f->clock += WAL_QUIET;
    return rig_settle(r);
}

FAKE void rig_crash(struct rig *r, enum fake_crash_mode mode)
{
    fake_crash(r->f, mode);
    wal_free(r->w);
    r->w = NULL;
}

FAKE void rig_kill(struct rig *r)
{
    fake_kill(r->f);
    wal_free(r->w);
    r->w = NULL;
}

FAKE struct fake_file *rig_file(struct rig *r, u64 seq)
{
    char path[WAL_NAME_BYTES];

    wal_name_segment(path, RIG_DIR, seq);
    return fake_file_at(r->f, path);
}

/* --- the verdict --- */

FAKE bool rig_is_entry_like(const struct rig_frame *f)
{
    return f->f.type != WAL_HARD_STATE;
}

FAKE bool rig_same(const struct rig_frame *a, const struct rig_frame *b)
{
    return a->id == b->id && a->bytes == b->bytes && a->f.type == b->f.type &&
           a->f.part == b->f.part && a->f.index == b->f.index && a->f.term == b->f.term &&
           a->f.repl == b->f.repl;
}

FAKE struct rig_frame *rig_find(struct rig *r, u64 id)
{
    for (u32 i = 0; i < r->count; i++)
        if (r->frames[i].id == id) return &r->frames[i];
    return NULL;
}

FAKE const char *rig_check_hard_states(struct rig *r, u64 hole)
{
    for (u64 part = 0; part < RIG_PARTS; part++) {
        u64 promised = 0, last = 0;
        for (u32 i = 0; i < r->count; i++)
            if (r->frames[i].f.type == WAL_HARD_STATE && r->frames[i].f.part == part &&
                r->frames[i].id <= r->acked)
                promised = r->frames[i].id;
        for (u32 i = 0; i < r->got_count; i++) {
            const struct rig_frame *g = &r->got[i];
            if (g->f.type != WAL_HARD_STATE || g->f.part != part) continue;
            const struct rig_frame *told = rig_find(r, g->id);
            if (!told || !rig_same(told, g)) return "a hard state was never told";
            if (g->id < last) return "hard states go back";
            if (g->id > hole) return "a hard state from behind a hole";
            last = g->id;
        }
        if (last < promised) return "a promised hard state is missing";
    }
    return NULL;
}

/* Does the replay keep every promise? NULL, or what is wrong. Damage allowed: only wrong frames and
 * wrong order are faults. Afterwards the model holds what survived. */
FAKE const char *rig_verdict(struct rig *r)
{
    u32 at = 0, hole_at;
    bool started = false;

    if (r->bad_payload) return r->bad_payload;
    if (r->damage_count) return "damage reported where there was none";
    for (u32 i = 0; i < r->got_count; i++) {
        if (!rig_is_entry_like(&r->got[i])) continue;
        while (at < r->count && (!rig_is_entry_like(&r->frames[at]) ||
                                 (!started && r->frames[at].id != r->got[i].id)))
            at++; /* to the first replayed frame; then over hard states only */
        if (at == r->count) return "a frame was never told, or comes after a hole";
        if (!rig_same(&r->frames[at], &r->got[i])) return "frames out of order, or one is missing";
        started = true;
        at++;
    }
    hole_at = at;
    while (hole_at < r->count && !rig_is_entry_like(&r->frames[hole_at])) hole_at++;
    u64 hole = hole_at < r->count ? r->frames[hole_at].id : UINT64_MAX;
    if (!started) hole = UINT64_MAX;

    u64 newest = 0;
    for (u32 i = 0; i < r->got_count; i++) newest = u64_max(newest, r->got[i].id);
    newest = u64_max(newest, r->acked);
    for (u32 i = 0; i < r->count; i++) {
        const struct rig_frame *m = &r->frames[i];
        bool replayed = false;
        if (m->id > r->acked || m->f.type != WAL_ENTRY) continue;
        if (m->voided_by && m->voided_by <= newest) continue;
        if (m->f.index <= r->released[m->f.part]) continue;
        for (u32 j = 0; j < r->got_count && !replayed; j++) replayed = r->got[j].id == m->id;
        if (!replayed) return "a promised entry is missing";
    }
    if (started && r->acked >= hole) return "a promised frame is missing";
    const char *wrong = rig_check_hard_states(r, hole);
    if (wrong) return wrong;

    /* What survived is durable now; the rest never was. */
    while (r->count && r->frames[r->count - 1].id > newest) r->count--;
    r->acked = r->count ? r->frames[r->count - 1].id : 0;
    for (u64 part = 0; part < RIG_PARTS; part++) {
        r->next_index[part] = 1;
        for (u32 i = 0; i < r->count; i++) {
            const struct rig_frame *m = &r->frames[i];
            if (m->f.part != part) continue;
            if (m->f.type == WAL_ENTRY) r->next_index[part] = m->f.index + 1;
            if (m->f.type == WAL_TRUNC_SUFFIX) r->next_index[part] = m->f.index;
        }
    }
    for (u32 i = 0; i < r->count; i++) {
        r->frames[i].lsn = 0;
        if (r->frames[i].voided_by > newest) r->frames[i].voided_by = 0;
    }
    return NULL;
}

/* Was the frame with this id replayed? */
FAKE bool rig_got(const struct rig *r, u64 id)
{
    for (u32 i = 0; i < r->got_count; i++)
        if (r->got[i].id == id) return true;
    return false;
}

/* The other log opens what is on this one's medium: a second life without ending the first. */
FAKE struct rig *rig_clone(const struct rig *r)
{
    struct rig *c = rig_new(1);

    fake_free(c->f);
    c->f = fake_clone(r->f);
    c->config = r->config;
    c->next_id = r->next_id;
    c->acked = r->acked;
    memcpy(c->next_index, r->next_index, sizeof c->next_index);
    memcpy(c->released, r->released, sizeof c->released);
    c->count = c->cap = r->count;
    c->frames = mem_copy_of(r->frames, r->count * sizeof *r->frames);
    return c;
}
