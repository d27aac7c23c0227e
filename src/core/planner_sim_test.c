/* Many random clusters, each with a random life: after every step the judge of planner_world.h
 * looks, and when the events end the planner comes to rest in a good place. CORE_CLUSTERS=n for
 * more of them. */
#include "core/planner_world.h"

#include <stdlib.h>

static void random_keyspace(struct world *w, u32 number)
{
    static const char *const partitions[] = {"hash:1", "hash:4", "hash:12", "hash:30", "range"};
    static const char *const replicas[] = {"1", "3", "3", "5", "2"};
    char name[16];

    snprintf(name, sizeof name, "ks%u", number);
    DO(&w->f, .op = CORE_KS_CREATE, .name = str_of(name), .flags = CORE_ACCEPT_RISK, .row_count = 2,
       .rows = {{STR("partitions"), str_of(partitions[prng_below(&w->r, 5)])},
                {STR("replicas"), str_of(replicas[prng_below(&w->r, 5)])}});
}

static void random_sizes(struct world *w)
{
    u64 shape = prng_below(&w->r, 3), most = prng_below(&w->r, 2) ? 64 * MIB : 800 * MIB;

    for (u32 i = 0; i < WORLD_PARTS; i++)
        w->bytes[i] = shape == 0              ? most
                      : shape == 1            ? prng_below(&w->r, most)
                      : prng_below(&w->r, 10) ? 0
                                              : most;
}

static u32 a_node(struct world *w)
{
    u32 count;

    core_nodes(w->f.core, &count);
    return 1 + (u32)prng_below(&w->r, count);
}

static void random_event(struct world *w, bool labels)
{
    static const char *const racks[] = {"a", "b", "c", "d", ""};
    u32 node = a_node(w), dead = 0, count;

    core_nodes(w->f.core, &count);
    for (u32 i = 1; i <= count; i++) dead += !w->alive[i];
    switch (prng_below(&w->r, 9)) {
    case 0:
        if (count + 1 < WORLD_NODES) world_join(w, labels ? racks[prng_below(&w->r, 5)] : "");
        break;
    case 1:
        if (dead < 2) w->alive[node] = false;
        break;
    case 2: w->alive[node] = core_node(w->f.core, node)->state != CORE_REMOVED; break;
    case 3: DO(&w->f, .op = CORE_NODE_DRAIN, .node = node); break;
    case 4: DO(&w->f, .op = CORE_NODE_UNDRAIN, .node = node); break;
    case 5:
        DO(&w->f, .op = CORE_NODE_REMOVE, .node = node, .flags = w->alive[node] ? 0 : CORE_FORCE);
        if (core_node(w->f.core, node)->state == CORE_REMOVED) w->alive[node] = false;
        break;
    case 6:
        DO(&w->f, .op = CORE_KS_SET, .keyspace = 2 + (u32)prng_below(&w->r, 4),
           .flags = CORE_ACCEPT_RISK, .row_count = 1,
           .rows = {{STR("replicas"), prng_below(&w->r, 2) ? STR("3") : STR("1")}});
        break;
    case 7: w->busy[node] = !w->busy[node]; break;
    default: DO(&w->f, .op = CORE_KS_PIN, .keyspace = 2, .node = node);
    }
}

/* At rest, with everybody who lives: is it a good place? */
static void judge_rest(struct world *w, u32 *judged)
{
    u32 parts, nodes, up = 0;
    const struct core_part *const *p = core_parts(w->f.core, &parts);
    const struct core_node *const *n = core_nodes(w->f.core, &nodes);
    u64 total = 0, least = UINT64_MAX, most = 0, largest = 0;

    for (u32 i = 0; i < nodes; i++) up += n[i]->state == CORE_UP && w->alive[n[i]->id];
    for (u32 i = 0; i < parts; i++) {
        u32 wanted = (u32)core_keyspace(w->f.core, p[i]->keyspace)->settings[CORE_REPLICAS];
        u32 voters = core_part_voters(p[i]), here = world_racks(w, p[i], 0, 0);
        largest = u64_max(largest, w->bytes[p[i]->id]);
        if (!world_has_quorum(w, p[i])) continue; /* lost for good: nothing can be done */
        if (up >= wanted && voters != wanted)
            world_complain(w, "at rest with missing or surplus replicas");
        for (u32 m = 0; m < p[i]->member_count; m++) {
            const struct core_node *on = core_node(w->f.core, p[i]->members[m].node);
            bool good = on->state == CORE_UP && w->alive[on->id];
            if (!good && up >= wanted)
                world_complain(w, "at rest with a replica on a node that is leaving");
        }
        for (u32 j = 0; j < nodes; j++) {
            if (n[j]->state != CORE_UP || !w->alive[n[j]->id] ||
                core_part_member_on(p[i], n[j]->id))
                continue;
            for (u32 m = 0; m < p[i]->member_count; m++)
                if (world_racks(w, p[i], p[i]->members[m].replica, n[j]->id) > here &&
                    voters == wanted)
                    world_complain(w, "at rest with a shared rack though another is free");
        }
    }
    for (u32 i = 0; i < nodes; i++) {
        if (n[i]->state != CORE_UP || !w->alive[n[i]->id]) continue;
        u64 bytes = world_node_bytes(w, n[i]->id) + n[i]->replicas * 4 * MIB;
        total += bytes;
        least = u64_min(least, bytes);
        most = u64_max(most, bytes);
    }
    if (!up) return;
    /* Racks of unequal size bind replicas; where no two nodes share one, nothing does. */
    u64 band = 2 * (largest + 4 * MIB) + total / up / 10;
    bool binds = false;
    for (u32 i = 0; i < nodes; i++)
        for (u32 j = 0; j < i; j++)
            binds = binds ||
                    (n[i]->rack.len && str_equal(core_str(&n[i]->rack), core_str(&n[j]->rack)));
    for (u32 i = 0; i < parts; i++) binds = binds || !world_has_quorum(w, p[i]);
    *judged += !binds;
    if (!binds && most - least > band) world_complain(w, "at rest and uneven");
}

/* For who looks into a failure. */
static void tell(const struct world *w)
{
    u32 parts, nodes;
    const struct core_part *const *p = core_parts(w->f.core, &parts);
    const struct core_node *const *n = core_nodes(w->f.core, &nodes);

    for (u32 i = 0; i < nodes; i++)
        print_message("node %u rack %.*s state %u alive %d silent %llu s replicas %u MiB %llu\n",
                      n[i]->id, STR_ARG(core_str(&n[i]->rack)), n[i]->state, w->alive[n[i]->id],
                      (unsigned long long)w->silent_ms[n[i]->id] / 1000, n[i]->replicas,
                      (unsigned long long)world_node_bytes(w, n[i]->id) >> 20);
    for (u32 i = 0; i < parts; i++) {
        print_message("part %llu ks %u wants %llu op %u/%u leader %u MiB %llu:",
                      (unsigned long long)p[i]->id, p[i]->keyspace,
                      (unsigned long long)core_keyspace(w->f.core, p[i]->keyspace)->settings[0],
                      p[i]->op.kind, p[i]->op.step, p[i]->leader,
                      (unsigned long long)w->bytes[p[i]->id] >> 20);
        for (u32 m = 0; m < p[i]->member_count; m++)
            print_message(" %u@%u%s", p[i]->members[m].replica, p[i]->members[m].node,
                          p[i]->members[m].role == CORE_VOTER ? "" : "(learner)");
        print_message("\n");
    }
    for (u32 i = 0; i < w->plan.count && i < 5; i++)
        print_message("step: %s\n", w->plan.steps[i].reason);
    for (u32 i = 0; i < w->plan.blocked_count && i < CORE_PLAN_BLOCKED_MAX; i++)
        print_message("blocked: %s\n", w->plan.blocked[i]);
}

static void one_life(u64 seed, u32 *rounds_most, u64 *steps, u32 *judged)
{
    struct world w;
    static const char *const racks[] = {"a", "b", "c", "d", ""};
    bool labels = seed % 2;

    world_init(&w, seed,
               1 + (u32)prng_below(&(struct prng){.state = seed * 77 + 1, .stream = 3}, 5));
    for (u32 i = (u32)prng_below(&w.r, 6); i-- > 0;)
        world_join(&w, labels ? racks[prng_below(&w.r, 5)] : "");
    for (u32 i = (u32)prng_below(&w.r, 4); i-- > 0;) random_keyspace(&w, i);
    random_sizes(&w);
    w.catch_up_rounds = (u32)prng_below(&w.r, 6);
    static const char *const few[] = {"1", "2", "4", "9"};
    CHECK_EQ(DO(&w.f, .op = CORE_SETTINGS, .row_count = 2,
                .rows = {{STR("moves-per-node"), str_of(few[prng_below(&w.r, 4)])},
                         {STR("moves-at-once"), str_of(few[prng_below(&w.r, 4)])}}),
             CORE_OK);
    for (u32 i = 0; i < 120 && !w.broken; i++) {
        if (prng_below(&w.r, 12) == 0) random_event(&w, labels);
        if (prng_below(&w.r, 60) == 0) w.facts.paused = !w.facts.paused;
        world_round(&w);
        if (i % 29 == 0) core_check(w.f.core);
    }
    w.facts.paused = false;
    memset(w.busy, 0, sizeof w.busy);
    u32 count, max = 8000;
    core_nodes(w.f.core, &count);
    if (prng_below(&w.r, 2)) /* the dead come back, or they stay away */
        for (u32 i = 1; i <= count; i++) w.alive[i] = core_node(w.f.core, i)->state != CORE_REMOVED;
    for (u32 i = 0; i < 12 && !w.broken; i++) world_round(&w); /* replace-after passes */
    u32 rounds = world_settle(&w, max);
    if (rounds == max) world_complain(&w, "it does not come to rest");
    if (!w.broken) judge_rest(&w, judged);
    core_check(w.f.core);
    if (w.broken) tell(&w);
    if (w.broken) fail_msg("seed %llu: %s", (unsigned long long)seed, w.broken);
    if (rounds > *rounds_most) *rounds_most = rounds;
    *steps += w.steps;
    world_done(&w);
}

TEST(planner, comes_to_rest_in_a_good_place_whatever_happened)
{
    const char *clusters = getenv("CORE_CLUSTERS");
    u64 last = clusters ? strtoull(clusters, NULL, 10) : 300, steps = 0;
    u32 rounds = 0, judged = 0;

    for (u64 seed = 1; seed <= last; seed++) one_life(seed, &rounds, &steps, &judged);
    print_message("%llu clusters, %llu steps, at most %u rounds to rest, evenness judged in %u\n",
                  (unsigned long long)last, (unsigned long long)steps, rounds, judged);
}

TEST_MAIN(RUN(planner, comes_to_rest_in_a_good_place_whatever_happened))
