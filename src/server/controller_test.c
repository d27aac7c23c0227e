/* What the leader of the core believes of what it is told. */
#include "server/lone_cluster.h"

TEST(controller, an_old_leaders_report_does_not_replace_a_newer_ones)
{
    struct cluster *c = lone_open();

    controller_see(c, 2, &(struct group_report){.part = ORDERS, .term = 5, .leader = 2, .bytes = 7});
    controller_see(c, 1, &(struct group_report){.part = ORDERS, .term = 4, .leader = 1, .bytes = 3});
    CHECK_EQ(c->controller.group_count, 1);
    CHECK_EQ(c->controller.groups[0].report.term, 5);
    CHECK_EQ(c->controller.groups[0].report.leader, 2);
    CHECK_EQ(c->controller.groups[0].from, 2);
    lone_close();
}

TEST(controller, the_newest_report_is_the_one_that_counts)
{
    struct cluster *c = lone_open();

    controller_see(c, 1, &(struct group_report){.part = ORDERS, .term = 4, .leader = 1, .bytes = 3});
    controller_see(c, 1, &(struct group_report){.part = ORDERS, .term = 4, .leader = 1, .bytes = 5});
    CHECK_EQ(c->controller.groups[0].report.bytes, 5);
    controller_see(c, 2, &(struct group_report){.part = ORDERS, .term = 5, .leader = 2, .bytes = 7});
    CHECK_EQ(c->controller.groups[0].report.bytes, 7);
    lone_close();
}

TEST(controller, keeps_what_is_told_of_a_group_before_the_map_has_it)
{
    struct cluster *c = lone_open();

    LONE_DO(.op = CORE_PART_BEGIN, .kind = CORE_OP_SPLIT, .part = ORDERS, .epoch = lone_part()->epoch, .slot = 8192);
    u64 child = lone_part()->op.other, next = core_cluster(lone.map)->next_part;
    controller_see(c, 2, &(struct group_report){.part = child, .term = 5, .leader = 2});
    controller_see(c, 2, &(struct group_report){.part = next, .term = 6, .leader = 3}); /* this map is behind */
    CHECK_EQ(c->controller.group_count, 2);
    CHECK_EQ(c->controller.groups[0].report.part, child);
    CHECK_EQ(c->controller.groups[1].report.part, next);
    lone_close();
}

TEST(controller, keeps_nothing_of_a_group_that_is_gone)
{
    struct cluster *c = lone_open();

    LONE_DO(.op = CORE_KS_DROP, .keyspace = CORE_KEYSPACE_FIRST, .name = STR("orders"));
    controller_see(c, 2, &(struct group_report){.part = ORDERS, .term = 5, .leader = 2});
    CHECK_EQ(c->controller.group_count, 0);
    lone_close();
}

TEST_MAIN(RUN(controller, an_old_leaders_report_does_not_replace_a_newer_ones),
          RUN(controller, the_newest_report_is_the_one_that_counts),
          RUN(controller, keeps_what_is_told_of_a_group_before_the_map_has_it),
          RUN(controller, keeps_nothing_of_a_group_that_is_gone))
