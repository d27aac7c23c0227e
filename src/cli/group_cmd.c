/* `quorate group`: the partitions of keyspaces, each replicated by a group of its own. */
#include "cli/commands.h"
#include "cli/recover.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const char *const headers[] = {"GROUP",    "KEYSPACE", "SPAN",  "LEADER",
                                      "ON NODES", ">SIZE",    ">LOAD", "UNDER WAY"};

/* Bytes of a key as text: what is not plain as \xNN. */
static void put_key(struct buf *out, str key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.at[i] > ' ' && key.at[i] < 127)
            buf_append_u8(out, key.at[i]);
        else
            buf_printf(out, "\\x%02x", key.at[i]);
    }
}

static void add_span(struct table *t, const struct json *j, u32 g)
{
    struct buf text = {0};

    if (json_get(j, g, "from")) {
        str to = json_get_str(j, g, "to");
        put_key(&text, json_get_str(j, g, "from"));
        buf_append_text(&text, "..");
        if (to.len) put_key(&text, to);
    } else {
        buf_printf(&text, "%lu-%lu", json_get_u64(j, g, "slot-first"),
                   json_get_u64(j, g, "slot-last"));
    }
    table_str(t, buf_str(&text));
    buf_done(&text);
}

/* 1,2,3: learners in brackets, who lags with a '~'. */
static void add_members(struct table *t, const struct json *j, u32 g)
{
    u32 members = json_get(j, g, "members");
    struct buf text = {0};

    for (u32 m = json_each(j, members, 0); m; m = json_each(j, members, m)) {
        bool learner = str_equal(json_get_str(j, m, "role"), STR("learner"));
        bool lags = json_get(j, m, "caught-up") && !json_get_true(j, m, "caught-up");
        buf_printf(&text, "%s%s%lu%s%s", text.len ? " " : "", learner ? "[" : "",
                   json_get_u64(j, m, "node"), lags ? "~" : "", learner ? "]" : "");
    }
    table_str(t, buf_str(&text));
    buf_done(&text);
}

static void add_operation(struct table *t, const struct json *j, u32 g)
{
    u32 op = json_get(j, g, "operation");
    u64 from = json_get_u64(j, op, "from-node"), to = json_get_u64(j, op, "to-node");
    str kind = json_get_str(j, op, "kind"), step = json_get_str(j, op, "step");

    if (!kind.len)
        table_cell(t, "-");
    else if (from && to)
        table_cell(t, "%.*s %lu to %lu, %.*s", STR_ARG(kind), from, to, STR_ARG(step));
    else if (to)
        table_cell(t, "%.*s to %lu, %.*s", STR_ARG(kind), to, STR_ARG(step));
    else if (from)
        table_cell(t, "%.*s from %lu, %.*s", STR_ARG(kind), from, STR_ARG(step));
    else
        table_cell(t, "%.*s, %.*s", STR_ARG(kind), STR_ARG(step));
}

void groups_print(const struct json *j, u32 groups, const char *indent)
{
    struct table t;

    table_init(&t, headers, ARRAY_LEN(headers));
    for (u32 g = json_each(j, groups, 0); g; g = json_each(j, groups, g)) {
        u64 leader = json_get_u64(j, g, "leader-node");
        table_cell(&t, "%lu", json_get_u64(j, g, "id"));
        table_str(&t, json_get_str(j, g, "keyspace"));
        add_span(&t, j, g);
        if (leader)
            table_cell(&t, "node %lu", leader);
        else
            table_cell(&t, "none known");
        add_members(&t, j, g);
        if (json_get(j, g, "bytes"))
            table_cell(&t, "%s", units_bytes(json_get_u64(j, g, "bytes")).at);
        else
            table_cell(&t, "-");
        if (json_get(j, g, "load"))
            table_cell(&t, "%s/s", units_count(json_get_u64(j, g, "load")).at);
        else
            table_cell(&t, "-");
        add_operation(&t, j, g);
    }
    table_print(&t, indent, stdout);
}

static int group_list(struct verb_call *call)
{
    char name[256] = "", path[320];

    if (call->word_count && !url_put(name, sizeof name, call->words[0])) return 2;
    snprintf(path, sizeof path, "/v1/groups%s%s", name[0] ? "?keyspace=" : "", name);
    if (!call_get(call, path)) return call_status(call);
    groups_print(&call->answer, json_get(&call->answer, 0, "groups"), "");
    return 0;
}

static int group_show(struct verb_call *call)
{
    char id[128], path[200];

    if (!url_put(id, sizeof id, call->words[0])) return 2;
    snprintf(path, sizeof path, "/v1/groups?id=%s", id);
    if (!call_get(call, path)) return call_status(call);
    const struct json *j = &call->answer;
    u32 groups = json_get(j, 0, "groups"), g = json_each(j, groups, 0);
    if (!g) {
        fprintf(stderr, "quorate group show: there is no group %s; quorate group list shows them\n",
                call->words[0]);
        return 1;
    }
    groups_print(j, groups, "");
    printf("\nepoch %lu, term %lu%s", json_get_u64(j, g, "epoch"),
           json_get_u64(j, g, "leader-term"), json_get_u64(j, g, "pinned-node") ? "" : "\n");
    if (json_get_u64(j, g, "pinned-node"))
        printf(", pinned to node %lu\n", json_get_u64(j, g, "pinned-node"));
    u32 members = json_get(j, g, "members");
    for (u32 m = json_each(j, members, 0); m; m = json_each(j, members, m))
        printf("  replica %lu on node %lu: %.*s%s\n", json_get_u64(j, m, "replica"),
               json_get_u64(j, m, "node"), STR_ARG(json_get_str(j, m, "role")),
               !json_get(j, m, "caught-up")       ? ""
               : json_get_true(j, m, "caught-up") ? ", caught up"
                                                  : ", behind");
    return 0;
}

static int command(struct verb_call *call, const char *what, const char *done)
{
    char id[128], path[200];

    if (!url_put(id, sizeof id, call->words[0])) return 2;
    snprintf(path, sizeof path, "/v1/groups/%s/%s", id, what);
    return call_command(call, path, "", "group %s: %s; quorate group show %s\n", call->words[0],
                        done, call->words[0]);
}

static int group_move(struct verb_call *call)
{
    return command(call, "move", "the move has begun");
}
static int group_split(struct verb_call *call)
{
    return command(call, "split", "the split has begun");
}
static int group_merge(struct verb_call *call)
{
    return command(call, "merge", "the merge with its right neighbour has begun");
}
static int group_transfer(struct verb_call *call)
{
    return command(call, "transfer", "its leader hands over");
}

static const struct verb verbs[] = {
    {"list", "[KEYSPACE]",
     "all groups: span, leader, nodes ([learner], ~behind), what is under way", 0, 1, 0,
     group_list},
    {"show", "ID", "one, with its replicas", 1, 1, 0, group_show},
    {"move", "ID to=NODE from=NODE", "a replica from one node to another; without from: one more",
     1, 1, VERB_ROWS | VERB_POSTS, group_move},
    {"split", "ID [at=SLOT|KEY] [node=N]", "in two, at that slot or key (slots: by default in the middle); node=N pins the upper half",
     1, 1, VERB_ROWS | VERB_POSTS, group_split},
    {"merge", "ID", "with its right neighbour, on the same nodes", 1, 1, VERB_POSTS, group_merge},
    {"transfer", "ID to=NODE", "leadership, to a replica that has caught up", 1, 1,
     VERB_ROWS | VERB_POSTS, group_transfer},
    {"recover", "ID", "after a crash of a majority with durability=memory: go on with the longest log", 1, 1,
     VERB_POSTS | VERB_LOSS, group_recover},
};

const struct noun group_noun = {
    "group", "Groups: each holds a part of a keyspace's slots or keys on a few nodes.", verbs,
    ARRAY_LEN(verbs),
    "  quorate group list orders\n"
    "  quorate group move 17 from=1 to=4 --dry-run\n"
    "  quorate group split 17 at=4096\n"
    "  quorate group transfer 17 to=2\n"
    "  quorate group recover 17 --accept-loss\n"};

int group_main(int argc, char **argv)
{
    return noun_main(&group_noun, argc, argv);
}
