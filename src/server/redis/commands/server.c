/* Commands about the server that need nobody else: TIME, ROLE, and families of which only the empty
 * case exists here (no scripts, no slow log, no latency samples). */
#include "server/redis/redis_internal.h"

static void cmd_time(struct call *call)
{
    u64 us = env_wall_us(call->door->env);

    resp_array(&call->w, 2);
    resp_bulk_integer(&call->w, (i64)(us / 1000000));
    resp_bulk_integer(&call->w, (i64)(us % 1000000));
}

/* Every node answers every key, so to a client every node is a master. */
static void cmd_role(struct call *call)
{
    struct node_view view;
    u64 applied = 0;

    node_view(call->door->node, &view);
    for (u32 i = 0; i < view.member_count; i++)
        if (view.members[i].id == view.self) applied = view.members[i].applied;
    resp_array(&call->w, 3);
    resp_bulk_text(&call->w, "master");
    resp_integer(&call->w, (i64)applied);
    resp_array(&call->w, 0);
}

static void reply_ok(struct call *call)
{
    resp_simple(&call->w, "OK");
}
static void reply_zero(struct call *call)
{
    resp_integer(&call->w, 0);
}
static void reply_empty(struct call *call)
{
    resp_array(&call->w, 0);
}
static void reply_empty_map(struct call *call)
{
    resp_map(&call->w, 0);
}

static void reply_bad_subcommand(struct call *call, const char *container)
{
    resp_errorf(&call->w,
                "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                (int)size_min(call->argv[1].len, 128), (const char *)call->argv[1].at, container);
}

/* --- FUNCTION: none are stored --- */

static void cmd_function_flush(struct call *call)
{
    if (call->argc > 3)
        reply_bad_subcommand(call, "FUNCTION");
    else if (call->argc == 3 && !str_is_word(call->argv[2], "sync") &&
             !str_is_word(call->argv[2], "async"))
        resp_error(&call->w, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    else
        resp_simple(&call->w, "OK");
}

static void cmd_function_list(struct call *call)
{
    for (u32 i = 2; i < call->argc; i++) {
        if (str_is_word(call->argv[i], "withcode")) continue;
        if (!str_is_word(call->argv[i], "libraryname")) {
            resp_errorf(&call->w, "ERR Unknown argument %.*s",
                        (int)size_min(call->argv[i].len, 128), (const char *)call->argv[i].at);
            return;
        }
        if (++i == call->argc) {
            resp_error(&call->w, "ERR library name argument was not given");
            return;
        }
    }
    resp_array(&call->w, 0);
}

static void cmd_function_stats(struct call *call)
{
    resp_map(&call->w, 2);
    resp_bulk_text(&call->w, "running_script");
    resp_null(&call->w);
    resp_bulk_text(&call->w, "engines");
    resp_map(&call->w, 0);
}

/* --- SLOWLOG --- */

static void cmd_slowlog_get(struct call *call)
{
    i64 count = 0;

    if (call->argc > 3)
        reply_bad_subcommand(call, "SLOWLOG");
    else if (call->argc == 3 && (!str_to_i64(call->argv[2], &count) || count < -1))
        resp_error(&call->w, "ERR count should be greater than or equal to -1");
    else
        resp_array(&call->w, 0);
}

#define HELP          (DOOR_LOADING | DOOR_STALE)
#define ADMIN_ANYTIME (DOOR_ADMIN | DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE)

static const struct door_command function_rows[] = {
    {"function|flush", -2, DOOR_WRITE | DOOR_NOSCRIPT, cmd_function_flush, NULL, 0, 0, 0},
    {"function|help", 2, HELP, redis_reply_help, NULL, 0, 0, 0},
    {"function|list", -2, DOOR_NOSCRIPT, cmd_function_list, NULL, 0, 0, 0},
    {"function|stats", 2, DOOR_NOSCRIPT | DOOR_ALLOW_BUSY, cmd_function_stats, NULL, 0, 0, 0},
    {0},
};

static const struct door_command slowlog_rows[] = {
    {"slowlog|get", -2, DOOR_ADMIN | HELP, cmd_slowlog_get, NULL, 0, 0, 0},
    {"slowlog|help", 2, HELP, redis_reply_help, NULL, 0, 0, 0},
    {"slowlog|len", 2, DOOR_ADMIN | HELP, reply_zero, NULL, 0, 0, 0},
    {"slowlog|reset", 2, DOOR_ADMIN | HELP, reply_ok, NULL, 0, 0, 0},
    {0},
};

static const struct door_command latency_rows[] = {
    {"latency|help", 2, HELP, redis_reply_help, NULL, 0, 0, 0},
    {"latency|histogram", -2, ADMIN_ANYTIME, reply_empty_map, NULL, 0, 0, 0},
    {"latency|history", 3, ADMIN_ANYTIME, reply_empty, NULL, 0, 0, 0},
    {"latency|latest", 2, ADMIN_ANYTIME, reply_empty, NULL, 0, 0, 0},
    {"latency|reset", -2, ADMIN_ANYTIME, reply_zero, NULL, 0, 0, 0},
    {0},
};

const struct door_command redis_server_commands[] = {
    {"function", -2, 0, NULL, function_rows, 0, 0, 0},
    {"latency", -2, 0, NULL, latency_rows, 0, 0, 0},
    {"role", 1, DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE | DOOR_FAST, cmd_role, NULL, 0, 0, 0},
    {"slowlog", -2, 0, NULL, slowlog_rows, 0, 0, 0},
    {"time", 1, DOOR_LOADING | DOOR_STALE | DOOR_FAST, cmd_time, NULL, 0, 0, 0},
    {0},
};
