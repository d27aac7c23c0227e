#include "cli/look.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

#include <stdio.h>
#include <string.h>

enum { DEMO_NODES = 5 };

/* ---- groups ---- */

static u32 group_in(const struct json *local, u64 id)
{
    u32 groups = json_get(local, 0, "groups");

    for (u32 g = json_each(local, groups, 0); g; g = json_each(local, groups, g))
        if (json_get_u64(local, g, "id") == id) return g;
    return 0;
}

static u32 place_of(const struct survey *s, u64 id)
{
    u32 i = 0;

    while (i < s->count && s->each[i].id != id) i++;
    return i;
}

static const struct survey_node *node_of(const struct survey *s, u64 id)
{
    u32 i = place_of(s, id);
    return i < s->count ? &s->each[i] : NULL;
}

bool look_are_cut(const struct look *l, u32 a, u32 b)
{
    return (l->deaf[a] >> b & 1) || (l->deaf[b] >> a & 1);
}

static void note_leader(struct look_group *g, const struct survey_node *n, u32 row)
{
    const struct json *j = &n->local;
    u64 term = json_get_u64(j, row, "term");

    if (!json_get_true(j, row, "leads")) return;
    if (g->leader && term <= json_get_u64(g->local, g->led, "term")) return;
    g->leader = n->id;
    g->has_lease = json_get_true(j, row, "lease");
    g->full = json_get_true(j, row, "full") || json_get_true(j, 0, "disk-full");
    g->led = row;
    g->local = j;
}

static enum voter_state look_at_voter(struct look_group *g, const struct survey_node *n)
{
    if (!n || !n->answers) return n && n->reached ? VOTER_HANGS : VOTER_DOWN;
    u32 row = group_in(&n->local, g->id);
    if (!row) return VOTER_ABSENT;
    note_leader(g, n, row);
    g->has_state |= json_get_u64(&n->local, row, "applied") > 0;
    return json_get_true(&n->local, row, "recovering") ? VOTER_RECOVERS : VOTER_WELL;
}

/* Whoever answers here may still be out of the leader's reach. */
static void cut_off(const struct look *l, struct look_group *g)
{
    u32 leader = g->has_lease ? place_of(&l->survey, g->leader) : l->survey.count;

    for (u32 i = 0; i < g->count && leader < l->survey.count; i++) {
        u32 place = place_of(&l->survey, g->voters[i].node);
        if (g->voters[i].state == VOTER_WELL && place < l->survey.count && look_are_cut(l, leader, place))
            g->voters[i].state = VOTER_CUT;
    }
}

static void add_group(struct look *l, u32 item)
{
    const struct json *j = &l->survey.groups;
    struct look_group *g = &l->groups[l->count++];
    u32 members = json_get(j, item, "members");

    *g = (struct look_group){.id = json_get_u64(j, item, "id")};
    for (u32 m = json_each(j, members, 0); m && g->count < LOOK_VOTERS_MAX; m = json_each(j, members, m)) {
        if (!str_equal(json_get_str(j, m, "role"), STR("voter"))) continue;
        u64 node = json_get_u64(j, m, "node");
        enum voter_state state = look_at_voter(g, node_of(&l->survey, node));
        g->voters[g->count++] = (struct look_voter){node, state};
    }
    cut_off(l, g);
}

void look_at_groups(struct look *l, str keyspace)
{
    const struct json *j = &l->survey.groups;
    u32 groups = json_get(j, 0, "groups");

    l->groups = mem_zalloc_array(json_count(j, groups) + 1, sizeof *l->groups);
    for (u32 g = json_each(j, groups, 0); g; g = json_each(j, groups, g))
        if (str_equal(json_get_str(j, g, "keyspace"), keyspace)) add_group(l, g);
}

u32 look_well(const struct look_group *g)
{
    u32 well = 0;

    for (u32 i = 0; i < g->count; i++) well += g->voters[i].state == VOTER_WELL || MUTANT(why_counts_the_silent);
    return well;
}

u32 look_majority(const struct look_group *g)
{
    return g->count / 2 + 1;
}

bool look_serves(const struct look_group *g)
{
    return g->leader && g->has_lease && look_well(g) >= look_majority(g);
}

bool look_needs(const struct look_group *g, u64 node)
{
    bool is_well = false;

    for (u32 i = 0; i < g->count; i++) is_well |= g->voters[i].node == node && g->voters[i].state == VOTER_WELL;
    return is_well && look_serves(g) && look_well(g) == look_majority(g);
}

/* ---- asking ---- */

/* Whoever was not told whom to ask has perhaps a demo on this machine, whose first node may be the one that is down. */
static bool survey_somebody(struct look *l, struct verb_call *call)
{
    l->place = call->place;
    if (survey_take_all(&l->survey, &l->place)) return true;
    for (u16 i = 1; i < DEMO_NODES && !call->named; i++) {
        struct survey *s = mem_zalloc(sizeof *s);
        l->place.port = (u16)(call->place.port + i);
        bool taken = survey_take_all(s, &l->place);
        if (taken) {
            fprintf(stderr, "quorate %s: %s; asked %s:%u instead\n", call->noun->name, l->survey.problem, l->place.host,
                    l->place.port);
            l->survey = *s;
        }
        mem_free(s);
        if (taken) return true;
    }
    fprintf(stderr, "quorate %s: %s; --node HOST:PORT names another admin address\n", call->noun->name, l->survey.problem);
    return false;
}

/* Of each node that answers: whom does it not hear? */
static void ask_who_hears_whom(struct look *l)
{
    struct survey *s = &l->survey;
    u32 nodes = json_get(&s->nodes, 0, "nodes"), place = 0;

    for (u32 n = json_each(&s->nodes, nodes, 0); n && place < s->count; n = json_each(&s->nodes, nodes, n), place++) {
        struct http_place at;
        struct json view = {0};
        if (!s->each[place].answers || !survey_place(&s->nodes, n, &at)) continue;
        u32 members = survey_get(&at, "/cluster", &view, s->problem, sizeof s->problem) ? json_get(&view, 0, "nodes") : 0;
        for (u32 m = members ? json_each(&view, members, 0) : 0; m; m = json_each(&view, members, m)) {
            u32 other = place_of(s, json_get_u64(&view, m, "id"));
            if (other < s->count && s->each[other].answers && !json_get_true(&view, m, "alive")) l->deaf[place] |= 1ull << other;
        }
        json_done(&view);
    }
}

bool look_take(struct look *l, struct verb_call *call)
{
    char name[256], path[300];

    *l = (struct look){0};
    call->status = 1;
    if (!url_put(name, sizeof name, call->words[0]) || !survey_somebody(l, call)) return false;
    snprintf(path, sizeof path, "/v1/keyspaces/%s", name);
    if (!survey_get(&l->place, path, &l->answer, l->survey.problem, sizeof l->survey.problem)) {
        fprintf(stderr, "quorate %s: %s\n", call->noun->name, l->survey.problem);
        return false;
    }
    l->keyspace = json_get(&l->answer, 0, "keyspace");
    ask_who_hears_whom(l);
    look_at_groups(l, json_get_str(&l->answer, l->keyspace, "name"));
    call->status = 0;
    return true;
}

void look_done(struct look *l)
{
    survey_done(&l->survey);
    json_done(&l->answer);
    mem_free(l->groups);
    l->groups = NULL;
    l->count = 0;
}
