/* CLUSTER SLOTS, SHARDS, NODES and INFO: the map, as Redis 7.0 would tell it. A node may lead some
 * partitions and follow in others, which Redis does not know: in SLOTS and SHARDS it is the master
 * of what it leads and a replica of what it follows in; NODES has one line for it, which says
 * master if it leads anything. */
#include "server/redis/commands/cluster_map.h"

#include "base/hex.h"
#include "base/mem.h"
#include "server/node_internal.h"

#include <stdio.h>

void cluster_node_id(const struct core_node *n, char out[CLUSTER_ID_HEX + 1])
{
    hex_write(n->incarnation.bytes, sizeof n->incarnation.bytes, out);
    snprintf(out + 2 * sizeof n->incarnation.bytes, 9, "%08x", n->id);
}

/* --- spans --- */

static bool is_reachable(const struct redis_door *d, node_id node)
{
    return node == d->config->self || peers_is_connected(node_peers(d->node), node);
}

static void describe(struct redis_door *d, const struct core_part *p, struct slot_span *s)
{
    node_id leader = routes_leader(d->routes, p->id);

    *s = (struct slot_span){.first = p->slot_first, .last = p->slot_last};
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].node == leader) s->master = leader;
    s->is_led = s->master != 0;
    if (!s->master) s->master = p->members[0].node; /* clients want every slot to have one */
    for (u32 i = 0; i < p->member_count; i++) {
        const struct core_member *m = &p->members[i];
        if (m->node == s->master || m->role != CORE_VOTER || !is_reachable(d, m->node)) continue;
        u32 at = s->replica_count++;
        for (; at && s->replicas[at - 1] > m->node; at--) s->replicas[at] = s->replicas[at - 1];
        s->replicas[at] = m->node;
    }
}

static bool same_nodes(const struct slot_span *a, const struct slot_span *b)
{
    return a->master == b->master && a->is_led == b->is_led &&
           a->replica_count == b->replica_count &&
           mem_equal(a->replicas, b->replicas, a->replica_count * sizeof a->replicas[0]);
}

bool cluster_map_begin(struct call *call, struct slot_map *out)
{
    struct redis_door *d = call->door;
    const struct core *core = routes_map(d->routes);
    const struct core_keyspace *k = core ? core_keyspace(core, call->client->keyspace->id) : NULL;

    *out = (struct slot_map){.core = core};
    if (!core) {
        resp_error(&call->w, "ERR This instance has cluster support disabled");
        return false;
    }
    if (!k || k->settings[CORE_PARTITIONS] == 0) {
        resp_error(&call->w,
                   k ? "ERR the keyspace of this connection is cut by key ranges and has no slots"
                     : "ERR the keyspace of this connection was dropped");
        return false;
    }
    out->spans = mem_zalloc_array(k->part_count, sizeof *out->spans);
    for (u32 i = 0; i < k->part_count; i++) {
        struct slot_span s, *last = out->count ? &out->spans[out->count - 1] : NULL;
        describe(d, k->parts[i], &s);
        if (last && same_nodes(last, &s))
            last->last = s.last;
        else
            out->spans[out->count++] = s;
    }
    return true;
}

void cluster_map_done(struct slot_map *m)
{
    mem_free(m->spans);
}

/* --- addresses --- */

static str host_of(str address)
{
    size_t at = address.len;
    while (at && address.at[at - 1] != ':') at--;
    return at ? str_from(address.at, at - 1) : address;
}

static i64 port_of(str address)
{
    str host = host_of(address);
    i64 port = 0;

    if (host.len < address.len)
        str_to_i64(str_from(address.at + host.len + 1, address.len - host.len - 1), &port);
    return port;
}

/* --- SLOTS --- */

static void put_slots_node(struct resp_writer *w, const struct core *core, node_id node)
{
    const struct core_node *n = core_node(core, (u32)node);
    char id[CLUSTER_ID_HEX + 1] = "";
    str address = n ? core_str(&n->redis) : STR("");

    if (n) cluster_node_id(n, id);
    resp_array(w, 4);
    resp_bulk(w, host_of(address));
    resp_integer(w, port_of(address));
    resp_bulk_text(w, id);
    resp_map(w, 0);
}

void cmd_cluster_slots(struct call *call)
{
    struct slot_map m;
    struct resp_writer *w = &call->w;

    if (!cluster_map_begin(call, &m)) return;
    call->client->asked_map = true;
    resp_array(w, m.count);
    for (u32 i = 0; i < m.count; i++) {
        const struct slot_span *s = &m.spans[i];
        resp_array(w, 3 + s->replica_count);
        resp_integer(w, s->first);
        resp_integer(w, s->last);
        put_slots_node(w, m.core, s->master);
        for (u32 r = 0; r < s->replica_count; r++) put_slots_node(w, m.core, s->replicas[r]);
    }
    cluster_map_done(&m);
}

/* --- SHARDS --- */

static void put_field(struct resp_writer *w, const char *name, str value)
{
    resp_bulk_text(w, name);
    resp_bulk(w, value);
}

static void put_shards_node(struct call *call, const struct core *core, node_id node,
                            bool is_master)
{
    struct resp_writer *w = &call->w;
    const struct core_node *n = core_node(core, (u32)node);
    char id[CLUSTER_ID_HEX + 1] = "";
    str address = n ? core_str(&n->redis) : STR("");

    if (n) cluster_node_id(n, id);
    resp_map(w, 7);
    put_field(w, "id", str_of(id));
    resp_bulk_text(w, "port");
    resp_integer(w, port_of(address));
    put_field(w, "ip", host_of(address));
    put_field(w, "endpoint", host_of(address));
    put_field(w, "role", is_master ? STR("master") : STR("replica"));
    resp_bulk_text(w, "replication-offset");
    resp_integer(w, 0);
    put_field(w, "health", is_reachable(call->door, node) ? STR("online") : STR("fail"));
}

/* Is there an earlier span of the same nodes? Then it has told of this one. */
static bool is_told(const struct slot_map *m, u32 at)
{
    for (u32 i = 0; i < at; i++)
        if (same_nodes(&m->spans[i], &m->spans[at])) return true;
    return false;
}

static void put_shard(struct call *call, const struct slot_map *m, u32 at)
{
    struct resp_writer *w = &call->w;
    const struct slot_span *s = &m->spans[at];
    u32 spans = 0;

    for (u32 i = at; i < m->count; i++) spans += same_nodes(&m->spans[i], s);
    resp_map(w, 2);
    resp_bulk_text(w, "slots");
    resp_array(w, 2 * spans);
    for (u32 i = at; i < m->count; i++) {
        if (!same_nodes(&m->spans[i], s)) continue;
        resp_integer(w, m->spans[i].first);
        resp_integer(w, m->spans[i].last);
    }
    resp_bulk_text(w, "nodes");
    resp_array(w, 1 + s->replica_count);
    put_shards_node(call, m->core, s->master, true);
    for (u32 r = 0; r < s->replica_count; r++)
        put_shards_node(call, m->core, s->replicas[r], false);
}

void cmd_cluster_shards(struct call *call)
{
    struct slot_map m;
    u32 shards = 0;

    if (!cluster_map_begin(call, &m)) return;
    call->client->asked_map = true;
    for (u32 i = 0; i < m.count; i++) shards += !is_told(&m, i);
    resp_array(&call->w, shards);
    for (u32 i = 0; i < m.count; i++)
        if (!is_told(&m, i)) put_shard(call, &m, i);
    cluster_map_done(&m);
}

/* --- NODES --- */

/* Whose replica is it, as Redis would see it? 0: it leads something, or has nothing of the
 * keyspace. */
static node_id master_of(const struct slot_map *m, node_id node)
{
    node_id master = 0;

    for (u32 i = 0; i < m->count; i++) {
        const struct slot_span *s = &m->spans[i];
        if (s->master == node) return 0;
        for (u32 r = 0; r < s->replica_count && !master; r++)
            if (s->replicas[r] == node) master = s->master;
    }
    return master;
}

static void put_line(struct call *call, const struct slot_map *m, const struct core_node *n,
                     struct buf *out)
{
    struct redis_door *d = call->door;
    node_id master = master_of(m, n->id);
    const struct core_node *of = master ? core_node(m->core, (u32)master) : NULL;
    bool reachable = is_reachable(d, n->id);
    char id[CLUSTER_ID_HEX + 1], of_id[CLUSTER_ID_HEX + 1] = "-";

    cluster_node_id(n, id);
    if (of) cluster_node_id(of, of_id);
    buf_printf(out, "%s %.*s@%lld %s%s%s %s 0 0 %llu %s", id, STR_ARG(core_str(&n->redis)),
               (long long)port_of(core_str(&n->peer)), n->id == d->config->self ? "myself," : "",
               of ? "slave" : "master", reachable ? "" : ",fail?", of_id,
               (unsigned long long)n->changed, reachable ? "connected" : "disconnected");
    for (u32 i = 0; i < m->count; i++) {
        const struct slot_span *s = &m->spans[i];
        if (s->master != n->id) continue;
        if (s->first == s->last)
            buf_printf(out, " %u", s->first);
        else
            buf_printf(out, " %u-%u", s->first, s->last);
    }
    buf_append_u8(out, '\n');
}

void cmd_cluster_nodes(struct call *call)
{
    struct slot_map m;
    struct buf text;
    u32 count;

    if (!cluster_map_begin(call, &m)) return;
    call->client->asked_map = true;
    buf_init(&text, 0);
    const struct core_node *const *nodes = core_nodes(m.core, &count);
    for (u32 i = 0; i < count; i++)
        if (nodes[i]->state != CORE_REMOVED) put_line(call, &m, nodes[i], &text);
    resp_verbatim_txt(&call->w, buf_str(&text));
    buf_done(&text);
    cluster_map_done(&m);
}

/* --- INFO --- */

static u32 masters_in(const struct slot_map *m)
{
    u32 masters = 0;

    for (u32 i = 0; i < m->count; i++) {
        bool seen = false;
        for (u32 j = 0; j < i && !seen; j++) seen = m->spans[j].master == m->spans[i].master;
        masters += !seen;
    }
    return masters;
}

void cmd_cluster_info(struct call *call)
{
    struct slot_map m;
    struct buf text;
    u32 count, nodes = 0, led = 0;

    if (!cluster_map_begin(call, &m)) return;
    const struct core_node *const *all = core_nodes(m.core, &count);
    u64 epoch = core_cluster(m.core)->epoch;
    for (u32 i = 0; i < count; i++) nodes += all[i]->state != CORE_REMOVED;
    for (u32 i = 0; i < m.count; i++)
        if (m.spans[i].is_led) led += 1u + m.spans[i].last - m.spans[i].first;
    buf_init(&text, 0);
    buf_printf(&text,
               "cluster_state:%s\r\ncluster_slots_assigned:%u\r\ncluster_slots_ok:%u\r\n"
               "cluster_slots_pfail:%u\r\ncluster_slots_fail:0\r\n",
               led == CORE_SLOTS ? "ok" : "fail", (u32)CORE_SLOTS, led, CORE_SLOTS - led);
    buf_printf(
        &text,
        "cluster_known_nodes:%u\r\ncluster_size:%u\r\ncluster_current_epoch:%llu\r\n"
        "cluster_my_epoch:%llu\r\ncluster_stats_messages_sent:0\r\n"
        "cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n",
        nodes, masters_in(&m), (unsigned long long)epoch, (unsigned long long)epoch);
    resp_verbatim_txt(&call->w, buf_str(&text));
    buf_done(&text);
    cluster_map_done(&m);
}
