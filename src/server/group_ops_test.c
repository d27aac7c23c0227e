/* The steps of a change of members: who takes them, and when they are told. Node 1 leads ORDERS. */
#include "server/lone_cluster.h"

static struct {
    struct raft_config config;
    u64 config_index, commit, term;
    replica_id self;
} group;

struct raft *part_raft(struct part *p) { return (struct raft *)(void *)p; }
bool raft_is_leader(const struct raft *r) { return (void)r, true; }
replica_id raft_leader(const struct raft *r) { return (void)r, group.self; }
u64 raft_term(const struct raft *r) { return (void)r, group.term; }
u64 raft_commit(const struct raft *r) { return (void)r, group.commit; }
const struct raft_config *raft_config(const struct raft *r) { return (void)r, &group.config; }
u64 raft_config_index(const struct raft *r) { return (void)r, group.config_index; }
void part_change_members(struct part *p, const struct raft_config *target, const struct part_waiter *w)
{
    (void)p, (void)w;
    lone.target = *target;
    lone.changes++;
}
void reshape_split(struct cluster *c, const struct core_part *map, struct part *p) { (void)c, (void)map, (void)p; }
void reshape_merge(struct cluster *c, const struct core_part *map, struct part *p) { (void)c, (void)map, (void)p; }

static void put(replica_id id, u32 node, u8 roles)
{
    struct raft_member m = {.id = id, .node = node, .roles = roles};
    CHECK(raft_config_put(&group.config, &m));
}

/* ORDERS moves from node 2 to node 4; its replica here leads in term 6, as the map says. */
static struct cluster *moving(void)
{
    static u64 ops[] = {ORDERS};
    struct cluster *c = lone_open();

    lone_join_node_4();
    group.self = lone_replica_on(1);
    group.term = 6;
    group.commit = 20;
    group.config_index = 10;
    group.config = (struct raft_config){.next = 4};
    for (u32 node = 1; node <= 3; node++) put(lone_replica_on(node), node, RAFT_VOTER);
    LONE_DO(.op = CORE_PART_LEADER, .part = ORDERS, .term = 6, .replica = group.self);
    lone.hosted[0] = (struct hosted){.id = ORDERS, .part = (struct part *)(void *)&group};
    lone.hosted_count = 1;
    c->residents.ops = mem_zalloc_array(1, sizeof *c->residents.ops);
    c->residents.ops[0] = ops[0];
    c->residents.op_count = c->residents.op_cap = 1;
    return c;
}

TEST(group_ops, the_leader_adds_a_learner)
{
    struct cluster *c = moving();

    LONE_DO(.op = CORE_PART_BEGIN, .kind = CORE_OP_MOVE, .part = ORDERS, .epoch = lone_part()->epoch, .node = 4,
            .replica = lone_replica_on(2));
    group_ops_turn(c);
    CHECK_EQ(lone.changes, 1);
    CHECK_EQ(lone.target.count, 4);
    CHECK_EQ(raft_config_find(&lone.target, lone_replica_on(4))->roles, RAFT_LEARNER);
    lone_close();
}

/* The map may not have heard of members that a newer leader has added: an older one would tell them gone. */
TEST(group_ops, a_leader_that_the_map_has_not_heard_of_takes_no_step)
{
    struct cluster *c = moving();

    LONE_DO(.op = CORE_PART_BEGIN, .kind = CORE_OP_MOVE, .part = ORDERS, .epoch = lone_part()->epoch, .node = 4,
            .replica = lone_replica_on(2));
    group.term = 7; /* elected again just now */
    group_ops_turn(c);
    CHECK_EQ(lone.changes, 0);
    LONE_DO(.op = CORE_PART_LEADER, .part = ORDERS, .term = 7, .replica = group.self);
    c->now += NANOS_SEC;
    group_ops_turn(c);
    CHECK_EQ(lone.changes, 1);
    lone_close();
}

/* Its replica is deleted as soon as the map is told, and must not be needed by then. */
TEST(group_ops, who_leaves_is_told_gone_when_that_is_committed)
{
    struct cluster *c = moving();
    replica_id out = lone_replica_on(2);

    lone_begin_move(4, out);
    raft_config_remove(&group.config, out);
    put(lone_replica_on(4), 4, RAFT_VOTER);
    group.config_index = 21; /* appended, and not committed */
    group_ops_turn(c);
    CHECK_EQ(lone.proposed_count, 0);
    group.commit = 21;
    c->now += NANOS_SEC;
    group_ops_turn(c);
    CHECK_EQ(lone.proposed_count, 1);
    CHECK_EQ(lone.proposed[0].op, CORE_PART_DONE);
    lone_close();
}

TEST(group_ops, nothing_is_done_between_the_two_halves_of_a_change)
{
    struct cluster *c = moving();
    replica_id out = lone_replica_on(2);

    lone_begin_move(4, out);
    raft_config_remove(&group.config, out);
    put(out, 2, RAFT_OUTGOING);
    put(lone_replica_on(4), 4, RAFT_VOTER);
    group_ops_turn(c);
    CHECK_EQ(lone.changes, 0);
    CHECK_EQ(lone.proposed_count, 0);
    lone_close();
}

TEST_MAIN(RUN(group_ops, the_leader_adds_a_learner),
          RUN(group_ops, a_leader_that_the_map_has_not_heard_of_takes_no_step),
          RUN(group_ops, who_leaves_is_told_gone_when_that_is_committed),
          RUN(group_ops, nothing_is_done_between_the_two_halves_of_a_change))
