/* `quorate ks`: keyspaces. */
#include "cli/commands.h"
#include "cli/pin.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "core/core.h"

static int ks_create(struct verb_call *call)
{
    char name[256], more[300];

    if (!url_put(name, sizeof name, call->words[0])) name[0] = 0;
    snprintf(more, sizeof more, "name=%s", name);
    if (!call_post(call, "/v1/keyspaces", more)) return call_status(call);
    if (call->dry_run)
        print_plan(call);
    else
        printf("keyspace %s is made: SELECT %lu\n", call->words[0],
               json_get_u64(&call->answer, 0, "id"));
    return 0;
}

static void add_keyspace(struct table *t, const struct json *j, u32 k)
{
    table_str(t, json_get_str(j, k, "name"));
    u64 id = json_get_u64(j, k, "id");
    if (id == CORE_KEYSPACE)
        table_cell(t, "-");
    else if (id == CORE_KEYSPACE_DEFAULT)
        table_cell(t, "0-15");
    else
        table_cell(t, "%lu", id);
    table_str(t, json_get_str(j, k, "partitions"));
    table_cell(t, "%lu", json_get_u64(j, k, "groups"));
    table_cell(t, "%lu", json_get_u64(j, k, "led"));
    table_cell(t, "%lu%s", json_get_u64(j, k, "replicas"),
               json_get_true(j, k, "accepted-risk") ? "!" : "");
    table_str(t, json_get_str(j, k, "consistency"));
    table_str(t, json_get_str(j, k, "durability"));
    table_cell(t, "%s", units_bytes(json_get_u64(j, k, "value-bytes-max")).at);
}

static const char *const headers[] = {"NAME",      ">SELECT",     "PARTITIONS", ">GROUPS",   ">LED",
                                      ">REPLICAS", "CONSISTENCY", "DURABILITY", ">VALUE MAX"};

static int ks_list(struct verb_call *call)
{
    const struct json *j = &call->answer;
    struct table t;

    if (!call_get(call, "/v1/keyspaces")) return call_status(call);
    table_init(&t, headers, ARRAY_LEN(headers));
    u32 all = json_get(j, 0, "keyspaces");
    for (u32 k = json_each(j, all, 0); k; k = json_each(j, all, k)) add_keyspace(&t, j, k);
    table_print(&t, "", stdout);
    return 0;
}

static bool path_of(struct verb_call *call, char *out, size_t size, const char *tail)
{
    char name[256];

    if (!url_put(name, sizeof name, call->words[0])) return false;
    return snprintf(out, size, "/v1/keyspaces/%s%s", name, tail) < (int)size;
}

static int ks_show(struct verb_call *call)
{
    const struct json *j = &call->answer;
    char path[300];

    if (!path_of(call, path, sizeof path, "") || !call_get(call, path)) return call_status(call);
    u32 k = json_get(j, 0, "keyspace");
    for (u32 i = k + 1; i < j->items[k].after; i = j->items[i + 1].after) {
        str value = json_str(j, i + 1);
        if (value.len == 0) value = json_true(j, i + 1) ? STR("yes") : STR("no");
        printf("%-18.*s %.*s\n", STR_ARG(json_str(j, i)), STR_ARG(value));
    }
    return 0;
}

static int ks_set(struct verb_call *call)
{
    char path[300];

    if (!path_of(call, path, sizeof path, "")) return 2;
    return call_command(call, path, "", "keyspace %s is changed\n", call->words[0]);
}

static int ks_drop(struct verb_call *call)
{
    char path[300];

    if (!path_of(call, path, sizeof path, "/drop")) return 2;
    return call_command(call, path, "", "keyspace %s is gone\n", call->words[0]);
}

static int ks_pin(struct verb_call *call)
{
    char path[300];

    if (call->word_count == 2) return pin_directory(call);
    if (!path_of(call, path, sizeof path, "/pin")) return 2;
    return call_command(call, path, "", "leaders of %s follow the pin as they can\n",
                        call->words[0]);
}

static const struct verb verbs[] = {
    {"create", "NAME [name=value...]",
     "make one: partitions=hash:N or range, replicas=N, value-bytes-max=BYTES", 1, 1,
     VERB_ROWS | VERB_POSTS | VERB_RISK, ks_create},
    {"list", "", "all keyspaces", 0, 0, 0, ks_list},
    {"show", "NAME", "one, with its settings", 1, 1, 0, ks_show},
    {"set", "NAME name=value...", "change settings: replicas, durability, value-bytes-max", 1, 1,
     VERB_ROWS | VERB_POSTS | VERB_RISK, ks_set},
    {"drop", "NAME", "delete it with everything in it", 1, 1, VERB_POSTS, ks_drop},
    {"pin", "NAME node=N [group=ID]", "prefer a node for its leaders; node=0 takes the pin away; NAME PREFIX node=N|group=ID: "
     "the keys with this prefix get groups of their own there (partitions=range)", 1,
     2, VERB_ROWS | VERB_POSTS, ks_pin},
};

const struct noun ks_noun = {
    "ks", "Keyspaces: what SELECT chooses; each is cut into groups that are spread over the nodes.",
    verbs, ARRAY_LEN(verbs),
    "  quorate ks create orders partitions=hash:32\n"
    "  quorate ks create events partitions=range replicas=3\n"
    "  quorate ks list\n"
    "  quorate ks pin events user: node=2\n"
    "  quorate ks set orders value-bytes-max=32MB\n"
    "  quorate ks drop orders --dry-run\n"};

int ks_main(int argc, char **argv)
{
    return noun_main(&ks_noun, argc, argv);
}
