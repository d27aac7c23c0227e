/* `quorate node`: who belongs to the cluster. */
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/verbs.h"

static const char *const headers[] = {"NODE", "STATE",   "REDIS",  "PEER",  "ADMIN",
                                      "RACK", ">GROUPS", ">LEADS", "HEARD", "DISK"};

/* Alive, or since when not; nothing where the asked node does not know. */
static void add_heard(struct table *t, const struct json *j, u32 n)
{
    if (!json_get(j, n, "alive"))
        table_cell(t, "-");
    else if (json_get_true(j, n, "alive"))
        table_cell(t, "alive%s", json_get_true(j, n, "busy") ? ", busy" : "");
    else
        table_cell(t, "silent for %s", units_ms(json_get_u64(j, n, "silent-ms")).at);
}

static void add_disk(struct table *t, const struct json *j, u32 n)
{
    u64 used = json_get_u64(j, n, "disk-used"), all = json_get_u64(j, n, "disk-bytes");

    if (all)
        table_cell(t, "%s of %s", units_bytes(used).at, units_bytes(all).at);
    else if (used)
        table_cell(t, "%s", units_bytes(used).at);
    else
        table_cell(t, "-");
}

void nodes_print(const struct json *j, u32 nodes, const char *indent)
{
    struct table t;

    table_init(&t, headers, ARRAY_LEN(headers));
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) {
        str rack = json_get_str(j, n, "rack");
        table_cell(&t, "%lu", json_get_u64(j, n, "id"));
        table_str(&t, json_get_str(j, n, "state"));
        table_str(&t, json_get_str(j, n, "redis"));
        table_str(&t, json_get_str(j, n, "peer"));
        table_str(&t, json_get_str(j, n, "admin"));
        table_str(&t, rack.len ? rack : STR("-"));
        table_cell(&t, "%lu", json_get_u64(j, n, "replicas"));
        table_cell(&t, "%lu", json_get_u64(j, n, "leaders"));
        add_heard(&t, j, n);
        add_disk(&t, j, n);
    }
    table_print(&t, indent, stdout);
}

static int node_list(struct verb_call *call)
{
    if (!call_get(call, "/v1/nodes")) return call_status(call);
    nodes_print(&call->answer, json_get(&call->answer, 0, "nodes"), "");
    return 0;
}

static int command(struct verb_call *call, const char *what, const char *done)
{
    char id[128], path[200];

    if (!url_put(id, sizeof id, call->words[0])) return 2;
    snprintf(path, sizeof path, "/v1/nodes/%s/%s", id, what);
    return call_command(call, path, "", "node %s %s\n", call->words[0], done);
}

static int node_drain(struct verb_call *call)
{
    return command(
        call, "drain",
        "is draining: its groups go to others; quorate rebalance status shows how far it is");
}

static int node_undrain(struct verb_call *call)
{
    return command(call, "undrain", "takes groups again");
}

static int node_remove(struct verb_call *call)
{
    return command(call, "remove", "is no member any more");
}

static const struct verb verbs[] = {
    {"list", "", "all nodes, what is on them and when they were heard", 0, 0, 0, node_list},
    {"drain", "ID", "move everything away from it; then it can be removed", 1, 1, VERB_POSTS,
     node_drain},
    {"undrain", "ID", "let it take groups again", 1, 1, VERB_POSTS, node_undrain},
    {"remove", "ID", "for good; --force when it is lost with its disk", 1, 1,
     VERB_POSTS | VERB_FORCE, node_remove},
};

const struct noun node_noun = {
    "node", "Nodes: a new one enters with quorate start --join HOST:PORT.", verbs, ARRAY_LEN(verbs),
    "  quorate node list\n"
    "  quorate node drain 3 --dry-run\n"
    "  quorate node drain 3 && quorate rebalance status\n"
    "  quorate node remove 3\n"};

int node_main(int argc, char **argv)
{
    return noun_main(&node_noun, argc, argv);
}
