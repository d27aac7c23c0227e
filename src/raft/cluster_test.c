/* Whole clusters under random faults: many seeds, every claim checked after every step.
 * RAFT_SEEDS=a-b runs others, RAFT_TRACE=1 prints one. */
#include "raft/cluster_members.h"

#include "base/test.h"

#include <signal.h>

static struct world *current; /* for the message of a failed assertion only */

static void on_abort(int signal_number)
{
    (void)signal_number;
    fprintf(stderr, "while running seed %lu at %lu us\n", current->seed, current->now / MICROS);
    fflush(stdout);
    _Exit(1);
}

/* There has to be something to lose; and what is being voted on is worth more than a crash at each step of it. */
static void draw_slow_disks(struct world *w)
{
    struct faults *f = &w->faults;
    f->wipe = f->crash_at_lead = f->crash_at_save = 0;
    f->disk_min = NANOS_MS;
    f->snapshot += 10000;
    f->disk_max = (2 + pick(w, 200)) * NANOS_MS;
    if (f->crash > 2000) f->crash = 2000;
}

static struct world *world_new(u64 seed, u32 nodes, bool memory)
{
    struct world *w = mem_zalloc(sizeof *w);
    current = w;
    known_config_count = 1;
    w->seed = seed;
    w->nodes = w->founders = nodes;
    w->memory = memory;
    w->next_id = 1;
    w->now = NANOS_SEC;
    w->report_by_staging_term = seed % 2;
    prng_init(&w->prng, seed, 1);
    w->flying = mem_zalloc_array(WORLD_FLYING_MAX, sizeof *w->flying);
    w->committed = mem_zalloc_array(HOST_LOG_MAX, sizeof *w->committed);
    w->committed_in = mem_zalloc_array(HOST_LOG_MAX, sizeof *w->committed_in);
    w->states = mem_zalloc_array(HOST_LOG_MAX, sizeof *w->states);
    w->kept = mem_zalloc_array(HOST_LOG_MAX, sizeof *w->kept);
    w->out = mem_zalloc(sizeof *w->out);
    w->live_out = mem_zalloc(sizeof *w->live_out);
    w->supports = getenv("RAFT_SUPPORT") ? atoi(getenv("RAFT_SUPPORT")) : seed / 2 % 4 != 0;
    buf_init(&w->scratch, 0);
    draw_faults(w);
    if (memory) draw_slow_disks(w);
    for (u32 id = 1; id <= nodes; id++) {
        struct host *h = &w->hosts[id];
        raft_config_found(&w->config, id);
        host_init(h, id);
        h->options = draw_options(w, id);
        h->clock_offset = pick(w, 1000000) * NANOS_MS;
        h->drift_ppm = profile_of(seed) == TIGHT ? (i64)pick(w, 2) * 20000 - 10000
                                                 : (i64)pick(w, 3) * 10000 - 10000;
    }
    for (u32 id = 1; id <= nodes; id++) {
        struct host *h = &w->hosts[id];
        live_boot(w, h);
        host_boot(h, w->now, &w->config);
        if (world_tracing) raft_trace_to(h->raft, print_trace, w);
        live_meet_all(w, h);
        if (w->memory) world_report(w, h, RAFT_MEMORY, (struct raft_event){.full = true});
        world_report(w, h, RAFT_FOUNDING, (struct raft_event){0});
    }
    return w;
}

static void world_free(struct world *w)
{
    while (w->flying_count) buf_done(&w->flying[--w->flying_count].bytes);
    for (u32 id = 1; id <= w->nodes; id++) host_done(&w->hosts[id]);
    buf_done(&w->scratch);
    mem_free(w->flying);
    mem_free(w->committed);
    mem_free(w->committed_in);
    mem_free(w->states);
    mem_free(w->kept);
    mem_free(w->out);
    mem_free(w->live_out);
    mem_free(w);
}

/* ---- faults */

/* Does every member say that its log is empty? */
static bool is_blank(const struct world *w)
{
    for (u32 id = 1; id <= w->nodes; id++) {
        const struct host *h = &w->hosts[id];
        if (h->gone) return false;
        if (h->disk.last > 0 || !h->raft || raft_last(h->raft).index > 0) return false;
    }
    return true;
}

static void restart(struct world *w, struct host *h)
{
    h->life++;
    if (h->wiped || w->memory) { /* what an earlier incarnation sent is refused by its number */
        for (u32 i = 0; i < w->flying_count; i++)
            if (w->flying[i].from == h->id) w->flying[i].to = 0;
        h->wiped = false;
    }
    live_boot(w, h);
    host_boot(h, w->now, h->id <= w->founders ? &w->config : NULL);
    if (world_tracing) raft_trace_to(h->raft, print_trace, w);
    live_meet_all(w, h);
    if (w->memory) world_report(w, h, RAFT_MEMORY, (struct raft_event){.full = pick(w, 8) != 0});
    for (u32 id = 1; id <= w->nodes && is_blank(w); id++)
        if (w->memory || id == h->id) world_report(w, &w->hosts[id], RAFT_FOUNDING, (struct raft_event){0});
}

static void cut_somewhere(struct world *w)
{
    u32 victim = 1 + pick(w, w->nodes), kind = pick(w, 3);
    for (u32 id = 1; id <= w->nodes; id++) {
        if (id == victim) continue;
        if (kind != 1) w->cut[victim][id] = true;
        if (kind != 2) w->cut[id][victim] = true;
        if (pick(w, 4) == 0) break; /* a partial partition */
    }
}

/* From everybody, or from one: then the others still hear it. */
static void cut_off_leader(struct world *w)
{
    replica_id only = w->supports && pick(w, 2) ? 1 + pick(w, w->nodes) : 0;
    for (u32 id = 1; id <= w->nodes; id++) {
        if (!w->hosts[id].raft || !raft_is_leader(w->hosts[id].raft)) continue;
        for (u32 other = 1; other <= w->nodes; other++)
            if (!only || other == only) w->cut[id][other] = w->cut[other][id] = true;
    }
}

static void snapshot_here(struct world *w, struct host *h)
{
    if (h->applied <= h->disk.snapshot.pos.index || h->ops_staged - h->ops_done > 1000) return;
    struct disk_op *op = host_stage(h, DISK_COMPACT);
    struct raft_config members;
    raft_config_at(h->raft, h->applied, &members);
    op->snapshot = (struct snapshot){
        {raft_term_at(h->raft, h->applied), h->applied}, h->state, config_number(&members)};
    op->index = h->applied > 20 && pick(w, 2) ? h->applied - pick(w, 20) : h->applied;
}

static void make_trouble(struct world *w)
{
    const struct faults *f = &w->faults;
    struct host *h = &w->hosts[1 + pick(w, w->nodes)];

    if (chance(w, f->cut)) cut_somewhere(w);
    if (chance(w, f->mend)) memset(w->cut, 0, sizeof w->cut);
    if (chance(w, f->lonely_leader)) cut_off_leader(w);
    if (!is_up(w, h)) return;
    if (chance(w, f->crash)) {
        crash(w, h);
        return;
    }
    if (chance(w, f->pause)) h->paused_until = w->now + pick(w, 800) * NANOS_MS;
    if (chance(w, f->snapshot)) snapshot_here(w, h);
    if (chance(w, f->disk_full)) {
        h->full = !h->full;
        h->room = pick(w, 12) * (RAFT_ENTRY_ROOM + 8); /* the last space, until there is more again */
        world_report(w, h, RAFT_DISK_FULL, (struct raft_event){.full = h->full});
    }
    if (chance(w, f->unreachable))
        world_report(w, h, RAFT_UNREACHABLE, (struct raft_event){.peer = 1 + pick(w, w->nodes)});
    if (chance(w, f->transfer) && raft_is_leader(h->raft)) {
        world_report(w, h, RAFT_TRANSFER, (struct raft_event){.peer = 1 + pick(w, w->nodes)});
        w->transfers++;
    }
}

/* ---- power, and the operator after it */

/* All at once, or all but one that goes on alone. */
static void cut_power(struct world *w)
{
    u32 spared = pick(w, 3) ? 0 : 1 + pick(w, w->nodes);
    for (u32 id = 1; id <= w->nodes; id++)
        if (w->hosts[id].raft && id != spared) crash(w, &w->hosts[id]);
    struct host *late = &w->hosts[1 + pick(w, w->nodes)];
    for (u32 id = 1; id <= w->nodes && late->raft == NULL; id++)
        if (w->hosts[id].disk.snapshot.pos.index > late->disk.snapshot.pos.index) late = &w->hosts[id];
    late->restart_at += pick(w, 6000) * NANOS_MS; /* with what the others may have to give up */
    w->power_cuts++;
}

static bool is_stuck(const struct world *w)
{
    bool in_doubt = false;
    for (u32 id = 1; id <= w->nodes; id++) {
        const struct host *h = &w->hosts[id];
        if (!h->raft) continue;
        if (raft_is_leader(h->raft)) return false;
        in_doubt |= raft_hard_state(h->raft)->votes_kept;
    }
    return in_doubt;
}

/* Nobody leads, and some crashed: after a while the operator asks one after the other. */
static void operate(struct world *w)
{
    struct host *h = &w->hosts[1 + pick(w, w->nodes)];
    struct raft_event ev = {.kind = RAFT_RECOVER};

    if (!w->calm && chance(w, 400)) cut_power(w);
    note_safe(w);
    if (!is_stuck(w)) w->stuck_since = w->now;
    if (w->now < w->stuck_since + 700 * NANOS_MS || pick(w, 100) || !is_up(w, h)) return;
    err e = world_step(w, h, &ev);
    assert(e == OK || e == ERR_STALE || e == ERR_INVALID);
}

/* The wish changes now and then; a clean stop is one that never comes back. */
static void change_wish(struct world *w)
{
    struct host *h = &w->hosts[1 + pick(w, w->nodes)];
    if (is_up(w, h) && chance(w, 1000)) world_report(w, h, RAFT_MEMORY, (struct raft_event){.full = pick(w, 4) != 0});
}

/* ---- clients */

static struct rcbuf *payload(struct world *w)
{
    u32 bytes = pick(w, 20) ? 8 + pick(w, 30) : 8 + pick(w, 3000); /* some larger than any window */
    struct rcbuf *data = rcbuf_new(bytes);
    u64 id = w->next_id++;
    memset(data->data, 0, bytes);
    memcpy(data->data, &id, sizeof id);
    return data;
}

static err propose(struct world *w, struct host *h, u32 count)
{
    struct raft_proposal proposals[8];
    struct raft_event ev = {.kind = RAFT_PROPOSE, .proposals = proposals, .count = count};
    u64 last = raft_last(h->raft).index;

    for (u32 i = 0; i < count; i++) proposals[i] = (struct raft_proposal){RAFT_COMMAND, payload(w)};
    err e = world_step(w, h, &ev);
    assert(e == OK || e == ERR_FULL || e == ERR_STALE);
    assert(raft_last(h->raft).index == last + (e ? 0 : count));
    for (u32 i = 0; i < count; i++) rcbuf_unref(proposals[i].data);
    return e;
}

static void ask_read(struct world *w, struct host *h)
{
    struct asked_read *q = &w->reads[w->read_next % WORLD_READS_MAX];
    if (q->open) return;
    struct raft_event ev = {.kind = RAFT_READ, .context = w->read_next++};
    *q = (struct asked_read){.must_see = w->acked_last, .open = true};
    if (world_step(w, h, &ev) != OK) q->open = false;
}

static void check_lease(struct world *w, struct host *h)
{
    if (!raft_lease_holds(h->raft, host_clock(h, w->now))) return;
    w->leases++;
    if (h->applied < w->acked_last)
        VIOLATION(w, "node %u holds a lease in term %lu at %lu applied, but %lu is acknowledged",
                  h->id, raft_term(h->raft), h->applied, w->acked_last);
}

static void run_clients(struct world *w)
{
    /* Only a group at rest depends on the support of nodes alone. */
    if (w->supports && chance(w, 1500)) w->quiet_until = w->now + pick(w, 1500) * NANOS_MS;
    for (u32 id = 1; id <= w->nodes; id++) {
        struct host *h = &w->hosts[id];
        if (!h->raft || !raft_is_leader(h->raft)) continue;
        check_lease(w, h); /* a paused replica too: it may wake right there */
        if (!is_up(w, h) || w->now < w->quiet_until) continue;
        if (pick(w, 4) == 0 && h->ops_staged - h->ops_done < 1000)
            (void)!propose(w, h, 1 + pick(w, 8));
        if (pick(w, 4) == 0) ask_read(w, h);
    }
}

/* ---- time */

static void deliver(struct world *w, struct flying *f)
{
    struct host *h = &w->hosts[f->to];
    struct raft_message m;

    if (f->to == 0 || !h->raft) return;
    if (h->paused_until > w->now) { /* waits in the socket */
        struct flying later = *f;
        later.at = h->paused_until + pick(w, 100) * MICROS;
        f->bytes = (struct buf){0};
        fly(w, later);
        return;
    }
    if (f->live.kind) { /* connections meet another life before its first message */
        world_meet(w, h, f->from, f->live.from_boot);
        world_live(w, h, (struct live_event){.kind = LIVE_RECEIVED, .message = &f->live});
        return;
    }
    if (f->bytes.len == 0) {
        install(w, h, f);
        return;
    }
    err e = raft_message_decode(buf_str(&f->bytes), &m);
    assert(e == OK);
    struct raft_event ev = {.kind = RAFT_RECEIVED, .message = &m};
    h->backlog = !w->calm && chance(w, w->faults.backlog);
    e = world_step(w, h, &ev);
    h->backlog = false;
    assert(e == OK);
    raft_message_done(&m);
}

static void tick(struct world *w, struct host *h)
{
    if (h->live && live_deadline(h->live) <= host_clock(h, w->now))
        world_live(w, h, (struct live_event){.kind = LIVE_TICK});
    for (u32 i = 0; i < 100 && raft_deadline(h->raft) <= host_clock(h, w->now); i++)
        world_report(w, h, RAFT_TICK, (struct raft_event){0});
}

static void bury_the_dead(struct world *w)
{
    for (u32 id = 1; id <= w->nodes; id++)
        if (w->hosts[id].dies && w->hosts[id].raft) crash(w, &w->hosts[id]);
}

static void run_millisecond(struct world *w)
{
    u64 end = w->now + NANOS_MS;
    for (;;) {
        u64 next = end;
        struct host *disk = NULL;
        for (u32 id = 1; id <= w->nodes; id++) {
            struct host *h = &w->hosts[id];
            if (!is_up(w, h)) continue;
            disk_start(w, h);
            if (h->write_upto && h->write_ends_at < next) {
                next = u64_max(h->write_ends_at, w->now);
                disk = h;
            }
        }
        if (w->flying_count && w->flying[0].at < next) {
            struct flying f = land(w);
            w->now = u64_max(w->now, f.at);
            deliver(w, &f);
            buf_done(&f.bytes);
        } else if (disk) {
            w->now = next;
            disk_finish(w, disk);
        } else {
            break;
        }
        bury_the_dead(w);
    }
    w->now = end;
    for (u32 id = 1; id <= w->nodes; id++) {
        struct host *h = &w->hosts[id];
        if (!h->raft && !h->gone && h->restart_at <= w->now) restart(w, h);
        if (is_up(w, h)) tick(w, h);
    }
    bury_the_dead(w);
}

static void check_all_logs(struct world *w)
{
    for (u32 id = 1; id <= w->nodes; id++)
        if (w->hosts[id].raft) check_members(w, &w->hosts[id]);
    for (u32 a = 1; a <= w->nodes; a++)
        for (u32 b = a + 1; b <= w->nodes; b++)
            if (w->hosts[a].raft && w->hosts[b].raft)
                check_log_matching(w, w->hosts[a].raft, w->hosts[b].raft);
}

static void heal(struct world *w)
{
    w->calm = true;
    w->faults.delay_max = u64_min(w->faults.delay_max, 2 * NANOS_MS);
    w->faults.disk_max = u64_min(w->faults.disk_max, 2 * NANOS_MS);
    memset(w->cut, 0, sizeof w->cut);
    for (u32 id = 1; id <= w->nodes; id++) {
        struct host *h = &w->hosts[id];
        h->paused_until = 0;
        if (h->gone) continue;
        if (!h->raft) restart(w, h);
        h->full = false;
        world_report(w, h, RAFT_DISK_FULL, (struct raft_event){.full = false});
    }
}

/* Every member that is left. */
static bool all_equal(const struct world *w)
{
    const struct raft_config *c = w->members ? &known_configs[w->members] : &w->config;
    if (raft_config_is_joint(c)) return false;
    for (u32 i = 0; i < c->count; i++) {
        const struct host *h = &w->hosts[c->members[i].id];
        if (h->gone) continue;
        if (!h->raft) return false;
        if (h->applied != w->committed_last || h->state != w->states[w->committed_last])
            return false;
        if (raft_last(h->raft).index != w->committed_last) return false;
        if (raft_hard_state(h->raft)->impaired) return false;
    }
    return true;
}

/* One that has applied what was given up takes only a snapshot of more. */
static void refill_lost(struct world *w)
{
    bool any = false;
    for (u32 id = 1; id <= w->nodes; id++) any |= w->hosts[id].lost && w->hosts[id].raft;
    if (!any || pick(w, 20)) return;
    for (u32 id = 1; id <= w->nodes; id++) {
        struct host *h = &w->hosts[id];
        if (!h->raft || !raft_is_leader(h->raft) || h->lost) continue;
        (void)!propose(w, h, 8);
        snapshot_here(w, h);
    }
}

/* Within `seconds` every replica has everything, and then one more commit as well. */
static void check_liveness(struct world *w, u32 seconds)
{
    u64 limit = w->now + seconds * NANOS_SEC, proposed_at = 0;
    while (w->now < limit) {
        run_millisecond(w);
        if (w->memory) operate(w);
        if (w->memory) refill_lost(w);
        if (proposed_at && w->committed_last > proposed_at && all_equal(w)) return;
        for (u32 id = 1; id <= w->nodes && !proposed_at; id++) {
            struct host *h = &w->hosts[id];
            if (!h->raft || !raft_is_leader(h->raft) || !all_equal(w)) continue;
            u64 before = w->committed_last;
            snapshot_here(w, h); /* a full tail takes no proposals */
            if (propose(w, h, 1) == OK) proposed_at = before;
        }
    }
    for (u32 id = 1; id <= w->nodes; id++)
        if (w->hosts[id].raft) fprintf(
            stderr,
            "node %u: role %d term %lu applied %lu of %lu, last %lu, durable %lu, impaired %d\n",
            id, (int)raft_role(w->hosts[id].raft), raft_term(w->hosts[id].raft),
            w->hosts[id].applied, w->committed_last, raft_last(w->hosts[id].raft).index,
            raft_durable(w->hosts[id].raft), raft_hard_state(w->hosts[id].raft)->impaired);
    VIOLATION(w, "no progress within %u s of quiet", seconds);
}

/* A group that everybody is in reach of and that has nothing to do has no timer. */
static void check_quiet(struct world *w)
{
    const struct raft_config *c = w->members ? &known_configs[w->members] : &w->config;
    if (!w->supports || raft_config_is_joint(c)) return;
    for (u32 i = 0; i < c->count; i++)
        if (w->hosts[c->members[i].id].gone) return;
    u64 limit = w->now + 12 * NANOS_SEC; /* a snapshot offered by mistake is waited for so long */
    replica_id restless = 1;
    u64 since = w->now;
    while (w->now < limit && (w->now < since + NANOS_SEC / 2)) {
        run_millisecond(w);
        restless = 0;
        for (u32 i = 0; i < c->count; i++) {
            const struct host *h = &w->hosts[c->members[i].id];
            if (!h->raft || raft_deadline(h->raft) != NANOS_NEVER) restless = h->id;
        }
        if (restless) since = w->now;
    }
    if (w->now >= limit) VIOLATION(w, "the group does not come to rest; node %u has a timer", restless);
    w->quiet++;
}

static u64 totals[24];

static void run_seed(u64 seed, u32 milliseconds, bool members_change, bool memory)
{
    struct world *w = world_new(seed, seed % 3 == 2 ? 5 : 3, memory);
    if (seed % 31 == 7) {
        world_free(w);
        w = world_new(seed, 1 + (u32)(seed % 2), memory);
    }
    if (members_change) draw_changes(w);
    for (u32 ms = 0; ms < milliseconds; ms++) {
        if (members_change) change_members(w);
        make_trouble(w);
        if (memory) operate(w);
        if (memory) change_wish(w);
        run_clients(w);
        run_millisecond(w);
        if (ms % 64 == 0) check_all_logs(w);
    }
    heal(w);
    check_liveness(w, 20);
    check_quiet(w);
    check_all_logs(w);
    if (!world_tracing && getenv("RAFT_VERBOSE"))
        printf("seed %lu: %lu steps %lu elections %lu commits\n", seed, w->steps, w->elections,
               w->commits);
    const u64 counts[] = {w->steps,         w->elections, w->commits,     w->reads_done,
                          w->reads_refused, w->leases,    w->installs,    w->crashes,
                          w->wipes,         w->healed,    w->truncations, w->transfers,
                          w->changes,       w->joint,     w->changes_cut, w->told_removed,
                          w->killed,        w->fortified, w->withdrawn,   w->quiet,
                          w->recoveries,    w->lost,      w->left_behind, w->power_cuts};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) totals[i] += counts[i];
    world_free(w);
}

static void run_seeds(u64 to, bool members_change, bool memory)
{
    static const char *const names[] = {
        "steps",         "elections",     "commits",     "reads",  "refused reads",
        "leases",        "installs",      "crashes",     "wipes",  "healed",
        "truncations",   "transfers",     "changes",     "joint",  "changes cut off",
        "told removed",  "machines lost", "fortified",   "withdrawn", "quiet at the end",
        "recoveries",    "entries lost",  "left behind", "power cuts"};
    u64 from = 1;
    const char *seeds = getenv("RAFT_SEEDS");
    if (seeds) sscanf(seeds, "%lu-%lu", &from, &to);
    world_tracing = getenv("RAFT_TRACE") != NULL;
    memset(totals, 0, sizeof totals);
    for (u64 seed = from; seed <= to; seed++) run_seed(seed, 5000, members_change, memory);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!members_change && i >= 12 && i < 17) continue;
        if (!memory && i >= 20) continue;
        if (memory && (i == 8 || i == 16)) continue; /* wipes */
        printf("%s%lu %s", i ? ", " : "", totals[i], names[i]);
        if (!seeds) CHECK(totals[i] > 0); /* each of these must have been met */
    }
    printf("\n");
}

TEST(cluster, keeps_every_promise_under_random_faults)
{
    run_seeds(150, false, false);
}

TEST(cluster, loses_only_what_was_in_memory_and_only_by_an_operators_word)
{
    run_seeds(150, false, true);
}

TEST(cluster, loses_no_member_where_entries_count_in_memory)
{
    run_seeds(100, true, true);
}

TEST(cluster, keeps_them_while_members_come_and_go)
{
    run_seeds(150, true, false);
}

int main(void)
{
    const char *only = getenv("RAFT_ONLY"); /* members, fixed, power or both */
    const struct CMUnitTest tests[] = {RUN(cluster, keeps_every_promise_under_random_faults),
                                       RUN(cluster, keeps_them_while_members_come_and_go),
                                       RUN(cluster, loses_only_what_was_in_memory_and_only_by_an_operators_word),
                                       RUN(cluster, loses_no_member_where_entries_count_in_memory)};
    signal(SIGABRT, on_abort);
    if (only) return _cmocka_run_group_tests("one", tests + (only[0] == 'm' ? 1 : only[0] == 'p' ? 2 : only[0] == 'b' ? 3 : 0), 1, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
