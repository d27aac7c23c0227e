/* Who counts now. A CONFIG entry takes effect when it is appended, committed or not (§4.1), so the
 * configuration in effect is that of the newest one in the log: a cut takes it back, a snapshot
 * replaces the one the log begins with. It is turned once into slots and sets, so that every
 * decision elsewhere is a question to quorum/joint.h. A leader also keeps the configuration that
 * its own uncommitted change replaces: those who leave are served until they have left, and leases
 * and reads need the support of both. */
#include "raft/raft_internal.h"

#include "base/mem.h"

#include <stdio.h>

/* ---- slots and sets */

static u32 slot_for(struct membership *m, replica_id id)
{
    u32 slot = membership_slot(m, id);
    if (slot != NO_SLOT) return slot;
    assert(m->count < RAFT_SLOTS_MAX);
    m->ids[m->count] = id;
    return m->count++;
}

static struct joint quorum_of(struct membership *m, const struct raft_config *c, bool learners_too)
{
    struct joint q = {0};
    for (u32 i = 0; i < c->count; i++) {
        const struct raft_member *member = &c->members[i];
        if (!learners_too && !(member->roles & (RAFT_VOTER | RAFT_OUTGOING))) continue;
        u32 slot = slot_for(m, member->id);
        if (member->roles & RAFT_VOTER) q.voters |= BIT(slot);
        if (member->roles & RAFT_OUTGOING) q.outgoing |= BIT(slot);
        if (MUTANT(learner_counts)) q.voters |= BIT(slot);
    }
    return q;
}

void membership_set(struct membership *m, replica_id self)
{
    assert(config_is_valid(&m->config));
    m->count = 0;
    m->quorum = quorum_of(m, &m->config, true);
    m->quorum_before = (struct joint){0};
    if (m->previous) m->quorum_before = quorum_of(m, m->previous, false);
    m->self = slot_for(m, self);
}

u32 membership_slot(const struct membership *m, replica_id id)
{
    for (u32 i = 0; i < m->count; i++)
        if (m->ids[i] == id) return i;
    return NO_SLOT;
}

bool membership_is_voter(const struct membership *m, u32 slot)
{
    return slot != NO_SLOT && ((m->quorum.voters | m->quorum.outgoing) & BIT(slot));
}

bool membership_is_sole_voter(const struct membership *m)
{
    return membership_is_voter(m, m->self) &&
           (m->quorum.voters | m->quorum.outgoing) == BIT(m->self) &&
           joint_has(m->quorum, BIT(m->self));
}

u64 membership_supported(const struct membership *m, const u64 *values)
{
    u64 reached = joint_reached(m->quorum, values);
    bool both = m->previous && !MUTANT(lease_by_newest_members_only);
    if (both) reached = u64_min(reached, joint_reached(m->quorum_before, values));
    return reached;
}

/* ---- which entry is in effect */

u64 membership_index(const struct membership *m)
{
    return m->change_count ? m->changes[m->change_count - 1] : m->base_index;
}

static void read_config(const struct rcbuf *encoded, struct raft_config *out)
{
    err failed = raft_config_decode(encoded ? rcbuf_str(encoded) : str_from("", 0), out);
    assert(failed == OK); /* the codec and the log's checksums let no other in */
}

static const struct rcbuf *change_at(const struct raft *r, u64 index)
{
    const struct raft_entry *e = tail_at(&r->tail, index);
    assert(e->kind == RAFT_CONFIG);
    return e->data;
}

static void set_base(struct membership *m, str encoded, u64 index)
{
    rcbuf_unref(m->base);
    m->base = rcbuf_from(encoded);
    m->base_index = index;
}

static void set_base_config(struct membership *m, const struct raft_config *c, u64 index)
{
    struct buf encoded = {0};
    raft_config_encode(c, &encoded);
    set_base(m, buf_str(&encoded), index);
    buf_done(&encoded);
}

void membership_at(const struct raft *r, u64 index, struct raft_config *out)
{
    const struct membership *m = &r->membership;
    assert(index >= m->base_index);
    for (u32 i = m->change_count; i > 0; i--) {
        if (m->changes[i - 1] > index) continue;
        read_config(change_at(r, m->changes[i - 1]), out);
        return;
    }
    *out = (struct raft_config){0};
    if (m->base) read_config(m->base, out);
}

static bool names_as_voter(const struct raft_config *c, replica_id id)
{
    const struct raft_member *m = raft_config_find(c, id);
    return m && (m->roles & (RAFT_VOTER | RAFT_OUTGOING));
}

bool membership_may_still_vote(const struct raft *r)
{
    const struct membership *m = &r->membership;
    u64 known = u64_max(r->marks.commit, m->base_index);
    struct raft_config c;

    if (membership_index(m) <= known) return false;
    membership_at(r, known, &c);
    if (names_as_voter(&c, r->options.self)) return true;
    /* What is known to be committed may lie far back after a restart. */
    for (u32 i = m->change_count; i > 0 && m->changes[i - 1] > known; i--) {
        read_config(change_at(r, m->changes[i - 1]), &c);
        if (names_as_voter(&c, r->options.self)) return true;
    }
    return false;
}

static void text_of(const struct raft_config *c, char *out, size_t size)
{
    static const char *const names[3] = {"", " outgoing", " learning"};
    size_t len = 0;
    out[0] = 0;
    for (u32 role = 0; role < 3; role++) {
        if (!raft_config_count(c, (u8)BIT(role))) continue;
        len += (size_t)snprintf(out + len, size - len, "%s", names[role]);
        for (u32 i = 0; i < c->count; i++)
            if (c->members[i].roles & BIT(role))
                len += (size_t)snprintf(out + len, size - len, " %u", c->members[i].id);
    }
    if (!len) snprintf(out, size, " not known yet");
}

void membership_take_effect(struct raft *r)
{
    struct membership *m = &r->membership;
    replica_id old_ids[RAFT_SLOTS_MAX];
    u32 old_count = m->count;
    char text[400];

    mem_copy(old_ids, m->ids, sizeof old_ids);
    struct raft_config before = m->config;
    u64 newest = membership_index(m);
    if (MUTANT(config_applied_at_commit_only)) newest = u64_max(r->marks.commit, m->base_index);
    membership_at(r, newest, &m->config);
    membership_set(m, r->options.self);
    replicate_members_changed(r, old_ids, old_count);
    if (raft_config_equal(&before, &m->config)) return;
    election_members_changed(r);
    if (r->trace) {
        text_of(&m->config, text, sizeof text);
        TRACE(r, "members of entry %" PRIu64 " ->%s", membership_index(m), text);
    }
    if (r->out) r->out->events |= RAFT_CONFIG_CHANGED;
}

/* ---- what happens to the log */

void membership_boot(struct raft *r, const struct raft_config *c, u64 at)
{
    struct membership *m = &r->membership;
    assert(config_is_valid(c));
    m->config = *c;
    set_base_config(m, c, at);
    membership_set(m, r->options.self);
}

void membership_done(struct membership *m)
{
    mem_free(m->changes);
    mem_free(m->previous);
    rcbuf_unref(m->base);
}

void membership_appended(struct raft *r, const struct raft_entry *e)
{
    struct membership *m = &r->membership;
    if (e->kind != RAFT_CONFIG || e->pos.index <= m->base_index) return;
    if (m->change_count == m->change_cap) {
        m->change_cap = m->change_cap ? 2 * m->change_cap : 8;
        m->changes = mem_resize_array(m->changes, m->change_cap, sizeof *m->changes);
    }
    m->changes[m->change_count++] = e->pos.index;
    membership_take_effect(r);
}

void membership_truncated(struct raft *r)
{
    struct membership *m = &r->membership;
    u32 count = m->change_count;
    while (m->change_count && m->changes[m->change_count - 1] > r->tail.last.index)
        m->change_count--;
    if (m->change_count == count || MUTANT(config_not_rolled_back)) return;
    TRACE(r, "the newest members were cut off");
    membership_take_effect(r);
}

static void drop_oldest(struct membership *m, u32 count)
{
    if (!count) return; /* there may be no array */
    m->change_count -= count;
    memmove(m->changes, m->changes + count, m->change_count * sizeof *m->changes);
}

void membership_compact(struct raft *r, u64 upto)
{
    struct membership *m = &r->membership;
    u32 gone = 0;
    while (gone < m->change_count && m->changes[gone] <= upto) gone++;
    if (gone == 0) return;
    set_base(m, rcbuf_str(change_at(r, m->changes[gone - 1])), m->changes[gone - 1]);
    drop_oldest(m, gone);
}

void membership_restored(struct raft *r, u64 index, const struct raft_config *c)
{
    struct membership *m = &r->membership;
    u32 gone = 0;
    while (gone < m->change_count && m->changes[gone] <= index) gone++;
    drop_oldest(m, gone);
    if (!MUTANT(snapshot_config_ignored)) set_base_config(m, c, index);
    while (m->change_count && m->changes[m->change_count - 1] > r->tail.last.index)
        m->change_count--;
    membership_take_effect(r);
}

void membership_begin_change(struct raft *r)
{
    struct membership *m = &r->membership;
    if (!m->previous) m->previous = mem_alloc(sizeof *m->previous);
    *m->previous = m->config;
}

void membership_end_change(struct raft *r)
{
    if (!r->membership.previous) return;
    mem_free(r->membership.previous);
    r->membership.previous = NULL;
    membership_take_effect(r);
}
