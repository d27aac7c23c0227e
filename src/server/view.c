/* What others may see of a node. */
#include "server/node_state.h"

const char *node_failure(const struct node *n)
{
    return n->failed ? n->failure : NULL;
}
bool node_is_joining(const struct node *n)
{
    return n->joiner != NULL;
}
bool node_is_stopping(const struct node *n)
{
    return n->stop_asked_at != 0;
}

bool node_stopped(const struct node *n)
{
    return n->stopped;
}
struct env *node_env(const struct node *n)
{
    return n->env;
}
const struct node_config *node_config_of(const struct node *n)
{
    return &n->config;
}
struct gateway *node_gateway(const struct node *n)
{
    return n->main->gateway;
}
struct part *node_part(const struct node *n)
{
    return n->main->part;
}
struct wal *node_wal(const struct node *n)
{
    return n->wal;
}
/* All members have met, so the core names them in a moment; before, no keyspace can be told from another. While one is
 * missing the default keyspace serves alone. */
static bool is_being_founded(const struct node *n)
{
    return n->cluster && !cluster_epoch(n->cluster) && peers_all_met(n->peers);
}

bool node_knows_map(const struct node *n)
{
    return !n->cluster || !n->identity.has_joined || cluster_epoch(n->cluster);
}
struct parts *node_parts(const struct node *n)
{
    return n->parts;
}
const struct core *node_map(const struct node *n)
{
    return n->cluster ? cluster_map(n->cluster) : NULL;
}
struct cluster *node_cluster(const struct node *n)
{
    return n->cluster;
}
struct support *node_support(const struct node *n)
{
    return n->support;
}
struct peers *node_peers(const struct node *n)
{
    return n->peers;
}
const struct identity *node_identity(const struct node *n)
{
    return &n->identity;
}
nanos node_now(const struct node *n)
{
    return n->now;
}
struct redis_door *node_redis_door(const struct node *n)
{
    return n->redis;
}
struct admin_door *node_admin_door(const struct node *n)
{
    return n->admin;
}

size_t node_memory_used(const struct node *n)
{
    return parts_memory(n->parts);
}

/* This node's own row. */
static void view_self(const struct node *n, struct node_peer_view *m)
{
    struct part *p = n->main->part;

    m->alive = true;
    m->pid = n->config.pid;
    m->boot = n->identity.boot;
    m->redis_port = n->config.redis_port;
    m->health = HEALTH_OK;
    if (!p) return; /* no replica of the default keyspace */
    m->role = (u32)raft_role(part_raft(p));
    m->term = raft_term(part_raft(p));
    m->commit = raft_commit(part_raft(p));
    m->applied = part_applied(p);
    m->health = part_is_damaged(p) ? HEALTH_IMPAIRED : HEALTH_OK;
}

static void view_peer(const struct node *n, const struct peer_view *p, struct node_peer_view *m)
{
    struct raft_peer_status told;
    struct part *mine = n->main->part;
    bool heard = mine && raft_peer_status(part_raft(mine), m->id, &told) && told.heard_at;

    if (heard && p->alive) m->health = told.impaired ? HEALTH_IMPAIRED : HEALTH_OK;
    m->alive = p->alive;
    m->role = p->status.role;
    m->pid = p->status.pid;
    m->term = p->status.term;
    m->commit = p->status.commit;
    m->applied = p->status.applied;
    m->boot = p->boot;
    m->redis_port = p->status.redis_port;
    m->other_value_max = p->other_value_max;
}

void node_view(const struct node *n, struct node_view *out)
{
    struct peer_view peers[NODE_MEMBERS_MAX];
    u32 count = peers_view(n->peers, peers, NODE_MEMBERS_MAX);
    struct part *p = n->main->part;

    *out = (struct node_view){.self = n->config.self,
                              .leader = hosted_leader(n->main),
                              .boot = n->identity.boot,
                              .started_at = n->started_at};
    mem_copy(out->cluster_id, n->config.cluster_id, 16);
    bool here = p && out->leader == n->config.self;
    out->serving = node_knows_map(n) && !is_being_founded(n) && out->leader && (here ? raft_lease_holds(part_raft(p), env_mono(n->env))
                                        : peers_is_connected(n->peers, out->leader));
    for (u32 i = 0; i < n->config.member_count; i++) {
        struct node_peer_view *m = &out->members[out->member_count++];
        *m = (struct node_peer_view){.id = n->config.members[i].id};
        if (m->id == n->config.self) view_self(n, m);
        for (u32 j = 0; j < count; j++)
            if (peers[j].id == m->id) view_peer(n, &peers[j], m);
    }
}
