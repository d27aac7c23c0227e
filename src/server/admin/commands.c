/* POST /v1/...: what people ask for, as a command of the core. */
#include "server/admin/admin_internal.h"

#include "server/admin/commands.h"

#include <stdio.h>

static bool is_yes(struct admin_request *r, const char *name)
{
    str value = admin_param(r->params, name);

    return str_equal(value, STR("1")) || str_equal(value, STR("yes")) ||
           str_equal(value, STR("true"));
}

/* The parameters that have no other meaning are settings. */
static bool take_rows(struct admin_request *r, struct core_command *cmd)
{
    for (u32 i = 0; i < r->params->count; i++) {
        struct admin_param *p = &r->params->rows[i];
        if (p->used) continue;
        if (cmd->row_count == CORE_ROWS_MAX || p->name.len > CORE_TEXT_BYTES_MAX ||
            p->value.len > CORE_TEXT_BYTES_MAX) {
            admin_refuse(r->reply, 400, "INVALID", "at most %d settings of %d bytes in one request",
                         CORE_ROWS_MAX, CORE_TEXT_BYTES_MAX);
            return false;
        }
        p->used = true;
        cmd->rows[cmd->row_count++] = (struct core_setting_row){p->name, p->value};
    }
    return true;
}

/* A whole number from a parameter; 0 where it is not given. */
static bool take_number(struct admin_request *r, const char *name, u64 max, u64 *out)
{
    i64 n = 0;

    *out = 0;
    if (!admin_param_is_given(r->params, name)) return true;
    str text = admin_param(r->params, name);
    if (!str_to_i64(text, &n) || n < 0 || (u64)n > max) {
        admin_refuse(r->reply, 400, "INVALID", "%s=%.*s is no number from 0 to %llu", name,
                     STR_ARG(text), (unsigned long long)max);
        return false;
    }
    *out = (u64)n;
    return true;
}

/* The number in the path: of a node or a group. */
static bool take_id(struct admin_request *r, const char *what, u64 max, u64 *out)
{
    i64 n;

    if (str_to_i64(r->name, &n) && n > 0 && (u64)n <= max) {
        *out = (u64)n;
        return true;
    }
    admin_refuse(r->reply, 400, "INVALID",
                 "%.*s is not the number of a %s; quorate %s list shows them", STR_ARG(r->name),
                 what, what);
    return false;
}

static const struct core_keyspace *the_keyspace(struct admin_request *r, const struct core *map)
{
    const struct core_keyspace *k = core_keyspace_named(map, r->name);

    if (!k)
        admin_refuse(r->reply, 404, "NOSUCH",
                     "there is no keyspace %.*s; quorate ks list shows them", STR_ARG(r->name));
    return k;
}

/* ---- keyspaces ---- */

bool admin_make_ks_create(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    (void)map;
    cmd->op = CORE_KS_CREATE;
    cmd->name = admin_param(r->params, "name");
    if (cmd->name.len == 0 || cmd->name.len > CORE_NAME_BYTES_MAX) {
        admin_refuse(r->reply, 400, "INVALID", "name=NAME is needed, of 1 to %d bytes",
                     CORE_NAME_BYTES_MAX);
        return false;
    }
    if (is_yes(r, "accept-risk")) cmd->flags |= CORE_ACCEPT_RISK;
    return take_rows(r, cmd);
}

bool admin_make_ks_set(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    const struct core_keyspace *k = the_keyspace(r, map);

    if (!k) return false;
    cmd->op = CORE_KS_SET;
    cmd->keyspace = k->id;
    if (is_yes(r, "accept-risk")) cmd->flags |= CORE_ACCEPT_RISK;
    return take_rows(r, cmd);
}

bool admin_make_ks_drop(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    const struct core_keyspace *k = the_keyspace(r, map);

    if (!k) return false;
    cmd->op = CORE_KS_DROP;
    cmd->keyspace = k->id;
    cmd->name = r->name;
    return true;
}

bool admin_make_ks_pin(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    const struct core_keyspace *k = the_keyspace(r, map);
    u64 node;

    if (!k || !take_number(r, "node", UINT32_MAX, &node) ||
        !take_number(r, "group", INT64_MAX, &cmd->part))
        return false;
    cmd->op = CORE_KS_PIN;
    cmd->keyspace = k->id;
    cmd->node = (u32)node;
    return true;
}

/* ---- nodes ---- */

static bool make_node(struct admin_request *r, enum core_op_code op, struct core_command *cmd)
{
    u64 id;

    if (!take_id(r, "node", UINT32_MAX, &id)) return false;
    cmd->op = (u8)op;
    cmd->node = (u32)id;
    return true;
}

bool admin_make_drain(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    (void)map;
    return make_node(r, CORE_NODE_DRAIN, cmd);
}

bool admin_make_undrain(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    (void)map;
    return make_node(r, CORE_NODE_UNDRAIN, cmd);
}

bool admin_make_remove(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    (void)map;
    if (is_yes(r, "force")) cmd->flags |= CORE_FORCE;
    return make_node(r, CORE_NODE_REMOVE, cmd);
}

/* ---- groups ---- */

static const struct core_part *the_group(struct admin_request *r, const struct core *map)
{
    u64 id;

    if (!take_id(r, "group", INT64_MAX, &id)) return NULL;
    const struct core_part *p = core_part(map, id);
    if (!p)
        admin_refuse(r->reply, 404, "NOSUCH",
                     "there is no group %llu; quorate group list shows them",
                     (unsigned long long)id);
    return p;
}

static bool begin_op(struct admin_request *r, const struct core *map, enum core_op_kind kind,
                     struct core_command *cmd, const struct core_part **part)
{
    const struct core_part *p = the_group(r, map);

    if (!p) return false;
    cmd->op = CORE_PART_BEGIN;
    cmd->kind = (u8)kind;
    cmd->part = p->id;
    cmd->epoch = p->epoch;
    *part = p;
    return true;
}

/* to=NODE: where the new replica goes; from=NODE: whose it replaces. Only `from`: that replica
 * goes. */
bool admin_make_move(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    const struct core_part *p;
    u64 to, from;

    if (!take_number(r, "to", UINT32_MAX, &to) || !take_number(r, "from", UINT32_MAX, &from))
        return false;
    if (!to && !from) {
        admin_refuse(r->reply, 400, "INVALID", "to=NODE, from=NODE or both are needed");
        return false;
    }
    if (!begin_op(r, map, to ? CORE_OP_MOVE : CORE_OP_REMOVE, cmd, &p)) return false;
    cmd->node = (u32)to;
    for (u32 i = 0; from && i < p->member_count; i++)
        if (p->members[i].node == from) cmd->replica = p->members[i].replica;
    if (from && !cmd->replica) {
        admin_refuse(r->reply, 409, "NOSUCH",
                     "group %llu has no replica on node %llu; quorate group show %llu shows them",
                     (unsigned long long)p->id, (unsigned long long)from,
                     (unsigned long long)p->id);
        return false;
    }
    return true;
}

/* at=SLOT or at=KEY: where the upper half begins; a hash partition is halved without it. node=N: the upper
 * half is pinned there, 0 to nowhere; without it, as the lower half is. */
bool admin_make_split(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    const struct core_part *p;
    u64 slot, node;

    if (!take_number(r, "node", UINT32_MAX - 1, &node) || !begin_op(r, map, CORE_OP_SPLIT, cmd, &p))
        return false;
    if (admin_param_is_given(r->params, "node")) cmd->node = node ? (u32)node : CORE_NODE_ANY;
    if (p->is_range) {
        cmd->key = admin_param(r->params, "at");
        if (cmd->key.len > 0 && cmd->key.len <= CORE_KEY_BYTES_MAX) return true;
        admin_refuse(r->reply, 400, "INVALID",
                     "group %llu is a range of keys: at=KEY, of 1 to %d bytes, is needed",
                     (unsigned long long)p->id, CORE_KEY_BYTES_MAX);
        return false;
    }
    if (!take_number(r, "at", CORE_SLOTS - 1, &slot)) return false;
    cmd->slot = (u16)(slot ? slot : ((u32)p->slot_first + p->slot_last + 1) / 2);
    return true;
}

static const struct core_part *right_of(const struct core *map, const struct core_part *p)
{
    const struct core_keyspace *k = core_keyspace(map, p->keyspace);

    for (u32 i = 0; k && i + 1 < k->part_count; i++)
        if (k->parts[i] == p) return k->parts[i + 1];
    return NULL;
}

bool admin_make_merge(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    const struct core_part *p;

    if (!begin_op(r, map, CORE_OP_MERGE, cmd, &p)) return false;
    const struct core_part *right = right_of(map, p);
    if (!right) {
        admin_refuse(r->reply, 409, "NOSUCH",
                     "group %llu is the last of its keyspace: it has no right neighbour to take in",
                     (unsigned long long)p->id);
        return false;
    }
    cmd->other = right->id;
    return true;
}

/* No command of the core: the group's leader is asked. to=NODE. */
void admin_post_transfer(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    const struct core_part *p = map ? the_group(r, map) : NULL;
    bool dry_run = is_yes(r, "dry-run"), first = true;
    u32 replica = 0;
    u64 node;

    if (!p || !take_number(r, "to", UINT32_MAX, &node)) return;
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].node == node && p->members[i].role == CORE_VOTER)
            replica = p->members[i].replica;
    if (!replica) {
        admin_refuse(
            r->reply, 409, "NOSUCH",
            "to=NODE has to name a voter of group %llu; quorate group show %llu shows them",
            (unsigned long long)p->id, (unsigned long long)p->id);
        return;
    }
    if (!dry_run && !cluster_hand_over(node_cluster(r->door->node), p->id, replica)) {
        admin_refuse(r->reply, 503, "NOQUORUM",
                     "the leader of group %llu is not known or not in reach of this node",
                     (unsigned long long)p->id);
        return;
    }
    r->reply->type = "application/json";
    buf_append_u8(&r->reply->body, '{');
    json_put_number(&r->reply->body, &first, "epoch", core_cluster(map)->epoch);
    json_put_bool(&r->reply->body, &first, "asked", !dry_run);
    buf_append_text(&r->reply->body, "}\n");
}

/* accept-loss=1. The replica on this very node is asked to lead what is left of its group. */
void admin_post_recover(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    const struct core_part *p = map ? the_group(r, map) : NULL;
    bool first = true;

    if (!p) return;
    unsigned long long id = (unsigned long long)p->id;
    if (!is_yes(r, "accept-loss")) {
        admin_refuse(r->reply, 409, "LOSS",
                     "group %llu would go on without what its replicas had in memory only when they crashed; accept-loss=1 "
                     "(--accept-loss) says that this is accepted", id);
        return;
    }
    switch (cluster_recover(node_cluster(r->door->node), p->id)) {
    case OK: break;
    case ERR_NOT_FOUND:
        admin_refuse(r->reply, 409, "NOSUCH", "group %llu has no replica on this node", id);
        return;
    case ERR_STALE:
        admin_refuse(r->reply, 409, "HASLEADER", "group %llu has a leader: there is nothing to recover", id);
        return;
    default:
        admin_refuse(r->reply, 409, "IMPAIRED",
                     "the replica of group %llu here cannot lead: its log was damaged or lost, or holds what was given up before", id);
        return;
    }
    r->reply->type = "application/json";
    buf_append_u8(&r->reply->body, '{');
    json_put_number(&r->reply->body, &first, "epoch", core_cluster(map)->epoch);
    json_put_bool(&r->reply->body, &first, "asked", true);
    buf_append_text(&r->reply->body, "}\n");
}

/* ---- the cluster ---- */

bool admin_make_settings(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    (void)map;
    cmd->op = CORE_SETTINGS;
    return take_rows(r, cmd);
}

/* Without to=LEVEL: the highest that any node serves; the core refuses it until all do. */
bool admin_make_version(struct admin_request *r, const struct core *map, struct core_command *cmd)
{
    u32 count, highest = 0;
    const struct core_node *const *nodes = core_nodes(map, &count);
    u64 wanted;

    if (!take_number(r, "to", UINT32_MAX, &wanted)) return false;
    for (u32 i = 0; i < count; i++)
        if (nodes[i]->state != CORE_REMOVED && nodes[i]->version_max > highest)
            highest = nodes[i]->version_max;
    cmd->op = CORE_VERSION_RAISE;
    cmd->version = wanted ? (u32)wanted : highest;
    return true;
}
