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
    controller_see(c, 2, &(struct group_report){.part = 999, .term = 5, .leader = 2}); /* of no map */
    CHECK_EQ(c->controller.group_count, 1);
    lone_close();
}

TEST_MAIN(RUN(controller, an_old_leaders_report_does_not_replace_a_newer_ones),
          RUN(controller, the_newest_report_is_the_one_that_counts))
