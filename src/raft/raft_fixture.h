/* For tests of one replica: node 1 of a cluster, its log in the shorthand "1/1 1/2 2/3"
 * (term/index), events as calls, what came out as questions. The clock starts long after boot. */
#pragma once

#include "base/assert.h"
#include "base/mem.h"
#include "base/test.h"
#include "raft/config_of.h"
#include "raft/raft.h"

#include <stdlib.h>

#define MS NANOS_MS

struct fixture {
    struct raft *r;
    struct raft_actions *out;
    nanos now;
    u64 room; /* of the host, in every event */
    err e; /* of the latest step */
};

struct fixture_setup {
    u32 nodes;       /* voters 1..nodes; 3 */
    const char *log; /* "" */
    u64 term;        /* the log's last by default */
    replica_id vote;
    bool impaired, memory;
    u64 applied;
    struct log_pos snapshot;
    u32 learners; /* after the voters */
    struct raft_config config; /* instead of the two */
    bool joining;              /* with the empty one */
    struct raft_options options;
};

static inline struct raft_options default_options(void)
{
    return (struct raft_options){
        .self = 1,
        .seed = 7,
        .election_timeout_min = 300 * MS,
        .election_timeout_max = 600 * MS,
        .heartbeat_every = 60 * MS,
        .lease = 300 * MS,
        .drift_ppm = 10000,
        .inflight_messages_max = 256,
        .inflight_bytes_max = 4 * MIB,
        .append_bytes_max = 512 * KIB,
        .tail_bytes_max = 64 * MIB,
        .uncommitted_bytes_max = 16 * MIB,
    };
}

static inline struct log_pos pos_of(const char *text)
{
    char *end;
    u64 term = strtoull(text, &end, 10);
    return (struct log_pos){term, *end == '/' ? strtoull(end + 1, &end, 10) : 0};
}

/* Fills entries from the shorthand; returns how many. */
static inline u32 entries_of(const char *log, struct raft_entry *out, u32 most)
{
    u32 count = 0;
    for (const char *p = log; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        assert(count < most);
        out[count++] = (struct raft_entry){pos_of(p), RAFT_COMMAND, NULL};
    }
    return count;
}

static inline struct fixture fixture_new(struct fixture_setup s)
{
    struct fixture f = {.now = 100 * NANOS_SEC, .room = UINT64_MAX, .out = mem_zalloc(sizeof *f.out)};
    struct raft_options o = s.options.self ? s.options : default_options();
    struct raft_config c = s.config.count || s.joining ? s.config : members_of(s.nodes ? s.nodes : 3, s.learners);
    struct raft_entry log[64];
    u32 count = entries_of(s.log ? s.log : "", log, 64);
    u64 last = count ? log[count - 1].pos.term : s.snapshot.term;
    struct raft_hard_state hs = {.term = s.term ? s.term : last, .vote = s.vote, .impaired = s.impaired, .memory = s.memory};

    f.r = raft_new(&o);
    raft_boot_config(f.r, &c, s.snapshot.index);
    raft_boot_hard_state(f.r, &hs);
    raft_boot_snapshot(f.r, s.snapshot);
    for (u32 i = 0; i < count; i++) raft_boot_entry(f.r, &log[i]);
    raft_boot_done(f.r, u64_max(s.applied, s.snapshot.index), f.now);
    f.now += o.lease; /* the silence after a restart is over; election timeouts are not shorter */
    return f;
}

static inline struct fixture with_log(const char *log)
{
    return fixture_new((struct fixture_setup){.log = log});
}

static inline void fixture_done(struct fixture *f)
{
    raft_free(f->r);
    mem_free(f->out);
}

static inline err step(struct fixture *f, struct raft_event ev)
{
    ev.now = f->now;
    ev.room = f->room;
    f->e = raft_step(f->r, &ev, f->out);
    raft_check(f->r);
    return f->e;
}

/* ---- events */

static inline void tick_after(struct fixture *f, nanos wait)
{
    f->now += wait;
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_TICK}));
}

static inline void receive(struct fixture *f, struct raft_message m)
{
    m.to = 1;
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_RECEIVED, .message = &m}));
}

static inline void persisted(struct fixture *f, const char *pos)
{
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_PERSISTED, .pos = pos_of(pos)}));
}

static inline void saved(struct fixture *f)
{
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_SAVED, .saved_term = raft_term(f->r)}));
}

static inline err propose(struct fixture *f, u32 count, u32 bytes)
{
    struct raft_proposal p[64];
    for (u32 i = 0; i < count; i++) {
        p[i] = (struct raft_proposal){RAFT_COMMAND, bytes ? rcbuf_new(bytes) : NULL};
        if (bytes) memset(p[i].data->data, 'x', bytes);
    }
    err e = step(f, (struct raft_event){.kind = RAFT_PROPOSE, .proposals = p, .count = count});
    for (u32 i = 0; i < count; i++) rcbuf_unref(p[i].data);
    return e;
}

static inline err ask_read(struct fixture *f, u64 context)
{
    return step(f, (struct raft_event){.kind = RAFT_READ, .context = context});
}

static inline err transfer_to(struct fixture *f, replica_id target)
{
    return step(f, (struct raft_event){.kind = RAFT_TRANSFER, .peer = target});
}

static inline void disk_full(struct fixture *f, bool full)
{
    f->room = full ? 0 : UINT64_MAX;
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_DISK_FULL, .full = full}));
}

/* ---- messages of others */

static inline struct raft_message vote(replica_id from, u64 term, const char *last)
{
    return (struct raft_message){
        .kind = RAFT_VOTE, .from = from, .term = term, .prev = pos_of(last)};
}

static inline struct raft_message prevote(replica_id from, u64 term, const char *last)
{
    struct raft_message m = vote(from, term, last);
    m.pre = true;
    return m;
}

static inline struct raft_message vote_reply(replica_id from, u64 term, bool granted)
{
    return (struct raft_message){
        .kind = RAFT_VOTE_REPLY, .from = from, .term = term, .granted = granted};
}

static inline struct raft_message heartbeat(replica_id from, u64 term, const char *prev, u64 commit)
{
    return (struct raft_message){
        .kind = RAFT_APPEND, .from = from, .term = term, .prev = pos_of(prev), .commit = commit};
}

/* One step with an APPEND of these entries. */
static inline void append(struct fixture *f, replica_id from, u64 term, const char *prev,
                          const char *log, u64 commit)
{
    struct raft_entry entries[64];
    struct raft_message m = heartbeat(from, term, prev, commit);
    m.count = entries_of(log, entries, 64);
    m.entries = entries;
    receive(f, m);
}

static inline struct raft_message ack(replica_id from, const struct fixture *f, u64 match)
{
    return (struct raft_message){.kind = RAFT_APPEND_REPLY,
                                 .from = from,
                                 .term = raft_term(f->r),
                                 .match = match,
                                 .hint = {raft_term_at(f->r, match), match},
                                 .sent_at = f->now};
}

static inline struct raft_message refusal(replica_id from, const struct fixture *f, const char *prev,
                                          const char *hint)
{
    return (struct raft_message){.kind = RAFT_APPEND_REPLY,
                                 .from = from,
                                 .term = raft_term(f->r),
                                 .rejected = true,
                                 .prev = pos_of(prev),
                                 .hint = pos_of(hint),
                                 .sent_at = f->now};
}

/* ---- what came out */

static inline const struct raft_message *sent_in(const struct raft_outbox *o, u32 kind, replica_id to)
{
    for (u32 i = 0; i < o->count; i++)
        if (o->items[i].kind == kind && (!to || o->items[i].to == to)) return &o->items[i];
    return NULL;
}

static inline const struct raft_message *sent(const struct fixture *f, u32 kind, replica_id to)
{
    return sent_in(&f->out->send, kind, to);
}

static inline const struct raft_message *held(const struct fixture *f, u32 kind, replica_id to)
{
    return sent_in(&f->out->send_after_save, kind, to);
}

static inline u32 sent_count(const struct fixture *f, u32 kind, replica_id to)
{
    u32 count = 0;
    for (u32 i = 0; i < f->out->send.count; i++)
        count += f->out->send.items[i].kind == kind && f->out->send.items[i].to == to;
    return count;
}

/* ---- longer ways */

static inline void become_precandidate(struct fixture *f)
{
    f->now = u64_max(f->now, raft_deadline(f->r));
    tick_after(f, 0);
    CHECK_EQ(raft_role(f->r), RAFT_PRECANDIDATE);
}

static inline void become_candidate(struct fixture *f)
{
    become_precandidate(f);
    struct raft_message m = vote_reply(2, raft_term(f->r) + 1, true);
    m.pre = true;
    receive(f, m);
    if (raft_role(f->r) == RAFT_PRECANDIDATE) {
        m.from = 3;
        receive(f, m);
    }
    CHECK_EQ(raft_role(f->r), RAFT_CANDIDATE);
}

/* The step that makes it leader is the latest. */
static inline void become_leader(struct fixture *f)
{
    become_candidate(f);
    saved(f);
    receive(f, vote_reply(2, raft_term(f->r), true));
    if (!raft_is_leader(f->r)) receive(f, vote_reply(3, raft_term(f->r), true));
    CHECK(raft_is_leader(f->r));
}

/* Leader, its log on its own disk and node 2's, all committed; node 3 has not answered. */
static inline void become_settled_leader(struct fixture *f)
{
    become_leader(f);
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_PERSISTED, .pos = raft_last(f->r)}));
    receive(f, ack(2, f, raft_last(f->r).index));
    CHECK_EQ(raft_commit(f->r), raft_last(f->r).index);
    CHECK_OK(step(f, (struct raft_event){.kind = RAFT_APPLIED, .index = raft_commit(f->r)}));
}
