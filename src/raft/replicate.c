/* The leader's side of replication (§3.5, §10.2): entries leave in the step that takes them, in
 * parallel with the leader's own disk, pipelined within a window per peer. Heartbeats name the
 * entry before the next one to send, so the answer of a follower that lost something on the way is
 * a refusal, and the refusal's hint is where sending resumes: no timer per message, no answer
 * needed for messages that came through. */
#include "raft/raft_internal.h"

#include "base/mem.h"

u64 replicate_uncommitted_bytes(const struct raft *r)
{
    return tail_bytes_between(&r->tail, r->marks.commit, r->tail.last.index);
}

void replicate_append_own(struct raft *r, u32 kind, struct rcbuf *data)
{
    struct raft_entry e = {{own_term(r), r->tail.last.index + 1}, kind, data};
    tail_append(&r->tail, &e);
    membership_appended(r, &e);
    commit_note_entry(r, &e);
}

static void peer_begin(struct raft *r, u32 slot)
{
    progress_init(&r->leading.peers[slot], r->options.inflight_messages_max);
    progress_reset(&r->leading.peers[slot], r->tail.last.index + 1);
}

static void peers_new(struct leading *l, u32 count)
{
    l->peers = mem_zalloc_array(count, sizeof *l->peers);
    l->peer_count = count;
}

/* Slots mean others now: what is known of those who stay moves with them, who comes begins with
 * nothing known. A progress brings its ring along. */
void replicate_members_changed(struct raft *r, const replica_id *old_ids, u32 old_count)
{
    const struct membership *ms = &r->membership;
    struct progress *before = r->leading.peers;

    if (r->election.role != RAFT_LEADER) return;
    assert(r->leading.peer_count == old_count);
    peers_new(&r->leading, ms->count);
    for (u32 slot = 0; slot < ms->count; slot++) {
        u32 was = 0;
        while (was < old_count && old_ids[was] != ms->ids[slot]) was++;
        if (was < old_count) {
            r->leading.peers[slot] = before[was];
            continue;
        }
        peer_begin(r, slot);
        r->leading.peers[slot].since = r->now;
    }
    for (u32 was = 0; was < old_count; was++) {
        if (membership_slot(ms, old_ids[was]) != NO_SLOT) continue;
        fortify_release(r, old_ids[was], before[was].asked_epoch);
        progress_done(&before[was]);
    }
    mem_free(before);
}

void replicate_done(struct raft *r)
{
    struct leading *l = &r->leading;
    for (u32 slot = 0; slot < l->peer_count; slot++) progress_done(&l->peers[slot]);
    mem_free(l->peers);
    l->peers = NULL;
    l->peer_count = 0;
}

void replicate_start(struct raft *r)
{
    struct leading *l = &r->leading;
    assert(!l->peers);
    peers_new(l, r->membership.count);
    for (u32 slot = 0; slot < l->peer_count; slot++) peer_begin(r, slot);
    l->since = r->now;
    fortify_begin(r);
    l->term_start = r->tail.last.index + 1;
    l->heartbeat_due = r->now + r->options.heartbeat_every;

    /* Earlier terms' entries commit with the first of our own, and only then are reads safe. */
    if (r->election.by_recovery)
        recover_lead(r);
    else if (!MUTANT(no_noop_in_new_term))
        replicate_append_own(r, RAFT_NOOP, NULL);
    commit_appended(r, own_term(r));
}

void replicate_propose(struct raft *r, const struct raft_event *ev)
{
    assert(r->election.role == RAFT_LEADER);
    for (u32 i = 0; i < ev->count; i++)
        replicate_append_own(r, ev->proposals[i].kind, ev->proposals[i].data);
    commit_appended(r, own_term(r));
}

nanos replicate_heard_at(const struct raft *r, u32 slot)
{
    return u64_max(r->leading.peers[slot].heard_at, fortify_heard_at(r, slot));
}

bool replicate_heard_recently(const struct raft *r, u32 slot)
{
    nanos heard_at = replicate_heard_at(r, slot);
    /* Its node may have been heard after the latest step. */
    return heard_at != 0 && r->now < heard_at + r->options.election_timeout_max;
}

u32 replicate_roomy_others(const struct raft *r)
{
    const struct membership *ms = &r->membership;
    u32 roomy = 0;

    for (u32 slot = 0; slot < ms->count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        bool reached = replicate_heard_recently(r, slot) ||
                       r->now - r->leading.since < r->options.election_timeout_max;
        if (slot != ms->self && reached && !p->disk_full && !p->impaired) roomy |= BIT(slot);
    }
    return roomy;
}

/* Nothing new is taken when the disks of a quorum would not take it: it would become UNKNOWN. */
bool replicate_is_read_only(const struct raft *r)
{
    const struct membership *ms = &r->membership;
    bool any = r->election.disk_full;

    for (u32 slot = 0; slot < ms->count && !any; slot++)
        any = slot != ms->self && r->leading.peers[slot].disk_full;
    if (!any || r->election.disk_full) return any;
    return !joint_has(ms->quorum, replicate_roomy_others(r) | BIT(ms->self));
}

/* A full disk's last space is not for what the others can commit without it, but for what is in the log already when
 * nobody can take more. */
static bool takes_entries(const struct raft *r, const struct progress *p)
{
    if (!p->full) return true;
    return p->disk_full && replicate_is_read_only(r) && r->now >= p->wait_until;
}

/* Nobody is told of more than our own state shows: else another replica's, read by who may read it there, would be
 * ahead of what we answer next. */
static u64 commit_to_tell(const struct raft *r)
{
    return MUTANT(commit_told_before_applied) ? r->marks.commit : u64_min(r->marks.commit, r->marks.applied);
}

static struct raft_message *append_to(struct raft *r, u32 slot, u64 prev_index)
{
    const struct progress *p = &r->leading.peers[slot];
    struct raft_message *m = raft_message_to(r, &r->out->send, RAFT_APPEND,
                                             r->membership.ids[slot]);
    /* {0,0} claims nothing; the term of what was compacted away is not known here. */
    if (prev_index >= r->tail.base.index)
        m->prev = (struct log_pos){tail_term_at(&r->tail, prev_index), prev_index};
    m->commit = commit_to_tell(r);
    m->sent_at = r->now;
    m->round = r->reads.round;
    m->life = p->may_heal && m->commit == r->marks.commit ? p->life : 0; /* only all of it heals */
    m->recoveries = r->membership.config.recoveries;
    fortify_ask(r, slot, m);
    return m;
}

void replicate_heartbeat(struct raft *r, u32 slot)
{
    const struct progress *p = &r->leading.peers[slot];
    append_to(r, slot, p->state == PROGRESS_SNAPSHOT ? p->match : p->next - 1);
}

void replicate_heartbeats(struct raft *r)
{
    for (u32 slot = 0; slot < r->membership.count; slot++)
        if (slot != r->membership.self) replicate_heartbeat(r, slot);
}

/* Something more could be sent, and the window does not let it. */
static void note_full_window(struct raft *r, const struct progress *p)
{
    if (p->state != PROGRESS_REPLICATE || p->next > r->tail.last.index) return;
    if (p->ring_count == p->ring_max)
        r->leading.windows_of_messages++;
    else
        r->leading.windows_of_bytes++;
}

/* Send one APPEND to the peer if it may have one. */
static bool send_append(struct raft *r, u32 slot)
{
    struct progress *p = &r->leading.peers[slot];
    const struct tail *t = &r->tail;
    u64 window = progress_window(p, r->options.inflight_bytes_max);

    if (!takes_entries(r, p) || p->state == PROGRESS_SNAPSHOT || (p->state == PROGRESS_PROBE && p->paused))
        return false;
    if (p->next <= t->base.index) { /* whatever is still in flight, what comes next is gone */
        if (!p->full) snapshot_begin(r, slot);
        return false;
    }
    if (window == 0) {
        note_full_window(r, p);
        return false;
    }
    if (p->next > t->last.index) {
        if (p->state != PROGRESS_PROBE || p->full) return false;
        append_to(r, slot, p->next - 1);
        p->paused = true;
        return true;
    }
    u32 count = tail_run(t, p->next, u64_min(window, r->options.append_bytes_max));
    u64 last = p->next + count - 1;
    u64 bytes = tail_bytes_between(t, p->next - 1, last);
    if (bytes > window && p->ring_count > 0) { /* larger than what is left of the window */
        note_full_window(r, p);
        return false;
    }

    struct raft_message *m = append_to(r, slot,
                                       p->next - (MUTANT(prev_names_entry_before) ? 2 : 1));
    m->entries = tail_at(t, p->next);
    m->count = count;
    if (p->state == PROGRESS_PROBE)
        p->paused = true;
    else
        progress_sent(p, last, bytes);
    return true;
}

void replicate_pump(struct raft *r)
{
    for (u32 slot = 0; slot < r->membership.count; slot++) {
        if (slot == r->membership.self) continue;
        do {
            if (!outbox_has_room(&r->out->send)) {
                r->more = true;
                return;
            }
        } while (send_append(r, slot));
    }
}

/* §6.2: a leader that a quorum does not answer for an election timeout is one no more. */
static bool has_quorum(const struct raft *r)
{
    const struct membership *ms = &r->membership;
    const struct leading *l = &r->leading;
    u64 heard[RAFT_SLOTS_MAX];

    for (u32 slot = 0; slot < ms->count; slot++) {
        const struct progress *p = &l->peers[slot];
        nanos since = u64_max(l->since, p->since);
        heard[slot] = p->impaired && !p->accepts ? since : u64_max(replicate_heard_at(r, slot), since);
    }
    heard[ms->self] = r->now;
    return r->now < membership_supported(ms, heard) + r->options.election_timeout_max;
}

void replicate_on_tick(struct raft *r)
{
    struct leading *l = &r->leading;
    if (r->election.role != RAFT_LEADER) return;
    if (!has_quorum(r) && !MUTANT(no_check_quorum)) {
        election_step_down(r, "no answer of a quorum for an election timeout");
        return;
    }
    transfer_on_tick(r);
    if (r->election.role != RAFT_LEADER) return;
    read_on_tick(r);
    if (r->now < l->heartbeat_due) return;

    l->heartbeat_due = r->now + r->options.heartbeat_every;
    bool asks = read_is_asking(r) || r->transfer.target;
    for (u32 slot = 0; slot < r->membership.count; slot++) {
        struct progress *p = &l->peers[slot];
        if (p->state == PROGRESS_SNAPSHOT && r->now >= p->wait_until)
            progress_become_probe(p, p->match + 1);
        if (slot != r->membership.self && (asks || !fortify_is_settled(r, slot))) replicate_heartbeat(r, slot);
    }
}

/* A group that has nothing to say has no timer; one that has something again waits as long as one that goes on. */
void replicate_finish_step(struct raft *r)
{
    struct leading *l = &r->leading;
    if (r->election.role != RAFT_LEADER) return;
    if (fortify_is_quiet(r)) {
        if (l->heartbeat_due == NANOS_NEVER) return;
        l->heartbeat_due = NANOS_NEVER;
        read_trim(r);
        for (u32 slot = 0; slot < r->membership.count; slot++) progress_trim(&l->peers[slot]);
    } else if (l->heartbeat_due == NANOS_NEVER)
        l->heartbeat_due = r->now + r->options.heartbeat_every;
}

/* A peer that starts again tells anew what it holds: its log's last write, acknowledged or not, may look like
 * one that a crash tore. */
static void forget_acknowledgements(struct raft *r, struct progress *p)
{
    TRACE(r, "a peer started again -> its acknowledgement of %" PRIu64 " is void", p->match);
    p->match = p->on_disk = p->acked_round = p->commit = p->fortified = 0;
    p->acked = false;
    p->catching_up.done = false;
}

void replicate_on_unreachable(struct raft *r, replica_id peer, bool restarted)
{
    u32 slot = membership_slot(&r->membership, peer);
    if (r->election.role != RAFT_LEADER || slot == NO_SLOT || slot == r->membership.self) return;
    struct progress *p = &r->leading.peers[slot];
    u64 known = p->match;
    if (restarted) forget_acknowledgements(r, p);
    if (p->state != PROGRESS_REPLICATE) return;
    TRACE(r, "connection to %u broke -> probe after %" PRIu64, peer, known);
    progress_become_probe(p, known + 1);
    p->paused = true; /* until a heartbeat is answered */
}

/* A replica that says it is impaired may have lost what it acknowledged: forget that, and let our
 * commit heal it only after a quorum without it has confirmed us. Answers to what we sent before
 * are of its earlier life. False: such an answer. */
static bool note_impairment(struct raft *r, struct progress *p, const struct raft_message *m)
{
    if (m->impaired && (!p->impaired || p->life != m->life)) {
        TRACE(r, "%u is impaired -> its acknowledgements are void", m->from);
        p->impaired = true;
        p->life = m->life;
        p->acked = false;
        p->acked_round = p->match = p->on_disk = p->commit = p->fortified = 0;
        progress_become_probe(p, u64_min(m->hint.index, r->tail.last.index) + 1);
        p->may_heal = false;
        p->heal_round = r->reads.round + 1; /* one that has not been asked yet */
        read_begin_round(r);
    } else if (!m->impaired && p->impaired) {
        bool refilled = p->may_heal && m->sent_at >= p->heal_from;
        if (!refilled && !p->accepts) return false;
        TRACE(r, "%u is healed -> it counts again", m->from);
        p->impaired = p->may_heal = false;
    }
    p->accepts = p->impaired && m->accepts;
    return true;
}

static void on_rejected(struct raft *r, struct progress *p, const struct raft_message *m)
{
    const struct tail *t = &r->tail;
    u64 refused = m->prev.index;
    bool answers_current = p->state == PROGRESS_REPLICATE ? refused < p->next
                                                          : refused == p->next - 1;
    if (refused == 0 && t->base.index > 0) p->paused = false; /* it takes no log at all: snapshot_begin */
    if (p->state == PROGRESS_SNAPSHOT || refused <= p->match || !answers_current) return;

    u64 agreed = u64_min(m->hint.index, refused - 1);
    if (agreed >= t->base.index) agreed = tail_last_with_term_at_most(t, agreed, m->hint.term);
    TRACE(r, "%u has no " POS " -> probe after %" PRIu64, m->from, POS_ARG(m->prev),
          u64_max(agreed, p->match));
    progress_become_probe(p, u64_max(agreed, p->match) + 1);
}

/* A full disk is sent one message at a time, and after one of which it took nothing not soon another. */
static void probe_full_disk(struct raft *r, struct progress *p, u64 known, u64 next)
{
    bool refused = p->state == PROGRESS_PROBE && p->paused && known < next;

    progress_become_probe(p, known + 1);
    if (known >= next) p->wait_until = 0;
    if (refused && known < r->tail.last.index) p->wait_until = r->now + r->options.election_timeout_min;
}

static void on_accepted(struct raft *r, struct progress *p, const struct raft_message *m)
{
    u64 next = p->next;
    progress_acked(p, m->match);
    p->on_disk = u64_max(p->on_disk, m->match - m->lag);
    u64 known = u64_max(p->match, m->hint.index); /* equal to our log there, on disk or not yet */
    if (p->disk_full && p->state != PROGRESS_SNAPSHOT) {
        probe_full_disk(r, p, known, next);
        return;
    }
    switch (p->state) {
    case PROGRESS_PROBE: progress_become_replicate(p, known + 1); break;
    case PROGRESS_REPLICATE:
        if (p->full) progress_become_probe(p, known + 1); /* it took nothing after that */
        break;
    case PROGRESS_SNAPSHOT:
        if (known >= r->tail.base.index) progress_become_replicate(p, known + 1);
        break;
    }
}

static bool is_plausible(const struct raft *r, const struct raft_message *m)
{
    if (m->sent_at > r->now || m->round > r->reads.round) return false;
    if (m->rejected) return true;
    if (m->lag > m->match) return false;
    return m->match <= r->tail.last.index && m->hint.index <= r->tail.last.index;
}

void replicate_on_reply(struct raft *r, const struct raft_message *m, u32 from)
{
    if (r->election.role != RAFT_LEADER) return;
    struct progress *p = &r->leading.peers[from];
    if (!is_plausible(r, m) || !note_impairment(r, p, m)) return;

    p->heard_at = r->now;
    p->full = m->full;
    p->disk_full = m->disk_full;
    if (!p->impaired) {
        nanos sent = MUTANT(lease_counts_from_receipt) ? r->now : m->sent_at;
        p->acked_sent = p->acked ? u64_max(p->acked_sent, sent) : sent;
        p->acked = true;
        p->acked_round = u64_max(p->acked_round, m->round);
    }
    fortify_on_reply(r, from, m);
    if (m->rejected)
        on_rejected(r, p, m);
    else
        on_accepted(r, p, m);
    change_note_progress(r, from);
    read_on_reply(r);
    commit_advance(r);
    transfer_continue(r);
}
