/* GET /v1/...: the map of the cluster as this node has it, with its epoch. */
#include "server/admin/admin_internal.h"

#include "base/hex.h"
#include "base/search.h"

#include <stdio.h>

const struct core *admin_map(struct admin_request *r)
{
    struct cluster *cluster = node_cluster(r->door->node);
    const struct core *map = cluster ? cluster_map(cluster) : NULL;

    if (map && core_cluster(map)) return map;
    admin_refuse(
        r->reply, 503, "NOTFOUNDED",
        "this node has no map of a cluster yet: it is starting or joining; ask another, or "
        "look into its log");
    return NULL;
}

static struct buf *begin(struct admin_request *r, const struct core *map, bool *first)
{
    struct buf *out = &r->reply->body;

    r->reply->type = "application/json";
    *first = true;
    buf_append_u8(out, '{');
    json_put_number(out, first, "epoch", core_cluster(map)->epoch);
    return out;
}

static void put_printed(struct buf *out, bool *first, const char *name, const struct buf *value)
{
    i64 number;

    json_put_name(out, first, name);
    if (str_to_i64(buf_str(value), &number))
        buf_append_str(out, buf_str(value));
    else
        json_put(out, buf_str(value));
}

/* ---- keyspaces ---- */

static void put_keyspace(struct buf *out, const struct core_keyspace *k)
{
    struct buf value = {0};
    bool first = true;
    u32 leaders = 0;

    buf_append_u8(out, '{');
    json_put_text(out, &first, "name", core_str(&k->name));
    json_put_number(out, &first, "id", k->id);
    for (u32 s = 0; s < CORE_KEYSPACE_SETTINGS; s++) {
        buf_clear(&value);
        core_keyspace_setting_print(s, k->settings[s], &value);
        put_printed(out, &first, core_keyspace_setting_name(s), &value);
    }
    for (u32 i = 0; i < k->part_count; i++) leaders += k->parts[i]->leader != 0;
    json_put_number(out, &first, "groups", k->part_count);
    json_put_number(out, &first, "led", leaders);
    json_put_bool(out, &first, "accepted-risk", k->accepted_risk);
    json_put_number(out, &first, "changed", k->changed);
    buf_append_u8(out, '}');
    buf_done(&value);
}

void admin_get_keyspaces(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    bool first;
    u32 count;

    if (!map) return;
    struct buf *out = begin(r, map, &first);
    const struct core_keyspace *const *all = core_keyspaces(map, &count);
    json_put_name(out, &first, "keyspaces");
    buf_append_u8(out, '[');
    for (u32 i = 0; i < count; i++) {
        if (i) buf_append_u8(out, ',');
        put_keyspace(out, all[i]);
    }
    buf_append_text(out, "]}\n");
}

void admin_get_keyspace(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    bool first;

    if (!map) return;
    const struct core_keyspace *k = core_keyspace_named(map, r->name);
    if (!k) {
        admin_refuse(r->reply, 404, "NOSUCH",
                     "there is no keyspace %.*s; quorate ks list shows them", STR_ARG(r->name));
        return;
    }
    struct buf *out = begin(r, map, &first);
    json_put_name(out, &first, "keyspace");
    put_keyspace(out, k);
    buf_append_text(out, "}\n");
}

/* ---- nodes ---- */

static const char *const node_states[] = {
    [CORE_JOINING] = "joining", [CORE_UP] = "up",           [CORE_DRAINING] = "draining",
    [CORE_DRAINED] = "drained", [CORE_REMOVED] = "removed",
};

static const struct core_node_fact *fact_of_node(const struct core_facts *facts, u32 id)
{
    for (u32 i = 0; facts && i < facts->node_count; i++)
        if (facts->nodes[i].node == id) return &facts->nodes[i];
    return NULL;
}

static u32 leaders_on(const struct core *map, u32 node)
{
    u32 count, found = 0;
    const struct core_part *const *parts = core_parts(map, &count);

    for (u32 i = 0; i < count; i++)
        for (u32 m = 0; m < parts[i]->member_count; m++)
            found += parts[i]->leader && parts[i]->members[m].replica == parts[i]->leader &&
                     parts[i]->members[m].node == node;
    return found;
}

static void put_hex(struct buf *out, bool *first, const char *name, const struct core_uuid *id)
{
    json_put_name(out, first, name);
    buf_append_u8(out, '"');
    hex_append(out, id->bytes, sizeof id->bytes);
    buf_append_u8(out, '"');
}

static void put_node(struct buf *out, const struct core *map, const struct core_node *n,
                     const struct core_node_fact *fact)
{
    bool first = true;

    buf_append_u8(out, '{');
    json_put_number(out, &first, "id", n->id);
    json_put_text(out, &first, "state", str_of(node_states[n->state]));
    json_put_text(out, &first, "peer", core_str(&n->peer));
    json_put_text(out, &first, "redis", core_str(&n->redis));
    json_put_text(out, &first, "admin", core_str(&n->admin));
    json_put_text(out, &first, "rack", core_str(&n->rack));
    json_put_number(out, &first, "version-min", n->version_min);
    json_put_number(out, &first, "version-max", n->version_max);
    json_put_number(out, &first, "replicas", n->replicas);
    json_put_number(out, &first, "leaders", leaders_on(map, n->id));
    if (fact) { /* else nothing was heard of it here */
        json_put_bool(out, &first, "alive", fact->alive);
        json_put_number(out, &first, "silent-ms", fact->alive ? 0 : fact->silent_ms);
        json_put_bool(out, &first, "busy", fact->busy);
        json_put_number(out, &first, "disk-used", fact->disk_used);
        json_put_number(out, &first, "disk-bytes", fact->disk_bytes);
    }
    put_hex(out, &first, "incarnation", &n->incarnation);
    buf_append_u8(out, '}');
}

void admin_get_nodes(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    bool first, with_removed = str_equal(admin_param(r->params, "removed"), STR("1"));
    u32 count, put = 0;

    if (!map) return;
    struct cluster *cluster = node_cluster(r->door->node);
    const struct core_facts *facts = cluster_facts(cluster);
    const struct core_node *const *all = core_nodes(map, &count);
    struct buf *out = begin(r, map, &first);
    json_put_number(out, &first, "self", node_config_of(r->door->node)->self);
    json_put_number(out, &first, "core-leader", cluster_core_leader(cluster));
    json_put_name(out, &first, "nodes");
    buf_append_u8(out, '[');
    for (u32 i = 0; i < count; i++) {
        if (all[i]->state == CORE_REMOVED && !with_removed) continue;
        if (put++) buf_append_u8(out, ',');
        put_node(out, map, all[i], fact_of_node(facts, all[i]->id));
    }
    buf_append_text(out, "]}\n");
}

/* ---- groups: the partitions ---- */

static const struct core_part_fact *fact_of_part(const struct core_facts *facts, u64 id)
{
    u32 low;

    LOWER_BOUND(low, facts ? facts->part_count : 0, facts->parts[low].part < id);
    return facts && low < facts->part_count && facts->parts[low].part == id ? &facts->parts[low]
                                                                            : NULL;
}

static bool is_caught_up(const struct core_part_fact *fact, u32 replica)
{
    for (u32 i = 0; i < fact->caught_up_count; i++)
        if (fact->caught_up[i] == replica) return true;
    return false;
}

static void put_member(struct buf *out, const struct core_member *m,
                       const struct core_part_fact *fact)
{
    bool first = true;

    buf_append_u8(out, '{');
    json_put_number(out, &first, "replica", m->replica);
    json_put_number(out, &first, "node", m->node);
    json_put_text(out, &first, "role", str_of(m->role == CORE_VOTER ? "voter" : "learner"));
    if (fact) json_put_bool(out, &first, "caught-up", is_caught_up(fact, m->replica));
    buf_append_u8(out, '}');
}

static u32 node_of(const struct core_part *p, u32 replica)
{
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].replica == replica) return p->members[i].node;
    return 0;
}

static void put_op(struct buf *out, const struct core_part *p)
{
    static const char *const kinds[CORE_OP_KINDS] = {"none",  "move",  "remove",
                                                     "split", "merge", "merged"};
    static const char *const steps[CORE_STEPS] = {"none", "begun", "prepared", "swap", "undo"};
    bool first = true;

    if (p->op.kind == CORE_OP_NONE) {
        buf_append_text(out, "null");
        return;
    }
    buf_append_u8(out, '{');
    json_put_text(out, &first, "kind", str_of(kinds[p->op.kind]));
    json_put_text(out, &first, "step", str_of(steps[p->op.step]));
    if (p->op.in) json_put_number(out, &first, "to-node", node_of(p, p->op.in));
    if (p->op.out) json_put_number(out, &first, "from-node", node_of(p, p->op.out));
    if (p->op.other) json_put_number(out, &first, "other", p->op.other);
    if (p->op.kind == CORE_OP_SPLIT && !p->is_range)
        json_put_number(out, &first, "slot", p->op.slot);
    if (p->op.kind == CORE_OP_SPLIT && p->is_range) json_put_text(out, &first, "key", p->op.key);
    json_put_number(out, &first, "begun", p->op.begun);
    buf_append_u8(out, '}');
}

static void put_group(struct buf *out, const struct core *map, const struct core_part *p,
                      const struct core_part_fact *fact)
{
    const struct core_keyspace *k = core_keyspace(map, p->keyspace);
    bool first = true;

    buf_append_u8(out, '{');
    json_put_number(out, &first, "id", p->id);
    json_put_text(out, &first, "keyspace", k ? core_str(&k->name) : (str){0});
    if (p->is_range) {
        json_put_text(out, &first, "from", p->from);
        json_put_text(out, &first, "to", p->to);
    } else {
        json_put_number(out, &first, "slot-first", p->slot_first);
        json_put_number(out, &first, "slot-last", p->slot_last);
    }
    json_put_number(out, &first, "epoch", p->epoch);
    json_put_number(out, &first, "leader-node", node_of(p, p->leader));
    json_put_number(out, &first, "leader-term", p->leader_term);
    json_put_number(out, &first, "pinned-node", p->prefer_node);
    if (fact) {
        json_put_number(out, &first, "bytes", fact->bytes);
        json_put_number(out, &first, "load", fact->load);
    }
    json_put_name(out, &first, "members");
    buf_append_u8(out, '[');
    for (u32 i = 0; i < p->member_count; i++) {
        if (i) buf_append_u8(out, ',');
        put_member(out, &p->members[i], fact);
    }
    buf_append_u8(out, ']');
    json_put_name(out, &first, "operation");
    put_op(out, p);
    buf_append_u8(out, '}');
}

void admin_get_groups(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    str keyspace = admin_param(r->params, "keyspace");
    i64 only = 0;
    bool first, is_one = str_to_i64(admin_param(r->params, "id"), &only);
    u32 count, put = 0;

    if (!map) return;
    const struct core_keyspace *k = keyspace.len ? core_keyspace_named(map, keyspace) : NULL;
    const struct core_facts *facts = cluster_facts(node_cluster(r->door->node));
    const struct core_part *const *all = core_parts(map, &count);
    if (keyspace.len && !k) {
        admin_refuse(r->reply, 404, "NOSUCH",
                     "there is no keyspace %.*s; quorate ks list shows them", STR_ARG(keyspace));
        return;
    }
    struct buf *out = begin(r, map, &first);
    json_put_name(out, &first, "groups");
    buf_append_u8(out, '[');
    for (u32 i = 0; i < count; i++) {
        if ((k && all[i]->keyspace != k->id) || (is_one && all[i]->id != (u64)only)) continue;
        if (put++) buf_append_u8(out, ',');
        put_group(out, map, all[i], fact_of_part(facts, all[i]->id));
    }
    buf_append_text(out, "]}\n");
}

/* ---- the cluster ---- */

static void put_settings(struct buf *out, bool *first, const struct core_cluster *c)
{
    struct buf value = {0};
    bool inner = true;

    json_put_name(out, first, "settings");
    buf_append_u8(out, '{');
    for (u32 s = 0; s < CORE_CLUSTER_SETTINGS; s++) {
        buf_clear(&value);
        core_setting_print(s, c->settings[s], &value);
        put_printed(out, &inner, core_setting_name(s), &value);
    }
    buf_append_u8(out, '}');
    buf_done(&value);
}

void admin_get_settings(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    bool first;

    if (!map) return;
    struct buf *out = begin(r, map, &first);
    put_settings(out, &first, core_cluster(map));
    buf_append_text(out, "}\n");
}

void admin_get_summary(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    bool first;
    u32 nodes, keyspaces, parts, led = 0, under_way = 0;

    if (!map) return;
    const struct core_cluster *c = core_cluster(map);
    const struct core_part *const *all = core_parts(map, &parts);
    core_nodes(map, &nodes);
    core_keyspaces(map, &keyspaces);
    for (u32 i = 0; i < parts; i++) {
        led += all[i]->leader != 0;
        under_way += all[i]->op.kind != CORE_OP_NONE;
    }
    struct buf *out = begin(r, map, &first);
    put_hex(out, &first, "cluster", &c->uuid);
    json_put_number(out, &first, "version", c->version);
    json_put_number(out, &first, "self", node_config_of(r->door->node)->self);
    json_put_number(out, &first, "core-leader", cluster_core_leader(node_cluster(r->door->node)));
    json_put_number(out, &first, "nodes", nodes);
    json_put_number(out, &first, "keyspaces", keyspaces);
    json_put_number(out, &first, "groups", parts);
    json_put_number(out, &first, "led", led);
    json_put_number(out, &first, "operations", under_way);
    put_settings(out, &first, c);
    buf_append_text(out, "}\n");
}
