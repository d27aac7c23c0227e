/* Who the nodes are: the founding of a cluster whose members were named at its start, strangers who ask to join,
 * nodes that are ready, and disks that were replaced. */
#include "server/cluster_internal.h"

#include <stdio.h>

#define LOOK_EVERY (200 * NANOS_MS)
#define ASK_TIME   (4 * NANOS_SEC) /* a joiner waits a little longer */

struct spec_text { /* the texts a node's spec borrows */
    char peer[NODE_HOST_MAX + 8], redis[NODE_HOST_MAX + 8], admin[NODE_HOST_MAX + 8];
};

static struct core_node_spec spec_of(struct spec_text *t, const struct node_member *m, const u8 incarnation[16],
                                     u16 redis_port, u16 admin_port, u32 level_min, u32 level_max)
{
    struct core_node_spec s = {
        .peer = address_print(t->peer, sizeof t->peer, m->host, m->peer_port),
        .redis = address_print(t->redis, sizeof t->redis, m->host, redis_port),
        .admin = address_print(t->admin, sizeof t->admin, m->host, admin_port),
        .version_min = level_min,
        .version_max = level_max,
    };
    mem_copy(s.incarnation.bytes, incarnation, 16);
    return s;
}

static const struct peer_view *peer_of(const struct peer_view *peers, u32 count, node_id id)
{
    for (u32 i = 0; i < count; i++)
        if (peers[i].id == id) return &peers[i];
    return NULL;
}

/* ---- founding ---- */

/* Every member named at the start, in order; false: somebody was not met yet. */
static bool name_founders(struct cluster *c, struct core_command *cmd, struct spec_text *texts)
{
    const struct node_config *config = node_config_of(c->node);
    struct peer_view peers[NODE_MEMBERS_MAX];
    u32 count = peers_view(c->peers, peers, NODE_MEMBERS_MAX);

    for (u32 i = 0; i < config->member_count; i++) {
        const struct node_member *m = &config->members[i];
        const struct peer_view *p = peer_of(peers, count, m->id);
        u32 at = m->id - 1;
        if (m->id == config->self) {
            cmd->nodes[at] = spec_of(&texts[at], m, cluster_incarnation(c), config->redis_port,
                                     config->admin_port, QUORATE_LEVEL_MIN, QUORATE_LEVEL_MAX);
            cmd->nodes[at].rack = str_of(config->rack);
            continue;
        }
        if (!p || !p->hello) return false;
        cmd->nodes[at] = spec_of(&texts[at], m, p->hello->incarnation, p->hello->redis_port,
                                 p->hello->admin_port, p->hello->version_min, p->hello->version_max);
    }
    cmd->node_count = config->member_count;
    return true;
}

static void found(struct cluster *c)
{
    const struct node_config *config = node_config_of(c->node);
    struct core_command cmd = {.op = CORE_FOUND, .version = QUORATE_LEVEL_MAX};
    struct spec_text texts[CORE_VOTERS_MAX];
    struct core *own = cluster_own_core(c);

    if (!cluster_leads_core(c) || !own || core_cluster(own) || changes_is_busy(c, PART_CORE)) return;
    if (!name_founders(c, &cmd, texts)) return;
    for (u32 i = 0; i < cmd.node_count; i++) cmd.version = (u32)u64_min(cmd.version, cmd.nodes[i].version_max);
    mem_copy(cmd.uuid.bytes, config->cluster_id, 16);
    cmd.part = PART_CORE; /* not encoded: one at a time */
    env_log(c->env, LOG_INFO, "founding the cluster with %u nodes", cmd.node_count);
    changes_propose(c, &cmd);
}

/* ---- joining ---- */

static void answer(struct joining *j, struct join_reply *r)
{
    u64 ticket = j->ticket;

    j->ticket = 0;
    peers_answer_join(j->cluster->peers, ticket, r);
}

static void on_joined(struct cluster_request *request, const struct core_reply *reply, str failed)
{
    struct joining *j = CONTAINER_OF(request, struct joining, request);
    const struct core *map = cluster_map(j->cluster);
    struct join_reply r = {.status = JOIN_NOT_NOW, .reason = failed};
    u32 count = 0;

    if (reply && reply->status != CORE_OK) r = (struct join_reply){.status = JOIN_REFUSED, .reason = reply->reason};
    if (reply && reply->status == CORE_OK && reply->result.len == 4) {
        struct reader in = reader_of(reply->result);
        r = (struct join_reply){.status = JOIN_DONE, .node = reader_u32(&in)};
        mem_copy(r.cluster_id, node_config_of(j->cluster->node)->cluster_id, 16);
        const struct core_node *const *nodes = core_nodes(map, &count);
        for (u32 i = 0; i < count && r.member_count + 1 < JOIN_MEMBERS_MAX; i++)
            if (nodes[i]->state != CORE_REMOVED && nodes[i]->id != r.node)
                r.members[r.member_count++] =
                    (struct join_member){.node = nodes[i]->id, .peer = core_str(&nodes[i]->peer)};
        r.members[r.member_count++] = (struct join_member){.node = r.node, .peer = str_of(j->peer)};
    }
    answer(j, &r);
}

void membership_on_join(struct cluster *c, u64 ticket, str body)
{
    struct join_request q;
    struct joining *j = NULL;
    struct join_reply later = {.status = JOIN_NOT_NOW, .reason = STR("the cluster is not founded yet")};

    for (u32 i = 0; i < JOINS_MAX && !j; i++)
        if (!c->membership.joins[i].ticket) j = &c->membership.joins[i];
    err e = join_request_decode(body, &q);
    if (e || !j || !cluster_is_founded(c) || q.peer.len >= sizeof j->peer) {
        if (e) later = (struct join_reply){.status = JOIN_REFUSED, .reason = STR("this is no request to join")};
        if (!e && cluster_is_founded(c)) later.reason = STR("too many nodes join at once");
        peers_answer_join(c->peers, ticket, &later);
        return;
    }
    struct core_command cmd = {.op = CORE_NODE_JOIN,
                               .node_count = 1,
                               .nodes = {{.peer = q.peer,
                                          .redis = q.redis,
                                          .admin = q.admin,
                                          .rack = q.rack,
                                          .version_min = q.version_min,
                                          .version_max = q.version_max}}};
    mem_copy(cmd.nodes[0].incarnation.bytes, q.incarnation, 16);
    mem_copy(j->peer, q.peer.at, q.peer.len);
    j->peer[q.peer.len] = 0;
    j->ticket = ticket;
    j->request.done = on_joined;
    cluster_ask(c, &j->request, &cmd, c->now + ASK_TIME);
}

/* ---- what the core's leader sees of the nodes ---- */

/* Where the node says its doors are, against where the map says. */
static bool has_moved(const struct core_node *n, const struct core_node_spec *s)
{
    return !str_equal(core_str(&n->peer), s->peer) || !str_equal(core_str(&n->redis), s->redis) || !str_equal(core_str(&n->admin), s->admin);
}

static void look_at(struct cluster *c, const struct core_node *n, const struct core_node_spec *s)
{
    struct core_command cmd = {.op = CORE_NODE_UPDATE, .node = n->id, .node_count = 1, .nodes = {*s}};

    if (!mem_equal(n->incarnation.bytes, s->incarnation.bytes, 16)) {
        cmd.mask |= CORE_UPDATE_INCARNATION;
        env_log(c->env, LOG_WARN, "node %u has another disk than before", n->id);
    }
    if (n->state == CORE_JOINING) cmd.mask |= CORE_UPDATE_READY;
    if (has_moved(n, s)) cmd.mask |= CORE_UPDATE_ADDRESSES;
    if (n->version_min != s->version_min || n->version_max != s->version_max) cmd.mask |= CORE_UPDATE_VERSIONS;
    if (cmd.mask && changes_has_room(c)) changes_propose(c, &cmd);
}

static void look_at_nodes(struct cluster *c)
{
    const struct node_config *config = node_config_of(c->node);
    struct peer_view peers[NODE_MEMBERS_MAX];
    struct spec_text text;
    u32 count, met = peers_view(c->peers, peers, NODE_MEMBERS_MAX);
    const struct core_node *const *nodes = core_nodes(cluster_map(c), &count);

    for (u32 i = 0; i < count; i++) {
        struct node_member m = {0};
        const struct peer_view *p = peer_of(peers, met, nodes[i]->id);
        if (nodes[i]->state == CORE_REMOVED || !address_parse(core_str(&nodes[i]->peer), m.host, &m.peer_port))
            continue;
        m.id = nodes[i]->id;
        identity_use_named(config, &m, 1);
        struct core_node_spec s;
        if (nodes[i]->id == config->self)
            s = spec_of(&text, &m, cluster_incarnation(c), config->redis_port, config->admin_port,
                        QUORATE_LEVEL_MIN, QUORATE_LEVEL_MAX);
        else if (p && p->alive && p->hello)
            s = spec_of(&text, &m, p->hello->incarnation, p->hello->redis_port, p->hello->admin_port,
                        p->hello->version_min, p->hello->version_max);
        else
            continue;
        look_at(c, nodes[i], &s);
    }
}

void membership_turn(struct cluster *c)
{
    if (c->now < c->membership.next_at) return;
    c->membership.next_at = c->now + LOOK_EVERY;
    if (!cluster_is_founded(c)) {
        found(c);
        return;
    }
    if (cluster_leads_core(c) && cluster_map(c) == cluster_own_core(c) && list_is_empty(&c->changes.busy))
        look_at_nodes(c);
}
