/* GET /v1/local: what this node knows of itself and of the groups it has a replica of. */
#include "raft/raft.h"
#include "server/admin/admin_internal.h"

static void put_peer(struct buf *out, const struct node_group_peer *p)
{
    bool first = true;

    buf_append_u8(out, '{');
    json_put_number(out, &first, "replica", p->replica);
    json_put_number(out, &first, "node", p->node);
    json_put_number(out, &first, "behind", p->behind);
    json_put_number(out, &first, "behind-ms", p->behind_ms);
    if (p->learner) json_put_bool(out, &first, "learner", true);
    if (p->impaired) json_put_bool(out, &first, "impaired", true);
    if (p->snapshot) json_put_number(out, &first, "snapshot-sent", p->snapshot_sent);
    buf_append_u8(out, '}');
}

/* What entries count on, and what a power cut everywhere would lose; what an operator's recovery has come to. */
static void put_durability(struct buf *out, bool *first, const struct node_group *g)
{
    static const char *const states[] = {
        [RAFT_RECOVERY_ASKING] = "asking",   [RAFT_RECOVERY_DONE] = "done",
        [RAFT_RECOVERY_HAS_LEADER] = "done", [RAFT_RECOVERY_LONGER] = "longer log elsewhere",
        [RAFT_RECOVERY_NO_QUORUM] = "no majority",
    };

    json_put_text(out, first, "durability", g->memory ? STR("memory") : STR("disk"));
    if (g->memory || g->loss_entries) {
        json_put_number(out, first, "loss-window-ms", g->loss_age / NANOS_MS);
        json_put_number(out, first, "loss-window-entries", g->loss_entries);
    }
    if (g->recovering) json_put_bool(out, first, "recovering", true);
    if (g->abandoned) json_put_bool(out, first, "abandoned", true);
    if (g->recovery == RAFT_RECOVERY_NONE) return;
    json_put_text(out, first, "recovery", str_of(states[g->recovery]));
    json_put_number(out, first, "recovery-heard", g->recovery_heard);
    json_put_number(out, first, "recovery-of", g->recovery_of);
}

static void put_group(struct buf *out, const struct node_group *g)
{
    bool first = true;

    buf_append_u8(out, '{');
    json_put_number(out, &first, "id", g->id);
    json_put_bool(out, &first, "leads", g->role == RAFT_LEADER);
    json_put_number(out, &first, "leader", g->leader);
    json_put_number(out, &first, "term", g->term);
    json_put_number(out, &first, "commit", g->commit);
    json_put_number(out, &first, "applied", g->applied);
    json_put_number(out, &first, "last", g->last);
    json_put_number(out, &first, "bytes", g->bytes);
    json_put_number(out, &first, "writes", g->proposed);
    json_put_number(out, &first, "reads", g->reads);
    json_put_bool(out, &first, "impaired", g->impaired);
    json_put_bool(out, &first, "lease", g->has_lease);
    if (g->full) json_put_bool(out, &first, "full", true);
    json_put_number(out, &first, "last-term", g->last_term);
    put_durability(out, &first, g);
    if (g->peer_count) {
        json_put_name(out, &first, "peers");
        buf_append_u8(out, '[');
        for (u32 i = 0; i < g->peer_count; i++) {
            if (i) buf_append_u8(out, ',');
            put_peer(out, &g->peers[i]);
        }
        buf_append_u8(out, ']');
    }
    buf_append_u8(out, '}');
}

void admin_get_local(struct admin_request *r)
{
    struct buf *out = &r->reply->body;
    struct node_local l;
    struct node_group g;
    bool first = true;
    u32 put = 0;

    node_local(r->door->node, &l);
    r->reply->type = "application/json";
    buf_append_u8(out, '{');
    json_put_number(out, &first, "node", l.self);
    json_put_number(out, &first, "uptime-ms", l.uptime / NANOS_MS);
    json_put_number(out, &first, "clients", l.clients);
    json_put_number(out, &first, "commands", l.commands);
    json_put_number(out, &first, "bytes-in", l.bytes_in);
    json_put_number(out, &first, "bytes-out", l.bytes_out);
    json_put_number(out, &first, "overloaded", l.overloaded);
    json_put_number(out, &first, "noquorum", l.noquorum);
    json_put_number(out, &first, "unknown", l.unknown);
    json_put_number(out, &first, "memory-used", l.memory_used);
    json_put_number(out, &first, "memory-bytes", l.memory_bytes);
    json_put_number(out, &first, "log-bytes", l.log_bytes);
    json_put_number(out, &first, "log-write-us", l.log_write / 1000);
    json_put_number(out, &first, "log-write-age-ms", l.log_write_age / NANOS_MS);
    json_put_number(out, &first, "log-write-max-us", l.log_write_max / 1000);
    json_put_number(out, &first, "disk-free", l.disk_free);
    json_put_number(out, &first, "disk-bytes", l.disk_bytes);
    json_put_bool(out, &first, "disk-full", l.disk_full);
    json_put_name(out, &first, "groups");
    buf_append_u8(out, '[');
    for (u32 i = 0; i < l.group_count; i++) {
        if (!node_group(r->door->node, i, &g)) continue;
        if (put++) buf_append_u8(out, ',');
        put_group(out, &g);
    }
    buf_append_text(out, "]}\n");
}
