/* `quorate settings`, `quorate rebalance`, `quorate version raise`: the cluster as a whole. */
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/verbs.h"

/* ---- settings ---- */

static void print_setting(str name, str value)
{
    char text[32];
    u64 number = 0;

    printf("%-16.*s %.*s", STR_ARG(name), STR_ARG(value));
    snprintf(text, sizeof text, "%.*s", STR_ARG(value));
    for (size_t i = 0; i < value.len && value.at[i] >= '0' && value.at[i] <= '9'; i++)
        number = number * 10 + (u64)(value.at[i] - '0');
    if (str_equal(name, STR("replace-after")))
        printf(" s (%s)", units_ms(number * 1000).at);
    else if (memmem(name.at, name.len, "bytes", 5))
        printf(" (%s)", units_bytes(number).at);
    putchar('\n');
}

static int settings_run(struct verb_call *call)
{
    const struct json *j = &call->answer;

    if (call->row_count)
        return call_command(call, "/v1/settings", "", "the settings are changed\n");
    if (!call_get(call, "/v1/settings")) return call_status(call);
    u32 all = json_get(j, 0, "settings");
    for (u32 i = all + 1; i < j->items[all].after; i = j->items[i + 1].after)
        print_setting(json_str(j, i), json_str(j, i + 1));
    return 0;
}

static const struct verb settings_verbs[] = {
    {NULL, "[name=value...]", "", 0, 0, VERB_ROWS | VERB_POSTS, settings_run},
};

const struct noun settings_noun = {"settings",
                                   "Settings of the whole cluster: show them, or change some.",
                                   settings_verbs, ARRAY_LEN(settings_verbs),
                                   "  quorate settings\n"
                                   "  quorate settings replace-after=10m moves-per-node=4\n"};

int settings_main(int argc, char **argv)
{
    return noun_main(&settings_noun, argc, argv);
}

/* ---- rebalancing ---- */

static int rebalance_pause(struct verb_call *call)
{
    return call_command(call, "/v1/settings", "paused=yes",
                        "nothing new begins; what is under way ends\n");
}

static int rebalance_resume(struct verb_call *call)
{
    return call_command(call, "/v1/settings", "paused=no", "rebalancing goes on\n");
}

static int rebalance_status(struct verb_call *call)
{
    if (!call_get(call, "/v1/plan")) return call_status(call);
    print_plan(call);
    return 0;
}

static const struct verb rebalance_verbs[] = {
    {"status", "", "what is under way, what comes next, what is blocked and what would help", 0, 0,
     0, rebalance_status},
    {"pause", "", "begin nothing new", 0, 0, VERB_POSTS, rebalance_pause},
    {"resume", "", "go on", 0, 0, VERB_POSTS, rebalance_resume},
};

const struct noun rebalance_noun = {
    "rebalance",
    "Rebalancing: replicas and leaders are spread, and lost ones replaced, by themselves.",
    rebalance_verbs, ARRAY_LEN(rebalance_verbs),
    "  quorate rebalance status\n"
    "  quorate rebalance pause\n"};

int rebalance_main(int argc, char **argv)
{
    return noun_main(&rebalance_noun, argc, argv);
}

/* ---- the cluster's level ---- */

static int version_raise(struct verb_call *call)
{
    return call_command(
        call, "/v1/version", "",
        "the cluster works at the highest level that its nodes know\n");
}

static int version_show(struct verb_call *call)
{
    const struct json *j = &call->answer;

    if (!call_get(call, "/v1/version")) return call_status(call);
    printf("the cluster works at level %lu\n", json_get_u64(j, 0, "version"));
    if (!call_get(call, "/v1/nodes")) return call_status(call);
    u32 nodes = json_get(j, 0, "nodes");
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n))
        printf("  node %lu knows levels %lu to %lu\n", json_get_u64(j, n, "id"),
               json_get_u64(j, n, "version-min"), json_get_u64(j, n, "version-max"));
    return 0;
}

static const struct verb version_verbs[] = {
    {"show", "", "the level in use, and what each node knows", 0, 0, 0, version_show},
    {"raise", "[to=LEVEL]", "to the highest that every node knows; it never goes back", 0, 0,
     VERB_ROWS | VERB_POSTS, version_raise},
};

const struct noun version_noun = {"version",
                                  "Without a verb: the version of this program. The cluster's "
                                  "level gates new formats: it is raised "
                                  "when all nodes run the new program.",
                                  version_verbs, ARRAY_LEN(version_verbs),
                                  "  quorate version\n"
                                  "  quorate version show\n"
                                  "  quorate version raise --dry-run\n"};
