/* The objects to bytes and back: docs/formats/core.md. One encoding per object, the same in the
 * store, in deltas and in replies; a decoder accepts nothing that its encoder would not write. */
#include "core/core_internal.h"

#include "base/bytes.h"

#define ROW_FMT 1

static void put_uuid(struct buf *out, const struct core_uuid *u)
{
    buf_append(out, u->bytes, 16);
}

static void get_uuid(struct reader *r, struct core_uuid *out)
{
    str bytes = reader_str(r, 16);
    if (bytes.len) memcpy(out->bytes, bytes.at, 16);
}

static void put_text(struct buf *out, const struct core_text *t)
{
    buf_append_u8(out, t->len);
    buf_append_str(out, core_str(t));
}

static void get_text(struct reader *r, struct core_text *out)
{
    str s = reader_str(r, reader_u8(r));
    out->len = (u8)s.len;
    mem_copy(out->bytes, s.at, s.len);
}

static void put_settings(struct buf *out, const u64 *values, u32 count)
{
    buf_append_u8(out, (u8)count);
    for (u32 i = 0; i < count; i++) buf_append_u64(out, values[i]);
}

/* Fewer than known: written by an older program, the rest has its defaults. */
static void get_settings(struct reader *r, u64 *values, u32 count)
{
    u32 given = reader_u8(r);

    if (given > count) r->bad = true;
    for (u32 i = 0; i < given && !r->bad; i++) values[i] = reader_u64(r);
}

static err finish(const struct reader *r)
{
    return r->bad || reader_left(r) ? ERR_CORRUPT : OK;
}

void core_cluster_encode(const struct core_cluster *o, struct buf *out)
{
    buf_append_u8(out, ROW_FMT);
    put_uuid(out, &o->uuid);
    buf_append_u32(out, o->version);
    buf_append_u64(out, o->epoch);
    buf_append_u32(out, o->next_node);
    buf_append_u32(out, o->next_keyspace);
    buf_append_u64(out, o->next_part);
    put_settings(out, o->next_id, CORE_ID_KINDS);
    put_settings(out, o->settings, CORE_CLUSTER_SETTINGS);
}

err core_cluster_decode(str row, struct core_cluster *out)
{
    struct reader r = reader_of(row);

    *out = (struct core_cluster){0};
    core_settings_default(out->settings);
    for (u32 i = 0; i < CORE_ID_KINDS; i++) out->next_id[i] = 1;
    if (reader_u8(&r) != ROW_FMT) return ERR_UNSUPPORTED;
    get_uuid(&r, &out->uuid);
    out->version = reader_u32(&r);
    out->epoch = reader_u64(&r);
    out->next_node = reader_u32(&r);
    out->next_keyspace = reader_u32(&r);
    out->next_part = reader_u64(&r);
    get_settings(&r, out->next_id, CORE_ID_KINDS);
    get_settings(&r, out->settings, CORE_CLUSTER_SETTINGS);
    return finish(&r);
}

void core_node_encode(const struct core_node *o, struct buf *out)
{
    buf_append_u8(out, ROW_FMT);
    buf_append_u32(out, o->id);
    put_uuid(out, &o->incarnation);
    buf_append_u8(out, o->state);
    buf_append_u64(out, o->changed);
    buf_append_u32(out, o->version_min);
    buf_append_u32(out, o->version_max);
    put_text(out, &o->peer);
    put_text(out, &o->redis);
    put_text(out, &o->admin);
    put_text(out, &o->rack);
}

err core_node_decode(str row, struct core_node *out)
{
    struct reader r = reader_of(row);

    *out = (struct core_node){0};
    if (reader_u8(&r) != ROW_FMT) return ERR_UNSUPPORTED;
    out->id = reader_u32(&r);
    get_uuid(&r, &out->incarnation);
    out->state = reader_u8(&r);
    out->changed = reader_u64(&r);
    out->version_min = reader_u32(&r);
    out->version_max = reader_u32(&r);
    get_text(&r, &out->peer);
    get_text(&r, &out->redis);
    get_text(&r, &out->admin);
    get_text(&r, &out->rack);
    if (out->state < CORE_JOINING || out->state > CORE_REMOVED || out->id == 0) return ERR_CORRUPT;
    return finish(&r);
}

void core_keyspace_encode(const struct core_keyspace *o, struct buf *out)
{
    buf_append_u8(out, ROW_FMT);
    buf_append_u32(out, o->id);
    buf_append_u64(out, o->changed);
    buf_append_u8(out, o->accepted_risk);
    put_text(out, &o->name);
    put_settings(out, o->settings, CORE_KEYSPACE_SETTINGS);
}

err core_keyspace_decode(str row, struct core_keyspace *out)
{
    struct reader r = reader_of(row);

    *out = (struct core_keyspace){0};
    core_keyspace_settings_default(out->settings);
    if (reader_u8(&r) != ROW_FMT) return ERR_UNSUPPORTED;
    out->id = reader_u32(&r);
    out->changed = reader_u64(&r);
    u8 risk = reader_u8(&r);
    out->accepted_risk = risk == 1;
    get_text(&r, &out->name);
    get_settings(&r, out->settings, CORE_KEYSPACE_SETTINGS);
    if (out->id == 0 || risk > 1) return ERR_CORRUPT;
    return finish(&r);
}

/* ---- a partition ---- */

static void put_key(struct buf *out, str key)
{
    assert(key.len <= CORE_KEY_BYTES_MAX);
    buf_append_u16(out, (u16)key.len);
    buf_append_str(out, key);
}

str core_key_copy(str key)
{
    return key.len ? str_from(mem_copy_of(key.at, key.len), key.len) : (str){0};
}

static str get_key(struct reader *r)
{
    str key = reader_str(r, reader_u16(r));

    if (key.len > CORE_KEY_BYTES_MAX) r->bad = true;
    return key;
}

static void put_op(struct buf *out, const struct core_op *op)
{
    buf_append_u8(out, op->kind);
    if (op->kind == CORE_OP_NONE) return;
    buf_append_u8(out, op->step);
    buf_append_u32(out, op->kind == CORE_OP_SPLIT ? op->upper_prefers : op->in);
    buf_append_u32(out, op->out);
    buf_append_u64(out, op->other);
    buf_append_u16(out, op->slot);
    put_key(out, op->key);
    buf_append_u64(out, op->begun);
}

static void get_op(struct reader *r, struct core_op *op)
{
    op->kind = reader_u8(r);
    if (op->kind == CORE_OP_NONE) return;
    op->step = reader_u8(r);
    *(op->kind == CORE_OP_SPLIT ? &op->upper_prefers : &op->in) = reader_u32(r);
    op->out = reader_u32(r);
    op->other = reader_u64(r);
    op->slot = reader_u16(r);
    op->key = get_key(r);
    op->begun = reader_u64(r);
    if (op->kind >= CORE_OP_KINDS || op->step == 0 || op->step >= CORE_STEPS) r->bad = true;
}

void core_part_encode(const struct core_part *o, struct buf *out)
{
    buf_append_u8(out, ROW_FMT);
    buf_append_u64(out, o->id);
    buf_append_u32(out, o->keyspace);
    buf_append_u64(out, o->epoch);
    buf_append_u64(out, o->changed);
    buf_append_u8(out, o->is_range);
    if (o->is_range) {
        put_key(out, o->from);
        put_key(out, o->to);
    } else {
        buf_append_u16(out, o->slot_first);
        buf_append_u16(out, o->slot_last);
    }
    buf_append_u32(out, o->next_replica);
    buf_append_u8(out, (u8)o->member_count);
    for (u32 i = 0; i < o->member_count; i++) {
        const struct core_member *m = &o->members[i];
        buf_append_u32(out, m->replica);
        buf_append_u32(out, m->node);
        put_uuid(out, &m->incarnation);
        buf_append_u8(out, m->role);
    }
    buf_append_u64(out, o->leader_term);
    buf_append_u32(out, o->leader);
    buf_append_u32(out, o->prefer_node);
    put_op(out, &o->op);
}

static void get_members(struct reader *r, struct core_part *out)
{
    u32 last = 0;

    out->next_replica = reader_u32(r);
    out->member_count = reader_u8(r);
    if (out->member_count == 0 || out->member_count > CORE_MEMBERS_MAX) {
        r->bad = true;
        return;
    }
    for (u32 i = 0; i < out->member_count; i++) {
        struct core_member *m = &out->members[i];
        m->replica = reader_u32(r);
        m->node = reader_u32(r);
        get_uuid(r, &m->incarnation);
        m->role = reader_u8(r);
        if (m->replica <= last || m->replica >= out->next_replica) r->bad = true;
        if (m->role != CORE_LEARNER && m->role != CORE_VOTER) r->bad = true;
        last = m->replica;
    }
}

err core_part_decode(str row, struct core_part *out)
{
    struct reader r = reader_of(row);

    *out = (struct core_part){0};
    if (reader_u8(&r) != ROW_FMT) return ERR_UNSUPPORTED;
    out->id = reader_u64(&r);
    out->keyspace = reader_u32(&r);
    out->epoch = reader_u64(&r);
    out->changed = reader_u64(&r);
    u8 is_range = reader_u8(&r);
    out->is_range = is_range == 1;
    if (is_range > 1) return ERR_CORRUPT;
    if (out->is_range) {
        out->from = get_key(&r);
        out->to = get_key(&r);
    } else {
        out->slot_first = reader_u16(&r);
        out->slot_last = reader_u16(&r);
        if (out->slot_first > out->slot_last || out->slot_last >= CORE_SLOTS) r.bad = true;
    }
    get_members(&r, out);
    out->leader_term = reader_u64(&r);
    out->leader = reader_u32(&r);
    out->prefer_node = reader_u32(&r);
    get_op(&r, &out->op);
    bool fits = out->id && !r.bad && !reader_left(&r);
    if (fits && out->is_range && out->to.len && str_compare(out->from, out->to) >= 0) fits = false;
    if (!fits) {
        out->from = out->to = out->op.key = (str){0}; /* borrowed so far */
        return ERR_CORRUPT;
    }
    out->from = core_key_copy(out->from);
    out->to = core_key_copy(out->to);
    out->op.key = core_key_copy(out->op.key);
    return OK;
}

void core_part_done(struct core_part *p)
{
    mem_free((void *)(uintptr_t)p->from.at);
    mem_free((void *)(uintptr_t)p->to.at);
    mem_free((void *)(uintptr_t)p->op.key.at);
    p->from = p->to = p->op.key = (str){0};
}
