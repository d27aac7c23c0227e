/* `quorate limits`: every limit of one node, what is used of it and how often it was reached. */
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/verbs.h"

static struct units_text amount(const struct json *j, u32 limit, const char *name)
{
    u64 n = json_get_u64(j, limit, name);
    return str_equal(json_get_str(j, limit, "unit"), STR("bytes")) ? units_bytes(n) : units_count(n);
}

static bool begins_with(str name, const char *what)
{
    str w = str_of(what);
    return name.len >= w.len && str_equal(str_from(name.at, w.len), w);
}

static void add_row(struct table *t, const struct json *j, u32 limit)
{
    str unit = json_get_str(j, limit, "unit");
    bool is_bytes = str_equal(unit, STR("bytes"));

    table_str(t, json_get_str(j, limit, "name"));
    table_cell(t, "%s%s%.*s", amount(j, limit, "value").at, is_bytes ? "" : " ", is_bytes ? 0 : (int)unit.len,
               (const char *)unit.at);
    if (json_get(j, limit, "use"))
        table_cell(t, "%s", amount(j, limit, "use").at);
    else
        table_cell(t, "-");
    table_cell(t, "%lu", json_get_u64(j, limit, "reached"));
    table_str(t, json_get_str(j, limit, "owner"));
    table_str(t, json_get_str(j, limit, "change"));
    table_str(t, json_get_str(j, limit, "what"));
}

static int limits_run(struct verb_call *call)
{
    static const char *const headers[] = {"LIMIT", ">VALUE", ">IN USE", ">REACHED", "OWNER", "CHANGED BY", "BOUNDS"};
    const char *wanted = call->word_count ? call->words[0] : "";
    const struct json *j = &call->answer;
    struct table t;
    u32 shown = 0;

    if (!call_get_here(call, "/v1/limits")) return call_status(call);
    u32 limits = json_get(j, 0, "limits");
    table_init(&t, headers, ARRAY_LEN(headers));
    for (u32 i = json_each(j, limits, 0); i; i = json_each(j, limits, i)) {
        if (!begins_with(json_get_str(j, i, "name"), wanted)) continue;
        add_row(&t, j, i);
        shown++;
    }
    printf("limits of node %lu; \"in use\" of what bounds each one is the greatest of any\n\n", json_get_u64(j, 0, "node"));
    table_print(&t, "", stdout);
    if (shown) return 0;
    fprintf(stderr, "quorate limits: no name begins with %s\n", wanted);
    return 1;
}

static const struct verb verbs[] = {{NULL, "[NAME]", "", 0, 1, 0, limits_run}};

const struct noun limits_noun = {"limits",
                                 "Every limit of one node: what it is, how much of it is in use, how often it was "
                                 "reached, and where to change it. An error that one causes names it: limit=NAME.",
                                 verbs, ARRAY_LEN(verbs),
                                 "  quorate limits\n"
                                 "  quorate limits gateway\n"
                                 "  quorate limits --node 10.0.0.2:8379\n"};

int limits_main(int argc, char **argv)
{
    return noun_main(&limits_noun, argc, argv);
}
