/* Sequential reads of a part: is there one order of its writes, in agreement with real time, along which every
 * session's reads go without going back, over all keys of the part, from its own writes on?
 *
 * A graph of moments. One is each write's (when it took effect); one is each step's of a session (up to where
 * in the order its client knows the part's log). Each lies inside an interval of real time, and edges say what comes
 * before what:
 *
 *   the write a step showed        -> the step            it knows of it
 *   a session's step               -> its next step       it never goes back
 *   a step that read a version     -> the write that certainly ended that version
 *   a write a session knows of     -> the next other write of the key it learns of
 *
 * If the edges have a cycle, or intervals narrowed along them become empty, no order exists. Every edge and interval
 * is a necessary consequence, so there are no false alarms; otherwise times can be given to all moments that satisfy
 * all of them. What may be missed: versions whose end is not certain from real time give no edge to the
 * write after them, and values that several writes left are not looked at. O(n log n).
 *
 * Source of the model: Lamport 1979; checking with known read mapping: Gibbons and Korach 1997; the graph is Adya's
 * (1999), with edges to the next version only where real time proves them. */
#include "check/checkers.h"

#include "base/mem.h"
#include "check/versions.h"

#include <stdlib.h>

#define NOBODY UINT32_MAX
#define PROOF_MAX 12

struct step {
    u64 who;
    u32 key, place, node;
};

struct moment {
    nanos from, to;
    u32 place;      /* the operation it belongs to; PLACE_NONE: a key's start */
    u32 waits_for;  /* how many edges into it are left */
    u32 first_edge; /* out of it; NOBODY: none */
    u32 from_by, to_by; /* which moment narrowed it; NOBODY: its own */
};

struct edge {
    u32 to, next;
};

struct graph {
    const struct history *h;
    struct versions versions; /* version i is moment i */
    struct moment *moments;   /* owned */
    struct edge *edges;       /* owned */
    u32 *order;               /* owned: moments, earlier ones first */
    struct step *steps;       /* owned */
    u32 moment_count, edge_count, step_count, ordered;
};

static int by_who_and_place(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->who != y->who) return x->who < y->who ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static int by_who_and_key(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->who != y->who) return x->who < y->who ? -1 : 1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* ---- building it ---- */

static void add_edge(struct graph *g, u32 from, u32 to)
{
    struct moment *m = &g->moments[from];

    if (from == to) return;
    g->edges[g->edge_count] = (struct edge){.to = to, .next = m->first_edge};
    m->first_edge = g->edge_count++;
    g->moments[to].waits_for++;
}

static u32 add_moment(struct graph *g, u32 place, nanos from, nanos to)
{
    g->moments[g->moment_count] = (struct moment){
        .from = from, .to = to, .place = place, .first_edge = NOBODY, .from_by = NOBODY, .to_by = NOBODY};
    return g->moment_count++;
}

static void add_steps(struct graph *g, const u32 *places, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const struct history_entry *e = &g->h->items[places[i]];
        if (e->outcome != HISTORY_OK) continue;
        if (history_is_weak(e) && !level_has_memory(e->level)) continue;
        bool is_read = e->op == HISTORY_GET;
        /* A linearizable read knows all that was done before it. What a write's client knows: the write. */
        nanos from = is_read && !history_is_weak(e) ? e->invoked : 0, to = is_read ? e->returned : NANOS_NEVER;
        g->steps[g->step_count++] = (struct step){.who = history_who(e), .key = e->key, .place = places[i],
                                                  .node = add_moment(g, places[i], from, to)};
    }
}

/* Along each session, over all keys. */
static void join_steps(struct graph *g)
{
    qsort(g->steps, g->step_count, sizeof *g->steps, by_who_and_place);
    for (u32 i = 0; i < g->step_count; i++) {
        const struct step *s = &g->steps[i];
        u32 version = versions_shown(&g->versions, s->place);
        if (i > 0 && s->who == s[-1].who) add_edge(g, s[-1].node, s->node);
        if (version >= g->versions.count || g->versions.items[version].failed) continue;
        add_edge(g, version, s->node);
        u32 next = g->versions.items[version].next;
        if (g->h->items[s->place].op == HISTORY_GET && next != VERSION_NOBODY) add_edge(g, s->node, next);
    }
}

/* Along each session, key by key: the order of versions that it was shown. */
static void join_versions(struct graph *g)
{
    u32 known = NOBODY;

    qsort(g->steps, g->step_count, sizeof *g->steps, by_who_and_key);
    for (u32 i = 0; i < g->step_count; i++) {
        const struct step *s = &g->steps[i];
        if (i == 0 || s->who != s[-1].who || s->key != s[-1].key) known = NOBODY;
        u32 version = versions_shown(&g->versions, s->place);
        if (version >= g->versions.count || g->versions.items[version].failed) continue;
        if (known != NOBODY) add_edge(g, known, version);
        known = version;
    }
}

static void graph_init(struct graph *g, const struct history *h, const u32 *places, u32 count)
{
    *g = (struct graph){.h = h};
    versions_init(&g->versions, h, places, count);
    g->moments = mem_zalloc_array((size_t)g->versions.count + count + 1, sizeof *g->moments);
    g->edges = mem_zalloc_array(4 * (size_t)count + 1, sizeof *g->edges);
    g->steps = mem_zalloc_array(count + 1, sizeof *g->steps);
    g->order = mem_zalloc_array((size_t)g->versions.count + count + 1, sizeof *g->order);
    for (u32 i = 0; i < g->versions.count; i++) {
        const struct version *it = &g->versions.items[i];
        add_moment(g, it->place, it->from, it->to);
    }
    add_steps(g, places, count);
    join_steps(g);
    join_versions(g);
}

static void graph_done(struct graph *g)
{
    versions_done(&g->versions);
    mem_free(g->moments);
    mem_free(g->edges);
    mem_free(g->steps);
    mem_free(g->order);
}

/* ---- asking it ---- */

static u32 add_proof(u32 *proof, u32 n, u32 place)
{
    if (place == PLACE_NONE || n == PROOF_MAX) return n;
    for (u32 i = 0; i < n; i++)
        if (proof[i] == place) return n;
    proof[n] = place;
    return n + 1;
}

/* Put moments behind all that come before them. Those in or behind a cycle are left over. */
static void sort_moments(struct graph *g)
{
    u32 taken = 0;

    for (u32 i = 0; i < g->moment_count; i++)
        if (g->moments[i].waits_for == 0) g->order[g->ordered++] = i;
    while (taken < g->ordered) {
        const struct moment *m = &g->moments[g->order[taken++]];
        for (u32 e = m->first_edge; e != NOBODY; e = g->edges[e].next)
            if (--g->moments[g->edges[e].to].waits_for == 0) g->order[g->ordered++] = g->edges[e].to;
    }
}

/* Each moment left over comes after another one left over: going back long enough ends in the cycle. */
static void report_cycle(struct graph *g, struct findings *f)
{
    u32 proof[PROOF_MAX], n = 0, at = NOBODY;
    u32 *before = mem_zalloc_array(g->moment_count, sizeof *before);

    for (u32 i = 0; i < g->moment_count; i++) {
        if (g->moments[i].waits_for == 0) continue;
        for (u32 e = g->moments[i].first_edge; e != NOBODY; e = g->edges[e].next) before[g->edges[e].to] = i;
        at = i;
    }
    for (u32 i = 0; i < g->moment_count; i++) at = before[at];
    for (u32 i = at;;) {
        n = add_proof(proof, n, g->moments[i].place);
        i = before[i];
        if (i == at) break;
    }
    findings_violation(f, g->h, proof, n, "not sequential: sessions saw these in orders that contradict each other");
    mem_free(before);
}

static void narrow(struct graph *g)
{
    for (u32 i = 0; i < g->ordered; i++) {
        u32 at = g->order[i];
        for (u32 e = g->moments[at].first_edge; e != NOBODY; e = g->edges[e].next) {
            struct moment *to = &g->moments[g->edges[e].to];
            if (to->from >= g->moments[at].from) continue;
            to->from = g->moments[at].from;
            to->from_by = at;
        }
    }
    for (u32 i = g->ordered; i-- > 0;) {
        struct moment *m = &g->moments[g->order[i]];
        for (u32 e = m->first_edge; e != NOBODY; e = g->edges[e].next) {
            if (m->to <= g->moments[g->edges[e].to].to) continue;
            m->to = g->moments[g->edges[e].to].to;
            m->to_by = g->edges[e].to;
        }
    }
}

/* The first few of what narrowed a moment, and the one it all began with. */
static u32 add_chain(const struct graph *g, u32 *proof, u32 n, u32 at, bool forward)
{
    for (u32 walked = 0; at != NOBODY; walked++) {
        const struct moment *m = &g->moments[at];
        u32 next = forward ? m->to_by : m->from_by;
        if (walked < PROOF_MAX / 3 || next == NOBODY) n = add_proof(proof, n, m->place);
        at = next;
    }
    return n;
}

static void report_empty(struct graph *g, u32 empty, struct findings *f)
{
    u32 proof[PROOF_MAX], n = 0;

    n = add_chain(g, proof, n, empty, false);
    n = add_chain(g, proof, n, empty, true);
    findings_violation(f, g->h, proof, n, "not sequential: a session went back behind what it or others had seen");
}

void check_sequential(const struct history *h, const u32 *places, u32 count, struct findings *f)
{
    struct graph g;

    graph_init(&g, h, places, count);
    sort_moments(&g);
    if (g.ordered < g.moment_count) {
        report_cycle(&g, f);
    } else {
        narrow(&g);
        for (u32 i = 0; i < g.moment_count; i++) {
            if (g.moments[i].from <= g.moments[i].to) continue;
            report_empty(&g, i, f);
            break; /* the rest is mostly its consequence */
        }
    }
    graph_done(&g);
}
