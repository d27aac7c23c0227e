/* The node: boot, and the turn that does all its work. See node.h. */
#include "server/join.h"
#include "server/node_internal.h"
#include "wire/peer/join.h"

#include <inttypes.h>
#include <stdio.h>

#define EVENTS_PER_TURN 4096
#define STATUS_EVERY    (200 * NANOS_MS)
#define STOP_WAIT       (3 * NANOS_SEC)
/* About 50 ms of a write command's work; the same on every replica, as it decides replies. */
#define STEP_BUDGET 500000
#define WALK_ROWS_PER_TURN 10000 /* about 2 ms */

struct node {
    struct env *env;
    struct node_config config;
    struct identity identity;
    struct kvs *kvs;
    struct wal *wal;
    struct parts *parts;
    struct hosted *main; /* the default keyspace's */
    struct peers *peers;
    struct joiner *joiner; /* until the cluster has answered; nothing else exists then */
    struct redis_door *redis;
    struct admin_door *admin;
    nanos now, started_at, next_status_at, next_log_look;
    bool was_full, resigned, stopped;
    nanos stop_asked_at; /* 0: not asked */
    bool failed;
    char failure[256];
};

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

static void fail(struct node *n, const char *why, err e)
{
    if (n->failed) return;
    n->failed = true;
    snprintf(n->failure, sizeof n->failure, "%s: %s", why, err_text(e));
    env_log(n->env, LOG_ERROR, "node stops: %s", n->failure);
}

/* ---- what the partition and the peers ask of the node ---- */

static void answer_peer(struct node *n, const struct part_answer *a)
{
    /* Numbers begin anew in each life of a node: an answer is for the life that asked. */
    struct frame f = {
        .type = FRAME_FORWARD_REPLY, .part = a->part, .req = a->to.number, .dst_boot = a->to.boot};
    struct forward_reply r = {
        .status = (u8)a->status, .leader = a->leader, .index = a->index, .reply = a->reply};
    struct buf *out = peers_begin(n->peers, a->to.node, &f, false);

    if (!out) return; /* its gateway asks again, or answers UNKNOWN */
    forward_reply_encode(&r, out);
    peers_end(n->peers);
}

static void on_answer(void *context, const struct part_answer *a)
{
    struct node *n = context;
    if (a->to.node == n->config.self)
        gateway_on_answer(parts_find(n->parts, a->part)->gateway, a);
    else
        answer_peer(n, a);
}

static struct buf *on_peer_begin(void *context, node_id to, const struct frame *f)
{
    struct node *n = context;
    return peers_begin(n->peers, to, f, true);
}

static void on_peer_end(void *context)
{
    struct node *n = context;
    peers_end(n->peers);
}

static const u8 *on_incarnation(void *context, node_id node)
{
    struct node *n = context;
    return node == n->config.self ? n->identity.incarnation : peers_incarnation(n->peers, node);
}

static void on_log(void *context, enum log_level level, const char *line)
{
    struct node *n = context;
    env_log(n->env, level, "%s", line);
}

static err on_forward(struct node *n, struct hosted *h, node_id from, const struct frame *f,
                      str body)
{
    struct forward fw;

    err e = forward_decode(body, &fw);
    if (e) return e;
    if (fw.kind < PART_WRITE || fw.kind > PART_WAIT) return ERR_MALFORMED;
    if (fw.kind != PART_WAIT) {
        struct entry checked;
        if (entry_decode(fw.entry, &checked)) return ERR_MALFORMED;
    }
    if (!h || !h->part) { /* whoever asks has an old map */
        struct part_answer a = {.part = f->part,
                                .to = {from, f->src_boot, f->req},
                                .status = PART_NOT_LEADER,
                                .leader = h ? h->leader_hint : 0};
        answer_peer(n, &a);
        return OK;
    }
    struct part_request req = {.kind = (enum part_kind)fw.kind,
                               .from = {from, f->src_boot, f->req},
                               .entry = fw.entry.len ? rcbuf_from(fw.entry) : NULL,
                               .after = fw.after,
                               .deadline = n->now + (nanos)f->deadline_ms * NANOS_MS,
                               .index = fw.index,
                               .replicas = fw.replicas};
    part_submit(h->part, &req);
    return OK;
}

static err on_frame(void *context, node_id from, const struct frame *f, str body)
{
    struct node *n = context;

    struct hosted *h = parts_find(n->parts, f->part);
    if (h) parts_touch(n->parts, h);
    switch (f->type) {
    case FRAME_FORWARD: return on_forward(n, h, from, f, body);
    case FRAME_FORWARD_REPLY: return h && h->gateway ? gateway_on_reply(h->gateway, from, f, body) : OK;
    default: return h && h->part ? part_on_frame(h->part, from, f, body) : OK;
    }
}

static void on_lost(void *context, node_id peer, bool restarted)
{
    struct node *n = context;
    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct hosted *h = parts_at(n->parts, i);
        if (h->part) part_on_peer_lost(h->part, peer, restarted);
        if (h->gateway) gateway_on_peer_lost(h->gateway, peer);
        parts_touch(n->parts, h);
    }
}

/* The cluster's metadata, which would name the stranger a node, is not hosted yet. */
static void on_join(void *context, u64 ticket, str body)
{
    struct node *n = context;
    struct join_reply r = {
        .status = JOIN_REFUSED,
        .reason = STR("the members of this cluster are fixed at start: name them with --peers instead of --join")};

    (void)body;
    peers_answer_join(n->peers, ticket, &r);
}

/* ---- boot ---- */

static void part_options_of(struct node *n, struct part_options *o)
{
    const struct node_config *c = &n->config;
    u64 tail = size_max(u64_min(c->log_bytes_max, c->memory_bytes / 6), 3 * c->value_bytes_max);

    *o = (struct part_options){
        .id = PART_DEFAULT,
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
    o->replica = c->replica;
    u32 founders = c->founders ? c->founders : c->member_count;
    bool founds = !c->replica;
    for (u32 i = founders; i < c->member_count; i++) founds &= c->members[i].id != c->self;
    for (u32 i = 0; founds && i < founders; i++)
        raft_config_found(&o->members, c->members[i].id);
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

static struct machine *redis_machine(void *context, struct store *store)
{
    struct node *n = context;
    struct kv_options ko = {.keyspace_first = DEFAULT_KEYSPACE_FIRST,
                            .keyspace_count = DEFAULT_KEYSPACE_COUNT,
                            .value_bytes_max = n->config.value_bytes_max,
                            .step_budget = STEP_BUDGET,
                            .walk_rows_max = WALK_ROWS_PER_TURN};
    return kv_machine_new(kv_new(store, &ko));
}

static err open_state(struct node *n, char *problem, size_t size)
{
    struct part_host host = {.context = n,
                             .answer = on_answer,
                             .peer_begin = on_peer_begin,
                             .peer_end = on_peer_end,
                             .incarnation = on_incarnation,
                             .log = on_log};
    struct part_options po;

    err e = n->config.open_kvs(n->config.open_kvs_context, &n->kvs, problem, size);
    if (e) return e;
    n->parts = parts_new(n->env, n->kvs, n->config.memory_bytes / 5 * 2, &host);
    part_options_of(n, &po);
    struct parts_place place = {.keyspace_first = DEFAULT_KEYSPACE_FIRST,
                                .keyspace_count = DEFAULT_KEYSPACE_COUNT,
                                .machine = redis_machine,
                                .context = n};
    e = parts_add(n->parts, &po, &place);
    n->main = parts_find(n->parts, PART_DEFAULT);
    if (e) snprintf(problem, size, "cannot read the state store: %s", err_text(e));
    return e;
}

static void make_alone(struct node_config *c)
{
    if (c->member_count) return;
    c->member_count = 1;
    c->members[0].id = c->self;
    snprintf(c->members[0].host, sizeof c->members[0].host, "%s", c->host);
    c->members[0].peer_port = c->peer_port;
}

static err boot_member(struct node *n, char *problem, size_t size)
{
    struct peer_handlers handlers = {.context = n, .on_frame = on_frame, .on_lost = on_lost, .on_join = on_join};

    make_alone(&n->config);
    err e = open_state(n, problem, size);
    if (e) return e;
    e = open_log(n, problem, size);
    if (e) return e;
    n->main->gateway = gateway_new(n, n->main, n->identity.boot);
    e = peers_new(n, n->identity.incarnation, n->identity.boot, &handlers, problem, size,
                  &n->peers);
    if (!e) e = redis_door_new(n, problem, size, &n->redis);
    if (!e) e = admin_door_new(n, problem, size, &n->admin);
    return e;
}

static void tell_start(struct node *n)
{
    env_log(n->env, LOG_INFO,
            "node starts node=%u boot=%u members=%u applied=%" PRIu64 " last=%" PRIu64 " disk=%s",
            n->config.self, n->identity.boot, n->config.member_count, part_applied(n->main->part),
            raft_last(part_raft(n->main->part)).index, n->env->disk_how ? n->env->disk_how : "?");
}

static err boot(struct node *n, char *problem, size_t size)
{
    err e = identity_open(n->env, &n->config, problem, size, &n->identity);
    if (e) return e;
    if (!n->identity.node) {
        n->joiner = joiner_new(n, n->identity.incarnation);
        return OK;
    }
    e = boot_member(n, problem, size);
    if (!e) tell_start(n);
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
    peers_free(n->peers);
    parts_free(n->parts);
    wal_free(n->wal);
    if (n->kvs) n->kvs->ops->close(n->kvs);
    mem_free(n);
}

/* ---- the turn ---- */

static void take_disk(struct node *n, const struct env_event *ev)
{
    err e = wal_on_disk_done(n->wal, ev->op, n->now);
    if (e)
        fail(
            n,
            "a write to the log failed, what is on disk is unknown; check the disk and start again",
            e);
}

static void take_job(struct node *n, const struct env_event *ev)
{
    if (wal_owns_job(n->wal, ev->job)) {
        err e = wal_on_job_done(n->wal, ev->job, n->now);
        if (e) fail(n, "the log cannot prepare its next file", e);
        return;
    }
    err e = parts_on_job(n->parts, ev->job);
    if (e) fail(n, "writing the state store failed", e);
}

static void take_stream(struct node *n, const struct env_event *ev, u32 kind)
{
    switch (kind) {
    case NODE_PEER_DIALLED:
    case NODE_PEER_ACCEPTED: peers_on_event(n->peers, ev); break;
    case NODE_REDIS: redis_door_on_event(n->redis, ev); break;
    case NODE_ADMIN: admin_door_on_event(n->admin, ev); break;
    case NODE_JOIN:
        if (n->joiner) joiner_on_event(n->joiner, ev);
        break;
    default: panic("an event without an owner: kind %u", kind);
    }
}

static void take(struct node *n, const struct env_event *ev)
{
    switch (ev->kind) {
    case ENV_DISK_DONE: take_disk(n, ev); break;
    case ENV_JOB_DONE: take_job(n, ev); break;
    case ENV_STOP:
        if (!n->stop_asked_at) n->stop_asked_at = n->now;
        break;
    case ENV_ACCEPTED: take_stream(n, ev, ev->listener->kind); break;
    default: take_stream(n, ev, ev->stream->kind); break;
    }
}

static bool take_events(struct node *n)
{
    struct env_event ev;

    for (u32 i = 0; i < EVENTS_PER_TURN; i++) {
        if (n->failed || !env_next_event(n->env, &ev)) return false;
        take(n, &ev);
    }
    return true;
}

static void tell_status(struct node *n)
{
    struct part *p = n->main->part;
    struct raft *r = part_raft(p);
    struct status s = {.role = (u32)raft_role(r),
                       .leader = part_leader(p),
                       .pid = n->config.pid,
                       .term = raft_term(r),
                       .commit = raft_commit(r),
                       .applied = part_applied(p),
                       .redis_port = n->config.redis_port,
                       .blank = part_is_blank(p)};

    if (n->now < n->next_status_at) return;
    n->next_status_at = n->now + STATUS_EVERY;
    peers_send_status(n->peers, &s);
}

/* A blank replica may vote once every member has said that it is blank as well. */
static void watch_founding(struct node *n)
{
    struct hosted *h = n->main;

    if (h->founded || !part_is_damaged(h->part)) return;
    if (!part_is_blank(h->part) || !peers_all_blank(n->peers)) return;
    h->founded = true;
    part_on_founding(h->part);
    parts_touch(n->parts, h);
}

/* Hand over what this node leads. */
static void resign_all(struct node *n)
{
    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct hosted *h = parts_at(n->parts, i);
        if (!h->part || !raft_is_leader(part_raft(h->part))) continue;
        part_resign(h->part);
        parts_touch(n->parts, h);
    }
}

static void watch_disk(struct node *n)
{
    bool full = wal_stats(n->wal)->full;

    if (full == n->was_full) return;
    n->was_full = full;
    env_log(n->env, full ? LOG_ERROR : LOG_INFO,
            full ? "disk full: read-only until space returns"
                 : "disk has space again: writes go on");
    for (u32 i = 0; i < parts_count(n->parts); i++)
        if (parts_at(n->parts, i)->part) part_on_disk_full(parts_at(n->parts, i)->part, full);
    parts_touch_all(n->parts);
}

/* What holds old files of the log back is checkpointed, however little happens to it. */
static void watch_log(struct node *n)
{
    if (n->now < n->next_log_look || wal_bytes_live(n->wal) <= 16 * n->config.wal_segment_bytes) return;
    n->next_log_look = n->now + 100 * NANOS_MS;
    parts_touch_all(n->parts);
}

static bool parts_are_stopping(struct node *n)
{
    bool stopped = true;

    for (u32 i = 0; i < parts_count(n->parts); i++)
        if (parts_at(n->parts, i)->part) stopped &= part_stopping(parts_at(n->parts, i)->part);
    parts_touch_all(n->parts);
    return stopped;
}

static void watch_stop(struct node *n)
{
    if (!n->stop_asked_at || n->stopped) return;
    if (!n->resigned) resign_all(n);
    n->resigned = true;
    bool idle = redis_door_stopping(n->redis);
    bool late = n->now >= n->stop_asked_at + STOP_WAIT;
    if ((idle || late) && (parts_are_stopping(n) || n->now >= n->stop_asked_at + 2 * STOP_WAIT))
        n->stopped = true;
}

static void set_wake(struct node *n)
{
    nanos at = parts_deadline(n->parts);

    at = u64_min(at, wal_deadline(n->wal));
    at = u64_min(at, peers_deadline(n->peers));
    at = u64_min(at, redis_door_deadline(n->redis));
    at = u64_min(at, n->next_status_at);
    if (n->stop_asked_at) at = u64_min(at, n->now + 20 * NANOS_MS);
    env_wake_at(n->env, at);
}

/* The turn of a node that is no member yet: ask, and become one. */
static bool join_turn(struct node *n)
{
    char problem[sizeof n->failure] = "";
    const struct join_outcome *o = joiner_outcome(n->joiner);

    joiner_turn(n->joiner, n->now);
    env_wake_at(n->env, joiner_deadline(n->joiner));
    if (n->stop_asked_at) n->stopped = true;
    if (o->refusal[0]) {
        n->failed = true;
        snprintf(n->failure, sizeof n->failure, "%s", o->refusal);
    }
    if (!o->done) return false;
    env_log(n->env, LOG_INFO, "joined as node %u", o->node);
    err e = identity_settle(n->env, &n->config, o, &n->identity);
    if (!e) e = boot_member(n, problem, sizeof problem);
    if (e) {
        fail(n, problem[0] ? problem : "cannot become a member", e);
        return false;
    }
    joiner_free(n->joiner); /* its connection was closed before its reply counted */
    n->joiner = NULL;
    tell_start(n);
    return true;
}

bool node_turn(struct node *n)
{
    bool more;

    if (n->failed || n->stopped) return false;
    n->now = env_mono(n->env);
    more = take_events(n);
    if (n->joiner) return join_turn(n);
    peers_turn(n->peers, n->now);
    more |= redis_door_turn(n->redis);
    watch_founding(n);
    watch_disk(n);
    watch_log(n);
    if (n->failed) return false;
    err e = parts_turn(n->parts, n->now, &more);
    if (e) {
        fail(n, "the partition cannot go on", e);
        return false;
    }
    tell_status(n);
    wal_flush(n->wal, n->now);
    peers_flush(n->peers);
    redis_door_flush(n->redis);
    admin_door_flush(n->admin);
    watch_stop(n);
    set_wake(n);
    return more && !n->stopped;
}

/* ---- views ---- */

const char *node_failure(const struct node *n)
{
    return n->failed ? n->failure : NULL;
}
bool node_is_joining(const struct node *n)
{
    return n->joiner != NULL;
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
struct parts *node_parts(const struct node *n)
{
    return n->parts;
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

void node_view(const struct node *n, struct node_view *out)
{
    struct raft *r = part_raft(n->main->part);
    struct peer_view peers[NODE_MEMBERS_MAX];
    u32 count = peers_view(n->peers, peers, NODE_MEMBERS_MAX);

    *out = (struct node_view){.self = n->config.self,
                              .leader = part_leader(n->main->part),
                              .boot = n->identity.boot,
                              .started_at = n->started_at};
    mem_copy(out->cluster_id, n->config.cluster_id, 16);
    out->serving = out->leader &&
                   (out->leader == n->config.self ? raft_lease_holds(r, env_mono(n->env))
                                                  : peers_is_connected(n->peers, out->leader));
    for (u32 i = 0; i < n->config.member_count; i++) {
        struct node_peer_view *m = &out->members[out->member_count++];
        *m = (struct node_peer_view){.id = n->config.members[i].id};
        if (m->id == n->config.self) {
            *m = (struct node_peer_view){.id = m->id,
                                         .alive = true,
                                         .role = (u32)raft_role(r),
                                         .pid = n->config.pid,
                                         .term = raft_term(r),
                                         .commit = raft_commit(r),
                                         .applied = part_applied(n->main->part),
                                         .boot = n->identity.boot,
                                         .health = part_is_damaged(n->main->part) ? HEALTH_IMPAIRED : HEALTH_OK,
                                         .redis_port = n->config.redis_port};
            continue;
        }
        struct raft_peer_status told;
        bool heard = raft_peer_status(r, m->id, &told) && told.heard_at;
        for (u32 j = 0; j < count; j++) {
            if (peers[j].id != m->id) continue;
            if (heard && peers[j].alive) m->health = told.impaired ? HEALTH_IMPAIRED : HEALTH_OK;
            m->alive = peers[j].alive;
            m->role = peers[j].status.role;
            m->pid = peers[j].status.pid;
            m->term = peers[j].status.term;
            m->commit = peers[j].status.commit;
            m->applied = peers[j].status.applied;
            m->boot = peers[j].boot;
            m->redis_port = peers[j].status.redis_port;
            m->other_value_max = peers[j].other_value_max;
        }
    }
}
