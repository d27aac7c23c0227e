/* The members of a partition: replicas with numbers that are never used again in their group. */
#include "core/core_internal.h"

struct core_member *core_part_member(const struct core_part *p, u32 replica)
{
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].replica == replica)
            return (struct core_member *)(uintptr_t)&p->members[i];
    return NULL;
}

struct core_member *core_part_member_on(const struct core_part *p, u32 node)
{
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].node == node) return (struct core_member *)(uintptr_t)&p->members[i];
    return NULL;
}

/* The disk it was on was replaced: what it promised is lost with it. */
bool core_member_is_lost(const struct core *c, const struct core_member *m)
{
    static const struct core_uuid nil;
    const struct core_node *n = core_find_node(c, m->node);

    return memcmp(&m->incarnation, &nil, sizeof nil) != 0 &&
           memcmp(&m->incarnation, &n->incarnation, sizeof nil) != 0;
}

/* Is there a replica on this node that is not lost? */
bool core_part_lives_on(const struct core *c, const struct core_part *p, u32 node)
{
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].node == node && !core_member_is_lost(c, &p->members[i])) return true;
    return false;
}

u32 core_part_voters(const struct core_part *p)
{
    u32 voters = 0;

    for (u32 i = 0; i < p->member_count; i++) voters += p->members[i].role == CORE_VOTER;
    return voters;
}

static u32 next_replica(struct core_part *p)
{
    if (MUTANT(core_replica_number_reused))
        return p->member_count ? p->members[p->member_count - 1].replica + 1 : 1;
    return p->next_replica;
}

struct core_member *core_part_add(struct core *c, struct core_part *p, const struct core_node *n,
                                  enum core_role role)
{
    assert(p->member_count < CORE_MEMBERS_MAX);
    u32 replica = next_replica(p);
    struct core_member *m = &p->members[p->member_count++];

    *m = (struct core_member){
        .replica = replica, .node = n->id, .incarnation = n->incarnation, .role = (u8)role};
    if (replica >= p->next_replica) p->next_replica = replica + 1;
    core_find_node(c, n->id)->replicas++;
    return m;
}

/* The two groups that exist before there is a map: every founding node is a voter, its number is the
 * replica's, and its disk may be replaced before anybody has named it. */
void core_seat_founders(struct core_call *call, struct core_part *p)
{
    struct core *c = call->core;

    core_count_replicas(c, p, -1);
    p->member_count = call->cmd->node_count;
    for (u32 i = 0; i < p->member_count; i++)
        p->members[i] = (struct core_member){
            .replica = c->nodes[i]->id, .node = c->nodes[i]->id, .role = CORE_VOTER};
    p->next_replica = p->members[p->member_count - 1].replica + 1;
    core_count_replicas(c, p, 1);
    core_save_part(call, p);
}

void core_part_remove(struct core *c, struct core_part *p, u32 replica)
{
    struct core_member *m = core_part_member(p, replica);
    u32 at = (u32)(m - p->members);

    assert(m);
    core_find_node(c, m->node)->replicas--;
    if (p->leader == replica) p->leader = 0;
    memmove(m, m + 1, (p->member_count - at - 1) * sizeof *m);
    p->member_count--;
}

void core_op_clear(struct core_part *p)
{
    mem_free((void *)(uintptr_t)p->op.key.at);
    p->op = (struct core_op){0};
}
