/* What a node starts and stops for the map it follows. Node 1 is the test's. */
#include "server/lone_cluster.h"

u64 wal_durable(const struct wal *w) { return (void)w, 0; }
u64 wal_staged(const struct wal *w) { return (void)w, 0; }
bool part_covers(const struct part *p, const struct kv_span *span) { return (void)p, (void)span, false; }
void part_set_memory(struct part *p, bool memory) { (void)p, (void)memory; }
bool part_is_blank(const struct part *p) { return (void)p, false; }
bool part_waits_for_right(const struct part *p) { return (void)p, false; }
void map_copy_keep(struct cluster *c) { (void)c; }
bool address_parse(str text, char host[NODE_HOST_MAX], u16 *port) { return (void)text, (void)host, (void)port, false; }

static const struct replica_row *started(u64 part)
{
    for (u32 i = 0; i < lone.started_count; i++)
        if (lone.started[i].part == part) return &lone.started[i];
    return NULL;
}

/* The replicas of a group run here: what was started is hosted. */
static void host_what_was_started(void)
{
    for (u32 i = 0; i < lone.hosted_count; i++)
        if (started(lone.hosted[i].id)) lone.hosted[i].part = (struct part *)(void *)&lone;
}

static void later(struct cluster *c)
{
    c->now += NANOS_SEC;
    residents_turn(c);
}

static struct raft_config founders_of(u64 part)
{
    struct raft_config c = {0};
    if (started(part)->founders.len) CHECK_OK(raft_config_decode(started(part)->founders, &c));
    return c;
}

TEST(residents, a_founder_begins_with_the_members_as_founded)
{
    struct cluster *c = lone_open();

    residents_turn(c);
    CHECK(started(ORDERS));
    CHECK_EQ(started(ORDERS)->replica, lone_replica_on(1));
    CHECK_EQ(founders_of(ORDERS).count, 3);
    CHECK_EQ(founders_of(ORDERS).next, 4);
    CHECK(!lone.started_unsaved);
    lone_close();
}

/* It was away when the group began to work. */
TEST(residents, a_founder_that_comes_late_begins_with_the_members_as_founded)
{
    struct cluster *c = lone_open();

    LONE_DO(.op = CORE_PART_LEADER, .part = ORDERS, .term = 3, .replica = lone_replica_on(2));
    residents_turn(c);
    CHECK_EQ(founders_of(ORDERS).count, 3);
    lone_close();
}

/* What the replica promised was on the other disk. */
TEST(residents, a_replica_of_another_disk_is_not_started)
{
    struct cluster *c = lone_open();

    lone.incarnation[0] = 9;
    residents_turn(c);
    CHECK(!started(ORDERS));
    lone_close();
}

TEST(residents, an_older_map_is_not_carried_out)
{
    struct cluster *c = lone_open();
    struct core *old = core_copy_of(lone.map);

    lone_join_node_4();
    lone_begin_move(4, lone_replica_on(1));
    lone_step(CORE_PART_DONE, 0);
    residents_turn(c);
    CHECK(!started(ORDERS));
    c->copy.core = old; /* from a peer that lags: node 1 is still a member */
    later(c);
    CHECK(!started(ORDERS));
    lone_close();
}

/* It was away while another member went, for a new one. */
TEST(residents, a_founder_that_comes_after_members_have_changed_learns_them_from_the_log)
{
    struct cluster *c = lone_open();

    lone_join_node_4();
    lone_begin_move(4, lone_replica_on(2));
    lone_step(CORE_PART_DONE, 0);
    residents_turn(c);
    CHECK(started(ORDERS));
    CHECK_EQ(founders_of(ORDERS).count, 0);
    lone_close();
}

TEST(residents, a_replica_that_comes_to_a_running_group_learns_its_members_from_the_log)
{
    struct cluster *c = lone_open();

    lone.config.self = 4;
    lone_join_node_4();
    residents_turn(c);
    CHECK(!started(ORDERS));
    lone_close();
}

/* The catalog is saved for the one that goes, with the one that comes in it. */
TEST(residents, a_replica_that_comes_while_another_goes_is_started)
{
    struct cluster *c = lone_open();

    residents_turn(c);
    host_what_was_started();
    lone_create("more", "hash:1");
    LONE_DO(.op = CORE_KS_DROP, .keyspace = CORE_KEYSPACE_FIRST, .name = STR("orders"));
    later(c);
    CHECK(parts_find(NULL, ORDERS)->retiring);
    CHECK(replicas_find(&lone.replicas, ORDERS)->deleting); /* also after a crash in the middle */
    CHECK(!lone.replicas.dirty);
    CHECK(started(core_keyspace_named(lone.map, STR("more"))->parts[0]->id));
    lone_close();
}

TEST(residents, a_node_that_was_removed_stops)
{
    struct cluster *c = lone_open();

    lone_join_node_4();
    residents_turn(c);
    CHECK(!lone.failure);
    LONE_DO(.op = CORE_NODE_DRAIN, .node = 4);
    lone.config.self = 4;
    LONE_DO(.op = CORE_NODE_REMOVE, .flags = CORE_FORCE, .node = 4);
    later(c);
    CHECK(lone.failure && strcmp(lone.failure, NODE_REMOVED_TEXT) == 0);
    lone_close();
}

TEST_MAIN(RUN(residents, a_founder_begins_with_the_members_as_founded),
          RUN(residents, a_founder_that_comes_late_begins_with_the_members_as_founded),
          RUN(residents, a_replica_of_another_disk_is_not_started), RUN(residents, an_older_map_is_not_carried_out),
          RUN(residents, a_founder_that_comes_after_members_have_changed_learns_them_from_the_log),
          RUN(residents, a_replica_that_comes_to_a_running_group_learns_its_members_from_the_log),
          RUN(residents, a_replica_that_comes_while_another_goes_is_started),
          RUN(residents, a_node_that_was_removed_stops))
