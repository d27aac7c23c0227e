/* The phases of a run: faults; healing; a healthy time in which every operation must finish; the end of all
 * clients' work; the audit that reads everything back; rest, in which the replicas must become equal; the
 * verdict of the checkers. */
#include "sim/run.h"

#include "base/mem.h"
#include "check/checkers.h"
#include "sim/client.h"
#include "sim/churn.h"
#include "sim/cluster.h"
#include "sim/faults.h"
#include "sim/groups.h"
#include "sim/net.h"
#include "sim/observe.h"
#include "sim/windows.h"

#include "part/part.h"

#include <stdio.h>

#define RECOVERY (8 * NANOS_SEC)      /* after healing, until operations must finish in ... */
#define FINISH_MAX (2 * NANOS_SEC)    /* ... this time */
#define DRAIN_MAX (15 * NANOS_SEC)
#define AUDIT_MAX (20 * NANOS_SEC)
#define CONVERGE_MAX (30 * NANOS_SEC)
#define CONVERGE_CLUSTER_MAX (120 * NANOS_SEC)
#define ELECTED_BY (2 * NANOS_SEC)    /* after healing: until then who stays away may campaign, too */
#define BALLOTS 2                     /* for one leader */
#define STEP (100 * NANOS_MS)
#define REFUSED_ONE_IN 10 /* at most, of the operations so far */
#define FIVE_NODES_ONE_IN 6

static nanos faults_end(const struct sim_options *o)
{
    switch (o->mode) {
    case SIM_SAFETY: return o->until;
    case SIM_LIVENESS: return o->until / 2;
    case SIM_BOTH: break;
    }
    nanos healthy = u64_max(o->until / 5, RECOVERY + 4 * NANOS_SEC);
    return o->until - u64_min(healthy, o->until / 2);
}

static bool clients_are_idle(const struct world *w)
{
    for (u32 i = 0; i < w->client_count; i++)
        if (!client_is_idle(w->clients[i])) return false;
    return true;
}

/* Run until the claim holds; false: not within the time. */
static bool run_until(struct world *w, nanos most, bool (*claim)(const struct world *w))
{
    nanos end = w->now + most;
    while (!w->stopped && !claim(w) && w->now < end) world_run(w, w->now + STEP);
    return w->stopped || claim(w);
}

static void audit(struct world *w)
{
    struct client *c = w->clients[0];
    const struct history *h = w->history;

    w->text_count = history_text_count(h); /* answers make new texts; none of them is a key */
    w->keys_seen = mem_zalloc(w->text_count);
    for (u32 i = 0; i < h->count; i++) w->keys_seen[h->items[i].key] = 1;
    client_audit(c);
    if (!run_until(w, AUDIT_MAX, clients_are_idle))
        world_violation(w, "after healing, reading all keys does not finish within %llu s",
                        (unsigned long long)(AUDIT_MAX / NANOS_SEC));
}

static void describe_nodes(const struct world *w, char *out, size_t size)
{
    size_t used = 0;

    for (u32 i = 0; i < w->nodes && used < size; i++) {
        const struct host *h = w->hosts[i];
        if (h->parked) continue;
        if (!h->node) {
            used += (size_t)snprintf(out + used, size - used, " n%u down (%s)", i + 1, h->failure);
            continue;
        }
        if (node_is_joining(h->node) || !node_part(h->node)) {
            used += (size_t)snprintf(out + used, size - used, " n%u without a replica", i + 1);
            continue;
        }
        struct part *p = node_part(h->node);
        used += (size_t)snprintf(out + used, size - used, " n%u %s term %llu commit %llu applied %llu%s", i + 1,
                                 raft_is_leader(part_raft(p)) ? "leads" : "follows",
                                 (unsigned long long)raft_term(part_raft(p)),
                                 (unsigned long long)raft_commit(part_raft(p)),
                                 (unsigned long long)part_applied(p), part_is_damaged(p) ? " damaged" : "");
    }
}

static void describe_cluster(struct world *w)
{
    char why[256] = "";

    (void)groups_converged(w, why, sizeof why);
    world_violation(w, "after healing, the cluster does not come to rest within %llu s: %s",
                    (unsigned long long)(CONVERGE_CLUSTER_MAX / NANOS_SEC), why);
}

/* In a cluster leaders go on moving: a read in the middle of a pipeline that would have to be asked again is refused at
 * once instead, as later writes have gone out (docs/design/connection-order.md). */
static bool is_refused_by_a_move(const struct world *w, const struct history_entry *e)
{
    return w->cluster && e->outcome == HISTORY_FAILED && e->returned - e->invoked <= FINISH_MAX;
}

/* Few are refused: of all of them, as leaders may move just when the first are begun. */
static bool moves_explain_refusals(const struct world *w, nanos begun_at)
{
    const struct history *h = w->history;
    u32 begun = 0, refused = 0;

    for (u32 i = 0; i < h->count; i++) {
        begun += h->items[i].invoked >= begun_at;
        refused += h->items[i].invoked >= begun_at && is_refused_by_a_move(w, &h->items[i]);
    }
    return refused * REFUSED_ONE_IN <= begun;
}

/* Every operation begun a while after healing ends well and soon. */
static void check_liveness(struct world *w, nanos healed_at)
{
    const struct history *h = w->history;
    bool may_be_refused = moves_explain_refusals(w, healed_at + RECOVERY);
    u32 late = 0, first = 0;

    for (u32 i = 0; i < h->count; i++) {
        const struct history_entry *e = &h->items[i];
        if (e->invoked < healed_at + RECOVERY) continue;
        if (e->outcome == HISTORY_OK && e->returned - e->invoked <= FINISH_MAX) continue;
        if (e->outcome == HISTORY_FAILED && e->op == HISTORY_CAS) continue; /* lost a race: an answer */
        if (may_be_refused && is_refused_by_a_move(w, e)) continue;
        if (late++ == 0) first = i;
    }
    if (late == 0) return;
    struct buf line = {0};
    char nodes[512];
    history_write_entry(h, &h->items[first], &line);
    describe_nodes(w, nodes, sizeof nodes);
    world_violation(w, "liveness: %u operations begun %llu s or more after all faults ended did not finish in %llu s;%s; "
                    "the first: %.*s", late, (unsigned long long)(RECOVERY / NANOS_SEC),
                    (unsigned long long)(FINISH_MAX / NANOS_SEC), nodes, STR_ARG(buf_str(&line)));
    buf_done(&line);
}

static u64 term_now(const struct world *w)
{
    u32 leader = observe_leader(w);
    return leader ? raft_term(part_raft(node_part(w->hosts[leader - 1]->node))) : 0;
}

/* From healing to the end: recovery; then service, at first perhaps without one node, and no more elections,
 * not even when that node comes back; unless it went away in a newer term. */
static void run_healthy(struct world *w, nanos healed_at, nanos end)
{
    nanos recovered_at = healed_at + RECOVERY;

    if (recovered_at >= end) {
        world_run(w, end);
        if (!w->stopped) faults_heal(w, false);
        return;
    }
    world_run(w, healed_at + ELECTED_BY);
    u64 newest = w->cluster ? 0 : observe_term_max(w);
    world_run(w, recovered_at);
    u64 term = w->cluster ? 0 : term_now(w); /* leaders are spread, so they move */
    world_run(w, recovered_at + (end - recovered_at) / 2);
    if (!w->stopped) faults_heal(w, false);
    world_run(w, end);
    bool by_its_return = newest > term && term_now(w) <= newest + BALLOTS; /* of who stayed away in that term */
    if (!w->stopped && !w->cluster && (term == 0 || (term_now(w) != term && !by_its_return)))
        world_violation(w, "liveness: after recovery the leader does not stay: term %llu at %llu s, %llu at %llu s",
                        (unsigned long long)term, (unsigned long long)(recovered_at / NANOS_SEC),
                        (unsigned long long)term_now(w), (unsigned long long)(end / NANOS_SEC));
}

/* Where clocks broke their bound a read by lease may have returned an old value, until a while after all has healed:
 * what such reads returned is no evidence. Writes, and what they answered, are; so is the audit. */
static void forget_reads(struct world *w, nanos healed_at)
{
    struct history *h = w->history;

    for (u32 i = 0; i < h->count; i++)
        if (h->items[i].op == HISTORY_GET && h->items[i].outcome == HISTORY_OK &&
            h->items[i].invoked < healed_at + RECOVERY)
            h->items[i].outcome = HISTORY_FAILED;
}

static void run_phases(struct world *w)
{
    const struct sim_options *o = w->options;
    char nodes[512];

    cluster_start(w);
    world_run(w, faults_end(o));
    nanos healed_at = w->now;
    if (!w->stopped) faults_heal(w, o->mode != SIM_SAFETY);
    run_healthy(w, healed_at, u64_max(o->until, healed_at + 2 * NANOS_SEC));
    for (u32 i = 0; i < w->client_count; i++) w->clients[i]->stopping = true;
    if (!run_until(w, DRAIN_MAX, clients_are_idle)) world_violation(w, "after healing, operations under way do not end");
    if (!w->stopped && o->mode != SIM_SAFETY) check_liveness(w, healed_at);
    if (!w->stopped) audit(w);
    if (!run_until(w, w->cluster ? CONVERGE_CLUSTER_MAX : CONVERGE_MAX, observe_converged)) {
        describe_nodes(w, nodes, sizeof nodes);
        if (w->cluster)
            describe_cluster(w);
        else
            world_violation(w, "after healing, the replicas do not become equal within %llu s:%s",
                            (unsigned long long)(CONVERGE_MAX / NANOS_SEC), nodes);
    }
    if (!w->stopped) observe_final(w);
    if (faults_skew_clocks(w)) forget_reads(w, healed_at);
}

static void write_history(const struct world *w)
{
    struct buf text = {0};
    FILE *out = fopen(w->options->history_path, "wb");

    if (!out) {
        perror(w->options->history_path);
        return;
    }
    history_write(w->history, &text);
    fwrite(buf_bytes(&text), 1, text.len, out);
    fclose(out);
    buf_done(&text);
}

static void tell(const struct world *w, const struct findings *f, struct run_result *out)
{
    size_t used = 0;

    out->text[0] = 0;
    for (u32 i = 0; i < w->violation_count && i < WORLD_VIOLATIONS_MAX && used < sizeof out->text; i++)
        used += (size_t)snprintf(out->text + used, sizeof out->text - used, "violation: %s\n", w->violations[i]);
    if (used < sizeof out->text && f->text.len > 0)
        snprintf(out->text + used, sizeof out->text - used, "%.*s", STR_ARG(buf_str(&f->text)));
}

void run_end(struct world *w)
{
    for (u32 i = 0; i < w->nodes; i++)
        if (w->hosts[i]->node) {
            w->hosts[i]->restart_planned = true;
            host_crash(w->hosts[i], false, "the end of the world");
        }
    net_free(w->net);
    for (u32 i = 0; i < w->host_count; i++) host_free(w->hosts[i]);
    for (u32 i = 0; i < w->client_count; i++) client_free(w->clients[i]);
    faults_free(w->faults);
    observer_free(w->observer);
    groups_free(w->groups);
    churn_free(w->churn);
    history_done(w->history);
    mem_free(w->history);
    world_free(w);
}

/* Three machines found it, as a rule; some wait to join. */
static void make_cluster(struct world *w)
{
    const struct sim_options *o = w->options;
    struct prng *p = world_chance(w, CHANCE_SWARM);

    w->cluster = true;
    w->nodes = o->nodes ? o->nodes : (u32)prng_between(p, 5, WORLD_NODES_MAX);
    w->founders = (u32)u64_min(w->nodes, o->founders ? o->founders : 3);
}

struct world *run_begin(const struct sim_options *options, u64 seed)
{
    struct world *w = world_new(options, seed);

    bool five = chance_one_in(world_chance(w, CHANCE_SWARM), FIVE_NODES_ONE_IN);
    w->nodes = options->nodes ? options->nodes : five ? 5 : 3;
    w->founders = w->nodes;
    if (options->cluster) make_cluster(w);
    w->history = mem_zalloc(sizeof *w->history);
    history_init(w->history);
    w->net = net_new(w);
    w->observer = observer_new(w);
    w->groups = groups_new(w);
    cluster_make_nodes(w);
    w->churn = churn_new(w);
    w->faults = faults_new(w);
    cluster_make_clients(w);
    return w;
}

void run_seed(const struct sim_options *options, u64 seed, struct run_result *out)
{
    struct world *w = run_begin(options, seed);
    struct findings f;

    faults_say(w->faults);
    run_phases(w);
    windows_cut(w);
    if (options->history_path) write_history(w);
    findings_init(&f);
    check_history(w->history, &f);
    *out = (struct run_result){.seed = seed,
                               .trace_hash = w->trace_hash,
                               .events = w->events,
                               .operations = findings_operations(&f),
                               .faults = w->fault_count,
                               .splits = w->split_count,
                               .merges = w->merge_count,
                               .moves = w->move_count,
                               .violations = w->violation_count + f.violations,
                               .undecided = f.undecided,
                               .simulated = w->now};
    tell(w, &f, out);
    findings_done(&f);
    run_end(w);
}
