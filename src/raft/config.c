/* A configuration as a value: who is a member, what makes it a possible one, and its bytes. What it
 * means for this replica is membership.c's; how one follows another is change.c's.
 *
 *   fmt:u8 = 2 | count:u8 | zero:u16 | next:u32 | count * member
 *   member: replica:u32 | node:u32 | roles:u8 | zero:u8[3] | incarnation:u8[16]
 *
 *
 * After a recovery (recover.c) fmt is 3, and behind the members:
 *
 *   recoveries:u8 | zero:u8[3] | recoveries * (term:u64 | kept.term:u64 | kept.index:u64)
 *
 * The members of a group that never changed (voters whose number is their node's, of incarnation
 * zero) are written in the older format, so that nothing on disk or on the wire changes before the
 * first change of members:
 *
 *   fmt:u8 = 1 | voters:u8 | outgoing:u8 | learners:u8 | replica:u32 each, in that order */
#include "raft/raft_internal.h"

#include "base/bytes.h"

#define FOUNDED_FORMAT 1u
#define CONFIG_FORMAT  2u
#define RECOVERED_FORMAT 3u

static bool roles_are_possible(u8 roles)
{
    return roles == RAFT_VOTER || roles == RAFT_OUTGOING || roles == RAFT_LEARNER ||
           roles == (RAFT_VOTER | RAFT_OUTGOING) || roles == (RAFT_OUTGOING | RAFT_LEARNER);
}

static bool recoveries_are_possible(const struct raft_recoveries *l)
{
    u64 term = 0;

    if (l->count > RAFT_RECOVERIES_MAX) return false;
    for (u32 i = 0; i < l->count; i++) {
        if (l->items[i].term <= term || l->items[i].kept.term >= l->items[i].term) return false;
        term = l->items[i].term;
    }
    return true;
}

bool config_is_valid(const struct raft_config *c)
{
    u8 all = 0;
    replica_id last = 0;

    if (c->count > RAFT_MEMBERS_MAX || !recoveries_are_possible(&c->recoveries)) return false;
    for (u32 i = 0; i < c->count; i++) {
        const struct raft_member *m = &c->members[i];
        if (m->id <= last || m->node == 0 || !roles_are_possible(m->roles)) return false;
        last = m->id;
        all |= m->roles;
    }
    return c->count == 0 || ((all & RAFT_VOTER) && c->next > last);
}

bool raft_config_is_joint(const struct raft_config *c)
{
    return raft_config_count(c, RAFT_OUTGOING) > 0;
}

u32 raft_config_count(const struct raft_config *c, u8 roles)
{
    u32 count = 0;
    for (u32 i = 0; i < c->count; i++) count += (c->members[i].roles & roles) != 0;
    return count;
}

const struct raft_member *raft_config_find(const struct raft_config *c, replica_id id)
{
    for (u32 i = 0; i < c->count; i++)
        if (c->members[i].id == id) return &c->members[i];
    return NULL;
}

static bool member_equal(const struct raft_member *a, const struct raft_member *b)
{
    return a->id == b->id && a->node == b->node && a->roles == b->roles &&
           mem_equal(a->incarnation, b->incarnation, sizeof a->incarnation);
}

bool raft_config_equal(const struct raft_config *a, const struct raft_config *b)
{
    if (a->count != b->count || a->next != b->next) return false;
    for (u32 i = 0; i < a->count; i++)
        if (!member_equal(&a->members[i], &b->members[i])) return false;
    if (a->recoveries.count != b->recoveries.count) return false;
    for (u32 i = 0; i < a->recoveries.count; i++) {
        const struct raft_recovery *x = &a->recoveries.items[i], *y = &b->recoveries.items[i];
        if (x->term != y->term || x->kept.term != y->kept.term || x->kept.index != y->kept.index) return false;
    }
    return true;
}

void raft_config_recovered(struct raft_config *c, const struct raft_recovery *recovery)
{
    struct raft_recoveries *l = &c->recoveries;

    if (l->count == RAFT_RECOVERIES_MAX) {
        l->items[0].term = l->items[1].term; /* the older kept less */
        for (u32 i = 2; i < l->count; i++) l->items[i - 1] = l->items[i];
        l->count--;
    }
    l->items[l->count++] = *recovery;
}

bool raft_config_put(struct raft_config *c, const struct raft_member *m)
{
    u32 at = 0;
    while (at < c->count && c->members[at].id < m->id) at++;
    if (at == c->count || c->members[at].id != m->id) {
        if (c->count == RAFT_MEMBERS_MAX) return false;
        for (u32 i = c->count++; i > at; i--) c->members[i] = c->members[i - 1];
    }
    c->members[at] = *m;
    if (c->next <= m->id) c->next = m->id + 1;
    return true;
}

void raft_config_remove(struct raft_config *c, replica_id id)
{
    u32 kept = 0;
    for (u32 i = 0; i < c->count; i++)
        if (c->members[i].id != id) c->members[kept++] = c->members[i];
    c->count = kept;
}

void raft_config_found(struct raft_config *c, node_id node)
{
    bool added = raft_config_put(
        c, &(struct raft_member){.id = node, .node = node, .roles = RAFT_VOTER});
    assert(added);
}

bool config_is_founded(const struct raft_config *c)
{
    static const u8 unknown[16];
    replica_id next = 1;
    for (u32 i = 0; i < c->count; i++) {
        const struct raft_member *m = &c->members[i];
        if (m->id != m->node || m->roles != RAFT_VOTER) return false;
        if (!mem_equal(m->incarnation, unknown, sizeof unknown)) return false;
        next = m->id + 1;
    }
    return c->count > 0 && c->next == next && c->recoveries.count == 0;
}

static void encode_member(const struct raft_member *m, struct buf *out)
{
    buf_append_u32(out, m->id);
    buf_append_u32(out, m->node);
    buf_append_u32(out, m->roles);
    buf_append_str(out, str_from(m->incarnation, sizeof m->incarnation));
}

void raft_config_encode(const struct raft_config *c, struct buf *out)
{
    assert(config_is_valid(c));
    bool founded = config_is_founded(c);
    const struct raft_recoveries *l = &c->recoveries;
    buf_append_u8(out, founded ? FOUNDED_FORMAT : l->count ? RECOVERED_FORMAT : CONFIG_FORMAT);
    buf_append_u8(out, (u8)c->count);
    buf_append_u16(out, 0);
    if (!founded) buf_append_u32(out, c->next);
    for (u32 i = 0; i < c->count; i++) {
        if (founded)
            buf_append_u32(out, c->members[i].id);
        else
            encode_member(&c->members[i], out);
    }
    if (!l->count) return;
    buf_append_u32(out, l->count);
    for (u32 i = 0; i < l->count; i++) {
        buf_append_u64(out, l->items[i].term);
        buf_append_u64(out, l->items[i].kept.term);
        buf_append_u64(out, l->items[i].kept.index);
    }
}

/* False: no such member can be, or there are too many. */
static bool add_role(struct raft_config *c, replica_id id, u8 role)
{
    struct raft_member m = {.id = id, .node = id, .roles = role};
    const struct raft_member *known = raft_config_find(c, id);
    if (known && (known->roles & role)) return false;
    if (known) m.roles |= known->roles;
    return id > 0 && id < UINT32_MAX && raft_config_put(c, &m);
}

static bool decode_founded(struct reader *in, struct raft_config *c)
{
    static const u8 roles[3] = {RAFT_VOTER, RAFT_OUTGOING, RAFT_LEARNER};
    u8 counts[3];
    for (u32 i = 0; i < 3; i++) counts[i] = reader_u8(in);
    c->next = 1;
    for (u32 i = 0; i < 3; i++)
        for (u32 k = 0; k < counts[i]; k++)
            if (in->bad || !add_role(c, reader_u32(in), roles[i])) return false;
    return c->count > 0;
}

static bool decode_members(struct reader *in, struct raft_config *c)
{
    c->count = reader_u8(in);
    u16 zero = reader_u16(in);
    c->next = reader_u32(in);
    if (in->bad || zero || c->count > RAFT_MEMBERS_MAX) return false;
    for (u32 i = 0; i < c->count; i++) {
        struct raft_member *m = &c->members[i];
        m->id = reader_u32(in);
        m->node = reader_u32(in);
        u32 roles = reader_u32(in); /* the three zero bytes after it are its high bytes */
        str incarnation = reader_str(in, sizeof m->incarnation);
        if (in->bad || roles > UINT8_MAX) return false;
        m->roles = (u8)roles;
        mem_copy(m->incarnation, incarnation.at, sizeof m->incarnation);
    }
    return true;
}

static bool decode_recoveries(struct reader *in, struct raft_recoveries *l)
{
    l->count = reader_u32(in); /* the three zero bytes after it are its high bytes */
    if (in->bad || l->count == 0 || l->count > RAFT_RECOVERIES_MAX) return false;
    for (u32 i = 0; i < l->count; i++) {
        l->items[i].term = reader_u64(in);
        l->items[i].kept.term = reader_u64(in);
        l->items[i].kept.index = reader_u64(in);
    }
    return !in->bad;
}

err raft_config_decode(str bytes, struct raft_config *out)
{
    struct reader in = reader_of(bytes);
    struct raft_config c = {0};
    bool good = false;

    switch (reader_u8(&in)) {
    case FOUNDED_FORMAT: good = decode_founded(&in, &c); break;
    case CONFIG_FORMAT: good = decode_members(&in, &c) && !config_is_founded(&c); break;
    case RECOVERED_FORMAT: good = decode_members(&in, &c) && decode_recoveries(&in, &c.recoveries); break;
    }
    if (!good || in.bad || reader_left(&in) || !config_is_valid(&c)) return ERR_MALFORMED;
    *out = c;
    return OK;
}

bool raft_member_is_nameless(const struct raft_member *m)
{
    static const u8 none[sizeof m->incarnation];
    return mem_equal(m->incarnation, none, sizeof none);
}
