/* CLUSTER, ASKING, READONLY, READWRITE: what a Redis Cluster client needs to find the leader of
 * each slot of its connection's keyspace. Who asks for the map is told MOVED from then on
 * (place.c). Changing the cluster is not done from here: those subcommands name the command to use.
 */
#include "server/redis/commands/cluster_map.h"

#include "base/bytes.h"

static bool is_off(struct call *call)
{
    if (routes_map(call->door->routes)) return false;
    resp_error(&call->w, "ERR This instance has cluster support disabled");
    return true;
}

static void cmd_myid(struct call *call)
{
    char id[CLUSTER_ID_HEX + 1];

    if (is_off(call)) return;
    const struct core_node *n = core_node(routes_map(call->door->routes),
                                          (u32)call->door->config->self);
    if (!n) {
        resp_error(&call->w, "NOTREADY this node is not in its copy of the map yet");
        return;
    }
    cluster_node_id(n, id);
    resp_bulk_text(&call->w, id);
}

static void cmd_keyslot(struct call *call)
{
    resp_integer(&call->w, store_slot(call->argv[2]));
}

static void cmd_asking(struct call *call)
{
    if (is_off(call)) return;
    call->client->asking = true;
    resp_simple(&call->w, "OK");
}

static void cmd_readonly(struct call *call)
{
    if (is_off(call)) return;
    call->client->readonly = true;
    resp_simple(&call->w, "OK");
}

static void cmd_readwrite(struct call *call)
{
    if (is_off(call)) return;
    call->client->readonly = false;
    resp_simple(&call->w, "OK");
}

/* --- the keys of a slot: a SCAN from its first position on, as far as the slot goes --- */

enum { SLOT_STEP = 1000, NO_LIMIT = UINT32_MAX };

/* In s->bytes: wanted:u32, found:u32, then the keys as RESP. */
struct slot_keys {
    u32 wanted, found;
};

static struct slot_keys keys_of(const struct slot *s)
{
    struct reader r = reader_of(buf_str(&s->bytes));
    u32 wanted = reader_u32(&r);
    return (struct slot_keys){wanted, reader_u32(&r)};
}

static void ask_from(struct slot *s, u64 cursor)
{
    struct client *c = s->client;
    struct routes *r = c->door->routes;
    struct entry header = {.op = ENTRY_COMMAND};
    struct slot_keys k = keys_of(s);
    struct buf text = {0};
    struct hosted *h = NULL;
    u64 part;

    if (routes_count(r, c->keyspace))
        h = routes_at(r, c->keyspace, routes_place_of_slot(r, c->keyspace, s->walk_slot), &part);
    if (!h) {
        buf_printf(&text, "-%s\r\n", redis_absent_text);
        redis_slot_answer(s, buf_str(&text));
        buf_done(&text);
        return;
    }
    u32 step = k.wanted == NO_LIMIT ? SLOT_STEP : (u32)u64_min(SLOT_STEP, k.wanted - k.found);
    buf_printf(&text, "%llu%u", (unsigned long long)cursor, step);
    size_t split = 0;
    for (u64 left = cursor; split == 0 || left; left /= 10) split++;
    str words[] = {STR("SCAN"), str_from(buf_bytes(&text), split), STR("COUNT"),
                   str_from(buf_bytes(&text) + split, text.len - split)};
    struct rcbuf *scan = redis_command_entry(c->door, false, &header, c->db, words, 4);
    redis_slot_ask(s, h, GATEWAY_READ, redis_entry_for(c->door, rcbuf_str(scan), h->id));
    rcbuf_unref(scan);
    buf_done(&text);
}

/* Keep those of the slot; returns where to go on, 0 at the end of the slot or of the partition. */
static u64 take_keys(struct slot *s, str reply)
{
    struct slot_keys k = keys_of(s);
    u64 cursor = 0;
    str rest, whole, value;

    if (!redis_take_scan(reply, &cursor, &rest)) return 0;
    while (k.found < k.wanted && redis_take_bulk(&rest, &whole, &value)) {
        if (store_slot(value) != s->walk_slot) continue;
        k.found++;
        if (k.wanted != NO_LIMIT) buf_append_str(&s->bytes, whole);
    }
    put_u32(buf_bytes(&s->bytes) + 4, k.found);
    return cursor >> 48 == s->walk_slot && k.found < k.wanted ? cursor : 0;
}

static void finish_slot(struct slot *s, const struct gateway_reply *reply)
{
    struct buf out = {0};
    struct resp_writer w = {&out, 2};

    if (reply->failed || reply->bytes.len < 4 || reply->bytes.at[0] != '*') {
        redis_slot_answer(s, reply->bytes);
        return;
    }
    u64 cursor = take_keys(s, reply->bytes);
    if (cursor && !s->client->gone) {
        ask_from(s, cursor);
        return;
    }
    struct slot_keys k = keys_of(s);
    if (k.wanted == NO_LIMIT) {
        resp_integer(&w, k.found);
    } else {
        resp_array(&w, k.found);
        buf_append(&out, buf_bytes(&s->bytes) + 8, s->bytes.len - 8);
    }
    redis_slot_answer(s, buf_str(&out));
    buf_done(&out);
}

static void walk_slot(struct call *call, i64 slot, u32 wanted)
{
    struct client *c = call->client;

    if (call->in_exec) {
        resp_error(&call->w, "ERR not inside a transaction");
        return;
    }
    call->later = true;
    struct slot *s = redis_slot_push(c, call->request_bytes);
    s->finish = finish_slot;
    s->walk_slot = (u16)slot;
    buf_append_u32(&s->bytes, wanted);
    buf_append_u32(&s->bytes, 0);
    c->barrier = s;
    ask_from(s, (u64)slot << 48);
}

static bool has_slots(struct call *call)
{
    struct slot_map m;

    if (!cluster_map_begin(call, &m)) return false;
    cluster_map_done(&m);
    return true;
}

static void cmd_count_keys(struct call *call)
{
    i64 slot;

    if (!has_slots(call)) return;
    if (!str_to_i64(call->argv[2], &slot))
        resp_error(&call->w, "ERR value is not an integer or out of range");
    else if (slot < 0 || slot >= CORE_SLOTS)
        resp_error(&call->w, "ERR Invalid slot");
    else
        walk_slot(call, slot, NO_LIMIT);
}

static void cmd_get_keys(struct call *call)
{
    i64 slot, wanted;

    if (!has_slots(call)) return;
    if (!str_to_i64(call->argv[2], &slot) || !str_to_i64(call->argv[3], &wanted))
        resp_error(&call->w, "ERR value is not an integer or out of range");
    else if (slot < 0 || slot >= CORE_SLOTS || wanted < 0)
        resp_error(&call->w, "ERR Invalid slot or number of keys");
    else if (wanted == 0)
        resp_array(&call->w, 0);
    else
        walk_slot(call, slot, (u32)u64_min((u64)wanted, NO_LIMIT - 1));
}

/* --- what is done otherwise here --- */

static const struct {
    const char *name, *instead;
} instead_of[] = {
    {"meet", "start the new node with `quorate start --join HOST:PORT`"},
    {"forget", "use `quorate node remove`"},
    {"reset", "use `quorate node remove`, then start the node on an empty directory"},
    {"replicate", "replicas are placed by the cluster; to move one use `quorate group move`"},
    {"failover",
     "a leader that fails is replaced by itself; to empty a node use `quorate node drain`"},
    {"addslots",
     "slots are cut when a keyspace is made: `quorate ks create NAME partitions=hash:N`"},
    {"addslotsrange",
     "slots are cut when a keyspace is made: `quorate ks create NAME partitions=hash:N`"},
    {"delslots", "slots always belong to a partition; to move one use `quorate group move`"},
    {"delslotsrange", "slots always belong to a partition; to move one use `quorate group move`"},
    {"flushslots", "slots always belong to a partition; to move one use `quorate group move`"},
    {"setslot", "partitions move as a whole, with `quorate group move`"},
    {"bumpepoch", "epochs are the cluster's own; to move a partition use `quorate group move`"},
    {"set-config-epoch",
     "epochs are the cluster's own; to move a partition use `quorate group move`"},
    {"saveconfig", "the map is always saved; `quorate status` shows it"},
};

static void cmd_otherwise(struct call *call)
{
    const char *name = strchr(call->command->name, '|') + 1;

    for (size_t i = 0; i < ARRAY_LEN(instead_of); i++)
        if (strcmp(instead_of[i].name, name) == 0)
            resp_errorf(&call->w, "ERR CLUSTER %.*s is not done here: %s",
                        (int)size_min(call->argv[1].len, 32), (const char *)call->argv[1].at,
                        instead_of[i].instead);
}

#define ADMIN (DOOR_ADMIN | DOOR_STALE)

static const struct door_command cluster_rows[] = {
    {"cluster|addslots", -3, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|addslotsrange", -4, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|bumpepoch", 2, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|countkeysinslot", 3, DOOR_STALE, cmd_count_keys, NULL, 0, 0, 0},
    {"cluster|delslots", -3, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|delslotsrange", -4, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|failover", -2, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|flushslots", 2, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|forget", 3, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|getkeysinslot", 4, DOOR_STALE, cmd_get_keys, NULL, 0, 0, 0},
    {"cluster|help", 2, DOOR_LOADING | DOOR_STALE, redis_reply_help, NULL, 0, 0, 0},
    {"cluster|info", 2, DOOR_STALE, cmd_cluster_info, NULL, 0, 0, 0},
    {"cluster|keyslot", 3, DOOR_STALE, cmd_keyslot, NULL, 0, 0, 0},
    {"cluster|meet", -4, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|myid", 2, DOOR_STALE, cmd_myid, NULL, 0, 0, 0},
    {"cluster|nodes", 2, DOOR_STALE, cmd_cluster_nodes, NULL, 0, 0, 0},
    {"cluster|replicate", 3, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|reset", -2, ADMIN | DOOR_NOSCRIPT, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|saveconfig", 2, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|set-config-epoch", 3, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|setslot", -4, ADMIN, cmd_otherwise, NULL, 0, 0, 0},
    {"cluster|shards", 2, DOOR_STALE, cmd_cluster_shards, NULL, 0, 0, 0},
    {"cluster|slots", 2, DOOR_STALE, cmd_cluster_slots, NULL, 0, 0, 0},
    {0},
};

#define ANYTIME (DOOR_LOADING | DOOR_STALE | DOOR_FAST)

const struct door_command redis_cluster_commands[] = {
    {"asking", 1, DOOR_FAST, cmd_asking, NULL, 0, 0, 0},
    {"cluster", -2, 0, NULL, cluster_rows, 0, 0, 0},
    {"readonly", 1, ANYTIME, cmd_readonly, NULL, 0, 0, 0},
    {"readwrite", 1, ANYTIME, cmd_readwrite, NULL, 0, 0, 0},
    {0},
};
