/* `quorate why-unavailable`: for each group of a keyspace what is missing, what works nevertheless, and what would help. It asks every
 * node by itself, so that it works where no majority does. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/look.h"
#include "cli/table.h"

enum { IDS_SHOWN = 16 };

struct counts {
    u32 serving, full, weak, unavailable; /* groups */
};

static const char *const states[VOTER_STATES] = {
    [VOTER_WELL] = "answers",
    [VOTER_DOWN] = "down: nobody takes connections at its admin address",
    [VOTER_HANGS] = "hangs: it takes connections and says nothing (stopped, or stuck on its disk)",
    [VOTER_RECOVERS] = "answers, and does not vote before it is refilled",
    [VOTER_ABSENT] = "answers, and has no replica of the group yet",
    [VOTER_CUT] = "is cut off: it answers here, and the leader does not hear it",
};

static u32 node_item(const struct survey *s, u64 id)
{
    u32 nodes = json_get(&s->nodes, 0, "nodes");

    for (u32 n = json_each(&s->nodes, nodes, 0); n; n = json_each(&s->nodes, nodes, n))
        if (json_get_u64(&s->nodes, n, "id") == id) return n;
    return 0;
}

/* ---- one group ---- */

static void print_missing(const struct look *l, const struct look_group *g)
{
    const struct survey *s = &l->survey;

    for (u32 i = 0; i < g->count; i++) {
        const struct look_voter *v = &g->voters[i];
        u32 n = node_item(s, v->node);
        if (v->state == VOTER_WELL) continue;
        printf("    node %lu %s", v->node, states[v->state]);
        if (n && (v->state == VOTER_DOWN || v->state == VOTER_HANGS))
            printf(" (%.*s)", STR_ARG(json_get_str(&s->nodes, n, "admin")));
        if (n && str_equal(json_get_str(&s->nodes, n, "state"), STR("joining"))) printf("; it has not come to the cluster yet");
        printf("\n");
    }
}

/* Nobody is missed, and still nobody leads. */
static bool is_undecided(const struct look_group *g)
{
    return look_well(g) >= look_majority(g);
}

static void print_cause(const struct look_group *g)
{
    u32 well = look_well(g);

    if (look_serves(g) && g->full)
        printf("no disk space: reads are answered, writes are not\n");
    else if (look_serves(g))
        printf("%u of %u members are well, %u are needed; there is a leader\n", well, g->count, look_majority(g));
    else if (!is_undecided(g))
        printf("no quorum: %u of %u members are well, %u are needed\n", well, g->count, look_majority(g));
    else if (g->leader)
        printf("a leader by whom no majority stands: the nodes do not reach each other, or an election is under way\n");
    else
        printf("%u of %u members are well, and none leads: an election is under way, or they do not reach each other\n", well, g->count);
}

static const char *works(const struct look_group *g)
{
    if (look_serves(g) && g->full) return "reads at every level; writes are refused (-DISKFULL)";
    if (look_serves(g)) return "everything";
    if (!g->has_state) return "nothing: no member answers that has a state to read from since it was started";
    return "reads AT local; AT stale:MS until MS after the cut; AT sequential and session of what a replica here has.\n"
           "           Writes and linearizable reads are refused (-NOQUORUM, nothing is done)";
}

/* ---- all of it ---- */

static bool deserves_a_look(const struct look_group *g)
{
    return !look_serves(g) || g->full || look_well(g) < g->count;
}

static void count(const struct look *l, struct counts *out)
{
    for (u32 i = 0; i < l->count; i++) {
        const struct look_group *g = &l->groups[i];
        out->unavailable += !look_serves(g);
        out->full += look_serves(g) && g->full;
        out->weak += look_serves(g) && !g->full && look_well(g) < g->count;
        out->serving += look_serves(g) && !g->full;
    }
}

static bool is_missed_alike(const struct look_group *a, const struct look_group *b)
{
    for (u32 i = 0; i < a->count; i++) {
        const struct look_voter *v = &a->voters[i];
        bool found = v->state == VOTER_WELL;
        for (u32 k = 0; k < b->count; k++) found |= b->voters[k].node == v->node && b->voters[k].state == v->state;
        if (!found) return false;
    }
    return true;
}

/* The same is to be said of both. */
static bool are_alike(const struct look_group *a, const struct look_group *b)
{
    return look_serves(a) == look_serves(b) && a->full == b->full && a->has_state == b->has_state && a->count == b->count && look_well(a) == look_well(b) &&
           (!a->leader == !b->leader || !is_undecided(a)) && is_missed_alike(a, b);
}

static bool was_said(const struct look *l, u32 group)
{
    for (u32 i = 0; i < group; i++)
        if (deserves_a_look(&l->groups[i]) && are_alike(&l->groups[i], &l->groups[group])) return true;
    return false;
}

static void print_ids(const struct look *l, u32 first)
{
    u32 count = 0;

    for (u32 i = first; i < l->count; i++) count += are_alike(&l->groups[first], &l->groups[i]);
    printf("  %s", count == 1 ? "group" : "groups");
    for (u32 i = first, shown = 0; i < l->count && shown < IDS_SHOWN; i++) {
        if (!are_alike(&l->groups[first], &l->groups[i])) continue;
        printf("%s %lu", shown++ ? "," : "", l->groups[i].id);
    }
    if (count > IDS_SHOWN) printf(" and %u more", count - IDS_SHOWN);
    printf(": ");
}

static void print_groups(const struct look *l)
{
    for (u32 i = 0; i < l->count; i++) {
        const struct look_group *g = &l->groups[i];
        if (!deserves_a_look(g) || was_said(l, i)) continue;
        print_ids(l, i);
        print_cause(g);
        print_missing(l, g);
        printf("    works: %s\n", works(g));
    }
}

/* Is a member of one of the groups in this state there? node 0: any. */
static bool has_member(const struct look *l, u64 node, enum voter_state state)
{
    for (u32 i = 0; i < l->count; i++)
        for (u32 v = 0; v < l->groups[i].count; v++) {
            const struct look_voter *at = &l->groups[i].voters[v];
            if ((at->node == node || node == 0) && at->state == state) return true;
        }
    return false;
}

/* Somebody is there who refills it. */
static bool is_refilled(const struct look *l, u64 node)
{
    for (u32 i = 0; i < l->count; i++)
        for (u32 v = 0; v < l->groups[i].count; v++) {
            const struct look_voter *at = &l->groups[i].voters[v];
            bool waits = at->state == VOTER_RECOVERS || at->state == VOTER_ABSENT;
            if (at->node == node && waits && look_serves(&l->groups[i])) return true;
        }
    return false;
}

static void print_cuts(const struct look *l)
{
    const struct survey *s = &l->survey;

    for (u32 a = 0; a < s->count; a++)
        for (u32 b = a + 1; b < s->count; b++)
            if (look_are_cut(l, a, b))
                printf("  mend the network between nodes %lu and %lu: they do not hear each other on their peer ports\n", s->each[a].id,
                       s->each[b].id);
}

/* Replicas that crashed while entries counted in memory stay down until they can be refilled, or somebody gives those entries up. */
static void print_recoveries(const struct look *l)
{
    if (!str_equal(json_get_str(&l->answer, l->keyspace, "durability"), STR("memory"))) return;
    for (u32 i = 0, shown = 0; i < l->count && shown < IDS_SHOWN; i++) {
        const struct look_group *g = &l->groups[i];
        bool in_doubt = false;
        for (u32 v = 0; v < g->count; v++) in_doubt |= g->voters[v].state == VOTER_RECOVERS;
        if (look_serves(g) || !in_doubt) continue;
        shown++;
        printf("  start those that did not crash; or quorate group recover %lu --accept-loss, which goes on without what was in memory\n"
               "    only where they crashed (durability=memory)\n",
               g->id);
    }
}

static void print_remedies(const struct look *l, const struct counts *c)
{
    const struct json *j = &l->survey.nodes;
    u32 nodes = json_get(j, 0, "nodes");
    bool undecided = false;

    for (u32 i = 0; i < l->count; i++) undecided |= !look_serves(&l->groups[i]) && is_undecided(&l->groups[i]);
    printf("\nwhat helps:\n");
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) {
        u64 id = json_get_u64(j, n, "id");
        if (has_member(l, id, VOTER_DOWN))
            printf("  start node %lu again on its directory (admin %.*s); service returns by itself. If its machine is lost: start it\n"
                   "    on an empty directory, or let replace-after pass with a spare node; quorate node remove %lu --force for good\n",
                   id, STR_ARG(json_get_str(j, n, "admin")), id);
        if (has_member(l, id, VOTER_HANGS))
            printf("  wake node %lu (kill -CONT if it was stopped), or kill and start it again; look at its disk\n", id);
        if (is_refilled(l, id))
            printf("  wait for node %lu: quorate status shows how far behind it is\n", id);
    }
    for (u32 i = 0; i < l->survey.count && c->full; i++)
        if (l->survey.each[i].answers && json_get_true(&l->survey.each[i].local, 0, "disk-full"))
            printf("  free disk space at node %lu (%s left); writes return by themselves\n", l->survey.each[i].id,
                   units_bytes(json_get_u64(&l->survey.each[i].local, 0, "disk-free")).at);
    if (c->unavailable && !undecided && has_member(l, 0, VOTER_DOWN))
        printf("  where a majority is lost with its disks, what was acknowledged since the last backup is lost, too: quorate restore --help\n");
    print_recoveries(l);
    print_cuts(l);
    if (undecided) printf("  ask again in a second; if it stays so, check that the nodes reach each other on their peer ports (quorate node list)\n");
}

static void print_all(const struct look *l, const struct verb_call *call)
{
    const char *name = call->words[0];
    struct counts c = {0};
    u32 answering = 0;

    count(l, &c);
    for (u32 i = 0; i < l->survey.count; i++) answering += l->survey.each[i].answers;
    if (!c.unavailable && !c.full && !c.weak) {
        printf("nothing is wrong with keyspace %s: %u %s, each with a leader whom a quorum stands by and all of its members\n"
               "alive and voting; %u of %u nodes answer, no disk is full\n",
               name, l->count, l->count == 1 ? "group" : "groups", answering, l->survey.count);
        return;
    }
    if (c.unavailable)
        printf("keyspace %s: %u of %u groups unavailable; %u of %u nodes answer\n", name, c.unavailable, l->count, answering,
               l->survey.count);
    else if (c.full)
        printf("keyspace %s: %u of %u groups take no writes; %u of %u nodes answer\n", name, c.full, l->count, answering,
               l->survey.count);
    else
        printf("keyspace %s is available, with less to spare: %u of %u groups miss a member; %u of %u nodes answer\n", name, c.weak,
               l->count, answering, l->survey.count);
    print_groups(l);
    print_remedies(l, &c);
}

/* ---- JSON ---- */

static void print_json(const struct look *l, const char *name)
{
    static const char *const words[VOTER_STATES] = {"well", "down", "hangs", "recovers", "absent", "cut"};

    printf("{\"keyspace\":\"%s\",\"groups\":[", name);
    for (u32 i = 0; i < l->count; i++) {
        const struct look_group *g = &l->groups[i];
        printf("%s{\"id\":%lu,\"available\":%s,\"full\":%s,\"leader\":%lu,\"lease\":%s,\"well\":%u,\"needed\":%u,\"members\":[", i ? "," : "",
               g->id, look_serves(g) ? "true" : "false", g->full ? "true" : "false", g->leader, g->has_lease ? "true" : "false",
               look_well(g), look_majority(g));
        for (u32 v = 0; v < g->count; v++)
            printf("%s{\"node\":%lu,\"state\":\"%s\"}", v ? "," : "", g->voters[v].node, words[g->voters[v].state]);
        printf("]}");
    }
    printf("]}\n");
}

static int why_run(struct verb_call *call)
{
    struct look *l = mem_zalloc(sizeof *l);
    struct counts c = {0};

    if (look_take(l, call)) {
        if (call->json)
            print_json(l, call->words[0]);
        else
            print_all(l, call);
        count(l, &c);
        call->status = c.unavailable || c.full || !l->count;
    }
    look_done(l);
    mem_free(l);
    return call_status(call);
}

static const struct verb verbs[] = {{NULL, "KEYSPACE", "", 1, 1, 0, why_run}};

const struct noun why_unavailable_noun = {
    "why-unavailable",
    "Why a keyspace is not available: each group's leader and quorum, which members are missing and why, what works\n"
    "nevertheless, and what helps. It asks every node, also when a majority is down. Exit status 0: available, 1: not.",
    verbs, ARRAY_LEN(verbs),
    "  quorate why-unavailable default\n"
    "  quorate why-unavailable orders --node 10.0.0.2:8379     a node that is still up\n"
    "  quorate why-unavailable orders --json\n"};

int why_unavailable_main(int argc, char **argv)
{
    return noun_main(&why_unavailable_noun, argc, argv);
}
