/* INFO: sections are rows, each a writer. Keys have Redis's names where what they say is true here;
 * what has no meaning here is left out. */
#include "server/redis/redis_internal.h"

#include "base/hex.h"

#include <stdio.h>

struct info {
    const struct redis_door *door;
    struct keyspace_routes *keyspace; /* of the connection that asks */
    struct node_view view;
    const struct node_peer_view *self; /* in view; NULL before the node knows itself */
    nanos now;
    struct buf *out;
};

/* 1536 as 1.50K, as Redis rounds. */
static void put_human(struct buf *out, const char *key, u64 bytes)
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 2 < sizeof units) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        buf_printf(out, "%s:%lluB\r\n", key, (unsigned long long)bytes);
    else
        buf_printf(out, "%s:%.2f%c\r\n", key, value, units[unit]);
}

static void put_number(struct buf *out, const char *key, u64 value)
{
    buf_printf(out, "%s:%llu\r\n", key, (unsigned long long)value);
}

static void put_text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "%s:%s\r\n", key, value);
}

/* 40 hex digits that are new at every start, as Redis's are. */
static void put_run_id(const struct info *i, const char *key)
{
    buf_printf(i->out, "%s:", key);
    hex_append(i->out, i->view.cluster_id, sizeof i->view.cluster_id);
    buf_printf(i->out, "%02x%06x\r\n", i->view.self & 0xff, i->view.boot & 0xffffff);
}

static void info_server(const struct info *i)
{
    u64 up = (i->now - i->view.started_at) / NANOS_SEC;

    put_text(i->out, "redis_version", REDIS_VERSION);
    put_text(i->out, "redis_mode", "standalone");
    put_text(i->out, "os", "Linux");
    put_number(i->out, "arch_bits", 64);
    put_number(i->out, "process_id", i->door->config->pid);
    put_run_id(i, "run_id");
    put_number(i->out, "tcp_port", redis_door_port(i->door));
    put_number(i->out, "server_time_usec", env_wall_us(i->door->env));
    put_number(i->out, "uptime_in_seconds", up);
    put_number(i->out, "uptime_in_days", up / 86400);
    put_number(i->out, "hz", 10);
    put_number(i->out, "configured_hz", 10);
    put_text(i->out, "executable", "quorate");
    put_text(i->out, "config_file", "");
}

static void info_clients(const struct info *i)
{
    u32 blocked = 0;

    LIST_EACH(at, (struct list *)(void *)&i->door->clients)
    blocked += CONTAINER_OF(at, struct client, all)->barrier != NULL;
    put_number(i->out, "connected_clients", i->door->client_count);
    put_number(i->out, "maxclients", i->door->clients_max);
    put_number(i->out, "blocked_clients", blocked);
    put_number(i->out, "tracking_clients", 0);
}

static void info_memory(const struct info *i)
{
    u64 used = node_memory_used(i->door->node), budget = i->door->config->memory_bytes;

    put_number(i->out, "used_memory", used);
    put_human(i->out, "used_memory_human", used);
    put_number(i->out, "maxmemory", 0);
    put_text(i->out, "maxmemory_human", "0B");
    put_text(i->out, "maxmemory_policy", "noeviction");
    put_number(i->out, "memory_budget", budget);
    put_human(i->out, "memory_budget_human", budget);
}

static void info_persistence(const struct info *i)
{
    put_number(i->out, "loading", 0);
    put_number(i->out, "async_loading", 0);
    put_number(i->out, "rdb_bgsave_in_progress", 0);
    put_text(i->out, "rdb_last_bgsave_status", "ok");
    put_number(i->out, "aof_enabled", 1);
    put_number(i->out, "aof_rewrite_in_progress", 0);
    put_text(i->out, "aof_last_write_status", "ok");
}

static void info_stats(const struct info *i)
{
    const struct redis_door_stats *s = &i->door->stats;
    u64 ops = i->door->rate_per_second;
    nanos since = i->now - i->door->rate_at;

    if (since >= NANOS_SEC) ops = (s->commands - i->door->rate_commands) * NANOS_SEC / since;
    put_number(i->out, "total_connections_received", s->accepted);
    put_number(i->out, "total_commands_processed", s->commands);
    put_number(i->out, "instantaneous_ops_per_sec", ops);
    put_number(i->out, "total_net_input_bytes", s->bytes_in);
    put_number(i->out, "total_net_output_bytes", s->bytes_out);
    put_number(i->out, "rejected_connections", s->rejected);
    put_number(i->out, "evicted_keys", 0);
    put_number(i->out, "keyspace_hits", i->door->lookup_hits);
    put_number(i->out, "keyspace_misses", i->door->lookup_misses);
    put_number(i->out, "pubsub_channels", 0);
    put_number(i->out, "pubsub_patterns", 0);
    put_number(i->out, "total_error_replies", i->door->errors);
    put_number(i->out, "protocol_errors", s->protocol_errors);
    put_number(i->out, "client_output_buffer_limit_disconnections", s->output_dropped);
}

static void info_replication(const struct info *i)
{
    put_text(i->out, "role", "master");
    put_number(i->out, "connected_slaves", 0);
    put_text(i->out, "master_failover_state", "no-failover");
    put_run_id(i, "master_replid");
    put_text(i->out, "master_replid2", "0000000000000000000000000000000000000000");
    put_number(i->out, "master_repl_offset", i->self ? i->self->applied : 0);
    put_text(i->out, "second_repl_offset", "-1");
    put_number(i->out, "repl_backlog_active", 0);
}

static void info_cpu(const struct info *i)
{
    struct env *env = i->door->env;
    u64 user = 0, system = 0;

    if (env->ops->cpu_us) env->ops->cpu_us(env, &user, &system);
    buf_printf(i->out, "used_cpu_sys:%llu.%06llu\r\n", (unsigned long long)(system / 1000000),
               (unsigned long long)(system % 1000000));
    buf_printf(i->out, "used_cpu_user:%llu.%06llu\r\n", (unsigned long long)(user / 1000000),
               (unsigned long long)(user % 1000000));
}

static void info_modules(const struct info *i)
{
    (void)i;
}

static void info_errorstats(const struct info *i)
{
    for (u32 n = 0; n < i->door->error_name_count; n++)
        buf_printf(i->out, "errorstat_%s:count=%llu\r\n", i->door->error_names[n].name,
                   (unsigned long long)i->door->error_names[n].count);
}

static void info_cluster(const struct info *i)
{
    put_number(i->out, "cluster_enabled", routes_map(i->door->routes) != NULL);
}

/* In the partitions of which this node has a replica. */
static struct kv_db_stats keys_here(const struct info *i, u8 db)
{
    struct routes *r = i->door->routes;
    struct kv_db_stats sum = {0};
    u64 part;

    for (u32 at = 0; at < routes_count(r, i->keyspace); at++) {
        struct kv_db_stats s = {0};
        struct hosted *h = routes_at(r, i->keyspace, at, &part);
        if (h) redis_door_db_stats(h, db, &s);
        sum.keys += s.keys;
        sum.expires += s.expires;
    }
    return sum;
}

static void info_keyspace(const struct info *i)
{
    for (u8 db = 0; db < KV_DATABASES; db++) {
        struct kv_db_stats s = keys_here(i, db);
        if (s.keys)
            buf_printf(i->out, "db%u:keys=%llu,expires=%llu,avg_ttl=0\r\n", db,
                       (unsigned long long)s.keys, (unsigned long long)s.expires);
    }
}

static void info_quorate(const struct info *i)
{
    static const char *const roles[RAFT_ROLES] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRECANDIDATE] = "candidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };

    buf_append_text(i->out, "cluster_id:");
    hex_append(i->out, i->view.cluster_id, sizeof i->view.cluster_id);
    buf_append_text(i->out, "\r\n");
    put_number(i->out, "node", i->view.self);
    put_number(i->out, "boot", i->view.boot);
    put_number(i->out, "members", i->view.member_count);
    put_number(i->out, "leader", i->view.leader);
    put_number(i->out, "serving", i->view.serving);
    if (!i->self) return;
    put_text(i->out, "raft_role", i->self->role < RAFT_ROLES ? roles[i->self->role] : "unknown");
    put_number(i->out, "term", i->self->term);
    put_number(i->out, "commit", i->self->commit);
    put_number(i->out, "applied", i->self->applied);
}

static const struct {
    const char *name, *title;
    bool by_default;
    void (*write)(const struct info *i);
} sections[] = {
    {"server", "Server", true, info_server},
    {"clients", "Clients", true, info_clients},
    {"memory", "Memory", true, info_memory},
    {"persistence", "Persistence", true, info_persistence},
    {"stats", "Stats", true, info_stats},
    {"replication", "Replication", true, info_replication},
    {"cpu", "CPU", true, info_cpu},
    {"modules", "Modules", true, info_modules},
    {"errorstats", "Errorstats", true, info_errorstats},
    {"cluster", "Cluster", true, info_cluster},
    {"keyspace", "Keyspace", true, info_keyspace},
    {"quorate", "Quorate", true, info_quorate},
};

static bool is_wanted(const struct call *call, size_t section)
{
    if (call->argc == 1) return sections[section].by_default;
    for (u32 a = 1; a < call->argc; a++) {
        str arg = call->argv[a];
        if (str_is_word(arg, sections[section].name)) return true;
        if (str_is_word(arg, "all") || str_is_word(arg, "everything")) return true;
        if (str_is_word(arg, "default") && sections[section].by_default) return true;
    }
    return false;
}

static void cmd_info(struct call *call)
{
    struct buf text;
    struct info i = {.door = call->door,
                     .keyspace = call->client->keyspace,
                     .now = node_now(call->door->node),
                     .out = &text};
    bool first = true;

    buf_init(&text, 0);
    node_view(call->door->node, &i.view);
    for (u32 m = 0; m < i.view.member_count; m++)
        if (i.view.members[m].id == i.view.self) i.self = &i.view.members[m];
    for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
        if (!is_wanted(call, s)) continue;
        buf_printf(&text, "%s# %s\r\n", first ? "" : "\r\n", sections[s].title);
        sections[s].write(&i);
        first = false;
    }
    resp_verbatim_txt(&call->w, buf_str(&text));
    buf_done(&text);
}

const struct door_command redis_info_commands[] = {
    {"info", -1, DOOR_LOADING | DOOR_STALE, cmd_info, NULL, 0, 0, 0},
    {0},
};
