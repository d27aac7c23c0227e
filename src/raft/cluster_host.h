/* For tests: one replica as its host runs it. A disk that finishes writes in order and after a
 * while, a crash that keeps any prefix of what was under way, held messages, a state machine that
 * is a running hash, snapshots of it. Carries out raft_actions to the letter of raft.h. */
#pragma once

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"
#include "live/live.h"
#include "raft/raft.h"

#include <stdio.h>

#define HOST_LOG_MAX 60000u

/* Configurations by number, so that disks and snapshots stay small; 0 is the empty one. */
#define CONFIGS_MAX 4096u
#define CONFIG_ID   ((u64)1 << 62) /* an entry's id: a configuration, its number in the low bits */
static struct raft_config known_configs[CONFIGS_MAX];
static u32 known_config_count = 1;

static inline u32 config_number(const struct raft_config *c)
{
    if (c->count == 0) return 0;
    for (u32 i = known_config_count; i > 1; i--)
        if (raft_config_equal(&known_configs[i - 1], c)) return i - 1;
    assert(known_config_count < CONFIGS_MAX);
    known_configs[known_config_count] = *c;
    return known_config_count++;
}

struct disk_entry {
    u64 term, id; /* id: what the payload says; 0 for none */
};

struct snapshot {
    struct log_pos pos;
    u64 state;
    u32 config; /* its number */
};

struct disk { /* what survives */
    struct raft_hard_state hard;
    struct snapshot snapshot;
    u64 first, last;        /* entries (first, last] */
    struct disk_entry *log; /* by index */
};

enum disk_op_kind { DISK_SAVE, DISK_TRUNCATE, DISK_APPEND, DISK_COMPACT };

struct disk_op {
    enum disk_op_kind kind;
    struct raft_hard_state hard;
    u64 index; /* TRUNCATE: from; APPEND: this one; COMPACT: snapshot's */
    struct disk_entry entry;
    u64 staged_in; /* the replica's term when it was staged */
    struct snapshot snapshot;
};

struct held {
    u64 after; /* operations done before it may leave */
    struct buf bytes;
    replica_id to;
};

#define HOST_OPS_MAX  16384u
#define HOST_HELD_MAX 4096u

struct host {
    replica_id id;
    struct raft *raft; /* NULL: down */
    struct disk disk;
    bool wiped; /* lost its disk: impaired at the next start, and what it sent before is void */
    u64 life;

    struct disk_op ops[HOST_OPS_MAX]; /* a ring: done <= started <= staged */
    u64 ops_done, ops_staged;
    u64 write_ends_at, write_upto; /* the write under way covers operations below write_upto */
    struct held held[HOST_HELD_MAX];
    u64 held_from, held_to;

    u64 applied, state, commit_seen;
    u64 paused_until, restart_at;
    u64 room; /* of a full disk */
    bool full, backlog, dies; /* dies: at the end of the event under way */
    bool gone;                /* for ever: removed, or its machine was lost */
    bool lost; /* it has applied what a recovery gave up, or heard that it is committed */
    u64 clock_offset;
    i64 drift_ppm;
    struct raft_options options;
    struct live *live; /* NULL: down, or a world without support between nodes */
};

static inline struct raft_support support_from(void *context, replica_id id)
{
    const struct host *h = context;
    if (!h->live) return (struct raft_support){0};
    struct live_support s = live_received(h->live, id);
    return (struct raft_support){s.epoch, s.until, s.asked};
}

static inline u64 support_given(void *context, replica_id id)
{
    const struct host *h = context;
    return h->live ? live_given(h->live, id) : 0;
}

static inline u64 entry_id(const struct raft_entry *e)
{
    u64 id = 0;
    if (e->kind == RAFT_CONFIG) {
        struct raft_config c;
        err failed = raft_config_decode(rcbuf_str(e->data), &c);
        assert(failed == OK);
        return CONFIG_ID | config_number(&c);
    }
    if (e->data) memcpy(&id, e->data->data, sizeof id);
    return id;
}

static inline u64 state_after(u64 state, struct log_pos pos, u64 id)
{
    return hash_mix(hash_mix(hash_mix(state, pos.term), pos.index), id);
}

static inline void host_init(struct host *h, replica_id id)
{
    *h = (struct host){.id = id};
    h->disk.log = mem_zalloc_array(HOST_LOG_MAX, sizeof *h->disk.log);
    h->disk.hard.impaired = true; /* blank: RAFT_FOUNDING clears it */
}

static inline void host_done(struct host *h)
{
    raft_free(h->raft);
    live_free(h->live);
    for (u64 i = h->held_from; i < h->held_to; i++) buf_done(&h->held[i % HOST_HELD_MAX].bytes);
    mem_free(h->disk.log);
}

static inline nanos host_clock(const struct host *h, u64 now)
{
    return h->clock_offset + (u64)((i64)now + (i64)now / 1000000 * h->drift_ppm);
}

static inline void disk_do(struct disk *d, const struct disk_op *op)
{
    switch (op->kind) {
    case DISK_SAVE: d->hard = op->hard; break;
    case DISK_TRUNCATE:
        if (d->last >= op->index) d->last = op->index - 1;
        break;
    case DISK_APPEND:
        assert(op->index == d->last + 1);
        assert(op->index < HOST_LOG_MAX);
        d->log[op->index] = op->entry;
        d->last = op->index;
        break;
    case DISK_COMPACT:
        if (op->snapshot.pos.index > d->snapshot.pos.index) d->snapshot = op->snapshot;
        if (op->index > d->first) d->first = op->index;
        break;
    }
}

/* The snapshot is durable: entries it covers, or that contradict it, are void (as at a start). */
static inline void disk_install(struct disk *d, const struct snapshot *s)
{
    bool keeps = d->last >= s->pos.index && d->log[s->pos.index].term == s->pos.term;
    d->snapshot = *s;
    d->first = s->pos.index;
    if (!keeps) d->last = s->pos.index;
}

static inline bool disk_holds(const struct disk *d, u64 index, u64 term)
{
    if (index <= d->snapshot.pos.index) return true;
    return index <= d->last && d->log[index].term == term;
}

static inline struct rcbuf *payload_of_id(u64 id)
{
    if (!(id & CONFIG_ID)) return id ? rcbuf_from(str_from(&id, 8)) : NULL;
    struct buf bytes = {0};
    raft_config_encode(&known_configs[id & ~CONFIG_ID], &bytes);
    struct rcbuf *data = rcbuf_from(buf_str(&bytes));
    buf_done(&bytes);
    return data;
}

/* `founding`: the members before the first snapshot; NULL: this replica joins, and does not know. */
static inline void host_boot(struct host *h, u64 now, const struct raft_config *founding)
{
    struct disk *d = &h->disk;
    h->raft = raft_new(&h->options);
    static const struct raft_config unknown = {.next = 1};
    const struct raft_config *c = founding ? founding : &unknown;
    if (d->snapshot.config) c = &known_configs[d->snapshot.config];
    raft_boot_config(h->raft, c, d->snapshot.pos.index);
    raft_boot_hard_state(h->raft, &d->hard);
    raft_boot_snapshot(h->raft, d->snapshot.pos);
    for (u64 i = d->snapshot.pos.index + 1; i <= d->last; i++) {
        struct rcbuf *data = payload_of_id(d->log[i].id);
        bool is_config = d->log[i].id & CONFIG_ID;
        u32 kind = is_config ? RAFT_CONFIG : data ? RAFT_COMMAND : RAFT_NOOP;
        struct raft_entry e = {{d->log[i].term, i}, kind, data};
        raft_boot_entry(h->raft, &e);
        rcbuf_unref(data);
    }
    h->applied = h->commit_seen = d->snapshot.pos.index;
    h->state = d->snapshot.state;
    raft_boot_done(h->raft, h->applied, host_clock(h, now));
}

/* Of what was being written, the first `keep` operations reached the disk. */
static inline void host_crash(struct host *h, u64 keep)
{
    for (u64 i = h->ops_done; i < h->ops_done + keep; i++)
        disk_do(&h->disk, &h->ops[i % HOST_OPS_MAX]);
    h->ops_done = h->ops_staged;
    h->write_upto = 0;
    for (; h->held_from < h->held_to; h->held_from++)
        buf_done(&h->held[h->held_from % HOST_HELD_MAX].bytes);
    raft_free(h->raft);
    h->raft = NULL;
    live_free(h->live);
    h->live = NULL;
    h->full = false;
    h->paused_until = 0;
}

static inline void host_wipe(struct host *h)
{
    struct disk_entry *log = h->disk.log;
    h->disk = (struct disk){.hard = {.impaired = true}, .log = log};
    h->wiped = true;
}

static inline struct disk_op *host_stage(struct host *h, enum disk_op_kind kind)
{
    assert(h->ops_staged - h->ops_done < HOST_OPS_MAX);
    struct disk_op *op = &h->ops[h->ops_staged++ % HOST_OPS_MAX];
    *op = (struct disk_op){.kind = kind, .staged_in = raft_term(h->raft)};
    return op;
}

static inline void host_stage_actions(struct host *h, const struct raft_actions *out)
{
    if (out->save) host_stage(h, DISK_SAVE)->hard = *out->save;
    if (out->truncate_from) host_stage(h, DISK_TRUNCATE)->index = out->truncate_from;
    for (u64 i = out->append.from; i && i <= out->append.to; i++) {
        const struct raft_entry *e = raft_entry_at(h->raft, i);
        u64 bytes = RAFT_ENTRY_ROOM + (e->data ? e->data->len : 0);
        assert(!h->full || bytes <= h->room);
        if (h->full) h->room -= bytes;
        struct disk_op *op = host_stage(h, DISK_APPEND);
        op->index = i;
        op->entry = (struct disk_entry){e->pos.term, entry_id(e)};
    }
}
