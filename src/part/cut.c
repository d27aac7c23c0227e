/* A backup's cut through this partition: part.h says why it is one through all of them. */
#include "part/part_internal.h"

#include <stdio.h>

#define WRITE_PATIENCE (60 * NANOS_SEC)  /* from the barrier to its checkpoint */
#define READ_PATIENCE  (120 * NANOS_SEC) /* from one piece of rows to the next */
#define STAMP_AHEAD_US 10000000 /* a stamp so far before this clock is another clock's mistake */

static void give_up(struct part *p, enum part_cut_state state)
{
    store_snapshot_free(p->cut.rows);
    p->cut.rows = NULL;
    mem_free(p->cut.places);
    p->cut.places = NULL;
    p->cut.place_count = 0;
    p->cut.state = state;
}

bool part_cut_hold(struct part *p, u64 id, nanos until, u64 *last_hlc)
{
    p->now = env_mono(p->env);
    if (!raft_is_leader(p->raft) || !raft_lease_holds(p->raft, p->now) || !part_kv(p)) return false;
    give_up(p, PART_CUT_HELD);
    p->cut.id = id;
    p->cut.until = until;
    p->cut.term = raft_term(p->raft);
    /* No earlier than now: a cluster in which nothing was written has a stamp as well. */
    *last_hlc = u64_max(submit_last_hlc(p), hlc_from_us(env_wall_us(p->env)));
    return true;
}

/* Does the hold stand? */
static bool is_held(const struct part *p)
{
    return p->cut.state == PART_CUT_HELD && p->now < p->cut.until && raft_is_leader(p->raft) &&
           raft_term(p->raft) == p->cut.term;
}

bool cut_holds_writes(const struct part *p)
{
    return is_held(p) && !MUTANT(backup_without_hold);
}

bool part_cut_make(struct part *p, u64 id, u64 stamp)
{
    p->now = env_mono(p->env);
    if (!is_held(p) || id != p->cut.id || stamp < submit_last_hlc(p) ||
        hlc_us(stamp) > env_wall_us(p->env) + STAMP_AHEAD_US) {
        give_up(p, PART_CUT_FAILED);
        return false;
    }
    u64 index = submit_barrier(p, stamp + 1);
    p->cut.state = index ? PART_CUT_LOGGED : PART_CUT_FAILED;
    p->cut.stamp = stamp;
    p->cut.index = index;
    p->cut.until = p->now + WRITE_PATIENCE;
    p->cut.frozen = false;
    return index != 0;
}

void cut_on_applied(struct part *p, u64 index, u64 term)
{
    if (LIKELY(p->cut.state != PART_CUT_LOGGED) || index < p->cut.index) return;
    bool is_barrier = index == p->cut.index && term == p->cut.term;
    p->cut.state = is_barrier && !p->checkpoint.no_space ? PART_CUT_WRITING : PART_CUT_FAILED;
    if (p->cut.state != PART_CUT_WRITING) return;
    p->cut.place_count = kv_places(part_kv(p), &p->cut.places);
    p->cut.keys = kv_key_count(part_kv(p));
}

bool cut_wants_checkpoint(const struct part *p)
{
    return p->cut.state == PART_CUT_WRITING && !p->cut.frozen;
}

/* What comes after the barrier waits until the checkpoint as of it is frozen. */
bool cut_holds_apply(const struct part *p)
{
    return cut_wants_checkpoint(p) && !MUTANT(backup_beyond_its_stamp);
}

void cut_on_freeze(struct part *p)
{
    if (cut_wants_checkpoint(p)) p->cut.frozen = true;
}

void cut_on_checkpoint(struct part *p, u64 index, bool written)
{
    if (p->cut.state != PART_CUT_WRITING || !p->cut.frozen) return;
    assert(index == p->cut.index || MUTANT(backup_beyond_its_stamp));
    if (!written) {
        give_up(p, PART_CUT_FAILED);
        return;
    }
    p->cut.state = PART_CUT_READY;
    p->cut.rows = store_snapshot_new(p->store); /* before anything newer is written */
    p->cut.until = p->now + READ_PATIENCE;
}

void cut_turn(struct part *p)
{
    if (p->cut.state == PART_CUT_NONE || p->cut.state == PART_CUT_FAILED) return;
    if (p->cut.state == PART_CUT_HELD ? is_held(p) : p->now < p->cut.until) return;
    give_up(p, PART_CUT_FAILED);
}

nanos cut_deadline(const struct part *p)
{
    return p->cut.state == PART_CUT_NONE || p->cut.state == PART_CUT_FAILED ? NANOS_NEVER
                                                                            : p->cut.until;
}

enum part_cut_state part_cut_state(const struct part *p, u64 *stamp, u64 *index)
{
    *stamp = p->cut.stamp;
    *index = p->cut.index;
    return p->cut.state;
}

void part_cut_end(struct part *p)
{
    give_up(p, PART_CUT_NONE);
}

/* ---- rows ---- */

static const struct kv_place *place_of(const struct part *p, u32 keyspace, str key)
{
    u16 slot = store_slot(key); /* any, by key */

    for (u32 i = 0; i < p->cut.place_count; i++) {
        const struct kv_place *at = &p->cut.places[i];
        if (at->keyspace == keyspace && at->first <= slot && slot <= at->last) return at;
    }
    return NULL;
}

/* type:u8 | db:u8 | expire_us:u64 | key_len:u32 | value_len:u32 | key | value:
 * docs/formats/backup.md */
static err put_row(struct part *p, str encoded, str value, struct buf *out, u32 *rows)
{
    struct kv_row_content row;
    u32 keyspace;
    str key;

    if (!store_snapshot_key(encoded, &keyspace, &key))
        return OK; /* sessions and the marker stay here */
    const struct kv_place *place = place_of(p, keyspace, key);
    if (!place) return OK; /* emptied, and not yet swept away */
    if (!kv_row_content(value, &row)) return ERR_CORRUPT;
    buf_append_u8(out, row.type);
    buf_append_u8(out, place->db);
    buf_append_u64(out, row.expire_us);
    buf_append_u32(out, (u32)key.len);
    buf_append_u32(out, (u32)row.value.len);
    buf_append_str(out, key);
    buf_append_str(out, row.value);
    ++*rows;
    return OK;
}

err part_cut_rows(struct part *p, u64 stamp, struct buf *cursor, size_t bytes, struct buf *out,
                  u32 *rows, bool *last)
{
    struct buf chunk = {0};
    str key = {0};

    *rows = 0;
    if (!cursor->len) p->cut.told = 0; /* from the beginning */
    if (p->cut.state != PART_CUT_READY || p->cut.stamp != stamp) return ERR_STALE;
    p->cut.until = env_mono(p->env) + READ_PATIENCE;
    err e = store_snapshot_chunk(p->cut.rows, buf_str(cursor), bytes, &chunk, last);
    struct reader r = reader_of(buf_str(&chunk));
    while (!e && reader_left(&r)) {
        u32 key_len = reader_u32(&r), value_len = reader_u32(&r);
        key = reader_str(&r, key_len);
        str value = reader_str(&r, value_len);
        assert(!r.bad);
        e = put_row(p, key, value, out, rows);
    }
    buf_clear(cursor);
    buf_append_str(cursor, key);
    buf_done(&chunk);
    p->cut.told += *rows;
    if (!e && *last && p->cut.told != p->cut.keys) { /* better none than one that lacks something */
        char line[128];
        snprintf(line, sizeof line, "backup: partition %llu had %llu keys at the cut, and %llu were found",
                 (unsigned long long)p->options.id, (unsigned long long)p->cut.keys, (unsigned long long)p->cut.told);
        p->host.log(p->host.context, LOG_ERROR, line);
        give_up(p, PART_CUT_FAILED);
        return ERR_STALE;
    }
    return e;
}
