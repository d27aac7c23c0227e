#include "base/test.h"
#include "raft/raft_fixture.h"
#include "raft/raft_internal.h"

TEST(config, members_stand_in_the_order_of_their_numbers)
{
    struct raft_config c = {0};
    raft_config_found(&c, 5);
    raft_config_found(&c, 2);
    raft_config_found(&c, 9);
    CHECK(config_is_valid(&c));
    CHECK_EQ(c.members[0].id, 2);
    CHECK_EQ(c.members[2].id, 9);
    CHECK_EQ(c.next, 10);
    raft_config_remove(&c, 9);
    CHECK_EQ(c.count, 2);
    CHECK_EQ(c.next, 10); /* 9 is not given out again */
    CHECK(!raft_config_find(&c, 9));
    CHECK_EQ(raft_config_find(&c, 5)->node, 5);
    CHECK_EQ(raft_config_count(&c, RAFT_VOTER | RAFT_LEARNER), 2);
}

TEST(config, some_are_none)
{
    struct raft_config three = members_of(3, 0), c = three;
    CHECK(config_is_valid(&c));
    c.members[1].id = 1;
    CHECK(!config_is_valid(&c)); /* twice */
    c = three;
    c.members[1].node = 0;
    CHECK(!config_is_valid(&c)); /* nowhere */
    c = three;
    c.members[2].roles |= RAFT_LEARNER;
    CHECK(!config_is_valid(&c)); /* voter and learner */
    c.members[2].roles = 0;
    CHECK(!config_is_valid(&c)); /* neither */
    c = three;
    c.next = 3;
    CHECK(!config_is_valid(&c)); /* 3 would be given out again */
    c = config_of("+12");
    CHECK(!config_is_valid(&c)); /* nobody decides */
    c = (struct raft_config){0};
    CHECK(config_is_valid(&c)); /* not known yet */
    c.count = RAFT_MEMBERS_MAX + 1;
    CHECK(!config_is_valid(&c));
}

static void check_bytes(const struct raft_config *c, const u8 *bytes, size_t len)
{
    struct raft_config back;
    struct buf b = {0};
    raft_config_encode(c, &b);
    CHECK_EQ(b.len, len);
    assert_memory_equal(buf_bytes(&b), bytes, len);
    CHECK_OK(raft_config_decode(buf_str(&b), &back));
    CHECK(raft_config_equal(c, &back));
    for (size_t cut = 0; cut < b.len; cut++)
        CHECK_EQ(raft_config_decode(str_from(buf_bytes(&b), cut), &back), ERR_MALFORMED);
    buf_append_u8(&b, 0);
    CHECK_EQ(raft_config_decode(buf_str(&b), &back), ERR_MALFORMED);
    buf_done(&b);
}

TEST(config, founding_members_are_written_as_ever)
{
    struct raft_config c = {0};
    raft_config_found(&c, 1);
    raft_config_found(&c, 300);
    static const u8 bytes[] = {1, 2, 0, 0, 1, 0, 0, 0, 44, 1, 0, 0};
    check_bytes(&c, bytes, sizeof bytes);
}

TEST(config, a_changed_one_survives_its_bytes)
{
    struct raft_config c = {.next = 9};
    raft_config_found(&c, 1);
    raft_config_put(&c, &(struct raft_member){.id = 7,
                                              .node = 300,
                                              .roles = RAFT_OUTGOING | RAFT_LEARNER,
                                              .incarnation = {0xaa, 0xbb}});
    static const u8 bytes[] = {2,    2,    0, 0, 9,  0, 0, 0,             /* */
                               1,    0,    0, 0, 1,  0, 0, 0, 1, 0, 0, 0, /* */
                               0,    0,    0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                               7,    0,    0, 0, 44, 1, 0, 0, 6, 0, 0, 0, /* */
                               0xaa, 0xbb, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    check_bytes(&c, bytes, sizeof bytes);
    static const u8 empty[] = {2, 0, 0, 0, 1, 0, 0, 0};
    c = (struct raft_config){.next = 1};
    check_bytes(&c, empty, sizeof empty);
}

TEST(config, the_older_format_may_name_all_roles)
{
    static const u8 bytes[] = {1, 2, 1, 1, 1, 0, 0, 0, 44, 1, 0, 0, 4, 0, 0, 0, 112, 17, 1, 0};
    struct raft_config c;
    CHECK_OK(raft_config_decode(str_from(bytes, sizeof bytes), &c));
    CHECK_EQ(c.count, 4);
    CHECK_EQ(raft_config_find(&c, 300)->roles, RAFT_VOTER);
    CHECK_EQ(raft_config_find(&c, 4)->roles, RAFT_OUTGOING);
    CHECK_EQ(raft_config_find(&c, 70000)->roles, RAFT_LEARNER);
    CHECK_EQ(c.next, 70001);
}

TEST_MAIN(RUN(config, members_stand_in_the_order_of_their_numbers), RUN(config, some_are_none),
          RUN(config, founding_members_are_written_as_ever),
          RUN(config, a_changed_one_survives_its_bytes),
          RUN(config, the_older_format_may_name_all_roles))
