/* Nodes: founding, joining, draining, removing. A node is one incarnation: one life of one disk. An
 * empty disk is a new node, and no number is used twice. */
#include "core/core_internal.h"

static bool uuid_is(const struct core_uuid *a, const struct core_uuid *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool uuid_is_nil(const struct core_uuid *u)
{
    static const struct core_uuid nil;
    return uuid_is(u, &nil);
}

static void set_text(struct core_text *t, str s)
{
    *t = (struct core_text){.len = (u8)s.len};
    mem_copy(t->bytes, s.at, s.len);
}

static bool text_is_plain(str s, size_t most)
{
    if (s.len > most) return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] >= 127) return false;
    return true;
}

bool core_check_spec(struct core_call *call, const struct core_node_spec *s)
{
    u32 level = call->core->cluster.version;

    if (uuid_is_nil(&s->incarnation))
        core_refuse(call, CORE_INVALID, "a node needs an incarnation that is not zero");
    else if (s->peer.len == 0 || !text_is_plain(s->peer, CORE_TEXT_BYTES_MAX) ||
             !text_is_plain(s->redis, CORE_TEXT_BYTES_MAX) ||
             !text_is_plain(s->admin, CORE_TEXT_BYTES_MAX))
        core_refuse(call, CORE_INVALID,
                    "a node needs a peer address, and addresses are host:port without spaces");
    else if (!text_is_plain(s->rack, CORE_NAME_BYTES_MAX))
        core_refuse(call, CORE_INVALID, "a rack's label is at most %d letters without spaces",
                    CORE_NAME_BYTES_MAX);
    else if (s->version_min > s->version_max)
        core_refuse(call, CORE_INVALID, "the node's levels run from %u down to %u", s->version_min,
                    s->version_max);
    else if (level < s->version_min || level > s->version_max)
        core_refuse(
            call, CORE_VERSION,
            "the cluster runs at level %u and this program serves %u to %u: install one that "
            "serves %u%s",
            level, s->version_min, s->version_max, level,
            level < s->version_min ? ", or raise the cluster's level first" : "");
    return call->status == CORE_OK;
}

static void take_spec(struct core_node *n, const struct core_node_spec *s, u8 mask)
{
    if (mask & CORE_UPDATE_ADDRESSES) {
        set_text(&n->peer, s->peer);
        set_text(&n->redis, s->redis);
        set_text(&n->admin, s->admin);
    }
    if (mask & CORE_UPDATE_RACK) set_text(&n->rack, s->rack);
    if (mask & CORE_UPDATE_VERSIONS) {
        n->version_min = s->version_min;
        n->version_max = s->version_max;
    }
}

struct core_node *core_admit_node(struct core_call *call, const struct core_node_spec *spec,
                                  u8 state)
{
    struct core_node *n = mem_zalloc(sizeof *n);

    n->id = call->core->cluster.next_node++;
    n->incarnation = spec->incarnation;
    n->state = state;
    take_spec(n, spec, CORE_UPDATE_ADDRESSES | CORE_UPDATE_RACK | CORE_UPDATE_VERSIONS);
    core_add_node(call->core, n);
    core_save_node(call, n);
    return n;
}

u32 core_nodes_up(const struct core *c)
{
    u32 up = 0;

    for (u32 i = 0; i < c->node_count; i++) up += c->nodes[i]->state == CORE_UP;
    return up;
}

/* ---- founding ---- */

static bool founders_are_good(struct core_call *call)
{
    const struct core_command *cmd = call->cmd;

    if (uuid_is_nil(&cmd->uuid) || cmd->node_count == 0) {
        core_refuse(call, CORE_INVALID, "a cluster is founded with a uuid and at least one node");
        return false;
    }
    for (u32 i = 0; i < cmd->node_count; i++) {
        const struct core_node_spec *s = &cmd->nodes[i];
        for (u32 j = 0; j < i; j++) {
            if (!uuid_is(&s->incarnation, &cmd->nodes[j].incarnation)) continue;
            core_refuse(call, CORE_INVALID, "two founding nodes have one incarnation");
            return false;
        }
        if (cmd->version < s->version_min || cmd->version > s->version_max) {
            core_refuse(call, CORE_VERSION, "founding node %u does not serve level %u", i + 1,
                        cmd->version);
            return false;
        }
    }
    return true;
}

void core_do_found(struct core_call *call)
{
    struct core *c = call->core;
    const struct core_command *cmd = call->cmd;
    u64 settings[CORE_KEYSPACE_SETTINGS];
    struct core_keyspace *k;

    if (!founders_are_good(call)) return;
    u32 level_before = c->cluster.version;
    c->cluster.version = cmd->version;
    for (u32 i = 0; i < cmd->node_count; i++) {
        if (core_check_spec(call, &cmd->nodes[i])) continue;
        c->cluster.version = level_before;
        return;
    }
    c->founded = true;
    c->cluster.uuid = cmd->uuid;
    c->cluster.next_node = (u32)u64_max(c->cluster.next_node, 1);
    c->cluster.next_keyspace = (u32)u64_max(c->cluster.next_keyspace, CORE_KEYSPACE);
    c->cluster.next_part = u64_max(c->cluster.next_part, CORE_GROUP);
    for (u32 i = 0; i < CORE_ID_KINDS; i++) c->cluster.next_id[i] = 1;
    core_settings_default(c->cluster.settings);
    core_save_cluster(call);
    for (u32 i = 0; i < cmd->node_count; i++) core_admit_node(call, &cmd->nodes[i], CORE_UP);
    core_keyspace_settings_default(settings);
    k = core_make_keyspace(call, STR("core"), settings);
    core_seat_founders(call, k->parts[0]);
    k = core_make_keyspace(call, STR("default"), settings);
    core_seat_founders(call, k->parts[0]);
    c->cluster.next_keyspace = (u32)u64_max(c->cluster.next_keyspace, CORE_KEYSPACE_FIRST);
}

/* ---- joining ---- */

static struct core_node *find_incarnation(const struct core *c, const struct core_uuid *u)
{
    for (u32 i = 0; i < c->node_count; i++)
        if (uuid_is(&c->nodes[i]->incarnation, u)) return c->nodes[i];
    return NULL;
}

void core_do_node_join(struct core_call *call)
{
    struct core *c = call->core;
    const struct core_node_spec *s = &call->cmd->nodes[0];
    struct core_node *n = find_incarnation(c, &s->incarnation);
    u32 living = 0;

    if (n && n->state == CORE_REMOVED) {
        core_refuse(
            call, CORE_UNSAFE,
            "this disk was node %u, which was removed: others may already count without it. "
            "Start with an empty directory to join as a new node",
            n->id);
        return;
    }
    if (n && !MUTANT(core_join_not_idempotent)) { /* asked again: the answer did not arrive */
        buf_append_u32(&call->result, n->id);
        return;
    }
    if (!core_check_spec(call, s)) return;
    for (u32 i = 0; i < c->node_count; i++) living += c->nodes[i]->state != CORE_REMOVED;
    if (living >= CORE_NODES_MAX) {
        core_refuse(call, CORE_LIMIT, "a cluster has at most %d nodes: remove one first",
                    CORE_NODES_MAX);
        return;
    }
    n = core_admit_node(call, s, CORE_JOINING);
    buf_append_u32(&call->result, n->id);
}

/* The node a command names; NULL and a refusal if it is not there any more. */
static struct core_node *the_node(struct core_call *call)
{
    struct core_node *n = core_find_node(call->core, call->cmd->node);

    if (!n) {
        core_refuse(call, CORE_NO_SUCH, "there is no node %u; quorate node list shows them",
                    call->cmd->node);
        return NULL;
    }
    if (n->state != CORE_REMOVED) return n;
    core_refuse(call, CORE_NO_SUCH, "node %u was removed, and numbers are not used again", n->id);
    return NULL;
}

static bool is_another_nodes(struct core_call *call, const struct core_node *n, const struct core_uuid *u)
{
    const struct core_node *other = find_incarnation(call->core, u);

    if (!other || other == n) return false;
    core_refuse(call, CORE_EXISTS, "that disk is node %u: a directory belongs to one node", other->id);
    return true;
}

void core_do_node_update(struct core_call *call)
{
    struct core_node *n = the_node(call);
    struct core_node_spec s = call->cmd->nodes[0];
    u8 mask = call->cmd->mask;

    if (!n) return;
    if (!uuid_is(&n->incarnation, &s.incarnation) && !(mask & CORE_UPDATE_INCARNATION)) {
        core_refuse(call, CORE_STALE,
                    "node %u is another life of that disk: an empty directory joins as a new node",
                    n->id);
        return;
    }
    /* What is not taken over is not checked either. */
    if (!(mask & CORE_UPDATE_ADDRESSES)) s.peer = s.redis = s.admin = core_str(&n->peer);
    if (!(mask & CORE_UPDATE_RACK)) s.rack = core_str(&n->rack);
    if (!(mask & CORE_UPDATE_VERSIONS)) {
        s.version_min = n->version_min;
        s.version_max = n->version_max;
    }
    if (!core_check_spec(call, &s)) return;
    if (mask & CORE_UPDATE_INCARNATION && is_another_nodes(call, n, &s.incarnation)) return;
    struct core_node before = *n;
    take_spec(n, &s, mask);
    if (mask & CORE_UPDATE_INCARNATION) n->incarnation = s.incarnation;
    if ((mask & CORE_UPDATE_READY) && n->state == CORE_JOINING) n->state = CORE_UP;
    if (memcmp(&before, n, sizeof before) != 0) core_save_node(call, n);
}

/* ---- leaving ---- */

/* Is a replica of it here, or on a node that takes none? */
static bool has_to_leave(const struct core *c, const struct core_part *p, u32 leaving)
{
    for (u32 i = 0; i < p->member_count; i++) {
        const struct core_node *n = core_find_node(c, p->members[i].node);
        if (!n || n->id == leaving || n->state != CORE_UP) return true;
    }
    return false;
}

/* Every partition must find as many nodes elsewhere as it has voters: those with a replica here, and those that wait to
 * leave another node that is being emptied. */
static bool others_can_hold(struct core_call *call, const struct core_node *leaving)
{
    const struct core *c = call->core;
    u32 others = core_nodes_up(c) - (leaving->state == CORE_UP);

    if (others >= CORE_MEMBERS_MAX || MUTANT(core_drain_below_quorum)) return true;
    for (u32 i = 0; i < c->part_count; i++) {
        const struct core_part *p = c->parts[i];
        u32 voters = core_part_voters(p);
        if (voters <= others || !has_to_leave(c, p, leaving->id)) continue;
        const struct core_keyspace *k = core_find_keyspace(c, p->keyspace);
        core_refuse(call, CORE_UNSAFE,
                    "node %u cannot be emptied: keyspace %.*s has %u replicas and %u other node%s "
                    "could hold them; join %u more node%s first, or set replicas=%u for it",
                    leaving->id, STR_ARG(core_str(&k->name)), voters, others,
                    others == 1 ? "" : "s", voters - others, voters - others == 1 ? "" : "s",
                    others > 1 ? (others - 1) | 1 : 1);
        return false;
    }
    return true;
}

void core_note_drained(struct core_call *call, u32 node)
{
    struct core_node *n = core_find_node(call->core, node);

    if (n->state != CORE_DRAINING || n->replicas) return;
    n->state = CORE_DRAINED;
    core_save_node(call, n);
}

void core_do_node_drain(struct core_call *call)
{
    struct core_node *n = the_node(call);

    if (!n || n->state == CORE_DRAINING || n->state == CORE_DRAINED) return;
    if (!others_can_hold(call, n)) return;
    n->state = CORE_DRAINING;
    core_save_node(call, n);
    core_note_drained(call, n->id);
}

void core_do_node_undrain(struct core_call *call)
{
    struct core_node *n = the_node(call);

    if (!n || n->state == CORE_UP) return;
    if (n->state == CORE_JOINING) {
        core_refuse(call, CORE_INVALID, "node %u is still joining: it is not drained", n->id);
        return;
    }
    n->state = CORE_UP;
    core_save_node(call, n);
}

/* Without this node, would each of its partitions still have a majority of voters on nodes that
 * were not given up? */
static bool others_have_quorums(struct core_call *call, const struct core_node *lost)
{
    const struct core *c = call->core;

    if (MUTANT(core_removal_loses_quorum)) return true;
    for (u32 i = 0; i < c->part_count; i++) {
        const struct core_part *p = c->parts[i];
        u32 voters = core_part_voters(p), left = 0;
        const struct core_member *here = core_part_member_on(p, lost->id);
        if (!here || here->role != CORE_VOTER) continue;
        for (u32 j = 0; j < p->member_count; j++) {
            const struct core_member *m = &p->members[j];
            if (m->role != CORE_VOTER || m->node == lost->id || core_member_is_lost(c, m)) continue;
            left += core_find_node(c, m->node)->state != CORE_REMOVED;
        }
        if (left >= voters / 2 + 1) continue;
        core_refuse(
            call, CORE_UNSAFE,
            "partition %llu would keep %u of its %u voters and lose its quorum: bring node %u "
            "back, or wait until the replicas on other removed nodes are replaced",
            (unsigned long long)p->id, left, voters, lost->id);
        return false;
    }
    return true;
}

/* Old removed nodes are forgotten, so that their rows do not grow for ever. */
static void forget_oldest(struct core_call *call)
{
    struct core *c = call->core;

    for (;;) {
        struct core_node *oldest = NULL;
        u32 removed = 0;
        for (u32 i = 0; i < c->node_count; i++) {
            if (c->nodes[i]->state != CORE_REMOVED || c->nodes[i]->replicas) continue;
            removed++;
            if (!oldest || c->nodes[i]->changed < oldest->changed) oldest = c->nodes[i];
        }
        if (removed <= CORE_NODES_MAX) return;
        core_note_gone(call, CORE_NODE, oldest->id);
        core_forget_node(c, oldest);
    }
}

void core_do_node_remove(struct core_call *call)
{
    struct core *c = call->core;
    bool force = call->cmd->flags & CORE_FORCE;
    struct core_node *n = core_find_node(c, call->cmd->node);

    if (n && n->state == CORE_REMOVED) return; /* asked again */
    n = the_node(call);
    if (!n) return;
    if (core_nodes_up(c) - (n->state == CORE_UP) == 0) {
        core_refuse(call, CORE_UNSAFE, "node %u is the last one that is up: join another first",
                    n->id);
        return;
    }
    if (n->replicas && !force) {
        core_refuse(
            call, CORE_UNSAFE,
            "node %u still holds %u replica%s: drain it first (quorate node drain %u), or, if "
            "it is lost for ever, remove it with --force",
            n->id, n->replicas, n->replicas == 1 ? "" : "s", n->id);
        return;
    }
    if (!others_have_quorums(call, n)) return;
    n->state = CORE_REMOVED;
    core_save_node(call, n);
    forget_oldest(call);
}
