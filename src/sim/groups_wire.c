/* What replicas promise each other on the wire: votes and acknowledgements. Frames pass here as they leave. */
#include "sim/groups_internal.h"

#include "base/bytes.h"
#include "base/mem.h"

enum { /* docs/formats/peer.md */
    AT_PART = 16,
    AT_KIND = 64,
    AT_FLAGS = 65,
    AT_FROM = 72,
    AT_TO = 76,
    AT_TERM = 80,
    AT_MATCH = 120,
};
enum { FLAG_PRE = 1, FLAG_GRANTED = 4, FLAG_REJECTED = 8, FLAG_IMPAIRED = 16 };

static void note_vote(struct seat *s, replica_id to, u64 term)
{
    if (term >= s->vote_cap) {
        u64 cap = (term + 1) * 2;
        s->votes = mem_resize_array(s->votes, cap, sizeof *s->votes);
        memset(s->votes + s->vote_cap, 0, (cap - s->vote_cap) * sizeof *s->votes);
        s->vote_cap = cap;
    }
    if (s->votes[term] && s->votes[term] != to)
        group_say(s, "votes for replica %u and for %u in term %llu", s->votes[term], to, (unsigned long long)term);
    s->votes[term] = to;
    s->said_term = u64_max(s->said_term, term);
}

/* In the turn that freed it its last frames leave, too. */
static bool is_freed(const struct seat *s)
{
    const struct hosted *h = parts_find(node_parts(seat_host(s)->node), s->group->part);
    return !h || h->part != s->part;
}

/* While leader and follower are in the same term, what the follower acknowledges is in the leader's log. */
static void check_acknowledged(const struct seat *s, const struct seat *leader, u64 term, u64 match)
{
    if (!leader || !leader->on || !s->on || seat_host(leader)->in_turn || is_freed(s)) return;
    const struct raft *f = seat_raft(s), *l = seat_raft(leader);
    if (!raft_is_leader(l) || raft_term(l) != term || raft_term(f) != term || match <= raft_first(f).index) return;
    u64 here = raft_term_at(f, match), there = raft_term_at(l, match);
    if (here == 0 || (there && here != there))
        group_say(s, "acknowledges entry %llu of term %llu to replica %u, leader of term %llu, where it is of term %llu",
                  (unsigned long long)match, (unsigned long long)here, leader->replica, (unsigned long long)term,
                  (unsigned long long)there);
}

static void note_acknowledgement(struct seat *s, replica_id to, u64 term, u64 match)
{
    if (match == 0) return;
    check_acknowledged(s, group_seat_known(s->group, to), term, match);
    s->said_term = u64_max(s->said_term, term);
    if (term > s->acked_term || (term == s->acked_term && match > s->acked)) s->acked = match;
    s->acked_term = u64_max(s->acked_term, term);
}

/* What a replica that is gone had queued before may still leave in that life of its node; a damaged one that came back
 * without knowing that it is gone may only refuse. */
static void check_silence(const struct seat *s, bool promises, u64 term)
{
    bool queued = seat_host(s)->boot == s->gone_life && term <= s->gone_term;

    if (s->gone && promises && !queued)
        group_say(s, "was deleted or lost, and speaks in term %llu", (unsigned long long)term);
}

void groups_raft_frame(struct world *w, const u8 *f, nanos at)
{
    struct group *g = groups_known(w->groups, get_u64(f + AT_PART));
    struct seat *s = g ? group_seat_known(g, get_u32(f + AT_FROM)) : NULL;
    replica_id to = get_u32(f + AT_TO);
    u64 term = get_u64(f + AT_TERM);
    u8 flags = f[AT_FLAGS], kind = f[AT_KIND];

    (void)at;
    if (!s || !s->host) return; /* it began in this turn */
    bool campaigns = kind == RAFT_VOTE && !(flags & FLAG_PRE);
    bool votes = kind == RAFT_VOTE_REPLY && !(flags & FLAG_PRE) && (flags & FLAG_GRANTED);
    bool accepts = kind == RAFT_APPEND_REPLY && !(flags & (FLAG_REJECTED | FLAG_IMPAIRED));
    check_silence(s, campaigns || votes || accepts || kind == RAFT_APPEND, term);
    if (s->gone) return;
    if (campaigns) note_vote(s, s->replica, term);
    if (votes) note_vote(s, to, term);
    if (accepts) note_acknowledgement(s, to, term, get_u64(f + AT_MATCH));
}
