/* `quorate price`: what consistency costs and what it buys, as measured now. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/level_words.h"
#include "cli/probe.h"
#include "cli/table.h"

struct report {
    struct look look;
    struct prices prices;
    char problem[256]; /* of the probe */
};

static str setting(const struct report *r, const char *name)
{
    return json_get_str(&r->look.answer, r->look.keyspace, name);
}

static enum level_kind own_level(const struct report *r)
{
    struct level l = {0};
    return level_parse(setting(r, "level"), &l) ? (enum level_kind)l.kind : LEVEL_LEASE;
}

/* ---- levels ---- */

static void add_us(struct table *t, const struct histogram *h, u32 per_mille)
{
    u64 us = h ? histogram_quantile(h, per_mille) : 0;

    if (!h)
        table_cell(t, "-");
    else if (us < 10000)
        table_cell(t, "%lu us", us);
    else
        table_cell(t, "%.1f ms", (double)us / 1000);
}

static void add_rate(struct table *t, const struct price *p)
{
    if (p->took.count)
        table_cell(t, p->per_second < 10 ? "%.1f" : "%.0f", p->per_second);
    else
        table_cell(t, p->probed.count ? "probe" : "-");
}

static void print_reads(const struct report *r)
{
    static const char *const headers[] = {"LEVEL", "A READ SEES", ">READS/S", ">P50", ">P99", "ROUND TRIPS", ">FLUSHES"};
    struct table t;

    table_init(&t, headers, ARRAY_LEN(headers));
    for (u32 kind = 0; kind < LEVEL_KINDS; kind++) {
        const struct price *p = &r->prices.kinds[LATENCY_READ + kind];
        const char *name = latency_kind_name((enum latency_kind)(LATENCY_READ + kind));
        table_cell(&t, "%s%s%s", name, kind == LEVEL_STALE ? ":MS" : "", kind == own_level(r) ? " *" : "");
        table_cell(&t, "%s", level_words[kind].promise);
        add_rate(&t, p);
        add_us(&t, price_of(p), 500);
        add_us(&t, price_of(p), 990);
        table_cell(&t, "%s", level_words[kind].trips);
        table_cell(&t, "0");
    }
    table_print(&t, "", stdout);
    printf("* what a read gets that asks for nothing else\n\n");
}

struct loss { /* what a power cut everywhere would take, by what the leaders say */
    u64 ms, entries;
};

static struct loss loss_of(const struct look *l)
{
    struct loss loss = {0};

    for (u32 i = 0; i < l->count; i++) {
        const struct look_group *g = &l->groups[i];
        if (!g->led) continue;
        loss.ms = u64_max(loss.ms, json_get_u64(g->local, g->led, "loss-window-ms"));
        loss.entries += json_get_u64(g->local, g->led, "loss-window-entries");
    }
    return loss;
}

static void print_writes(const struct report *r)
{
    static const char *const headers[] = {"WRITE", "ACKNOWLEDGED", ">WRITES/S", ">P50", ">P99", "ROUND TRIPS", "FLUSHES", "LOSS WINDOW"};
    const struct price *p = &r->prices.kinds[LATENCY_WRITE];
    bool on_disk = str_equal(setting(r, "durability"), STR("disk"));
    struct table t;

    table_init(&t, headers, ARRAY_LEN(headers));
    table_cell(&t, "durability=%.*s", STR_ARG(setting(r, "durability")));
    table_cell(&t, on_disk ? "on the disks of a majority" : "in the memory of a majority");
    add_rate(&t, p);
    add_us(&t, price_of(p), 500);
    add_us(&t, price_of(p), 990);
    table_cell(&t, "1 at the leader, else 2");
    table_cell(&t, on_disk ? "1, at a majority at once" : "0");
    struct loss loss = loss_of(&r->look);
    if (on_disk && !loss.entries)
        table_cell(&t, "0");
    else
        table_cell(&t, "%s, %lu entries now, where all lose power at once", units_ms(loss.ms).at, loss.entries);
    table_print(&t, "", stdout);
}

static void print_refusals(const struct report *r)
{
    bool any = false;

    for (u32 kind = 0; kind < LATENCY_KINDS; kind++)
        for (u32 i = 0; i < LATENCY_REFUSALS; i++) {
            u64 count = r->prices.kinds[kind].refused[i];
            if (!count) continue;
            printf("%s %s %lu (%s)", any ? "," : "refused since the nodes started:", latency_refusal_name(i), count,
                   latency_kind_name((enum latency_kind)kind));
            any = true;
        }
    if (any) printf("\n");
}

/* ---- PACELC: under a partition; else ---- */

static void print_choice(const struct report *r)
{
    struct price_gap gap;

    printf("\nP  when the network is cut: the side with a majority goes on. The other refuses writes and linearizable reads\n"
           "   (-NOQUORUM, nothing is done); AT stale:MS answers there for MS more, then -STALE; AT local answers on.\n");
    if (!prices_gap(&r->prices, own_level(r), &gap)) {
        printf("E  else: the price of consistency is not measured now: it takes reads at a linearizable level and at local within\n"
               "   a minute. quorate price %.*s --probe makes some\n",
               STR_ARG(setting(r, "name")));
        return;
    }
    long more = (long)gap.linearizable_us - (long)gap.local_us;
    printf("E  else: a linearizable read costs %ld us more than a local one (p50: %s %lu us, local %lu us; %s)\n", more > 0 ? more : 0,
           latency_kind_name(gap.kind), gap.linearizable_us, gap.local_us,
           gap.probed ? "by the probe" : "all reads of the last minute");
}

/* ---- what it survives ---- */

static u32 spare_of(const struct look_group *g)
{
    return look_well(g) > look_majority(g) ? look_well(g) - look_majority(g) : 0;
}

static const struct look_group *weakest(const struct look *l)
{
    const struct look_group *found = NULL;

    for (u32 i = 0; i < l->count; i++) {
        if (!look_serves(&l->groups[i])) return &l->groups[i];
        if (!found || spare_of(&l->groups[i]) < spare_of(found)) found = &l->groups[i];
    }
    return found;
}

static void print_survives(const struct report *r)
{
    const struct look_group *g = weakest(&r->look);

    if (!g) return;
    u32 spare = spare_of(g), lost = g->count - look_well(g);
    printf("\n");
    if (!look_serves(g)) {
        printf("survives: group %lu is unavailable now: quorate why-unavailable %.*s\n", g->id, STR_ARG(setting(r, "name")));
        return;
    }
    if (spare)
        printf("survives now: the loss of any %u of the %u nodes of a group%s; ", spare, g->count, lost ? " besides those missing" : "");
    else
        printf("survives now: no further loss (group %lu has %u of %u members); ", g->id, look_well(g), g->count);
    printf("with %u more gone: reads at local and stale:MS only, no writes\n", spare + 1);
}

/* ---- nodes: lag, and what their death would do ---- */

struct node_share {
    u64 node, leads, follows, behind, behind_ms;
    u64 needed; /* groups that have no quorum without it */
};

static void add_lag(const struct look_group *g, struct node_share *s)
{
    u32 peers = g->led ? json_get(g->local, g->led, "peers") : 0;

    for (u32 p = peers ? json_each(g->local, peers, 0) : 0; p; p = json_each(g->local, peers, p)) {
        if (json_get_u64(g->local, p, "node") != s->node) continue;
        s->behind = u64_max(s->behind, json_get_u64(g->local, p, "behind"));
        s->behind_ms = u64_max(s->behind_ms, json_get_u64(g->local, p, "behind-ms"));
    }
}

static struct node_share share_of(const struct look *l, u64 node)
{
    struct node_share s = {.node = node};

    for (u32 i = 0; i < l->count; i++) {
        const struct look_group *g = &l->groups[i];
        s.needed += look_needs(g, node);
        for (u32 v = 0; v < g->count; v++) {
            if (g->voters[v].node != node) continue;
            s.leads += g->leader == node;
            s.follows += g->leader != node;
        }
        add_lag(g, &s);
    }
    return s;
}

static void print_nodes(const struct report *r)
{
    static const char *const headers[] = {"NODE", "STATE", ">LEADS", ">FOLLOWS", ">BEHIND", ">BY", "IF IT DIES NOW"};
    const struct look *l = &r->look;
    struct table t;

    printf("\n");
    table_init(&t, headers, ARRAY_LEN(headers));
    for (u32 i = 0; i < l->survey.count; i++) {
        const struct survey_node *n = &l->survey.each[i];
        struct node_share s = share_of(l, n->id);
        if (!s.leads && !s.follows) continue;
        table_cell(&t, "%lu", n->id);
        table_cell(&t, n->answers ? "answers" : n->reached ? "hangs" : "down");
        table_cell(&t, "%lu", s.leads);
        table_cell(&t, "%lu", s.follows);
        table_cell(&t, "%lu", s.behind);
        table_cell(&t, "%lu ms", s.behind_ms);
        if (!n->answers)
            table_cell(&t, "-");
        else if (s.needed)
            table_cell(&t, "%lu of its groups lose their quorum", s.needed);
        else if (s.leads)
            table_cell(&t, "%lu %s another leader", s.leads, s.leads == 1 ? "group elects" : "groups elect");
        else
            table_cell(&t, "nothing stops");
    }
    table_print(&t, "", stdout);
}

/* ---- JSON ---- */

static void json_price(const struct price *p, const char *name, bool first)
{
    const struct histogram *h = price_of(p);
    const char *by = p->took.count ? "\"doors\"" : p->probed.count ? "\"probe\"" : "null";

    printf("%s{\"kind\":\"%s\",\"by\":%s,\"count\":%lu,\"per-second\":%.2f", first ? "" : ",", name, by, h ? h->count : 0, p->per_second);
    if (h) printf(",\"p50-us\":%lu,\"p99-us\":%lu", histogram_quantile(h, 500), histogram_quantile(h, 990));
    printf(",\"answered\":%lu,\"refused\":{", p->answered);
    for (u32 i = 0, put = 0; i < LATENCY_REFUSALS; i++)
        if (p->refused[i]) printf("%s\"%s\":%lu", put++ ? "," : "", latency_refusal_name(i), p->refused[i]);
    printf("}}");
}

static void print_json(const struct report *r)
{
    const struct look_group *g = weakest(&r->look);
    struct price_gap gap;
    bool first = true;

    printf("{\"keyspace\":\"%.*s\",\"nodes-asked\":%u,\"level\":\"%.*s\",\"durability\":\"%.*s\",\"kinds\":[", STR_ARG(setting(r, "name")),
           r->prices.nodes, STR_ARG(setting(r, "level")), STR_ARG(setting(r, "durability")));
    for (u32 kind = 0; kind < LATENCY_KINDS; kind++)
        json_price(&r->prices.kinds[kind], latency_kind_name((enum latency_kind)kind), kind == 0);
    printf("],\"linearizable-minus-local-us\":");
    if (prices_gap(&r->prices, own_level(r), &gap))
        printf("%ld", (long)gap.linearizable_us - (long)gap.local_us);
    else
        printf("null");
    printf(",\"loss-window-ms\":%lu", loss_of(&r->look).ms);
    printf(",\"available\":%s,\"spare-nodes\":%u,\"nodes\":[", g && look_serves(g) ? "true" : "false", g ? spare_of(g) : 0);
    for (u32 i = 0; i < r->look.survey.count; i++) {
        const struct survey_node *n = &r->look.survey.each[i];
        struct node_share s = share_of(&r->look, n->id);
        if (!s.leads && !s.follows) continue;
        printf("%s{\"node\":%lu,\"answers\":%s,\"leads\":%lu,\"follows\":%lu,\"behind\":%lu,\"behind-ms\":%lu,\"needed-by\":%lu}", first ? "" : ",", n->id,
               n->answers ? "true" : "false", s.leads, s.follows, s.behind, s.behind_ms, s.needed);
        first = false;
    }
    printf("]}\n");
}

/* ---- all of it ---- */

static void ask_prices(struct report *r, const char *word)
{
    const struct json *j = &r->look.survey.nodes;
    u32 nodes = json_get(j, 0, "nodes");
    char name[256], path[300], problem[256];

    if (!url_put(name, sizeof name, word)) return;
    snprintf(path, sizeof path, "/v1/price/%s", name);
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) {
        struct http_place place;
        struct json answer = {0};
        if (!survey_local(&r->look.survey, json_get_u64(j, n, "id")) || !survey_place(j, n, &place)) continue;
        if (survey_get(&place, path, &answer, problem, sizeof problem) && prices_add(&r->prices, &answer) != OK)
            fprintf(stderr, "quorate price: %s:%u gives no prices; is it an older program?\n", place.host, place.port);
        json_done(&answer);
    }
}

static void print_all(const struct report *r)
{
    const struct json *j = &r->look.answer;

    printf("keyspace %.*s: %u %s, %lu replicas; measured at %u %s in the last minute, from a request's arrival to its answer\n\n",
           STR_ARG(setting(r, "name")), r->look.count, r->look.count == 1 ? "group" : "groups",
           json_get_u64(j, r->look.keyspace, "replicas"), r->prices.nodes, r->prices.nodes == 1 ? "node" : "nodes");
    print_reads(r);
    print_writes(r);
    print_refusals(r);
    print_choice(r);
    print_survives(r);
    print_nodes(r);
}

static int price_run(struct verb_call *call)
{
    struct report *r = mem_zalloc(sizeof *r);

    if (look_take(&r->look, call)) {
        ask_prices(r, call->words[0]); /* before the probe, whose reads count as well */
        if (call->probe && !probe_take(&r->look, &r->prices, r->problem, sizeof r->problem))
            fprintf(stderr, "quorate price: the probe failed: %s\n", r->problem);
        if (call->json)
            print_json(r);
        else
            print_all(r);
    }
    look_done(&r->look);
    mem_free(r);
    return call_status(call);
}

static const struct verb verbs[] = {{NULL, "KEYSPACE", "", 1, 1, VERB_PROBE, price_run}};

const struct noun price_noun = {"price",
                                "What consistency costs and buys in a keyspace now: how long writes, and reads at each level, took in the\n"
                                "last minute at all nodes; what a cut network or a dead node would do; how far followers are behind.",
                                verbs, ARRAY_LEN(verbs),
                                "  quorate price default\n"
                                "  quorate price default --probe             200 reads at each level\n"
                                "  quorate price orders --node 10.0.0.2:8379\n"
                                "  redis-cli Q.EXPLAIN AT local GET x        what one request took\n"};

int price_main(int argc, char **argv)
{
    return noun_main(&price_noun, argc, argv);
}
