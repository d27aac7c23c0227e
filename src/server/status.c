/* A node's own numbers, for `quorate status` and `quorate top`. */
#include "server/node_state.h"

void node_local(const struct node *n, struct node_local *out)
{
    const struct redis_door_stats *door = redis_door_stats(n->redis);
    const struct wal_stats *log = wal_stats(n->wal);

    *out = (struct node_local){.self = n->config.self,
                               .uptime = env_mono(n->env) - n->started_at,
                               .clients = door->connected,
                               .commands = door->commands,
                               .bytes_in = door->bytes_in,
                               .bytes_out = door->bytes_out,
                               .memory_used = node_memory_used(n),
                               .memory_bytes = n->config.memory_bytes,
                               .log_bytes = wal_bytes_live(n->wal),
                               .log_write = log->last_write_ns,
                               .log_write_age = env_mono(n->env) - log->last_write_at,
                               .log_write_max = log->max_write_ns,
                               .disk_full = log->full,
                               .group_count = parts_count(n->parts)};
    if (n->env->ops->disk_space) n->env->ops->disk_space(n->env, &out->disk_free, &out->disk_bytes);
    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct hosted *h = parts_at(n->parts, i);
        if (h->part) out->disk_full |= part_is_full(h->part);
        if (!h->gateway) continue;
        const struct gateway_stats *g = gateway_stats(h->gateway);
        out->overloaded += g->overloaded;
        out->unknown += g->unknown;
        out->noquorum += g->noquorum;
    }
}

enum { ALERT_SHOWN_MAX = 300 };

/* As it may stand in a line of a log. */
static void put_shown(struct buf *out, str s)
{
    for (size_t i = 0; i < s.len && i < ALERT_SHOWN_MAX; i++)
        buf_append_u8(out, s.at[i] >= 0x20 && s.at[i] < 0x7f && s.at[i] != '"' ? s.at[i] : '?');
}

void node_alert(struct node *n, str text, str key, str level)
{
    struct buf line = {0};

    buf_append_text(&line, "key=\"");
    put_shown(&line, key);
    buf_append_text(&line, "\" level=\"");
    put_shown(&line, level);
    buf_append_text(&line, "\" what=\"");
    put_shown(&line, text);
    buf_append_u8(&line, '"');
    n->alerts++;
    env_log(n->env, LOG_ERROR, "consistency violation %.*s", STR_ARG(buf_str(&line)));
    buf_done(&line);
}

u64 node_alerts(const struct node *n)
{
    return n->alerts;
}

static void see_peers(struct part *p, struct node_group *out)
{
    struct raft *r = part_raft(p);
    const struct raft_config *c = raft_config(r);

    for (u32 i = 0; i < c->count; i++) {
        const struct raft_member *m = &c->members[i];
        struct raft_peer_status s;
        if (!raft_peer_status(r, m->id, &s)) continue;
        out->peers[out->peer_count++] = (struct node_group_peer){
            .replica = m->id,
            .node = m->node,
            .behind = raft_last(r).index - u64_min(s.match, raft_last(r).index),
            .snapshot_sent = part_snapshot_sent(p, m->id),
            .learner = (m->roles & RAFT_LEARNER) != 0,
            .impaired = s.impaired,
            .snapshot = s.state == 2,
        };
    }
}

bool node_group(const struct node *n, u32 i, struct node_group *out)
{
    struct hosted *h = i < parts_count(n->parts) ? parts_at(n->parts, i) : NULL;

    if (!h || !h->part) return false;
    struct raft *r = part_raft(h->part);
    const struct part_stats *s = part_stats(h->part);
    *out = (struct node_group){.id = h->id,
                               .role = (u32)raft_role(r),
                               .leader = hosted_leader(h),
                               .term = raft_term(r),
                               .commit = raft_commit(r),
                               .applied = part_applied(h->part),
                               .last = raft_last(r).index,
                               .bytes = part_bytes(h->part),
                               .proposed = s->proposed,
                               .reads = s->reads_lease + s->reads_index,
                               .entries_applied = s->applied,
                               .impaired = part_is_damaged(h->part)};
    if (raft_is_leader(r)) see_peers(h->part, out);
    return true;
}
