/* When a node that holds no replica of the core tells its leader everything anew. */
#include "server/lone_cluster.h"

/* This node has told node 2, which leads the core in this term, of a group. */
static struct cluster *told_in_term(u64 term)
{
    struct cluster *c = lone_open();

    LONE_DO(.op = CORE_PART_LEADER, .part = PART_CORE, .term = term, .replica = 2);
    c->reports.to = 2;
    c->reports.to_term = term;
    c->reports.told = mem_zalloc_array(1, sizeof *c->reports.told);
    c->reports.told[0] = (struct group_report){.part = ORDERS, .term = 1, .leader = 1};
    c->reports.told_count = c->reports.told_cap = 1;
    return c;
}

TEST(reports, are_not_repeated_to_the_leader_that_knows_them)
{
    struct cluster *c = told_in_term(7);

    reports_turn(c);
    CHECK_EQ(c->reports.told_count, 1);
    lone_close();
}

TEST(reports, are_repeated_to_a_leader_that_leads_again_after_a_restart)
{
    struct cluster *c = told_in_term(7);

    LONE_DO(.op = CORE_PART_LEADER, .part = PART_CORE, .term = 8, .replica = 2); /* the same, with nothing in memory */
    reports_turn(c);
    CHECK_EQ(c->reports.told_count, 0);
    CHECK_EQ(c->reports.to_term, 8);
    lone_close();
}

TEST_MAIN(RUN(reports, are_not_repeated_to_the_leader_that_knows_them),
          RUN(reports, are_repeated_to_a_leader_that_leads_again_after_a_restart))
