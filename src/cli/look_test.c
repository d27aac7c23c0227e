#include "cli/look.h"

#include "base/mem.h"
#include "base/test.h"

#define MEMBER(node) "{\"replica\":" #node ",\"node\":" #node ",\"role\":\"voter\"}"
#define GROUP(id, keyspace, members) "{\"id\":" #id ",\"keyspace\":\"" keyspace "\",\"members\":[" members "]}"
#define THREE MEMBER(1) "," MEMBER(2) "," MEMBER(3)

static const char follows[] = "{\"groups\":[{\"id\":7,\"leads\":false,\"term\":4,\"applied\":9,\"lease\":false}]}";
static const char leads[] = "{\"groups\":[{\"id\":7,\"leads\":true,\"term\":4,\"lease\":true}]}";

static struct look *look_of(const char *groups)
{
    struct look *l = mem_zalloc(sizeof *l);

    CHECK_OK(json_parse(&l->survey.groups, str_of(groups)));
    return l;
}

/* A node as it was asked; NULL: it did not answer. */
static void node(struct look *l, u64 id, const char *local, bool reached)
{
    struct survey_node *n = &l->survey.each[l->survey.count++];

    *n = (struct survey_node){.id = id, .answers = local != NULL, .reached = reached};
    if (local) CHECK_OK(json_parse(&n->local, str_of(local)));
}

static void done(struct look *l)
{
    look_done(l);
    mem_free(l);
}

TEST(look, a_keyspace_whose_members_are_all_there_is_served)
{
    struct look *l = look_of("{\"groups\":[" GROUP(7, "a", THREE) "," GROUP(8, "b", THREE) "]}");

    node(l, 1, follows, true);
    node(l, 2, leads, true);
    node(l, 3, follows, true);
    look_at_groups(l, STR("a"));
    CHECK_EQ(l->count, 1);
    CHECK_EQ(l->groups[0].id, 7);
    CHECK_EQ(l->groups[0].leader, 2);
    CHECK_EQ(look_well(&l->groups[0]), 3);
    CHECK(l->groups[0].has_state);
    CHECK(look_serves(&l->groups[0]));
    CHECK(!look_needs(&l->groups[0], 2));
    done(l);
}

TEST(look, without_a_majority_nothing_is_served_whatever_a_leader_says)
{
    struct look *l = look_of("{\"groups\":[" GROUP(7, "a", THREE) "]}");

    node(l, 1, leads, true);
    node(l, 2, NULL, false);
    node(l, 3, NULL, true);
    look_at_groups(l, STR("a"));
    const struct look_group *g = &l->groups[0];
    CHECK(!look_serves(g));
    CHECK_EQ(look_well(g), 1);
    CHECK_EQ(g->voters[0].state, VOTER_WELL);
    CHECK_EQ(g->voters[1].state, VOTER_DOWN);
    CHECK_EQ(g->voters[2].state, VOTER_HANGS);
    done(l);
}

TEST(look, the_last_members_of_a_majority_are_needed)
{
    struct look *l = look_of("{\"groups\":[" GROUP(7, "a", THREE) "]}");

    node(l, 1, leads, true);
    node(l, 2, follows, true);
    node(l, 3, NULL, false);
    look_at_groups(l, STR("a"));
    CHECK(look_serves(&l->groups[0]));
    CHECK(look_needs(&l->groups[0], 1) && look_needs(&l->groups[0], 2) && !look_needs(&l->groups[0], 3));
    done(l);
}

TEST(look, who_is_being_refilled_or_has_nothing_yet_does_not_count)
{
    struct look *l = look_of("{\"groups\":[" GROUP(7, "a", THREE) "]}");

    node(l, 1, leads, true);
    node(l, 2, "{\"groups\":[{\"id\":7,\"leads\":false,\"term\":4,\"recovering\":true}]}", true);
    node(l, 3, "{\"groups\":[]}", true);
    look_at_groups(l, STR("a"));
    CHECK_EQ(l->groups[0].voters[1].state, VOTER_RECOVERS);
    CHECK(!l->groups[0].has_state); /* none has applied anything since it was started */
    CHECK_EQ(l->groups[0].voters[2].state, VOTER_ABSENT);
    CHECK(!look_serves(&l->groups[0]));
    done(l);
}

TEST(look, the_leader_of_the_highest_term_is_believed)
{
    struct look *l = look_of("{\"groups\":[" GROUP(7, "a", THREE) "]}");

    node(l, 1, "{\"groups\":[{\"id\":7,\"leads\":true,\"term\":5,\"lease\":true,\"full\":true}]}", true);
    node(l, 2, leads, true);
    node(l, 3, follows, true);
    look_at_groups(l, STR("a"));
    CHECK_EQ(l->groups[0].leader, 1);
    CHECK(l->groups[0].full);
    done(l);
}

TEST(look, a_member_out_of_the_leaders_reach_does_not_count_though_it_answers_here)
{
    struct look *l = look_of("{\"groups\":[" GROUP(7, "a", THREE) "]}");

    node(l, 1, follows, true);
    node(l, 2, leads, true);
    node(l, 3, follows, true);
    l->deaf[1] = 1; /* node 2 does not hear node 1 */
    look_at_groups(l, STR("a"));
    CHECK(look_are_cut(l, 0, 1) && look_are_cut(l, 1, 0) && !look_are_cut(l, 1, 2));
    CHECK_EQ(l->groups[0].voters[0].state, VOTER_CUT);
    CHECK_EQ(look_well(&l->groups[0]), 2);
    CHECK(look_serves(&l->groups[0]) && look_needs(&l->groups[0], 3));
    done(l);
}

TEST_MAIN(RUN(look, a_member_out_of_the_leaders_reach_does_not_count_though_it_answers_here),
          RUN(look, a_keyspace_whose_members_are_all_there_is_served),
          RUN(look, without_a_majority_nothing_is_served_whatever_a_leader_says),
          RUN(look, the_last_members_of_a_majority_are_needed),
          RUN(look, who_is_being_refilled_or_has_nothing_yet_does_not_count),
          RUN(look, the_leader_of_the_highest_term_is_believed))
