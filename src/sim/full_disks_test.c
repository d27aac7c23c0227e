/* The disks of all nodes fill up and the leader dies: reads go on without it, writes are refused for certain, and return
 * with the space. Whole nodes, with clients, over many seeds. */
#include "base/test.h"
#include "check/checkers.h"
#include "check/history.h"
#include "part/part.h"
#include "server/node.h"
#include "sim/cluster.h"
#include "sim/disk.h"
#include "sim/disk_internal.h"
#include "sim/host.h"
#include "sim/observe.h"
#include "sim/run.h"

#include <stdio.h>

#define SEEDS 12
#define SETTLE (8 * NANOS_SEC)
#define FINISH_MAX (2 * NANOS_SEC)

static bool is_read_only(const struct world *w)
{
    u32 leader = observe_leader(w);
    return leader && raft_is_read_only(part_raft(node_part(w->hosts[leader - 1]->node)));
}

static void fill_up(struct world *w)
{
    for (u32 i = 0; i < w->nodes; i++)
        do disk_set_full(w->hosts[i]->disk, true); /* until not even a checkpoint fits */
        while (disk_has_room(w->hosts[i]->disk, 64 * KIB));
    for (u32 i = 0; i < 1200 && !is_read_only(w); i++) world_run(w, w->now + 100 * NANOS_MS);
    CHECK(is_read_only(w));
}

static u32 count(const struct world *w, nanos from, nanos to, enum history_op op, bool well)
{
    const struct history *h = w->history;
    u32 n = 0;

    for (u32 i = 0; i < h->count; i++) {
        const struct history_entry *e = &h->items[i];
        bool ok = e->outcome == HISTORY_OK && e->returned - e->invoked <= FINISH_MAX;
        n += e->invoked >= from && e->invoked < to && e->op == op && ok == well;
    }
    return n;
}

static void one_world(u64 seed)
{
    struct sim_options o;
    struct findings f;

    sim_options_defaults(&o);
    o.faults = "none";
    o.workloads = "registers";
    o.nodes = 3;
    struct world *w = run_begin(&o, seed);
    cluster_start(w);
    world_run(w, 3 * NANOS_SEC);
    fill_up(w);

    u32 leader = observe_leader(w);
    w->avoided = leader;
    host_keep_down(w->hosts[leader - 1]);
    nanos died = w->now;
    world_run(w, died + 2 * SETTLE);
    u32 reads = count(w, died + SETTLE, w->now - FINISH_MAX, HISTORY_GET, true);
    u32 no_reads = count(w, died + SETTLE, w->now - FINISH_MAX, HISTORY_GET, false);
    u32 writes = count(w, died + SETTLE, w->now - FINISH_MAX, HISTORY_SET, true);

    w->avoided = 0;
    for (u32 i = 0; i < w->nodes; i++) disk_set_full(w->hosts[i]->disk, false);
    host_start_at(w->hosts[leader - 1], w->now);
    nanos mended = w->now;
    world_run(w, mended + 2 * SETTLE);
    u32 again = count(w, mended + SETTLE, w->now - FINISH_MAX, HISTORY_SET, true);
    u32 not_again = count(w, mended + SETTLE, w->now - FINISH_MAX, HISTORY_SET, false);

    if (w->violation_count || no_reads || not_again || !reads)
        printf("seed %llu: %u reads and %u that failed, %u writes with full disks; after, %u writes and %u that failed; %s\n",
               (unsigned long long)seed, reads, no_reads, writes, again, not_again,
               w->violation_count ? w->violations[0] : "no violation");
    CHECK_EQ(w->violation_count, 0);
    CHECK(reads > 50);
    CHECK_EQ(no_reads, 0);
    CHECK(again > 50);
    CHECK_EQ(not_again, 0);
    findings_init(&f);
    check_history(w->history, &f);
    CHECK_EQ(f.violations, 0);
    findings_done(&f);
    run_end(w);
}

TEST(full_disks, reads_survive_the_leader_and_writes_return_with_the_space)
{
    for (u64 seed = 1; seed <= SEEDS; seed++) one_world(seed);
}

TEST_MAIN(RUN(full_disks, reads_survive_the_leader_and_writes_return_with_the_space))
