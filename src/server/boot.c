/* A node's beginning and its end: the directory, what it holds, the log, the doors. */
#include "server/node_state.h"

#include <inttypes.h>
#include <stdio.h>

#define WALK_ROWS_PER_TURN 10000 /* about 2 ms */

size_t node_frame_bytes_max(const struct node_config *c)
{
    return 2 * c->value_bytes_max + MIB;
}

void node_config_defaults(struct node_config *c)
{
    *c = (struct node_config){
        .redis_port = 6379,
        .peer_port = 7379,
        .admin_port = 8379,
        .memory_bytes = 1024 * MIB,
        .value_bytes_max = 16 * MIB,
        .clients_max = 10000,
        .wal_segment_bytes = 64 * MIB,
        .wal_units_in_flight = 2,
        .log_bytes_max = 256 * MIB,
        .snapshot_chunk_bytes = 256 * KIB,
        .checkpoint_dirty_bytes = 64 * MIB,
        .checkpoint_every = 60 * NANOS_SEC,
        .election_timeout_min = 300 * NANOS_MS,
        .election_timeout_max = 600 * NANOS_MS,
        .heartbeat_every = 60 * NANOS_MS,
        .lease = 300 * NANOS_MS,
        .drift_ppm = 10000,
        .request_timeout = 1500 * NANOS_MS,
    };
    snprintf(c->host, sizeof c->host, "127.0.0.1");
}

/* ---- one replica ---- */

static void part_options_of(struct node *n, u64 id, struct part_options *o)
{
    const struct node_config *c = &n->config;
    u64 tail = size_max(u64_min(c->log_bytes_max, c->memory_bytes / 6), 3 * c->value_bytes_max);

    *o = (struct part_options){
        .id = id,
        .self = c->self,
        .boot = n->identity.boot,
        .raft = {.self = c->self,
                 .seed = env_random(n->env),
                 .election_timeout_min = c->election_timeout_min,
                 .election_timeout_max = c->election_timeout_max,
                 .heartbeat_every = c->heartbeat_every,
                 .lease = c->lease,
                 .drift_ppm = c->drift_ppm,
                 .inflight_messages_max = 256,
                 .inflight_bytes_max = 4 * MIB,
                 .append_bytes_max = 512 * KIB,
                 .tail_bytes_max = tail,
                 .uncommitted_bytes_max = tail / 2},
        .log_bytes_keep = tail / 8,
        .snapshot_chunk_bytes = c->snapshot_chunk_bytes,
        .checkpoint_dirty_bytes = u64_min(c->checkpoint_dirty_bytes, c->memory_bytes / 8),
        .checkpoint_every = c->checkpoint_every,
        .dirty_bytes_max = c->memory_bytes / 3,
        .wal_bytes_max = 16 * c->wal_segment_bytes,
        .queue_bytes_max = size_max(c->memory_bytes / 8, 4 * c->value_bytes_max),
    };
    mem_copy(o->incarnation, n->identity.incarnation, sizeof o->incarnation);
}

static struct machine *redis_machine(void *context, struct store *store, const struct parts_place *place)
{
    struct node *n = context;
    struct kv_options ko = {.span.by_key = place->by_key,
                            .keyspace_first = place->keyspace_first,
                            .keyspace_count = place->keyspace_count,
                            .value_bytes_max = n->config.value_bytes_max,
                            .step_budget = NODE_STEP_BUDGET,
                            .walk_rows_max = WALK_ROWS_PER_TURN};
    return kv_machine_new(kv_new(store, &ko));
}

static struct machine *core_machine(void *context, struct store *store, const struct parts_place *place)
{
    (void)context, (void)place;
    return core_machine_new(core_new(store));
}

void node_place_of(u64 part, u32 *keyspace_first, u32 *keyspace_count)
{
    assert(part && part < HOSTED_PARTS_MAX);
    *keyspace_first = CORE_STORE_KEYSPACE;
    *keyspace_count = 1;
    if (part == PART_CORE) return;
    *keyspace_first = DEFAULT_KEYSPACE_FIRST;
    *keyspace_count = DEFAULT_KEYSPACE_COUNT;
    if (part == PART_DEFAULT) return;
    *keyspace_first = KEYSPACE_BLOCKS_FIRST + (u32)(part - PART_DEFAULT - 1) * KEYSPACE_BLOCK_COUNT;
    *keyspace_count = KEYSPACE_BLOCK_COUNT;
}

static struct parts_place place_of(struct node *n, const struct replica_row *row)
{
    return (struct parts_place){.keyspace_first = row->keyspace_first,
                                .keyspace_count = row->keyspace_count,
                                .by_key = row->by_key,
                                .machine = row->machine == REPLICA_CORE ? core_machine : redis_machine,
                                .context = n};
}

static void options_of_row(struct node *n, const struct replica_row *row, struct part_options *o,
                           struct raft_config *founders)
{
    *founders = (struct raft_config){0};
    err failed = row->founders.len ? raft_config_decode(row->founders, founders) : OK;
    assert(!failed); /* the table has no other */
    part_options_of(n, row->part, o);
    o->replica = row->replica;
    o->members = founders;
    o->slot_first = row->slot_first;
    o->slot_last = row->slot_last;
    /* What was named at the start has no incarnation, so its disk may be another than before. */
    const struct raft_member *own = raft_config_find(founders, row->replica);
    bool named = own && raft_member_is_nameless(own);
    o->fresh = !row->started && !named;
}

err node_start_replica(struct node *n, const struct replica_row *row)
{
    struct parts_place place = place_of(n, row);
    struct raft_config founders;
    struct part_options o;

    options_of_row(n, row, &o, &founders);
    return parts_start(n->parts, &o, &place);
}

void node_open_gateway(struct node *n, struct hosted *h)
{
    h->gateway = gateway_new(n, h, n->identity.boot);
}

static err open_log(struct node *n, char *problem, size_t size)
{
    const struct node_config *c = &n->config;
    struct wal_config w = {.dir = "wal/r0",
                           .boot_epoch = n->identity.boot,
                           .segment_bytes = c->wal_segment_bytes,
                           .units_in_flight_max = c->wal_units_in_flight,
                           .unit_bytes_max = size_min(MIB, c->wal_segment_bytes / 4),
                           .frame_bytes_max = node_frame_bytes_max(c),
                           .backlog_bytes_max = size_max(16 * MIB, 4 * c->value_bytes_max),
                           .salt = env_random(n->env)};

    err e = n->env->ops->dir_make(n->env, "wal");
    if (!e) e = n->env->ops->dir_make(n->env, "wal/r0");
    if (!e) e = wal_open(n->env, &w, parts_on_replay, parts_on_damage, n->parts, &n->wal);
    if (!e) e = parts_boot(n->parts, n->wal);
    if (e) snprintf(problem, size, "cannot open the log in wal/r0: %s", err_text(e));
    return e;
}

/* ---- the catalog ---- */

/* A founding member's first two replicas, known before there is a map. */
static err name_founders(struct node *n, char *problem, size_t size)
{
    const struct node_config *c = &n->config;
    struct replica_row row = {.replica = c->self};
    struct raft_config founders = {0};
    struct buf encoded = {0};

    for (u32 i = 0; i < c->member_count; i++) raft_config_found(&founders, c->members[i].id);
    for (u32 id = 1; id <= c->member_count; id++) {
        if (c->member_count <= CORE_VOTERS_MAX && raft_config_find(&founders, id)) continue;
        snprintf(problem, size, "a cluster is founded by 1 to %u members with the ids 1, 2, 3 and so on; others --join it",
                 CORE_VOTERS_MAX);
        return ERR_INVALID;
    }
    raft_config_encode(&founders, &encoded);
    row.founders = buf_str(&encoded);
    for (row.part = PART_CORE; row.part <= PART_DEFAULT; row.part++) {
        row.machine = row.part == PART_CORE ? REPLICA_CORE : REPLICA_REDIS;
        node_place_of(row.part, &row.keyspace_first, &row.keyspace_count);
        replicas_add(&n->replicas, &row);
    }
    buf_done(&encoded);
    return replicas_save(&n->replicas);
}

/* Founding replicas of a group that others change: no catalog. */
static err add_fixed(struct node *n)
{
    const struct node_config *c = &n->config;
    struct replica_row row = {.part = PART_DEFAULT, .machine = REPLICA_REDIS, .started = true};
    u32 founders = c->founders ? c->founders : c->member_count;
    bool founds = !c->replica;
    struct raft_config members = {0};
    struct part_options o;

    node_place_of(row.part, &row.keyspace_first, &row.keyspace_count);
    struct parts_place place = place_of(n, &row);
    part_options_of(n, row.part, &o);
    o.replica = c->replica;
    for (u32 i = founders; i < c->member_count; i++) founds &= c->members[i].id != c->self;
    for (u32 i = 0; founds && i < founders; i++) raft_config_found(&members, c->members[i].id);
    o.members = &members;
    n->founds = true;
    return parts_add(n->parts, &o, &place);
}

static err add_replicas(struct node *n, char *problem, size_t size)
{
    bool found;
    err e = replicas_open(n->env, &n->replicas, &found);

    if (e) snprintf(problem, size, "the file `replicas` of the directory cannot be read: %s", err_text(e));
    if (!e && !found && !n->identity.has_joined) e = name_founders(n, problem, size);
    for (u32 i = 0; i < n->replicas.count && !e; i++) {
        const struct replica_row *row = &n->replicas.rows[i];
        struct parts_place place = place_of(n, row);
        struct raft_config founders;
        struct part_options o;
        options_of_row(n, row, &o, &founders);
        n->founds |= row->part == PART_CORE && founders.count;
        if (!row->deleting || MUTANT(deleted_replica_starts_again)) e = parts_add(n->parts, &o, &place);
    }
    return e;
}

/* Rows of replicas whose deletion a stop has interrupted. */
static void erase_rest(struct node *n)
{
    for (u32 i = 0; i < n->replicas.count; i++) {
        struct parts_place place = place_of(n, &n->replicas.rows[i]);
        if (n->replicas.rows[i].deleting) parts_erase_rest(n->parts, n->replicas.rows[i].part, &place);
    }
}

static err open_state(struct node *n, char *problem, size_t size)
{
    struct part_host host = {.context = n,
                             .answer = node_on_answer,
                             .peer_begin = node_on_peer_begin,
                             .peer_end = node_on_peer_end,
                             .incarnation = node_on_incarnation,
                             .replica = node_on_replica,
                             .ship = node_on_ship,
                             .shipped = node_on_shipped,
                             .born = node_on_born,
                             .gone = node_on_gone,
                             .wake = node_on_wake,
                             .support_from = node_on_support_from,
                             .support_given = node_on_support_given,
                             .log = node_on_log};

    err e = n->config.open_kvs(n->config.open_kvs_context, &n->kvs, problem, size);
    if (e) return e;
    n->parts = parts_new(n->env, n->kvs, n->config.memory_bytes / 5 * 2, &host);
    e = n->config.fixed_members ? add_fixed(n) : add_replicas(n, problem, size);
    if (e && !problem[0]) snprintf(problem, size, "cannot read the state store: %s", err_text(e));
    return e;
}

static struct hosted *open_way(struct node *n, u64 part)
{
    struct hosted *h = parts_find(n->parts, part);

    if (!h) h = parts_add_remote(n->parts, part);
    node_open_gateway(n, h);
    return h;
}

static void make_alone(struct node_config *c)
{
    if (c->member_count) return;
    c->member_count = 1;
    c->members[0].id = c->self;
    snprintf(c->members[0].host, sizeof c->members[0].host, "%s", c->host);
    c->members[0].peer_port = c->peer_port;
}

err node_boot_member(struct node *n, char *problem, size_t size)
{
    struct peer_handlers handlers = {
        .context = n, .on_frame = node_on_frame, .on_lost = node_on_lost, .on_met = node_on_met, .on_join = node_on_join,
        .is_removed = node_is_removed, .on_removed = node_on_removed};

    make_alone(&n->config);
    n->support = support_new(n, n->identity.boot);
    err e = open_state(n, problem, size);
    if (e) return e;
    e = open_log(n, problem, size);
    if (e) return e;
    n->main = open_way(n, PART_DEFAULT);
    if (!n->config.fixed_members) open_way(n, PART_CORE);
    erase_rest(n);
    e = peers_new(n, n->identity.incarnation, n->identity.boot, &handlers, problem, size,
                  &n->peers);
    if (!e && !n->config.fixed_members) n->cluster = cluster_new(n, &n->replicas);
    if (!e) e = redis_door_new(n, problem, size, &n->redis);
    if (!e) e = admin_door_new(n, problem, size, &n->admin);
    return e;
}

void node_tell_start(struct node *n)
{
    struct part *p = n->main->part;

    env_log(n->env, LOG_INFO,
            "node starts node=%u boot=%u members=%u applied=%" PRIu64 " last=%" PRIu64 " disk=%s",
            n->config.self, n->identity.boot, n->config.member_count, p ? part_applied(p) : 0,
            p ? raft_last(part_raft(p)).index : 0, n->env->disk_how ? n->env->disk_how : "?");
}

static err boot(struct node *n, char *problem, size_t size)
{
    err e = identity_open(n->env, &n->config, problem, size, &n->identity);
    if (e) return e;
    if (!n->identity.node) {
        n->joiner = joiner_new(n, n->identity.incarnation);
        return OK;
    }
    e = node_boot_member(n, problem, size);
    if (!e) node_tell_start(n);
    return e;
}

err node_new(struct env *env, const struct node_config *config, char *problem, size_t problem_size,
             struct node **out)
{
    struct node *n = mem_zalloc(sizeof *n);

    *out = NULL;
    problem[0] = 0;
    n->env = env;
    n->config = *config;
    n->config.named_count = config->member_count;
    memcpy(n->config.named, config->members, sizeof n->config.named);
    n->now = n->started_at = env_mono(env);
    err e = boot(n, problem, problem_size);
    if (e) {
        node_free(n);
        return e;
    }
    *out = n;
    return OK;
}

void node_free(struct node *n)
{
    if (!n) return;
    joiner_free(n->joiner);
    redis_door_free(n->redis);
    admin_door_free(n->admin);
    parts_free(n->parts); /* its gateways hold requests of the cluster's */
    cluster_free(n->cluster);
    peers_free(n->peers);
    support_free(n->support);
    replicas_done(&n->replicas);
    wal_free(n->wal);
    if (n->kvs) n->kvs->ops->close(n->kvs);
    mem_free(n);
}
