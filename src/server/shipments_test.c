#include "server/shipments.h"

#include "base/test.h"

TEST(shipments, one_node_takes_only_its_own_places)
{
    struct shipments s = {0};

    for (u32 i = 0; i < SHIPMENTS_TO_ONE_MAX; i++) CHECK(shipments_begin(&s, 3));
    CHECK(!shipments_begin(&s, 3));
    CHECK_EQ(s.waits_for_one, 1);
    CHECK(shipments_begin(&s, 2)); /* another node's do not wait for it */
    CHECK_EQ(shipments_most(&s), SHIPMENTS_TO_ONE_MAX);
    shipments_end(&s, 3);
    CHECK(shipments_begin(&s, 3));
    CHECK(!shipments_begin(&s, 3));
}

TEST(shipments, all_nodes_together_have_a_limit_too)
{
    struct shipments s = {0};
    u32 begun = 0;

    for (node_id to = 1; to <= SHIPMENTS_MAX; to++)
        for (u32 i = 0; i < SHIPMENTS_TO_ONE_MAX; i++) begun += shipments_begin(&s, to);
    CHECK_EQ(begun, SHIPMENTS_MAX);
    CHECK(s.waits_for_all > 0);
    for (node_id to = 1; to <= SHIPMENTS_MAX / SHIPMENTS_TO_ONE_MAX; to++)
        for (u32 i = 0; i < SHIPMENTS_TO_ONE_MAX; i++) shipments_end(&s, to);
    CHECK_EQ(s.total, 0);
    CHECK_EQ(shipments_most(&s), 0);
    CHECK(shipments_begin(&s, 9));
}

TEST_MAIN(RUN(shipments, one_node_takes_only_its_own_places), RUN(shipments, all_nodes_together_have_a_limit_too))
