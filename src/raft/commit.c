/* The marks of the log, and the one rule that moves the commit index: an entry of the leader's own
 * term on the disks of a quorum commits with all before it (§3.6.2). The leader counts itself only
 * as far as its own disk (§10.2.1), which works in parallel with the followers'.
 *
 *   applied <= applying <= min(commit, counted)      commit <= last
 *   base <= applied                       durable <= counted <= staged <= last
 *
 * Counted is durable, unless the host has said that memory is enough (RAFT_MEMORY): then it is what was staged, from
 * when the hard state that says so is durable. What needs_disk names stops it until that is durable.
 *
 * A report of durability names the position of the last entry written. Entries written may have
 * been cut off since, and the same position may even have been appended again by a later leader:
 * `void_term` keeps such reports out until one speaks of entries accepted after the cut. */
#include "raft/raft_internal.h"

void commit_boot(struct raft *r, u64 applied)
{
    struct marks *k = &r->marks;
    u64 last = r->tail.last.index;
    assert(applied >= r->tail.base.index);
    assert(applied <= last);
    *k = (struct marks){.commit = applied,
                        .durable = last,
                        .counted = last,
                        .staged = last,
                        .applying = applied,
                        .applied = applied,
                        .accepted_term = r->tail.last.term};
}

void commit_on_persisted(struct raft *r, struct log_pos pos)
{
    struct marks *k = &r->marks;
    if (!MUTANT(persisted_report_not_matched)) {
        if (k->void_term && pos.term > k->void_term) k->void_term = 0;
        if (k->void_term || pos.index > k->staged || pos.term < tail_term_at(&r->tail, pos.index)) {
            TRACE(r, "durable report " POS " is of entries cut off -> ignore", POS_ARG(pos));
            return;
        }
    }
    if (pos.index <= k->durable || pos.index > r->tail.last.index) return;
    k->durable = pos.index;
    k->counted = u64_max(k->counted, k->durable);
    k->disk_moved_at = r->now;
    recover_heal(r);
    if (r->election.role == RAFT_LEADER) commit_advance(r);
}

void commit_on_applied(struct raft *r, u64 index)
{
    struct marks *k = &r->marks;
    assert(index <= k->applying);
    k->applied = u64_max(k->applied, index);
}

void commit_on_told(struct raft *r, struct log_pos pos)
{
    if (r->election.role == RAFT_LEADER) return; /* it commits by counting its own term's, and by nothing else */
    if (tail_term_at(&r->tail, pos.index) != pos.term && !MUTANT(told_commit_not_matched)) return;
    if (pos.index <= r->tail.last.index) commit_follow(r, pos.index);
}

void commit_appended(struct raft *r, u64 leader_term)
{
    assert(leader_term >= r->marks.accepted_term);
    r->marks.accepted_term = leader_term;
}

void commit_note_entry(struct raft *r, const struct raft_entry *e)
{
    bool waits = e->kind == RAFT_CONFIG || (r->options.waits_for_disk && r->options.waits_for_disk(e));

    if (waits && !MUTANT(operations_count_in_memory)) r->marks.needs_disk = e->pos.index;
}

bool commit_counts_memory(const struct raft *r)
{
    const struct election *e = &r->election;
    bool promised = e->saved_memory || MUTANT(memory_counts_before_flag_is_saved);

    return e->wants_memory && e->hard.memory && promised && r->marks.durable >= r->marks.needs_disk;
}

void commit_truncated(struct raft *r, u64 from)
{
    struct marks *k = &r->marks;
    assert(from > k->commit);
    if (k->staged > k->durable) /* a report of them is still to come */
        k->void_term = u64_max(k->void_term, k->accepted_term);
    k->staged = u64_min(k->staged, from - 1);
    k->durable = u64_min(k->durable, from - 1);
    k->counted = u64_min(k->counted, from - 1);
    k->needs_disk = u64_min(k->needs_disk, from - 1);
}

void commit_restored(struct raft *r, u64 index, bool kept_suffix)
{
    struct marks *k = &r->marks;
    assert(index > k->applying || MUTANT(stale_snapshot_rolls_back));
    if (!kept_suffix) {
        if (k->staged > k->durable) k->void_term = u64_max(k->void_term, k->accepted_term);
        k->staged = k->durable = k->counted = k->needs_disk = index;
    }
    k->staged = u64_max(k->staged, index);
    k->durable = u64_max(k->durable, index);
    k->counted = u64_max(k->counted, index);
    k->commit = u64_max(k->commit, index);
    if (MUTANT(stale_snapshot_rolls_back)) k->commit = index;
    k->applying = k->applied = index;
}

static void move_commit(struct raft *r, u64 index)
{
    struct marks *k = &r->marks;
    assert(index <= r->tail.last.index);
    assert(index > k->commit || MUTANT(commit_goes_back));
    k->commit = index;
}

void commit_follow(struct raft *r, u64 index)
{
    if (index > r->marks.commit || MUTANT(commit_goes_back)) move_commit(r, index);
}

/* For a mutant: the own disk in the place of the voter's that is farthest behind. */
static void count_removed_self(const struct membership *ms, u64 *on_disk)
{
    u32 last = ms->self;
    if (ms->quorum.voters & BIT(ms->self)) return;
    for (u32 slot = 0; slot < ms->count; slot++)
        if ((ms->quorum.voters & BIT(slot)) && on_disk[slot] < on_disk[last]) last = slot;
    on_disk[last] = on_disk[ms->self];
}

void commit_advance(struct raft *r)
{
    const struct membership *ms = &r->membership;
    u64 on_disk[RAFT_SLOTS_MAX];

    for (u32 slot = 0; slot < ms->count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        on_disk[slot] = p->impaired ? 0 : p->match;
        if (MUTANT(impaired_replica_counts)) on_disk[slot] = p->match;
    }
    on_disk[ms->self] = r->election.hard.impaired ? 0 : r->marks.counted;
    if (MUTANT(leader_counts_before_durable)) on_disk[ms->self] = r->tail.last.index;

    struct joint q = ms->quorum;
    if (MUTANT(joint_commit_by_new_half_only)) q.outgoing = 0;
    if (MUTANT(removed_leader_counts_itself)) count_removed_self(ms, on_disk);
    u64 reached = joint_reached(q, on_disk);
    if (reached <= r->marks.commit) return;
    bool own = tail_term_at(&r->tail, reached) == own_term(r);
    if (!own && !MUTANT(old_term_committed_by_counting)) return;
    move_commit(r, reached);
    TRACE(r, "a quorum has " POS "%s -> commit", tail_term_at(&r->tail, reached), reached,
          commit_counts_memory(r) ? "" : " on disk");
}

u64 raft_disk_reached(const struct raft *r)
{
    const struct membership *ms = &r->membership;
    u64 on_disk[RAFT_SLOTS_MAX];

    if (r->election.role != RAFT_LEADER) return u64_min(r->marks.durable, r->marks.commit);
    for (u32 slot = 0; slot < ms->count; slot++) {
        const struct progress *p = &r->leading.peers[slot];
        on_disk[slot] = p->impaired ? 0 : p->on_disk;
    }
    on_disk[ms->self] = r->election.hard.impaired ? 0 : r->marks.durable;
    return joint_reached(ms->quorum, on_disk);
}

bool commit_has_own_term(const struct raft *r)
{
    return r->marks.commit >= r->leading.term_start;
}

/* Every leader has what was committed before it (§3.6.1), so when all that its log held at its election is known to
 * be committed there is nothing to learn from the no-op. */
bool commit_is_current(const struct raft *r)
{
    return r->marks.commit + 1 >= r->leading.term_start;
}

bool commit_disk_is_stalled(const struct raft *r)
{
    const struct marks *k = &r->marks;
    return k->staged > k->durable && r->now - k->disk_moved_at >= r->options.election_timeout_max;
}

/* A full disk is given what finds room in the last of its space; the rest waits in the tail. */
u64 commit_stages_upto(const struct raft *r)
{
    u64 upto = r->marks.staged, room = r->room;

    if (!r->election.disk_full) return r->tail.last.index;
    while (upto < r->tail.last.index && entry_room(tail_at(&r->tail, upto + 1)) <= room)
        room -= entry_room(tail_at(&r->tail, ++upto));
    return upto;
}

u64 commit_room(const struct raft *r)
{
    u64 room = r->room, waiting = r->tail.last.index - r->marks.staged;

    if (!waiting) return room;
    u64 bytes = tail_bytes_between(&r->tail, r->marks.staged, r->tail.last.index) + waiting * RAFT_ENTRY_ROOM;
    return room > bytes ? room - bytes : 0;
}

/* What the host must write and may apply now. */
void commit_finish_step(struct raft *r)
{
    struct marks *k = &r->marks;
    u64 last = commit_stages_upto(r);

    if (k->staged < last) {
        if (k->staged == k->durable) k->disk_moved_at = r->now;
        r->out->append.from = k->staged + 1;
        r->out->append.to = last;
        k->staged = last;
    }
    if (k->counted < k->staged && commit_counts_memory(r)) {
        u64 commit = k->commit;
        k->counted = k->staged;
        if (r->election.role == RAFT_LEADER) commit_advance(r);
        if (k->commit > commit) r->more = true; /* what follows from it is the next step's */
    }
    /* Nor is anything applied in a term that a crash could make this replica forget: what it has
     * applied must be in the log of any leader it may follow after. */
    u64 upto = election_is_saved(r) ? u64_min(k->commit, k->counted) : k->applying;
    if (MUTANT(applies_before_durable)) upto = k->commit;
    if (MUTANT(applies_uncommitted)) upto = k->durable;
    if (k->applying < upto) {
        r->out->apply.from = k->applying + 1;
        r->out->apply.to = upto;
        k->applying = upto;
    }
}
