/* The body of /cluster:
 *
 *   {"leader":ID,"nodes":[{"id":1,"redis":"host:port","pid":7,"role":"leader","term":3,"commit":40,
 *     "applied":40,"lag":0,"health":"ok","alive":true}, ...],"self":1,"cluster":"<32 hex digits>"}
 *
 * leader is null while none is known. A node says what it knows of the others: what it last heard
 * of one that is dead, zeros for one it never heard. health is ok, impaired (it lost what it had
 * promised and does not vote until it is refilled), or unknown: only a leader knows it of others. A
 * node that is refused as a peer has "refused", the reason. lag counts from the highest commit
 * known. */
#include "server/admin/admin_internal.h"

#include "base/hex.h"
#include "raft/raft.h"

#include <stdio.h>

static void put_string(struct buf *out, const char *text)
{
    buf_append_u8(out, '"');
    for (const char *at = text; *at; at++) {
        u8 c = (u8)*at;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_u8(out, c);
    }
    buf_append_u8(out, '"');
}

static const char *role_of(const struct node_peer_view *m)
{
    static const char *const roles[RAFT_ROLES] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRECANDIDATE] = "candidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };

    if (!m->alive) return m->boot ? "dead" : "unknown";
    return m->role < RAFT_ROLES ? roles[m->role] : "unknown";
}

static const char *health_of(const struct node_peer_view *m)
{
    static const char *const names[] = {
        [HEALTH_UNKNOWN] = "unknown", [HEALTH_OK] = "ok", [HEALTH_IMPAIRED] = "impaired"};

    return names[m->health];
}

static const char *host_of(const struct node_config *config, node_id id)
{
    for (u32 i = 0; i < config->member_count; i++)
        if (config->members[i].id == id && id != config->self) return config->members[i].host;
    return config->host;
}

static void put_member(struct buf *out, const struct admin_door *d, const struct node_peer_view *m,
                       u64 commit)
{
    char redis[NODE_HOST_MAX + 8];

    snprintf(redis, sizeof redis, "%s:%u", host_of(node_config_of(d->node), m->id), m->redis_port);
    buf_printf(out, "{\"id\":%u,\"redis\":", m->id);
    put_string(out, redis);
    buf_printf(out, ",\"pid\":%llu,\"role\":", (unsigned long long)m->pid);
    put_string(out, role_of(m));
    buf_printf(out,
               ",\"term\":%llu,\"commit\":%llu,\"applied\":%llu,\"lag\":%llu,"
               "\"health\":\"%s\",\"alive\":%s",
               (unsigned long long)m->term, (unsigned long long)m->commit,
               (unsigned long long)m->applied,
               (unsigned long long)(commit > m->applied ? commit - m->applied : 0), health_of(m),
               m->alive ? "true" : "false");
    if (m->other_value_max)
        buf_printf(out, ",\"refused\":\"its --value-max is %llu, here it is %llu\"",
                   (unsigned long long)m->other_value_max,
                   (unsigned long long)node_config_of(d->node)->value_bytes_max);
    buf_append_u8(out, '}');
}

void admin_cluster_json(struct admin_door *d, struct buf *out)
{
    struct node_view v;
    u64 commit = 0;

    node_view(d->node, &v);
    for (u32 i = 0; i < v.member_count; i++) commit = u64_max(commit, v.members[i].commit);
    if (v.leader)
        buf_printf(out, "{\"leader\":%u,\"nodes\":[", v.leader);
    else
        buf_append_text(out, "{\"leader\":null,\"nodes\":[");
    for (u32 i = 0; i < v.member_count; i++) {
        if (i) buf_append_u8(out, ',');
        put_member(out, d, &v.members[i], commit);
    }
    buf_printf(out, "],\"self\":%u,\"cluster\":\"", v.self);
    hex_append(out, v.cluster_id, sizeof v.cluster_id);
    buf_append_text(out, "\"}\n");
}
