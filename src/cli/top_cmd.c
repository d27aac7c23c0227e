/* `quorate top`: the cluster as it works, drawn again each second: two looks, and what changed
 * between them. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/survey.h"
#include "cli/table.h"
#include "cli/verbs.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { GROUPS_MAX = 4096, MOVES_MAX = 64, EVERY_MS = 1000, HOUR_MS = 3600 * 1000 };

struct move { /* one that is watched: how far it was when it was first seen */
    u64 group, to;
    u64 first_bytes, first_ms; /* its leader's uptime */
    bool seen;
};

struct top {
    struct survey now, before;
    struct move moves[MOVES_MAX];
    u32 move_count;
};

/* Of a counter, by the clock of the node that counts. */
static double per_second(const struct json *l, const struct json *was, u64 now, u64 before)
{
    u64 gap = json_get_u64(l, 0, "uptime-ms") - json_get_u64(was, 0, "uptime-ms");
    return gap && gap < HOUR_MS && now >= before ? (double)(now - before) * 1000 / (double)gap : 0;
}

/* ---- nodes ---- */

static void add_node(const struct top *t, u32 n, struct table *out)
{
    const struct json *j = &t->now.nodes;
    u64 id = json_get_u64(j, n, "id");
    const struct json *l = survey_local(&t->now, id), *was = survey_local(&t->before, id);

    table_cell(out, "%lu", id);
    table_str(out, json_get_str(j, n, "state"));
    if (!l) {
        for (u32 i = 0; i < 8; i++) table_cell(out, i ? "-" : "no answer");
        return;
    }
    if (!was) was = l;
    table_cell(out, "%s/s",
               units_count((u64)per_second(l, was, json_get_u64(l, 0, "commands"),
                                           json_get_u64(was, 0, "commands")))
                   .at);
    table_cell(out, "%s/s",
               units_bytes((u64)per_second(l, was, json_get_u64(l, 0, "bytes-in"),
                                           json_get_u64(was, 0, "bytes-in")))
                   .at);
    table_cell(out, "%s/s",
               units_bytes((u64)per_second(l, was, json_get_u64(l, 0, "bytes-out"),
                                           json_get_u64(was, 0, "bytes-out")))
                   .at);
    table_cell(out, "%lu", json_get_u64(l, 0, "clients"));
    table_cell(out, "%lu", json_get_u64(j, n, "leaders"));
    table_cell(out, "%s", units_bytes(json_get_u64(l, 0, "memory-used")).at);
    table_cell(out, "%.1f ms", (double)json_get_u64(l, 0, "log-write-us") / 1000);
    table_cell(out, "%s", units_bytes(json_get_u64(l, 0, "disk-free")).at);
}

static void print_nodes(const struct top *t)
{
    static const char *const headers[] = {"NODE",       "STATE",     ">COMMANDS", ">IN",
                                          ">OUT",       ">CLIENTS",  ">LEADS",    ">MEMORY",
                                          ">LOG WRITE", ">DISK FREE"};
    const struct json *j = &t->now.nodes;
    u32 nodes = json_get(j, 0, "nodes");
    struct table out;

    table_init(&out, headers, ARRAY_LEN(headers));
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) add_node(t, n, &out);
    table_print(&out, "", stdout);
}

/* ---- groups, the busiest first ---- */

struct busy {
    u64 group, lag, bytes;
    u32 item; /* in the map's list */
    double writes, reads;
};

static int busiest_first(const void *a, const void *b)
{
    const struct busy *x = a, *y = b;
    double p = x->writes + x->reads, q = y->writes + y->reads;

    if (p != q) return p < q ? 1 : -1;
    return (x->group > y->group) - (x->group < y->group);
}

static struct busy look_at(const struct top *t, u32 g)
{
    const struct json *l = NULL, *was = NULL;
    struct busy b = {.group = json_get_u64(&t->now.groups, g, "id"), .item = g};
    u32 led = survey_led(&t->now, b.group, &l), led_before = survey_led(&t->before, b.group, &was);

    if (!led) return b;
    b.lag = survey_lag(l, led);
    b.bytes = json_get_u64(l, led, "bytes");
    if (!led_before) return b;
    b.writes = per_second(l, was, json_get_u64(l, led, "writes"),
                          json_get_u64(was, led_before, "writes"));
    b.reads = per_second(l, was, json_get_u64(l, led, "reads"),
                         json_get_u64(was, led_before, "reads"));
    return b;
}

static void print_groups(const struct top *t, u32 lines)
{
    static const char *const headers[] = {"GROUP",  "KEYSPACE", "LEADER", ">WRITES",
                                          ">READS", ">SIZE",    ">LAG"};
    struct busy *all = mem_zalloc_array(GROUPS_MAX, sizeof *all);
    const struct json *j = &t->now.groups;
    u32 groups = json_get(j, 0, "groups"), count = 0;
    struct table out;

    for (u32 g = json_each(j, groups, 0); g && count < GROUPS_MAX; g = json_each(j, groups, g))
        all[count++] = look_at(t, g);
    if (count) qsort(all, count, sizeof *all, busiest_first);
    table_init(&out, headers, ARRAY_LEN(headers));
    for (u32 i = 0; i < count && i < lines; i++) {
        u64 leader = json_get_u64(j, all[i].item, "leader-node");
        table_cell(&out, "%lu", all[i].group);
        table_str(&out, json_get_str(j, all[i].item, "keyspace"));
        if (leader)
            table_cell(&out, "node %lu", leader);
        else
            table_cell(&out, "none");
        table_cell(&out, "%s/s", units_count((u64)all[i].writes).at);
        table_cell(&out, "%s/s", units_count((u64)all[i].reads).at);
        table_cell(&out, "%s", units_bytes(all[i].bytes).at);
        table_cell(&out, "%lu", all[i].lag);
    }
    table_print(&out, "", stdout);
    if (count > lines) printf("... %u more groups\n", count - lines);
    mem_free(all);
}

/* ---- moves ---- */

static struct move *move_of(struct top *t, u64 group, u64 to, u64 sent, u64 now_ms)
{
    for (u32 i = 0; i < t->move_count; i++)
        if (t->moves[i].group == group && t->moves[i].to == to) return &t->moves[i];
    if (t->move_count == MOVES_MAX) return NULL;
    t->moves[t->move_count] = (struct move){
        .group = group, .to = to, .first_bytes = sent, .first_ms = now_ms};
    return &t->moves[t->move_count++];
}

static void forget_moves(struct top *t)
{
    u32 kept = 0;

    for (u32 i = 0; i < t->move_count; i++)
        if (t->moves[i].seen) t->moves[kept++] = t->moves[i];
    t->move_count = kept;
    for (u32 i = 0; i < kept; i++) t->moves[i].seen = false;
}

/* What the leader says of the replica on that node. */
static u32 peer_on(const struct json *l, u32 led, u64 node)
{
    u32 peers = json_get(l, led, "peers");

    for (u32 p = peers ? json_each(l, peers, 0) : 0; p; p = json_each(l, peers, p))
        if (json_get_u64(l, p, "node") == node) return p;
    return 0;
}

static void print_progress(struct top *t, u64 group, u64 to)
{
    const struct json *l = NULL;
    u32 led = survey_led(&t->now, group, &l), peer = led ? peer_on(l, led, to) : 0;
    u64 all = led ? json_get_u64(l, led, "bytes") : 0,
        sent = peer ? json_get_u64(l, peer, "snapshot-sent") : 0;
    u64 now_ms = led ? json_get_u64(l, 0, "uptime-ms") : 0;
    struct move *m = move_of(t, group, to, sent, now_ms);

    if (m) m->seen = true;
    if (!peer) return;
    if (!json_get(l, peer, "snapshot-sent")) {
        printf(", %lu entries behind", json_get_u64(l, peer, "behind"));
        return;
    }
    if (all < sent) all = sent;
    printf(", %s of about %s (%lu%%)", units_bytes(sent).at, units_bytes(all).at,
           all ? sent * 100 / all : 0);
    if (!m || sent <= m->first_bytes || now_ms <= m->first_ms) return;
    double speed = (double)(sent - m->first_bytes) / (double)(now_ms - m->first_ms);
    printf(", %s/s, %s left", units_bytes((u64)(speed * 1000)).at,
           units_ms((u64)((double)(all - sent) / speed)).at);
}

static void print_moves(struct top *t)
{
    const struct json *j = &t->now.groups;
    u32 groups = json_get(j, 0, "groups"), count = 0;

    for (u32 g = json_each(j, groups, 0); g; g = json_each(j, groups, g)) {
        u32 op = json_get(j, g, "operation");
        u64 from = json_get_u64(j, op, "from-node"), to = json_get_u64(j, op, "to-node");
        str kind = json_get_str(j, op, "kind");
        if (!kind.len) continue;
        if (!count++) printf("\n");
        printf("group %lu: %.*s", json_get_u64(j, g, "id"), STR_ARG(kind));
        if (from) printf(" from node %lu", from);
        if (to) printf(" to node %lu", to);
        printf(", %.*s", STR_ARG(json_get_str(j, op, "step")));
        if (to) print_progress(t, json_get_u64(j, g, "id"), to);
        putchar('\n');
    }
    if (!count) printf("\nnothing is moved\n");
    u64 wanted = json_get_u64(&t->now.plan, 0, "bytes-wanted");
    if (wanted) printf("%s more to be moved\n", units_bytes(wanted).at);
    forget_moves(t);
}

/* ---- the screen ---- */

static u32 screen_lines(void)
{
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row ? w.ws_row : 40;
}

static void draw(struct top *t, bool is_screen)
{
    u32 nodes = json_count(&t->now.nodes, json_get(&t->now.nodes, 0, "nodes")),
        rows = screen_lines();
    u32 others = nodes + 9 + t->move_count;

    if (is_screen) printf("\033[H\033[J");
    printf("cluster %.*s, level %lu, map epoch %lu, core led by node %lu\n\n",
           STR_ARG(json_get_str(&t->now.cluster, 0, "cluster")),
           json_get_u64(&t->now.cluster, 0, "version"), json_get_u64(&t->now.cluster, 0, "epoch"),
           json_get_u64(&t->now.cluster, 0, "core-leader"));
    print_nodes(t);
    printf("\n");
    print_groups(t, is_screen ? (rows > others + 5 ? rows - others : 5) : 20);
    print_moves(t);
    fflush(stdout);
}

static bool look(struct top *t, const struct verb_call *call)
{
    survey_done(&t->before);
    t->before = t->now;
    t->now = (struct survey){0};
    if (survey_take(&t->now, &call->place)) return true;
    fprintf(stderr, "quorate top: %s; --node HOST:PORT names another admin address\n",
            t->now.problem);
    return false;
}

static int top_run(struct verb_call *call)
{
    struct top *t = mem_zalloc(sizeof *t);
    bool is_screen = isatty(STDOUT_FILENO), goes_on = look(t, call);

    while (goes_on) {
        poll(NULL, 0, EVERY_MS);
        goes_on = look(t, call);
        if (goes_on) draw(t, is_screen);
        if (!is_screen) break;
    }
    survey_done(&t->now);
    survey_done(&t->before);
    mem_free(t);
    return goes_on ? 0 : 1;
}

static const struct verb verbs[] = {{NULL, "", "", 0, 0, 0, top_run}};

const struct noun top_noun = {"top",
                              "The cluster as it works, drawn again each second (once where the "
                              "output is no terminal): operations per second, load and lag "
                              "of the busiest groups, moves with their progress. Ctrl-C ends it.",
                              verbs, ARRAY_LEN(verbs),
                              "  quorate top\n"
                              "  quorate top --node 10.0.0.2:8379\n"};

int top_main(int argc, char **argv)
{
    return noun_main(&top_noun, argc, argv);
}
