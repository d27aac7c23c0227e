/* Every mutant of this folder makes one of these claims false; without one, all of them hold. */
#include "core/planner_world.h"

#define CLAIM(name) static bool name##_is_absent(void)

CLAIM(core_founding_twice)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    struct core_command again = {
        .op = CORE_FOUND, .uuid = {{9}}, .version = 1, .node_count = 1, .nodes = {spec(9, "z")}};
    bool holds = fixture_do(&f, &again) == CORE_FOUNDED;
    fixture_done(&f);
    return holds;
}

CLAIM(core_replica_number_reused)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    const struct core_part *p = core_part(f.core, 2);
    for (u32 i = 0; i < 2; i++) {
        DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_MOVE, .node = 4,
           .replica = 1);
        DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_UNDO);
        if (i == 0) DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch);
    }
    bool holds = core_part_member_on(p, 4)->replica == 5;
    fixture_done(&f);
    return holds;
}

CLAIM(core_epoch_not_raised)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    u64 before = map_epoch(&f);
    join(&f, 2, "b");
    bool holds = map_epoch(&f) > before;
    fixture_done(&f);
    return holds;
}

CLAIM(core_join_not_idempotent)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    bool holds = join(&f, 2, "b") == 2 && join(&f, 2, "b") == 2;
    fixture_done(&f);
    return holds;
}

CLAIM(core_id_block_given_twice)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    DO(&f, .op = CORE_ID_BLOCK_TAKE);
    u64 first = result_u64(&f);
    DO(&f, .op = CORE_ID_BLOCK_TAKE);
    bool holds = result_u64(&f) == first + CORE_ID_BLOCK;
    fixture_done(&f);
    return holds;
}

CLAIM(core_version_raised_alone)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 1);
    bool holds = DO(&f, .op = CORE_VERSION_RAISE, .version = 3) == CORE_VERSION;
    fixture_done(&f);
    return holds;
}

CLAIM(core_drain_below_quorum)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    bool holds = DO(&f, .op = CORE_NODE_DRAIN, .node = 2) == CORE_UNSAFE;
    fixture_done(&f);
    return holds;
}

CLAIM(core_removal_loses_quorum)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    DO(&f, .op = CORE_NODE_REMOVE, .node = 3, .flags = CORE_FORCE);
    bool holds = DO(&f, .op = CORE_NODE_REMOVE, .node = 2, .flags = CORE_FORCE) == CORE_UNSAFE;
    fixture_done(&f);
    return holds;
}

CLAIM(core_removed_below_wanted)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    bool holds = DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = 1, .kind = CORE_OP_REMOVE,
                    .replica = 1) == CORE_UNSAFE;
    fixture_done(&f);
    return holds;
}

CLAIM(core_two_replicas_on_a_node)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    bool holds = DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = 1, .kind = CORE_OP_MOVE,
                    .node = 2, .replica = 1) == CORE_UNSAFE;
    fixture_done(&f);
    return holds;
}

CLAIM(core_stale_report_taken)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    u64 old = part_epoch(&f, 2);
    move(&f, 2, 4, 1);
    bool holds = DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = old, .kind = CORE_OP_MOVE,
                    .node = 1, .replica = 2) == CORE_STALE;
    fixture_done(&f);
    return holds;
}

CLAIM(core_old_leader_taken)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = 5, .replica = 2);
    DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = 4, .replica = 1);
    bool holds = core_part(f.core, 2)->leader == 2;
    fixture_done(&f);
    return holds;
}

CLAIM(core_split_loses_a_slot)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    const struct core_part *p = core_part(f.core, 2);
    DO(&f, .op = CORE_PART_BEGIN, .part = 2, .epoch = p->epoch, .kind = CORE_OP_SPLIT, .slot = 100);
    DO(&f, .op = CORE_PART_STEP, .part = 2, .epoch = p->epoch, .step = CORE_STEP_PREPARED);
    DO(&f, .op = CORE_PART_DONE, .part = 2, .epoch = p->epoch);
    const struct core_part *at = core_lookup_slot(f.core, 2, 99);
    bool holds = at->slot_first <= 99 && at->slot_last >= 99;
    fixture_done(&f);
    return holds;
}

CLAIM(core_stale_caller_believed)
{
    struct core_fixture f;
    struct buf out = {0};

    fixture_init(&f);
    found(&f, 3);
    core_lookup(f.core, 2, 5, STR(""), 0, &out);
    bool holds = out.len > 1;
    buf_done(&out);
    fixture_done(&f);
    return holds;
}

/* ---- the planner's: the judge of planner_world.h complains, or it never rests ---- */

static bool lives_well(struct world *w, bool away, bool paused)
{
    create(&w->f, "orders", "hash:24", "3");
    for (u32 i = 0; i < WORLD_PARTS; i++) w->bytes[i] = (i % 5) * 100 * MIB;
    bool rests = world_settle(w, 400) < 400;
    world_join(w, "x");
    w->facts.paused = paused;
    if (away) w->alive[2] = false;
    for (u32 i = 0; i < 8; i++) world_round(w);
    w->facts.paused = false;
    w->alive[2] = true;
    rests = rests && world_settle(w, 400) < 400;
    return rests && !w->broken;
}

static bool life_is_good(u32 nodes, bool away, bool paused)
{
    struct world w;

    world_init(&w, 3, nodes);
    bool good = lives_well(&w, away, paused);
    world_done(&w);
    return good;
}

CLAIM(core_plan_replaces_at_once)
{
    return life_is_good(5, true, false);
}
CLAIM(core_plan_swaps_unready)
{
    return life_is_good(4, false, false);
}
CLAIM(core_plan_never_rests)
{
    return life_is_good(4, false, false);
}
CLAIM(core_plan_ignores_throttle)
{
    return life_is_good(4, false, false);
}
CLAIM(core_plan_while_paused)
{
    return life_is_good(4, false, true);
}

CLAIM(core_plan_without_quorum)
{
    struct world w;

    world_init(&w, 1, 5);
    create(&w.f, "orders", "hash:10", "3");
    world_settle(&w, 100);
    w.alive[1] = w.alive[2] = false;
    for (u32 i = 0; i < 20; i++) world_round(&w);
    bool holds = !w.broken;
    world_done(&w);
    return holds;
}

CLAIM(core_plan_ignores_racks)
{
    struct world w;
    bool holds = true;

    world_init(&w, 1, 1);
    world_join(&w, "a");
    world_join(&w, "a");
    create(&w.f, "orders", "hash:6", "3");
    world_join(&w, "b");
    world_join(&w, "c");
    world_settle(&w, 200);
    for (u64 id = 3; id < 9; id++)
        holds = holds && world_racks(&w, core_part(w.f.core, id), 0, 0) == 3;
    world_done(&w);
    return holds;
}

static const struct claim {
    const char *mutant;
    bool (*holds)(void);
} claims[] = {
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name##_is_absent                                                                    \
    }
    ROW(core_founding_twice),        ROW(core_replica_number_reused),
    ROW(core_epoch_not_raised),      ROW(core_join_not_idempotent),
    ROW(core_id_block_given_twice),  ROW(core_version_raised_alone),
    ROW(core_drain_below_quorum),    ROW(core_removal_loses_quorum),
    ROW(core_removed_below_wanted),  ROW(core_two_replicas_on_a_node),
    ROW(core_stale_report_taken),    ROW(core_old_leader_taken),
    ROW(core_split_loses_a_slot),    ROW(core_stale_caller_believed),
    ROW(core_plan_replaces_at_once), ROW(core_plan_swaps_unready),
    ROW(core_plan_without_quorum),   ROW(core_plan_ignores_racks),
    ROW(core_plan_never_rests),      ROW(core_plan_ignores_throttle),
    ROW(core_plan_while_paused),
#undef ROW
};

TEST(mutants, without_one_every_claim_holds)
{
    for (u32 i = 0; i < ARRAY_LEN(claims); i++)
        if (!claims[i].holds()) fail_msg("%s: its claim does not hold", claims[i].mutant);
}

#ifdef QUORATE_MUTANTS
TEST(mutants, each_breaks_its_claim)
{
    static const char *const names[] = {
        "",
#define MUTANT_ROW(name, kind, breaks) #name,
#include "sim/mutants.def"
#undef MUTANT_ROW
    };
    u32 ours = 0;

    for (u32 m = 1; m < MUTANT_COUNT; m++) {
        const struct claim *claim = NULL;
        if (strncmp(names[m], "core_", 5) != 0) continue;
        ours++;
        for (u32 i = 0; i < ARRAY_LEN(claims); i++)
            if (strcmp(claims[i].mutant, names[m]) == 0) claim = &claims[i];
        if (!claim) fail_msg("%s: no claim", names[m]);
        mutant_active = (enum mutant)m;
        bool holds = claim->holds();
        mutant_active = MUTANT_NONE;
        if (holds) fail_msg("%s: not caught", names[m]);
    }
    CHECK_EQ(ours, ARRAY_LEN(claims));
}

TEST_MAIN(RUN(mutants, without_one_every_claim_holds), RUN(mutants, each_breaks_its_claim))
#else
TEST(mutants, are_not_compiled_in)
{
    skip();
}

TEST_MAIN(RUN(mutants, without_one_every_claim_holds), RUN(mutants, are_not_compiled_in))
#endif
