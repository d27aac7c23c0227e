/* See cluster.h. This file: the map, the way to the core, and whose turn it is. */
#include "server/cluster_internal.h"

#include "kv/entry.h"

struct cluster *cluster_new(struct node *n, struct replicas *replicas)
{
    struct cluster *c = mem_zalloc(sizeof *c);

    c->node = n;
    c->env = node_env(n);
    c->parts = node_parts(n);
    c->peers = node_peers(n);
    c->replicas = replicas;
    c->residents.look_again_at = NANOS_NEVER;
    c->copy.core = core_new(NULL);
    c->controller.plan = mem_zalloc(sizeof *c->controller.plan);
    for (u32 i = 0; i < JOINS_MAX; i++) c->membership.joins[i].cluster = c;
    changes_init(c);
    return c;
}

void cluster_free(struct cluster *c)
{
    if (!c) return;
    map_copy_free(c);
    controller_free(c);
    mem_free(c->residents.births);
    mem_free(c->residents.ops);
    mem_free(c->reports.told);
    buf_done(&c->reports.body);
    mem_free(c);
}

/* ---- the map ---- */

struct hosted *cluster_core_hosted(const struct cluster *c)
{
    return parts_find(c->parts, PART_CORE);
}

struct core *cluster_own_core(const struct cluster *c)
{
    struct hosted *h = cluster_core_hosted(c);
    return h && h->part ? core_machine_core(part_machine(h->part)) : NULL;
}

const struct core *cluster_map(const struct cluster *c)
{
    const struct core *own = cluster_own_core(c), *copy = c->copy.core;
    const struct core_cluster *newer = core_cluster(copy), *mine = own ? core_cluster(own) : NULL;

    if (!own || (newer && (!mine || newer->epoch > mine->epoch))) return copy;
    return own;
}

u64 cluster_epoch(const struct cluster *c)
{
    const struct core_cluster *k = core_cluster(cluster_map(c));
    return k ? k->epoch : 0;
}

bool cluster_is_founded(const struct cluster *c)
{
    return cluster_epoch(c) != 0;
}

const u8 *cluster_incarnation(const struct cluster *c)
{
    return node_identity(c->node)->incarnation;
}

bool cluster_leads_core(const struct cluster *c)
{
    struct hosted *h = cluster_core_hosted(c);
    return h && h->part && raft_is_leader(part_raft(h->part));
}

node_id cluster_core_leader(const struct cluster *c)
{
    struct hosted *h = cluster_core_hosted(c);
    return h ? hosted_leader(h) : 0;
}

/* ---- questions to the core ---- */

static void on_done(struct gateway_request *g, const struct gateway_reply *reply)
{
    struct cluster_request *r = CONTAINER_OF(g, struct cluster_request, gateway);
    struct core_reply answer;

    if (!reply->failed && core_reply_decode(reply->bytes, &answer) == OK) {
        r->done(r, &answer, (str){0});
        return;
    }
    str text = reply->bytes; /* an error of RESP: without its frame */
    while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r')) text.len--;
    if (text.len && text.at[0] == '-') text = str_from(text.at + 1, text.len - 1);
    r->done(r, NULL, text);
}

void cluster_ask(struct cluster *c, struct cluster_request *r, const struct core_command *cmd,
                 nanos deadline)
{
    struct entry e = {.apply_ver = ENTRY_APPLY_VER, .op = ENTRY_COMMAND};
    struct buf body = {0}, bytes = {0};

    core_command_encode(cmd, &body);
    e.body = buf_str(&body);
    entry_encode_header(&e, &bytes);
    buf_append_str(&bytes, e.body);
    r->gateway = (struct gateway_request){
        .kind = GATEWAY_WRITE, .entry = rcbuf_from(buf_str(&bytes)), .deadline = deadline, .done = on_done};
    buf_done(&body);
    buf_done(&bytes);
    gateway_submit(cluster_core_hosted(c)->gateway, &r->gateway);
}

void cluster_cancel(struct cluster *c, struct cluster_request *r)
{
    gateway_cancel(cluster_core_hosted(c)->gateway, &r->gateway);
}

/* ---- frames and turns ---- */

static void on_transfer(struct cluster *c, const struct frame *f, str body)
{
    struct hosted *h = parts_find(c->parts, f->part);
    struct reader r = reader_of(body);
    replica_id to = reader_u32(&r);

    if (r.bad || !h || !h->part || !raft_is_leader(part_raft(h->part))) return;
    part_transfer(h->part, to);
    parts_touch(c->parts, h);
}

void cluster_on_frame(struct cluster *c, node_id from, const struct frame *f, str body)
{
    switch (f->type) {
    case FRAME_MAP_PULL: map_copy_serve(c, from, body); break;
    case FRAME_MAP: map_copy_take(c, from, body); break;
    case FRAME_REPORT: controller_take(c, from, body); break;
    case FRAME_TRANSFER: on_transfer(c, f, body); break;
    case FRAME_MIDDLE: controller_see_middle(c, f->part, body); break;
    default: break;
    }
}

void cluster_on_lost(struct cluster *c, node_id peer)
{
    if (peer == c->reports.to) reports_forget(c);
}

void cluster_on_join(struct cluster *c, u64 ticket, str body)
{
    membership_on_join(c, ticket, body);
}

void cluster_turn(struct cluster *c, nanos now)
{
    c->now = now;
    map_copy_turn(c);
    residents_turn(c);
    membership_turn(c);
    group_ops_turn(c);
    reports_turn(c);
    controller_turn(c);
}

nanos cluster_deadline(const struct cluster *c)
{
    nanos at = u64_min(c->membership.next_at, c->reports.next_at);

    at = u64_min(at, residents_deadline(c));
    at = u64_min(at, controller_deadline(c));
    if (c->residents.op_count) at = u64_min(at, c->ops.next_at);
    if (c->copy.busy) at = u64_min(at, c->copy.asked_at + NANOS_SEC);
    return at;
}
