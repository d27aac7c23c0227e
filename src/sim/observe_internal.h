/* Shared by observe.c (what nodes hold, turn by turn), observe_wire.c (what their frames promise), observe_leader.c
 * and witness.c (the log run again from its beginning). */
#pragma once

#include "base/buf.h"
#include "part/part.h"
#include "sim/host.h"
#include "sim/observe.h"
#include "sim/witness.h"

struct digest {
    u64 value;
    u32 node; /* 0: not known yet */
};

struct watched { /* one node, as of its latest turn */
    u64 term, commit, applied;
    u64 led_term; /* the term it led then; 0: none */
    nanos led_since, alone_since; /* by its clock; 0: not alone */
    u64 match[WORLD_NODES_MAX + 1]; /* what it believed the others to hold */
    u32 led_life[WORLD_NODES_MAX + 1]; /* the others' lives when it began to lead */
    u64 term_staged; /* its term is on disk once the log has reached this place */
    u32 unsaved_campaigns; /* in a row */
    u64 durable, durable_term, staged;
    u32 turns;
    nanos turns_since;
};

/* An entry of a log: the write that holds it ends behind this place; 0: it was there at the start. */
struct born {
    u64 index, term, after;
};

#define BORN_MAX 65536

/* One term: who voted for whom, as the wire saw it. A lost disk does not undo it. */
struct ballot {
    u32 leader;
    u8 hopes[WORLD_NODES_MAX + 1]; /* by candidate: who said that they would vote for it */
    bool by_transfer; /* the leader before asked for it, and has given up its lease */
    u8 voters[WORLD_NODES_MAX + 1]; /* by candidate: a set of nodes */
    nanos asked_at[WORLD_NODES_MAX + 1]; /* by candidate; 0: it did not ask */
    struct log_pos asked_with[WORLD_NODES_MAX + 1]; /* its last entry then */
};

/* What a node's disk must still hold after a crash: entries that it counted as durable, and the term and vote
 * whose frames the log called durable. It outlives the node. */
struct promise {
    u64 durable, durable_term; /* the entry */
    u64 term;
    node_id vote;
    u64 seen_term; /* at an earlier turn: a promise once the log has reached seen_lsn */
    node_id seen_vote;
    u64 seen_lsn;
    u64 said_term;      /* the highest term in which it gave a vote, an acknowledgement or led, on the wire */
    u64 acked_term, acked; /* its latest acknowledgement on the wire: entries <= acked, in that term */
    u64 lost, lost_term; /* an entry it held before it lost its disk or part of it: it may have said so in time */
    bool whole;         /* at its latest turn: not damaged */
    bool emptied;       /* its disk was lost since, and with it promises */
    u8 *votes;          /* owned; by term: whom it voted for, 0 unknown */
    u64 vote_cap;
    nanos silent_until; /* in the world's time: until then it has promised its leader to elect nobody */
    u64 silent_term;
    node_id silent_for;
    struct born *born; /* owned; a ring by index */
};

/* Requests sent to a leader, each with the life that asked: a set of hashes. */
struct asked {
    u64 *keys; /* owned; 0: free */
    u64 count, cap; /* a power of two */
};

struct observer {
    struct world *world;
    struct logged *entries; /* owned; by index - 1 */
    u64 count, cap;
    struct buf bytes;
    struct digest *digests; /* owned; by index / DIGEST_EVERY */
    u64 digest_cap;
    struct ballot *ballots; /* owned; by term */
    u64 ballot_cap;
    u64 commit_seen, commit_seen_term; /* the highest commit index of any node so far */
    struct watched nodes[WORLD_NODES_MAX + 1];
    struct promise promises[WORLD_NODES_MAX + 1];
    struct asked asked;
};

/* Does this node's disk hold the entry, as far as an omniscient observer can tell? */
bool observe_holds(const struct world *w, const struct host *h, u64 index, u64 term);

void observe_leading(struct observer *o, struct host *h); /* at the end of a turn, observe_leader.c */

struct ballot *observe_ballot(struct observer *o, u64 term); /* good until the next call */

/* Nodes that come and go (--founders) are replicas of changing numbers and configurations: what counts as a majority
 * of these is judged by members_quorum_holds for commits, and by raft_cluster_test for the rest. */
static inline bool members_are_fixed(const struct world *w) { return !w->options->founders; }

static inline bool is_majority(const struct world *w, u8 nodes)
{
    return !members_are_fixed(w) || 2 * (u32)__builtin_popcount(nodes) > w->nodes;
}
