/* A node dies at the k-th call of its disk from the beginning of a step of the cluster's work, for each k until the step
 * ends before that call: the cluster always comes to rest again, every node where the map says, and nothing that was
 * acknowledged is lost. Without LONG=1 only some k are tried. */
#include "base/test.h"
#include "check/checkers.h"
#include "check/history.h"
#include "server/node_state.h"
#include "sim/churn.h"
#include "sim/cluster.h"
#include "sim/disk.h"
#include "sim/disk_internal.h"
#include "sim/groups.h"
#include "sim/host.h"
#include "sim/run.h"
#include "sim/client.h"

#include <stdio.h>
#include <stdlib.h>

#define STEP       (50 * NANOS_MS)
#define STEP_MAX   (60 * NANOS_SEC)
#define REST_MAX   (90 * NANOS_SEC)
#define LOAD       (3 * NANOS_SEC)
#define KILLS_MAX  5000
#define KILLS_SOME 9 /* without LONG=1 */

struct script {
    const char *name;
    void (*prepare)(struct world *w); /* before the kill is armed; NULL: nothing */
    bool (*begin)(struct world *w);   /* again and again until true */
    bool (*ended)(struct world *w);
    u32 target;                       /* the host that dies */
};

/* ---- looks ---- */

static const struct core *the_map(const struct world *w)
{
    u32 leader = groups_leader(w, PART_CORE);
    return leader ? cluster_map(node_cluster(w->hosts[leader - 1]->node)) : NULL;
}

static bool at_rest(struct world *w)
{
    char why[256];
    return groups_converged(w, why, sizeof why);
}

static bool run_until(struct world *w, nanos most, bool (*claim)(struct world *w))
{
    nanos end = w->now + most;
    bool holds = false;
    while (!w->stopped && !(holds = claim(w)) && w->now < end) world_run(w, w->now + STEP);
    return holds;
}

static bool clients_rest(struct world *w)
{
    for (u32 i = 0; i < w->client_count; i++)
        if (!client_is_idle(w->clients[i])) return false;
    return true;
}

/* ---- the steps ---- */

static bool a_machine_joins(struct world *w) { return churn_join(w); }

static bool has_joined(struct world *w)
{
    const struct core *map = the_map(w);
    return map && core_node(map, 4) && core_node(map, 4)->state == CORE_UP && at_rest(w);
}

static bool a_keyspace_is_made(struct world *w)
{
    u32 count = 0;
    const struct core *map = the_map(w);
    if (map) (void)core_keyspaces(map, &count);
    if (count < 3) (void)churn_make_keyspace(w, 4);
    return count >= 3;
}

static void join_first(struct world *w)
{
    while (!w->stopped && !churn_join(w)) world_run(w, w->now + STEP);
    (void)run_until(w, STEP_MAX, has_joined);
}

static void make_keyspace_and_join(struct world *w)
{
    (void)run_until(w, STEP_MAX, a_keyspace_is_made);
    join_first(w);
}

static bool node_1_is_drained(struct world *w)
{
    const struct core *map = the_map(w);
    bool asked = map && core_node(map, 1)->state != CORE_UP;
    if (!asked) (void)churn_drain(w, 1);
    return asked;
}

static bool has_drained(struct world *w)
{
    const struct core *map = the_map(w);
    return map && core_node(map, 1)->state == CORE_DRAINED && at_rest(w);
}

static bool a_disk_is_lost(struct world *w)
{
    if (!groups_can_do_without(w, w->hosts[1])) return false;
    churn_lose_disk(w, w->hosts[1]);
    return true;
}

static u32 made_parts(struct world *w, u8 op)
{
    const struct core *map = the_map(w);
    const struct core_keyspace *k = map ? core_keyspace(map, CORE_KEYSPACE_FIRST) : NULL;
    u32 count = 0;

    for (u32 i = 0; k && i < k->part_count; i++) count += !op || k->parts[i]->op.kind == op;
    return count;
}

static void make_keyspace(struct world *w) { (void)run_until(w, STEP_MAX, a_keyspace_is_made); }

static bool a_partition_is_split(struct world *w)
{
    bool begun = made_parts(w, CORE_OP_SPLIT) || made_parts(w, 0) > 4;
    if (!begun) (void)churn_split(w);
    return begun;
}

static bool partitions_are_merged(struct world *w)
{
    bool begun = made_parts(w, CORE_OP_MERGE) || made_parts(w, 0) == 3;
    if (!begun) (void)churn_merge(w);
    return begun;
}

static const struct script scripts[] = {
    {"join", NULL, a_machine_joins, has_joined, 4},
    {"join, the core's side", NULL, a_machine_joins, has_joined, 1},
    {"replicas made", NULL, a_keyspace_is_made, at_rest, 2},
    {"replicas move, the one that comes", make_keyspace_and_join, node_1_is_drained, has_drained, 4},
    {"replicas move, the one that goes", make_keyspace_and_join, node_1_is_drained, has_drained, 1},
    {"replicas move, one that stays", make_keyspace_and_join, node_1_is_drained, has_drained, 2},
    {"a partition is split, a member", make_keyspace, a_partition_is_split, at_rest, 1},
    {"a partition is split, another", make_keyspace, a_partition_is_split, at_rest, 3},
    {"partitions are merged, a member", make_keyspace, partitions_are_merged, at_rest, 1},
    {"partitions are merged, another", make_keyspace, partitions_are_merged, at_rest, 3},
    {"a founder with an empty disk", make_keyspace_and_join, a_disk_is_lost, at_rest, 2},
};

/* ---- one world ---- */

static void load(struct world *w)
{
    world_run(w, w->now + LOAD);
    for (u32 i = 0; i < w->client_count; i++) w->clients[i]->stopping = true;
    CHECK(run_until(w, REST_MAX, clients_rest));
}

static void read_everything(struct world *w)
{
    const struct history *h = w->history;
    struct findings f;

    w->text_count = history_text_count(h);
    w->keys_seen = mem_zalloc(w->text_count);
    for (u32 i = 0; i < h->count; i++) w->keys_seen[h->items[i].key] = 1;
    client_audit(w->clients[0]);
    CHECK(run_until(w, REST_MAX, clients_rest));
    findings_init(&f);
    check_history(w->history, &f);
    CHECK_EQ(f.violations, 0);
    findings_done(&f);
}

static void tell(const struct world *w, const struct script *s, u32 k)
{
    char why[256] = "";
    if (!w->violation_count) (void)groups_converged(w, why, sizeof why);
    printf("%s, n%u killed at its disk call %u: %s\n", s->name, s->target, k,
           w->violation_count ? w->violations[0] : why);
}

/* False: the step ended before that call. */
static bool one_kill(const struct script *s, u32 k)
{
    struct sim_options o;

    sim_options_defaults(&o);
    o.cluster = o.calm = true;
    o.verbose = getenv("KILL_VERBOSE") != NULL;
    o.faults = "none";
    o.workloads = "registers";
    o.nodes = 4;
    struct world *w = run_begin(&o, 7);
    cluster_start(w);
    CHECK(run_until(w, STEP_MAX, at_rest));
    load(w);
    if (s->prepare) s->prepare(w);
    CHECK(run_until(w, REST_MAX, at_rest));
    struct host *h = w->hosts[s->target - 1];
    u32 boot = h->boot;
    disk_die_in(h->disk, k);
    bool begun = run_until(w, STEP_MAX, s->begin);
    bool ended = begun && run_until(w, STEP_MAX + REST_MAX, s->ended);
    bool struck = h->boot != boot && h->disk->die_in == 0;
    disk_die_in(h->disk, 0);
    ended = ended && run_until(w, REST_MAX, at_rest);
    if (ended) read_everything(w);
    ended = ended && run_until(w, REST_MAX, at_rest);
    if (ended) groups_final(w);
    if (!ended || w->violation_count) tell(w, s, k);
    CHECK(ended);
    CHECK_EQ(w->violation_count, 0);
    run_end(w);
    return struck;
}

static bool is_long(void) { return getenv("LONG") && *getenv("LONG"); }

static u32 next_kill(u32 k, u32 done)
{
    if (is_long()) return k + 1;
    return done < 4 ? k + 1 : k + 1 + k / 2;
}

TEST(kill_steps, a_node_that_dies_at_any_disk_call_of_a_step_comes_back)
{
    for (u32 i = 0; i < ARRAY_LEN(scripts); i++) {
        u32 k = 1, done = 0;
        const char *only = getenv("KILL_STEP"), *at = getenv("KILL_AT");
        if (only && strcmp(only, scripts[i].name) != 0) continue;
        if (at) k = (u32)atoi(at);
        while (k < KILLS_MAX && one_kill(&scripts[i], k)) {
            done++;
            if (at || (!is_long() && done >= KILLS_SOME)) break;
            k = next_kill(k, done);
        }
        printf("%s: n%u killed %u times, last at call %u\n", scripts[i].name, scripts[i].target, done, k);
        CHECK(done > 0);
    }
}

TEST_MAIN(RUN(kill_steps, a_node_that_dies_at_any_disk_call_of_a_step_comes_back))
