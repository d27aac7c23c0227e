/* A node's own numbers, for `quorate status` and `quorate top`. */
#include "kv/entry.h"
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

/* How long ago the oldest entry was made that a replica with all up to `match` lacks, by what its leader stamped it with. Entries
 * without a stamp (the first of a term, members) are passed over. */
static u64 age_of_first_behind(const struct raft *r, u64 match, u64 wall_us)
{
    enum { LOOKED_AT = 64 };
    u64 first = u64_max(match, raft_first(r).index) + 1, last = u64_min(raft_last(r).index, first + LOOKED_AT);

    for (u64 i = first; i <= last; i++) {
        const struct raft_entry *at = raft_entry_at(r, i);
        struct entry e;
        if (at->kind != RAFT_COMMAND || !at->data || entry_decode(rcbuf_str(at->data), &e) != OK) continue;
        return (wall_us - u64_min(wall_us, hlc_us(e.hlc))) / 1000;
    }
    return 0;
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

static void see_peers(struct part *p, u64 wall_us, struct node_group *out)
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
            .behind_ms = age_of_first_behind(r, s.match, wall_us),
            .snapshot_sent = part_snapshot_sent(p, m->id),
            .learner = (m->roles & RAFT_LEARNER) != 0,
            .impaired = s.impaired,
            .snapshot = s.state == 2,
        };
    }
}

u64 node_replication_lag_ms(const struct node *n)
{
    u64 most = 0;

    for (u32 i = 0; i < parts_count(n->parts); i++) {
        struct hosted *h = parts_at(n->parts, i);
        struct node_group g = {0};
        if (!h->part || !raft_is_leader(part_raft(h->part))) continue;
        see_peers(h->part, env_wall_us(n->env), &g);
        for (u32 p = 0; p < g.peer_count; p++) most = u64_max(most, g.peers[p].behind_ms);
    }
    return most;
}

bool node_group(const struct node *n, u32 i, struct node_group *out)
{
    struct hosted *h = i < parts_count(n->parts) ? parts_at(n->parts, i) : NULL;

    if (!h || !h->part) return false;
    struct raft *r = part_raft(h->part);
    const struct part_stats *s = part_stats(h->part);
    struct part_durability d = part_durability(h->part);
    struct raft_recovery_status recovery = raft_recovery_status(r);
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
                               .impaired = part_is_damaged(h->part),
                               .has_lease = raft_is_leader(r) && raft_lease_holds(r, env_mono(n->env)),
                               .full = part_is_full(h->part) || raft_is_read_only(r),
                               .last_term = raft_last(r).term,
                               .memory = d.memory,
                               .recovering = d.recovering || part_is_damaged(h->part) || part_is_blank(h->part),
                               .abandoned = d.abandoned,
                               .loss_entries = d.entries,
                               .loss_age = d.age,
                               .recovery = (u32)recovery.state,
                               .recovery_heard = recovery.heard,
                               .recovery_of = recovery.of};
    if (raft_is_leader(r)) see_peers(h->part, env_wall_us(n->env), out);
    return true;
}
