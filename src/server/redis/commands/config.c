/* CONFIG: the parameters of Redis that clients ask for, with the values that are true here. Most
 * have one possible value; setting them to it is allowed, because many programs do at start, and
 * setting another names what is supported. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"

struct parameter {
    const char *name;
    const char *fixed; /* its only value; NULL: `get` says it */
    i64 (*get)(const struct redis_door *d);
    const char *(*get_text)(const struct redis_door *d);
    bool (*set)(struct redis_door *d,
                i64 value); /* NULL: can not be changed; false: out of range */
};

static i64 get_port(const struct redis_door *d)
{
    return redis_door_port(d);
}
static i64 get_clients_max(const struct redis_door *d)
{
    return d->clients_max;
}
static i64 get_bulk_max(const struct redis_door *d)
{
    return (i64)d->config->value_bytes_max;
}
static i64 get_databases(const struct redis_door *d)
{
    return (void)d, KV_DATABASES;
}
static const char *get_bind(const struct redis_door *d)
{
    return d->config->host;
}

static const char *get_cluster_enabled(const struct redis_door *d)
{
    return routes_map(d->routes) ? "yes" : "no";
}

/* Never above what the process was started with: its open files were counted for that. */
static bool set_clients_max(struct redis_door *d, i64 value)
{
    if (value < 1 || value > d->config->clients_max) return false;
    d->clients_max = (u32)value;
    return true;
}

static const struct parameter parameters[] = {
    {"activedefrag", "no", NULL, NULL, NULL},
    {"appendfsync", "always", NULL, NULL, NULL},
    {"appendonly", "yes", NULL, NULL, NULL},
    {"bind", NULL, NULL, get_bind, NULL},
    {"cluster-enabled", NULL, NULL, get_cluster_enabled, NULL},
    {"databases", NULL, get_databases, NULL, NULL},
    {"dbfilename", "", NULL, NULL, NULL},
    {"dir", ".", NULL, NULL, NULL},
    {"hz", "10", NULL, NULL, NULL},
    {"latency-monitor-threshold", "0", NULL, NULL, NULL},
    {"lazyfree-lazy-user-flush", "no", NULL, NULL, NULL},
    {"maxclients", NULL, get_clients_max, NULL, set_clients_max},
    {"maxmemory", "0", NULL, NULL, NULL},
    {"maxmemory-policy", "noeviction", NULL, NULL, NULL},
    {"maxmemory-samples", "5", NULL, NULL, NULL},
    {"min-replicas-to-write", "0", NULL, NULL, NULL},
    {"min-slaves-to-write", "0", NULL, NULL, NULL},
    {"notify-keyspace-events", "", NULL, NULL, NULL},
    {"port", NULL, get_port, NULL, NULL},
    {"proto-max-bulk-len", NULL, get_bulk_max, NULL, NULL},
    {"replica-read-only", "yes", NULL, NULL, NULL},
    {"requirepass", "", NULL, NULL, NULL},
    {"save", "", NULL, NULL, NULL},
    {"slave-read-only", "yes", NULL, NULL, NULL},
    {"slowlog-log-slower-than", "-1", NULL, NULL, NULL},
    {"slowlog-max-len", "0", NULL, NULL, NULL},
    {"tcp-keepalive", "60", NULL, NULL, NULL},
    {"timeout", "0", NULL, NULL, NULL},
    {"unixsocket", "", NULL, NULL, NULL},
};

enum { VALUE_MAX = NODE_HOST_MAX };

static str value_of(const struct redis_door *d, const struct parameter *p, u8 out[VALUE_MAX])
{
    if (p->fixed) return str_of(p->fixed);
    if (p->get_text) return str_of(p->get_text(d));
    return str_from(out, resp_format_i64(p->get(d), out));
}

static const struct parameter *parameter_find(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        if (str_is_word(name, parameters[i].name)) return &parameters[i];
    return NULL;
}

/* --- CONFIG GET --- */

static bool is_pattern(str s)
{
    return s.len &&
           (memchr(s.at, '*', s.len) || memchr(s.at, '?', s.len) || memchr(s.at, '[', s.len));
}

/* Which argument asks for this parameter first? 0: none. */
static u32 asked_by(const struct call *call, const struct parameter *p)
{
    for (u32 i = 2; i < call->argc; i++) {
        str arg = call->argv[i];
        bool hit = is_pattern(arg) ? redis_glob_matches_name(arg, p->name)
                                   : str_is_word(arg, p->name);
        if (hit) return i;
    }
    return 0;
}

static void cmd_get(struct call *call)
{
    u8 value[VALUE_MAX];
    u32 count = 0;

    for (size_t i = 0; i < ARRAY_LEN(parameters); i++) count += asked_by(call, &parameters[i]) != 0;
    resp_map(&call->w, count);
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
        u32 by = asked_by(call, &parameters[i]);
        if (!by) continue;
        /* Redis spells a plainly named parameter as the client did */
        if (is_pattern(call->argv[by]))
            resp_bulk_text(&call->w, parameters[i].name);
        else
            resp_bulk(&call->w, call->argv[by]);
        resp_bulk(&call->w, value_of(call->door, &parameters[i], value));
    }
}

/* --- CONFIG SET --- */

static bool same_word(str a, str b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        u8 x = a.at[i], y = b.at[i];
        if (x >= 'A' && x <= 'Z') x |= 0x20;
        if (y >= 'A' && y <= 'Z') y |= 0x20;
        if (x != y) return false;
    }
    return true;
}

/* May this be set to this? Replies with the error if not. */
static bool check_value(struct call *call, str name, str value)
{
    const struct parameter *p = parameter_find(name);
    u8 text[VALUE_MAX];
    i64 number;

    if (!p) {
        resp_errorf(&call->w, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                    (int)size_min(name.len, 128), (const char *)name.at);
        return false;
    }
    str present = value_of(call->door, p, text);
    if (same_word(value, present)) return true;
    if (p->set && str_to_i64(value, &number) && number >= 1 &&
        number <= call->door->config->clients_max)
        return true;
    if (p->set)
        resp_errorf(&call->w,
                    "ERR CONFIG SET failed (possibly related to argument '%s') - argument must be "
                    "between 1 and %u inclusive",
                    p->name, call->door->config->clients_max);
    else
        resp_errorf(&call->w,
                    "ERR CONFIG SET failed (possibly related to argument '%s') - only '%.*s' is "
                    "supported here",
                    p->name, STR_ARG(present));
    return false;
}

static bool is_repeated(const struct call *call, u32 at)
{
    for (u32 i = 2; i < at; i += 2)
        if (same_word(call->argv[i], call->argv[at])) return true;
    return false;
}

static void cmd_set(struct call *call)
{
    if (call->argc % 2) {
        resp_error(&call->w, "ERR syntax error");
        return;
    }
    for (u32 i = 2; i < call->argc; i += 2) { /* all or nothing */
        if (!check_value(call, call->argv[i], call->argv[i + 1])) return;
        if (!is_repeated(call, i)) continue;
        resp_errorf(
            &call->w,
            "ERR CONFIG SET failed (possibly related to argument '%.*s') - duplicate parameter",
            STR_ARG(call->argv[i]));
        return;
    }
    for (u32 i = 2; i < call->argc; i += 2) {
        const struct parameter *p = parameter_find(call->argv[i]);
        i64 number;
        if (!p->set || !str_to_i64(call->argv[i + 1], &number)) continue;
        bool done = p->set(call->door, number);
        assert(done);
    }
    resp_simple(&call->w, "OK");
}

static void cmd_resetstat(struct call *call)
{
    redis_door_reset_stats(call->door);
    resp_simple(&call->w, "OK");
}

static void cmd_rewrite(struct call *call)
{
    resp_error(&call->w, "ERR The server is running without a config file");
}

#define ADMIN_ANYTIME (DOOR_ADMIN | DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE)

static const struct door_command subcommands[] = {
    {"config|get", -3, ADMIN_ANYTIME, cmd_get, NULL, 0, 0, 0},
    {"config|help", 2, DOOR_LOADING | DOOR_STALE, redis_reply_help, NULL, 0, 0, 0},
    {"config|resetstat", 2, ADMIN_ANYTIME, cmd_resetstat, NULL, 0, 0, 0},
    {"config|rewrite", 2, ADMIN_ANYTIME, cmd_rewrite, NULL, 0, 0, 0},
    {"config|set", -4, ADMIN_ANYTIME, cmd_set, NULL, 0, 0, 0},
    {0},
};

const struct door_command redis_config_commands[] = {
    {"config", -2, 0, NULL, subcommands, 0, 0, 0},
    {0},
};
