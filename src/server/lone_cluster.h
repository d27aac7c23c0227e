/* For the tests of this folder: a cluster's own files over a map that the test commands, without a node, connections or
 * replicas behind them. What they call is replaced at link time by the functions below, which take notes. Node 1 is
 * the test's; three nodes founded the cluster; keyspace "orders" has partition 3. */
#pragma once

#include "base/test.h"
#include "server/cluster_internal.h"

#define LONE_NOTES 16
#define ORDERS     3 /* its one partition */

static struct lone {
    struct cluster c;
    struct node_config config;
    u8 incarnation[16]; /* of node 1's disk */
    struct replicas replicas;
    struct replica_row rows[LONE_NOTES];
    u8 founders[LONE_NOTES][512]; /* theirs */
    struct hosted hosted[LONE_NOTES]; /* ways and replicas, as they become known */
    u32 hosted_count;

    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct core *map;

    const char *failure;                   /* what the node fails with */
    struct replica_row started[LONE_NOTES];
    u32 started_count, saves;
    bool started_unsaved; /* before the catalog was saved */
    struct core_command proposed[LONE_NOTES];
    u32 proposed_count;
    struct raft_config target;             /* that members were to change to */
    u32 changes;
    struct buf sent;                       /* the latest frame's body */
    u16 sent_type;
    bool is_cut_off; /* no frame leaves */
} lone;

/* ---- the map ---- */

static inline void lone_do(const struct core_command *cmd)
{
    struct buf payload = {0}, out = {0};
    struct core_reply reply;

    core_command_encode(cmd, &payload);
    CHECK_OK(core_apply(lone.map, buf_str(&payload), &out));
    CHECK_OK(core_reply_decode(buf_str(&out), &reply));
    CHECK_EQ(reply.status, CORE_OK);
    buf_done(&payload);
    buf_done(&out);
}
#define LONE_DO(...) lone_do(&(struct core_command){__VA_ARGS__})

static inline struct core_node_spec lone_node(u32 id)
{
    static const char *const peer[] = {"10.0.0.1:7379", "10.0.0.2:7379", "10.0.0.3:7379", "10.0.0.4:7379"};
    return (struct core_node_spec){.incarnation = {{(u8)id, 0xAA}},
                                   .peer = str_of(peer[id - 1]),
                                   .redis = STR("10.0.0.1:6379"),
                                   .admin = STR("10.0.0.1:8379"),
                                   .version_min = 1,
                                   .version_max = 2};
}

static inline const struct core_part *lone_part(void) { return core_part(lone.map, ORDERS); }

/* Of ORDERS: a step of whatever is under way there. */
static inline void lone_step(u8 op, u8 step)
{
    LONE_DO(.op = op, .part = ORDERS, .epoch = lone_part()->epoch, .step = step);
}

/* A replica of ORDERS goes from one node to another, as far as its SWAP. */
static inline void lone_begin_move(u32 to, u32 out)
{
    LONE_DO(.op = CORE_PART_BEGIN, .kind = CORE_OP_MOVE, .part = ORDERS, .epoch = lone_part()->epoch, .node = to,
            .replica = out);
    lone_step(CORE_PART_STEP, CORE_STEP_PREPARED);
    lone_step(CORE_PART_STEP, CORE_STEP_SWAP);
}

static inline void lone_join_node_4(void)
{
    LONE_DO(.op = CORE_NODE_JOIN, .nodes = {lone_node(4)});
    LONE_DO(.op = CORE_NODE_UPDATE, .node = 4, .mask = CORE_UPDATE_READY, .nodes = {lone_node(4)});
}

static inline u32 lone_replica_on(u32 node)
{
    u32 found = 0;
    for (u32 i = 0; i < lone_part()->member_count; i++)
        if (lone_part()->members[i].node == node) found = lone_part()->members[i].replica;
    return found;
}

static inline void lone_create(const char *name, const char *partitions)
{
    struct core_command cmd = {.op = CORE_KS_CREATE, .name = str_of(name), .row_count = 1};
    cmd.rows[0] = (struct core_setting_row){STR("partitions"), str_of(partitions)};
    lone_do(&cmd);
}

static inline struct cluster *lone_open(void)
{
    struct store_options so = {.part = PART_CORE, .keyspace_count = 1, .memory_bytes_max = MIB};
    struct core_command found = {.op = CORE_FOUND, .uuid = {{7}}, .version = QUORATE_LEVEL_MIN, .node_count = 3};

    lone = (struct lone){.config.self = 1, .incarnation = {1, 0xAA}, .image = kvs_image_new()};
    lone.kvs = kvs_memory_open(lone.image);
    lone.store = store_new(lone.kvs, &so);
    lone.map = core_new(lone.store);
    CHECK_OK(core_load(lone.map));
    for (u32 i = 0; i < 3; i++) found.nodes[i] = lone_node(i + 1);
    lone_do(&found);
    lone_create("orders", "hash:1");
    lone.replicas.rows = lone.rows;
    lone.c.replicas = &lone.replicas;
    lone.c.now = NANOS_SEC;
    lone.c.residents.look_again_at = NANOS_NEVER;
    return &lone.c;
}

static inline void lone_close(void)
{
    mem_free(lone.c.controller.groups);
    mem_free(lone.c.residents.ops);
    mem_free(lone.c.reports.told);
    buf_done(&lone.c.reports.body);
    buf_done(&lone.sent);
    core_free(lone.c.copy.core);
    core_free(lone.c.copy.next);
    core_free(lone.map);
    store_free(lone.store);
    lone.kvs->ops->close(lone.kvs);
    kvs_image_free(lone.image);
}

/* ---- in place of cluster.c, node.c, identity.c, changes.c and env.c ---- */

const struct core *cluster_map(const struct cluster *c) { return c->copy.core ? c->copy.core : lone.map; }
struct core *cluster_own_core(const struct cluster *c) { return (void)c, NULL; }
u64 cluster_epoch(const struct cluster *c) { return core_cluster(cluster_map(c))->epoch; }
bool cluster_is_founded(const struct cluster *c) { return (void)c, true; }
bool cluster_leads_core(const struct cluster *c) { return (void)c, true; }
struct hosted *cluster_core_hosted(const struct cluster *c) { return (void)c, NULL; }
node_id cluster_core_leader(const struct cluster *c) { return (void)c, 2; }
const u8 *cluster_incarnation(const struct cluster *c)
{
    return (void)c, lone.incarnation;
}

const struct node_config *node_config_of(const struct node *n) { return (void)n, &lone.config; }
void node_fail(struct node *n, const char *text, err e)
{
    (void)n, (void)e;
    lone.failure = text;
}
void node_open_gateway(struct node *n, struct hosted *h) { (void)n, (void)h; }
struct wal *node_wal(const struct node *n) { return (void)n, NULL; }
err node_set_members(struct node *n, const struct node_member *m, u32 count) { return (void)n, (void)m, (void)count, OK; }
void node_place_of(u64 part, u32 *first, u32 *count)
{
    *first = (u32)part;
    *count = 1;
}
err node_start_replica(struct node *n, const struct replica_row *row)
{
    (void)n;
    lone.started[lone.started_count++] = *row;
    lone.started_unsaved |= lone.replicas.dirty;
    return OK;
}
void identity_use_named(const struct node_config *c, struct node_member *m, u32 n) { (void)c, (void)m, (void)n; }

bool changes_has_room(const struct cluster *c) { return (void)c, true; }
bool changes_is_busy(const struct cluster *c, u64 part) { return (void)c, (void)part, false; }
void changes_propose(struct cluster *c, const struct core_command *cmd)
{
    (void)c;
    lone.proposed[lone.proposed_count++] = *cmd;
}

void env_log(struct env *e, enum log_level level, const char *format, ...)
{
    (void)e, (void)level, (void)format;
}

/* ---- in place of peers.c ---- */

struct buf *peers_begin(struct peers *p, node_id to, const struct frame *f, bool may_drop)
{
    (void)p, (void)to, (void)may_drop;
    if (lone.is_cut_off) return NULL;
    buf_clear(&lone.sent);
    lone.sent_type = f->type;
    return &lone.sent;
}
void peers_end(struct peers *p) { (void)p; }
u32 peers_view(const struct peers *p, struct peer_view *out, u32 max) { return (void)p, (void)out, (void)max, 0; }

/* ---- in place of replicas.c ---- */

struct replica_row *replicas_find(const struct replicas *r, u64 part)
{
    for (u32 i = 0; i < r->count; i++)
        if (r->rows[i].part == part) return &r->rows[i];
    return NULL;
}
void replicas_add(struct replicas *r, const struct replica_row *row)
{
    u8 *founders = lone.founders[r->count];
    struct replica_row *kept = &r->rows[r->count++];

    assert(row->founders.len <= sizeof lone.founders[0]);
    *kept = *row;
    mem_copy(founders, row->founders.at, row->founders.len);
    kept->founders.at = founders;
    r->dirty = true;
}
void replicas_remove(struct replicas *r, u64 part) { (void)r, (void)part; }
err replicas_save(struct replicas *r)
{
    lone.saves += r->dirty;
    r->dirty = false;
    return OK;
}

/* ---- in place of parts.c and the partitions ---- */

bool gateway_is_idle(const struct gateway *g) { return (void)g, true; }
static struct list lone_worked;
struct list *parts_worked(struct parts *ps)
{
    (void)ps;
    if (!lone_worked.next) list_init(&lone_worked);
    return &lone_worked;
}
void parts_note_worked(struct parts *ps, struct hosted *h) { (void)ps, (void)h; }
struct hosted *parts_find(struct parts *ps, u64 part)
{
    (void)ps;
    for (u32 i = 0; i < lone.hosted_count; i++)
        if (lone.hosted[i].id == part) return &lone.hosted[i];
    return NULL;
}
struct hosted *parts_add_remote(struct parts *ps, u64 part)
{
    (void)ps;
    lone.hosted[lone.hosted_count] = (struct hosted){.id = part};
    return &lone.hosted[lone.hosted_count++];
}
u32 parts_count(const struct parts *ps) { return (void)ps, lone.hosted_count; }
struct hosted *parts_at(struct parts *ps, u32 i) { return (void)ps, &lone.hosted[i]; }
void parts_forget(struct parts *ps, struct hosted *h) { (void)ps, (void)h; }
void parts_retire(struct parts *ps, struct hosted *h) { (void)ps, h->retiring = true; }
bool parts_take_erased(struct parts *ps) { return (void)ps, false; }
void parts_touch(struct parts *ps, struct hosted *h) { (void)ps, (void)h; }
node_id hosted_leader(const struct hosted *h) { return h->leader_hint; }
