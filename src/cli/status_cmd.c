/* `quorate status`: nodes, groups, leaders, lag, disks, and what deserves a look. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/survey.h"
#include "cli/table.h"
#include "cli/verbs.h"

#include <stdarg.h>

enum { GROUPS_SHOWN = 32, LAG_WORTH_A_WORD = 10000, LOSS_WORTH_A_WORD_MS = 1000, WARNINGS_MAX = 64 };
enum { SLOW_WRITE_US = 100000, SLOW_WRITE_SHOWN_MS = 5000 }; /* an idle node's latest write is no news */

struct warnings {
    u32 count;
    char text[WARNINGS_MAX][320];
};

static void warn(struct warnings *w, const char *format, ...) PRINTF_LIKE(2, 3);
static void warn(struct warnings *w, const char *format, ...)
{
    va_list args;

    if (w->count == WARNINGS_MAX) return;
    va_start(args, format);
    vsnprintf(w->text[w->count++], sizeof w->text[0], format, args);
    va_end(args);
}

/* ---- nodes ---- */

static void warn_of_node(const struct survey *s, u32 n, struct warnings *w)
{
    const struct json *j = &s->nodes;
    u64 id = json_get_u64(j, n, "id");
    const struct json *l = survey_local(s, id);
    bool is_silent = json_get(j, n, "alive") && !json_get_true(j, n, "alive");

    if (is_silent)
        warn(w,
             "node %lu is silent for %s: start it again; its groups are replaced after "
             "replace-after",
             id, units_ms(json_get_u64(j, n, "silent-ms")).at);
    else if (!l)
        warn(w, "node %lu does not answer at %.*s", id, STR_ARG(json_get_str(j, n, "admin")));
    if (!l) return;
    u64 free = json_get_u64(l, 0, "disk-free"), all = json_get_u64(l, 0, "disk-bytes");
    if (json_get_true(l, 0, "disk-full"))
        warn(w, "node %lu takes no writes: its disk is full (%s free)", id, units_bytes(free).at);
    else if (all && free < all / 10)
        warn(w, "node %lu has %s of %s left on its disk", id, units_bytes(free).at,
             units_bytes(all).at);
    if (json_get_u64(l, 0, "log-write-us") > SLOW_WRITE_US &&
        json_get_u64(l, 0, "log-write-age-ms") < SLOW_WRITE_SHOWN_MS)
        warn(w, "node %lu: its latest write to the log took %lu ms", id,
             json_get_u64(l, 0, "log-write-us") / 1000);
    if (json_get_u64(j, n, "version-max") > json_get_u64(&s->cluster, 0, "version"))
        warn(w,
             "node %lu knows level %lu, the cluster works at %lu: when all do, quorate version "
             "raise",
             id, json_get_u64(j, n, "version-max"), json_get_u64(&s->cluster, 0, "version"));
}

static void print_nodes(const struct survey *s, struct warnings *w)
{
    static const char *const headers[] = {"NODE",    "STATE",  "REDIS",      "RACK",
                                          ">GROUPS", ">LEADS", ">CLIENTS",   ">UP",
                                          ">MEMORY", ">LOG",   ">LOG WRITE", ">DISK FREE"};
    const struct json *j = &s->nodes;
    u32 nodes = json_get(j, 0, "nodes");
    struct table t;

    table_init(&t, headers, ARRAY_LEN(headers));
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) {
        const struct json *l = survey_local(s, json_get_u64(j, n, "id"));
        bool is_silent = json_get(j, n, "alive") && !json_get_true(j, n, "alive");
        str rack = json_get_str(j, n, "rack");
        warn_of_node(s, n, w);
        table_cell(&t, "%lu", json_get_u64(j, n, "id"));
        table_cell(&t, "%.*s%s", STR_ARG(json_get_str(j, n, "state")),
                   is_silent ? ", silent"
                   : l       ? ""
                             : ", no answer");
        table_str(&t, json_get_str(j, n, "redis"));
        table_str(&t, rack.len ? rack : STR("-"));
        table_cell(&t, "%lu", json_get_u64(j, n, "replicas"));
        table_cell(&t, "%lu", json_get_u64(j, n, "leaders"));
        if (!l) {
            for (u32 i = 0; i < 6; i++) table_cell(&t, "-");
            continue;
        }
        table_cell(&t, "%lu", json_get_u64(l, 0, "clients"));
        table_cell(&t, "%s", units_ms(json_get_u64(l, 0, "uptime-ms")).at);
        table_cell(&t, "%s of %s", units_bytes(json_get_u64(l, 0, "memory-used")).at,
                   units_bytes(json_get_u64(l, 0, "memory-bytes")).at);
        table_cell(&t, "%s", units_bytes(json_get_u64(l, 0, "log-bytes")).at);
        table_cell(&t, "%.1f ms", (double)json_get_u64(l, 0, "log-write-us") / 1000);
        table_cell(&t, "%s of %s", units_bytes(json_get_u64(l, 0, "disk-free")).at,
                   units_bytes(json_get_u64(l, 0, "disk-bytes")).at);
    }
    table_print(&t, "", stdout);
}

/* ---- groups ---- */

static bool is_remarkable(const struct survey *s, u32 g, struct warnings *w)
{
    const struct json *j = &s->groups, *l = NULL;
    u64 id = json_get_u64(j, g, "id");
    str keyspace = json_get_str(j, g, "keyspace");
    u32 led = survey_led(s, id, &l);
    bool is_moving = json_get_str(j, json_get(j, g, "operation"), "kind").len > 0;

    if (!json_get_u64(j, g, "leader-node") || (!led && s->count < SURVEY_NODES_MAX)) {
        u32 in_doubt = survey_recovering(s, id);
        if (in_doubt)
            warn(w, "group %lu (%.*s) has no leader: %u replicas crashed while entries counted in memory, and it is down until they "
                    "can be refilled or quorate group recover %lu --accept-loss", id, STR_ARG(keyspace), in_doubt, id);
        else
            warn(w, "group %lu (%.*s) has no leader that answers: its keys cannot be read or written",
                 id, STR_ARG(keyspace));
        return true;
    }
    u64 lag = led ? survey_lag(l, led) : 0;
    if (lag > LAG_WORTH_A_WORD)
        warn(w, "group %lu (%.*s): a replica is %s entries behind", id, STR_ARG(keyspace),
             units_count(lag).at);
    u64 window = led ? json_get_u64(l, led, "loss-window-ms") : 0;
    if (window > LOSS_WORTH_A_WORD_MS)
        warn(w, "group %lu (%.*s): writes of the last %s are in memory only; a power cut of all nodes would lose them", id,
             STR_ARG(keyspace), units_ms(window).at);
    return is_moving || lag > LAG_WORTH_A_WORD || window > LOSS_WORTH_A_WORD_MS;
}

static void add_group(const struct survey *s, u32 g, struct table *t)
{
    const struct json *j = &s->groups, *l = NULL;
    u64 id = json_get_u64(j, g, "id");
    u32 led = survey_led(s, id, &l), members = json_get(j, g, "members"),
        op = json_get(j, g, "operation");
    str kind = json_get_str(j, op, "kind"), step = json_get_str(j, op, "step");
    char nodes[64] = "";

    for (u32 m = json_each(j, members, 0); m; m = json_each(j, members, m)) {
        size_t used = strlen(nodes);
        bool learner = str_equal(json_get_str(j, m, "role"), STR("learner"));
        snprintf(nodes + used, sizeof nodes - used, learner ? "%s[%lu]" : "%s%lu", used ? " " : "",
                 json_get_u64(j, m, "node"));
    }
    table_cell(t, "%lu", id);
    table_str(t, json_get_str(j, g, "keyspace"));
    if (json_get_u64(j, g, "leader-node"))
        table_cell(t, "node %lu", json_get_u64(j, g, "leader-node"));
    else
        table_cell(t, "none");
    table_cell(t, "%s", nodes);
    if (led) {
        table_cell(t, "%s", units_bytes(json_get_u64(l, led, "bytes")).at);
        table_cell(t, "%lu", survey_lag(l, led));
    } else {
        table_cell(t, "-");
        table_cell(t, "-");
    }
    if (kind.len)
        table_cell(t, "%.*s, %.*s", STR_ARG(kind), STR_ARG(step));
    else
        table_cell(t, "-");
}

static void print_groups(const struct survey *s, struct warnings *w)
{
    static const char *const headers[] = {"GROUP", "KEYSPACE", "LEADER",   "NODES",
                                          ">SIZE", ">LAG",     "UNDER WAY"};
    const struct json *j = &s->groups;
    u32 groups = json_get(j, 0, "groups"), count = json_count(j, groups), shown = 0;
    struct table t;

    table_init(&t, headers, ARRAY_LEN(headers));
    for (u32 g = json_each(j, groups, 0); g; g = json_each(j, groups, g)) {
        bool remarkable = is_remarkable(s, g, w);
        if (count > GROUPS_SHOWN && (!remarkable || shown >= GROUPS_SHOWN)) continue;
        add_group(s, g, &t);
        shown++;
    }
    if (shown) table_print(&t, "", stdout);
    if (shown < count)
        printf("%s%u more groups are led and at rest; quorate group list shows all\n",
               shown ? "... " : "", count - shown);
}

/* ---- all of it ---- */

static void print_warnings(const struct survey *s, struct warnings *w)
{
    u32 blocked = json_get(&s->plan, 0, "blocked");

    for (u32 i = json_each(&s->plan, blocked, 0); i; i = json_each(&s->plan, blocked, i))
        warn(w, "%.*s", STR_ARG(json_str(&s->plan, i)));
    if (json_get_true(&s->plan, 0, "paused"))
        warn(w, "rebalancing is paused: quorate rebalance resume");
    if (!w->count) {
        printf("\nno warnings\n");
        return;
    }
    printf("\n%u %s\n", w->count, w->count == 1 ? "warning:" : "warnings:");
    for (u32 i = 0; i < w->count; i++) printf("  %s\n", w->text[i]);
}

static void print_moves(const struct survey *s)
{
    u64 running = json_get_u64(&s->plan, 0, "moves-running"),
        wanted = json_get_u64(&s->plan, 0, "bytes-wanted");

    if (running)
        printf("%lu moves under way, %s to go", running,
               units_bytes(json_get_u64(&s->plan, 0, "bytes-running")).at);
    if (wanted) printf("%s%s more to be moved", running ? ", " : "", units_bytes(wanted).at);
    if (running || wanted) printf("; quorate rebalance status\n");
}

static void print_json(const struct verb_call *call)
{
    static const char *const paths[] = {"/v1/cluster", "/v1/nodes?leader=1", "/v1/groups?leader=1",
                                        "/v1/plan?leader=1"};
    static const char *const names[] = {"cluster", "nodes", "groups", "plan"};

    putchar('{');
    for (u32 i = 0; i < ARRAY_LEN(paths); i++) {
        struct http_request q = {
            .place = call->place, .method = "GET", .path = paths[i], .timeout_ms = 2000};
        struct http_answer a;
        http_ask(&q, &a);
        str body = buf_str(&a.body);
        while (body.len && body.at[body.len - 1] == '\n') body.len--;
        printf("%s\"%s\":%.*s", i ? "," : "", names[i], a.status == 200 ? (int)body.len : 4,
               a.status == 200 ? (const char *)body.at : "null");
        http_answer_done(&a);
    }
    printf("}\n");
}

static void print_all(const struct survey *s, struct warnings *w)
{
    u64 leader = json_get_u64(&s->cluster, 0, "core-leader");

    printf("cluster %.*s, level %lu, map epoch %lu, ",
           STR_ARG(json_get_str(&s->cluster, 0, "cluster")),
           json_get_u64(&s->cluster, 0, "version"), json_get_u64(&s->cluster, 0, "epoch"));
    if (leader)
        printf("core led by node %lu\n\n", leader);
    else
        printf("no leader of the core is known to node %lu\n\n",
               json_get_u64(&s->cluster, 0, "self"));
    print_nodes(s, w);
    printf("\n");
    print_groups(s, w);
    print_moves(s);
    print_warnings(s, w);
}

static int status_run(struct verb_call *call)
{
    struct survey *s = mem_zalloc(sizeof *s);
    struct warnings *w = mem_zalloc(sizeof *w);
    bool taken = survey_take(s, &call->place);

    if (!taken)
        fprintf(stderr, "quorate status: %s; --node HOST:PORT names another admin address\n",
                s->problem);
    else if (call->json)
        print_json(call);
    else
        print_all(s, w);
    survey_done(s);
    mem_free(s);
    mem_free(w);
    return taken ? 0 : 1;
}

static const struct verb verbs[] = {{NULL, "", "", 0, 0, 0, status_run}};

const struct noun status_noun = {"status",
                                 "The whole cluster at one look: nodes, groups, who leads, who "
                                 "lags, disks, and what deserves attention.",
                                 verbs, ARRAY_LEN(verbs),
                                 "  quorate status\n"
                                 "  quorate status --node 10.0.0.2:8379\n"};

int status_main(int argc, char **argv)
{
    return noun_main(&status_noun, argc, argv);
}
