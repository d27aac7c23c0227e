/* Keyspaces: created with their partitions placed at once, changed by settings, dropped whole. */
#include "core/core_internal.h"

static struct core_part *make_part(struct core_call *call, struct core_keyspace *k,
                                   struct core_placer *placer)
{
    struct core *c = call->core;
    struct core_node *nodes[CORE_VOTERS_MAX];
    struct core_part *p = mem_zalloc(sizeof *p);
    u32 count = core_placer_next(placer, (u32)k->settings[CORE_REPLICAS], nodes);

    assert(count > 0);
    p->id = c->cluster.next_part++;
    p->keyspace = k->id;
    p->next_replica = 1;
    for (u32 i = 0; i < count; i++)
        p->members[i] = (struct core_member){.replica = p->next_replica++,
                                             .node = nodes[i]->id,
                                             .incarnation = nodes[i]->incarnation,
                                             .role = CORE_VOTER};
    p->member_count = count;
    return p;
}

struct core_keyspace *core_make_keyspace(struct core_call *call, str name,
                                         const u64 settings[CORE_KEYSPACE_SETTINGS])
{
    struct core *c = call->core;
    struct core_keyspace *k = mem_zalloc(sizeof *k);
    struct core_placer *placer = core_placer_new(c);
    u32 count = (u32)settings[CORE_PARTITIONS];

    k->id = c->cluster.next_keyspace++;
    k->name.len = (u8)name.len;
    mem_copy(k->name.bytes, name.at, name.len);
    memcpy(k->settings, settings, sizeof k->settings);
    k->accepted_risk = call->cmd->op != CORE_FOUND && (call->cmd->flags & CORE_ACCEPT_RISK);
    core_add_keyspace(c, k);
    core_save_keyspace(call, k);
    for (u32 i = 0; i < (count ? count : 1); i++) {
        struct core_part *p = make_part(call, k, placer);
        p->is_range = count == 0;
        if (count) {
            p->slot_first = (u16)((u64)i * CORE_SLOTS / count);
            p->slot_last = (u16)((u64)(i + 1) * CORE_SLOTS / count - 1);
        }
        core_add_part(c, p);
        core_save_part(call, p);
    }
    core_placer_free(placer);
    return k;
}

static bool name_is_good(str name)
{
    if (name.len == 0 || name.len > CORE_NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < name.len; i++) {
        u8 ch = name.at[i];
        bool good = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                    (ch >= '0' && ch <= '9') || ch == '_' || ch == '-' || ch == '.';
        if (!good) return false;
    }
    return true;
}

/* Can so many replicas be kept, and are they worth their price? */
static bool replicas_are_good(struct core_call *call, u64 replicas)
{
    u32 up = core_nodes_up(call->core);

    if (replicas > up && !(call->cmd->flags & CORE_ACCEPT_RISK))
        core_refuse(
            call, CORE_UNSAFE,
            "replicas=%llu needs as many nodes and %u %s up: join %llu more, or ask for "
            "replicas=%u, or accept the risk (--accept-risk: replicas follow when nodes do)",
            (unsigned long long)replicas, up, up == 1 ? "is" : "are",
            (unsigned long long)(replicas - up), up ? (up - 1) | 1 : 1);
    else if (replicas % 2 == 0 && !(call->cmd->flags & CORE_ACCEPT_RISK))
        core_refuse(call, CORE_UNSAFE,
                    "replicas=%llu survives the loss of %llu, no more than %llu do, and costs one "
                    "more: use an odd number, or accept the price (--accept-risk)",
                    (unsigned long long)replicas, (unsigned long long)(replicas / 2 - 1),
                    (unsigned long long)(replicas - 1));
    else if (up == 0)
        core_refuse(call, CORE_UNSAFE, "no node is up: undrain one, or join one");
    return call->status == CORE_OK;
}

void core_do_ks_create(struct core_call *call)
{
    struct core *c = call->core;
    str name = call->cmd->name;
    u64 settings[CORE_KEYSPACE_SETTINGS];
    const struct core_keyspace *there = core_keyspace_named(c, name);

    if (!name_is_good(name)) {
        core_refuse(call, CORE_INVALID,
                    "a keyspace's name is 1 to %d letters, digits, '_', '-' and '.'",
                    CORE_NAME_BYTES_MAX);
        return;
    }
    if (there) {
        core_refuse(call, CORE_EXISTS, "there is a keyspace %.*s already (number %u)",
                    STR_ARG(name), there->id);
        buf_append_u32(&call->result, there->id);
        return;
    }
    core_keyspace_settings_default(settings);
    if (!core_keyspace_settings_take(call, settings, true)) return;
    u64 parts = settings[CORE_PARTITIONS] ? settings[CORE_PARTITIONS] : 1;
    if (c->keyspace_count >= CORE_KEYSPACES_MAX || c->part_count + parts > CORE_PARTS_MAX) {
        core_refuse(
            call, CORE_LIMIT,
            "a cluster has at most %d keyspaces and %d partitions, and there are %u and %u: "
            "drop some, or cut this one into fewer",
            CORE_KEYSPACES_MAX, CORE_PARTS_MAX, c->keyspace_count, c->part_count);
        return;
    }
    if (!replicas_are_good(call, settings[CORE_REPLICAS])) return;
    struct core_keyspace *k = core_make_keyspace(call, name, settings);
    buf_append_u32(&call->result, k->id);
}

/* The keyspace a command names; NULL and a refusal if there is none. */
static struct core_keyspace *the_keyspace(struct core_call *call)
{
    struct core_keyspace *k = core_find_keyspace(call->core, call->cmd->keyspace);

    if (!k)
        core_refuse(call, CORE_NO_SUCH, "there is no keyspace %u; quorate ks list shows them",
                    call->cmd->keyspace);
    return k;
}

void core_do_ks_set(struct core_call *call)
{
    struct core_keyspace *k = the_keyspace(call);
    u64 settings[CORE_KEYSPACE_SETTINGS];

    if (!k) return;
    memcpy(settings, k->settings, sizeof settings);
    if (!core_keyspace_settings_take(call, settings, false)) return;
    if (settings[CORE_REPLICAS] != k->settings[CORE_REPLICAS] &&
        !replicas_are_good(call, settings[CORE_REPLICAS]))
        return;
    if (memcmp(settings, k->settings, sizeof settings) == 0) return;
    memcpy(k->settings, settings, sizeof settings);
    if (call->cmd->flags & CORE_ACCEPT_RISK) k->accepted_risk = true;
    core_save_keyspace(call, k);
}

void core_do_ks_drop(struct core_call *call)
{
    struct core *c = call->core;
    struct core_keyspace *k = the_keyspace(call);

    if (!k) return;
    if (!str_equal(core_str(&k->name), call->cmd->name)) {
        core_refuse(call, CORE_STALE, "keyspace %u is %.*s: name the one you mean", k->id,
                    STR_ARG(core_str(&k->name)));
        return;
    }
    if (k->id == CORE_KEYSPACE || k->id == CORE_KEYSPACE_DEFAULT) {
        core_refuse(call, CORE_UNSAFE,
                    "keyspace %.*s cannot be dropped; FLUSHALL empties databases",
                    STR_ARG(core_str(&k->name)));
        return;
    }
    for (u32 i = 0; i < k->part_count; i++) core_note_gone(call, CORE_PART, k->parts[i]->id);
    core_note_gone(call, CORE_KS, k->id);
    core_drop_keyspace(c, k);
    for (u32 i = 0; i < c->node_count; i++) core_note_drained(call, c->nodes[i]->id);
}

bool core_check_pin(struct core_call *call, u32 node)
{
    const struct core_node *n = core_find_node(call->core, node);

    if (!node || (n && n->state == CORE_UP)) return true;
    core_refuse(call, CORE_NO_SUCH, "node %u is not up: leaders cannot be pinned there", node);
    return false;
}

/* A preference, not an order: the planner hands leadership to that node where it has a replica. */
void core_do_ks_pin(struct core_call *call)
{
    struct core *c = call->core;
    struct core_keyspace *k = the_keyspace(call);
    u32 node = call->cmd->node;

    if (!k || !core_check_pin(call, node)) return;
    struct core_part *only = call->cmd->part ? core_find_part(c, call->cmd->part) : NULL;
    if (call->cmd->part && (!only || only->keyspace != k->id)) {
        core_refuse(call, CORE_NO_SUCH, "keyspace %.*s has no partition %llu",
                    STR_ARG(core_str(&k->name)), (unsigned long long)call->cmd->part);
        return;
    }
    for (u32 i = 0; i < k->part_count; i++) {
        struct core_part *p = k->parts[i];
        if ((only && p != only) || (p->prefer_node == node && !p->op.upper_prefers)) continue;
        p->prefer_node = node;
        p->op.upper_prefers = 0; /* the newer word, for both halves */
        core_save_leader(call, p);
    }
}
