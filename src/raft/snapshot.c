/* Compaction and snapshots (§5). The host makes, moves and installs snapshots; the core says who
 * needs one, when to stop waiting, and where the log begins again. A follower is asked nothing
 * while it installs: the answers to heartbeats tell when its log reaches ours. */
#include "raft/raft_internal.h"

/* After the last byte left, the follower still has to install; then it is asked again. */
#define INSTALL_TIMEOUTS 16u

void snapshot_begin(struct raft *r, u32 slot)
{
    struct progress *p = &r->leading.peers[slot];
    if (r->now < p->retry_at || !replicate_heard_recently(r, slot)) return;
    if (r->out->snapshot_to) { /* one per step */
        r->more = true;
        return;
    }
    TRACE(r, "%u needs %" PRIu64 ", the log begins after %" PRIu64 " -> snapshot",
          r->membership.ids[slot], p->next, r->tail.base.index);
    r->out->snapshot_to = r->membership.ids[slot];
    progress_become_snapshot(p, NANOS_NEVER);
}

static void give_up(struct raft *r, struct progress *p)
{
    progress_become_probe(p, p->match + 1);
    p->retry_at = r->now + r->options.election_timeout_min;
}

void snapshot_on_sent(struct raft *r, const struct raft_event *ev)
{
    u32 slot = membership_slot(&r->membership, ev->peer);
    if (r->election.role != RAFT_LEADER || slot == NO_SLOT) return;
    struct progress *p = &r->leading.peers[slot];
    if (p->state != PROGRESS_SNAPSHOT) return;
    TRACE(r, "snapshot to %u %s", ev->peer, ev->rejected ? "failed -> later" : "left -> wait");
    if (ev->rejected)
        give_up(r, p);
    else
        p->wait_until = r->now + INSTALL_TIMEOUTS * r->options.election_timeout_max;
}

void snapshot_on_status(struct raft *r, const struct raft_message *m, u32 from)
{
    if (r->election.role != RAFT_LEADER) return;
    struct progress *p = &r->leading.peers[from];
    if (m->rejected) {
        TRACE(r, "install at %u failed -> later", m->from);
        if (p->state == PROGRESS_SNAPSHOT) give_up(r, p);
        return;
    }
    bool ours = m->prev.index >= r->tail.base.index && m->prev.index <= r->tail.last.index &&
                tail_term_at(&r->tail, m->prev.index) == m->prev.term;
    TRACE(r, "%u installed " POS "%s", m->from, POS_ARG(m->prev),
          ours ? " -> replicate" : ", too old by now -> probe");
    if (ours) {
        progress_acked(p, m->prev.index);
        p->on_disk = u64_max(p->on_disk, m->prev.index);
    }
    if (p->state != PROGRESS_SNAPSHOT) return;
    if (ours)
        progress_become_replicate(p, p->match + 1);
    else
        give_up(r,
                p); /* the host may still be busy with this one: the next begins a little later */
}

err snapshot_check_restored(const struct raft *r, const struct raft_event *ev)
{
    struct log_pos pos = ev->pos;
    if (MUTANT(stale_snapshot_rolls_back)) return OK;
    if (pos.index <= r->marks.applying || (r->abandoned && pos.index <= r->marks.commit)) return ERR_STALE;
    /* A leader has what was committed, so a snapshot can only be a prefix of its log. */
    if (r->election.role == RAFT_LEADER && tail_term_at(&r->tail, pos.index) != pos.term)
        return ERR_STALE;
    return OK;
}

static void tell_leader(struct raft *r, replica_id leader, struct log_pos pos)
{
    if (!leader || leader == r->options.self) return;
    struct raft_message *m = raft_message_to(r, &r->out->send_after_save, RAFT_SNAPSHOT_STATUS,
                                             leader);
    m->prev = pos;
    m->match = pos.index;
    m->impaired = r->election.hard.impaired;
}

void snapshot_on_restored(struct raft *r, const struct raft_event *ev)
{
    struct tail *t = &r->tail;
    struct log_pos pos = ev->pos;
    u64 last = t->last.index;
    struct raft_config config = ev->config ? *ev->config : r->membership.config;
    bool keep = tail_has(t, pos.index) && tail_term_at(t, pos.index) == pos.term;

    if (MUTANT(snapshot_keeps_conflicting_suffix) && tail_has(t, pos.index)) keep = true;
    if (r->abandoned) keep = false;
    assert(keep || r->marks.commit < pos.index || MUTANT(stale_snapshot_rolls_back));
    TRACE(r, "snapshot " POS " installed -> %s", POS_ARG(pos),
          keep ? "keep the entries after it" : "begin the log there");
    election_raise_term(r, pos.term);
    if (keep) {
        tail_compact(t, pos.index);
    } else {
        if (last > pos.index) {
            r->out->truncate_from = pos.index + 1;
            r->out->events |= RAFT_TRUNCATED;
        }
        tail_restart(t, pos);
    }
    commit_restored(r, pos.index, keep);
    append_restored(r, pos.index);
    membership_restored(r, pos.index, &config);
    tell_leader(r, ev->peer, pos);
}

void snapshot_on_compact(struct raft *r, u64 index)
{
    u64 upto = u64_min(index, r->marks.applied); /* the rest is not in any snapshot */
    if (!tail_has(&r->tail, upto)) return;
    membership_compact(r, upto);
    tail_compact(&r->tail, upto);
}
