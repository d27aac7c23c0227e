/* Who counts. A configuration is turned once into slots and sets, so that every decision elsewhere
 * is a question to quorum/joint.h. Members are fixed at start for now: a configuration arrives at
 * boot or with a snapshot, never by an entry; `outgoing` and learners are carried through, so that
 * the change protocol (§4.3) adds an entry kind and not a format. */
#include "raft/raft_internal.h"

#include "base/bytes.h"

static bool list_has(const node_id *ids, u32 count, node_id id)
{
    for (u32 i = 0; i < count; i++)
        if (ids[i] == id) return true;
    return false;
}

static bool list_is_set(const node_id *ids, u32 count)
{
    for (u32 i = 0; i < count; i++)
        if (ids[i] == 0 || list_has(ids, i, ids[i])) return false;
    return true;
}

bool config_is_valid(const struct raft_config *c)
{
    if (c->voter_count == 0 || c->voter_count > RAFT_MEMBERS_MAX) return false;
    if (c->outgoing_count > RAFT_MEMBERS_MAX || c->learner_count > RAFT_MEMBERS_MAX) return false;
    if (!list_is_set(c->voters, c->voter_count)) return false;
    if (!list_is_set(c->outgoing, c->outgoing_count)) return false;
    if (!list_is_set(c->learners, c->learner_count)) return false;

    u32 members = c->voter_count;
    for (u32 i = 0; i < c->outgoing_count; i++)
        if (!list_has(c->voters, c->voter_count, c->outgoing[i])) members++;
    for (u32 i = 0; i < c->learner_count; i++) {
        if (list_has(c->voters, c->voter_count, c->learners[i])) return false;
        if (!list_has(c->outgoing, c->outgoing_count, c->learners[i])) members++;
    }
    return members <= RAFT_MEMBERS_MAX;
}

static bool list_equal(const node_id *a, u32 a_count, const node_id *b, u32 b_count)
{
    return a_count == b_count && mem_equal(a, b, a_count * sizeof *a);
}

bool config_equal(const struct raft_config *a, const struct raft_config *b)
{
    return list_equal(a->voters, a->voter_count, b->voters, b->voter_count) &&
           list_equal(a->outgoing, a->outgoing_count, b->outgoing, b->outgoing_count) &&
           list_equal(a->learners, a->learner_count, b->learners, b->learner_count);
}

static u32 slot_for(struct membership *m, node_id id)
{
    u32 slot = membership_slot(m, id);
    if (slot != NO_SLOT) return slot;
    assert(m->count < RAFT_MEMBERS_MAX);
    m->ids[m->count] = id;
    return m->count++;
}

void membership_set(struct membership *m, const struct raft_config *c, node_id self)
{
    assert(config_is_valid(c));
    *m = (struct membership){.config = *c};
    for (u32 i = 0; i < c->voter_count; i++) m->quorum.voters |= BIT(slot_for(m, c->voters[i]));
    for (u32 i = 0; i < c->outgoing_count; i++)
        m->quorum.outgoing |= BIT(slot_for(m, c->outgoing[i]));
    for (u32 i = 0; i < c->learner_count; i++) slot_for(m, c->learners[i]);
    m->self = membership_slot(m, self);
}

u32 membership_slot(const struct membership *m, node_id id)
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
    return m->self != NO_SLOT && joint_has(m->quorum, BIT(m->self)) &&
           (m->quorum.voters | m->quorum.outgoing) == BIT(m->self);
}

/* fmt:u8 = 1 | voters:u8 | outgoing:u8 | learners:u8 | node ids, u32 each, in that order */
#define CONFIG_FORMAT 1u

void raft_config_encode(const struct raft_config *c, struct buf *out)
{
    assert(config_is_valid(c));
    buf_append_u8(out, CONFIG_FORMAT);
    buf_append_u8(out, (u8)c->voter_count);
    buf_append_u8(out, (u8)c->outgoing_count);
    buf_append_u8(out, (u8)c->learner_count);
    for (u32 i = 0; i < c->voter_count; i++) buf_append_u32(out, c->voters[i]);
    for (u32 i = 0; i < c->outgoing_count; i++) buf_append_u32(out, c->outgoing[i]);
    for (u32 i = 0; i < c->learner_count; i++) buf_append_u32(out, c->learners[i]);
}

static void read_ids(struct reader *in, node_id *ids, u32 count)
{
    for (u32 i = 0; i < count; i++) ids[i] = reader_u32(in);
}

err raft_config_decode(str bytes, struct raft_config *out)
{
    struct reader in = reader_of(bytes);
    struct raft_config c = {0};

    if (reader_u8(&in) != CONFIG_FORMAT) return ERR_MALFORMED;
    c.voter_count = reader_u8(&in);
    c.outgoing_count = reader_u8(&in);
    c.learner_count = reader_u8(&in);
    if (c.voter_count > RAFT_MEMBERS_MAX || c.outgoing_count > RAFT_MEMBERS_MAX ||
        c.learner_count > RAFT_MEMBERS_MAX)
        return ERR_MALFORMED;
    read_ids(&in, c.voters, c.voter_count);
    read_ids(&in, c.outgoing, c.outgoing_count);
    read_ids(&in, c.learners, c.learner_count);
    if (in.bad || reader_left(&in) || !config_is_valid(&c)) return ERR_MALFORMED;
    *out = c;
    return OK;
}
