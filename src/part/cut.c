/* A backup's cut through this partition: part.h says why it is one through all of them. */
#include "part/part_internal.h"

#define WRITE_PATIENCE (60 * NANOS_SEC)  /* from the barrier to its checkpoint */
#define READ_PATIENCE  (120 * NANOS_SEC) /* from one piece of rows to the next */
#define STAMP_AHEAD_US 10000000 /* a stamp so far before this clock is another clock's mistake */

struct part_rows {
    struct env *env;
    u64 part, stamp;
    nanos until;
    struct kv_place *places; /* the databases as of the barrier */
    u32 place_count;
    u64 keys, told; /* that there are at the barrier; that were read */
    struct store_snapshot *snapshot; /* NULL: the checkpoint is not written yet */
};

void part_rows_free(struct part_rows *r)
{
    if (!r) return;
    store_snapshot_free(r->snapshot);
    mem_free(r->places);
    mem_free(r);
}

static void give_up(struct part *p, enum part_cut_state state)
{
    part_rows_free(p->cut.rows);
    p->cut.rows = NULL;
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
    struct part_rows *r = p->cut.rows = mem_zalloc(sizeof *r);
    r->env = p->env;
    r->part = p->options.id;
    r->stamp = p->cut.stamp;
    r->place_count = kv_places(part_kv(p), &r->places);
    r->keys = kv_key_count(part_kv(p));
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
    p->cut.rows->snapshot = store_snapshot_new(p->store); /* before anything newer is written */
    p->cut.rows->until = p->now + READ_PATIENCE;
}

void cut_turn(struct part *p)
{
    if (p->now < cut_deadline(p) && (p->cut.state != PART_CUT_HELD || is_held(p))) return;
    give_up(p, PART_CUT_FAILED);
}

nanos cut_deadline(const struct part *p)
{
    if (p->cut.state == PART_CUT_NONE || p->cut.state == PART_CUT_FAILED) return NANOS_NEVER;
    return p->cut.state == PART_CUT_READY ? p->cut.rows->until : p->cut.until;
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

struct part_rows *part_cut_rows(struct part *p)
{
    return p->cut.state == PART_CUT_READY ? p->cut.rows : NULL;
}

struct part_rows *part_cut_take(struct part *p)
{
    struct part_rows *r = part_cut_rows(p);

    if (r) p->cut.rows = NULL;
    if (r) give_up(p, PART_CUT_NONE);
    return r;
}

u64 part_rows_part(const struct part_rows *r)
{
    return r->part;
}

nanos part_rows_until(const struct part_rows *r)
{
    return r->until;
}

static const struct kv_place *place_of(const struct part_rows *r, u32 keyspace, str key)
{
    u16 slot = store_slot(key); /* any, by key */

    for (u32 i = 0; i < r->place_count; i++) {
        const struct kv_place *at = &r->places[i];
        if (at->keyspace == keyspace && at->first <= slot && slot <= at->last) return at;
    }
    return NULL;
}

/* type:u8 | db:u8 | expire_us:u64 | key_len:u32 | value_len:u32 | key | value:
 * docs/formats/backup.md */
static err put_row(const struct part_rows *r, str encoded, str value, struct buf *out, u32 *rows)
{
    struct kv_row_content row;
    u32 keyspace;
    str key;

    if (!store_snapshot_key(encoded, &keyspace, &key))
        return OK; /* sessions and the marker stay here */
    const struct kv_place *place = place_of(r, keyspace, key);
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

err part_rows_next(struct part_rows *r, u64 stamp, struct buf *cursor, size_t bytes, struct buf *out,
                   u32 *rows, bool *last)
{
    struct buf chunk = {0};
    str key = {0};

    *rows = 0;
    if (!cursor->len) r->told = 0; /* from the beginning */
    if (r->stamp != stamp) return ERR_STALE;
    r->until = env_mono(r->env) + READ_PATIENCE;
    err e = store_snapshot_chunk(r->snapshot, buf_str(cursor), bytes, &chunk, last);
    struct reader in = reader_of(buf_str(&chunk));
    while (!e && reader_left(&in)) {
        u32 key_len = reader_u32(&in), value_len = reader_u32(&in);
        key = reader_str(&in, key_len);
        str value = reader_str(&in, value_len);
        assert(!in.bad);
        e = put_row(r, key, value, out, rows);
    }
    buf_clear(cursor);
    buf_append_str(cursor, key);
    buf_done(&chunk);
    r->told += *rows;
    if (!e && *last && r->told != r->keys) { /* better none than one that lacks something */
        env_log(r->env, LOG_ERROR, "backup: partition %llu had %llu keys at the cut, and %llu were found",
                (unsigned long long)r->part, (unsigned long long)r->keys, (unsigned long long)r->told);
        return ERR_STALE;
    }
    return e;
}
