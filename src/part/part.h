/* A partition: one Raft core, one state machine, its sessions and its waiting lists, joined to the
 * write-ahead log and the store. The host carries out what the core decides, in the core's order
 * (raft/raft.h); all answers leave through one function after the entry is applied.
 *
 * Three watermarks hold at every change: marker <= durable, applied <= min(commit, counted),
 * and an answer is given only for what is applied. Counted is durable, unless memory is enough (part_set_memory). */
#pragma once

#include "base/list.h"
#include "consistency/cost.h"
#include "kv/kv.h"
#include "live/live.h"
#include "part/machine.h"
#include "raft/raft.h"
#include "store/store.h"
#include "wal/wal.h"
#include "wire/peer/frame.h"

struct part;

/* Who waits for an answer: a gateway's request, here or on another node. */
struct part_waiter {
    node_id node;
    u32 boot;
    u64 number; /* 0: nobody */
};

enum part_kind { PART_WRITE = 1, PART_READ, PART_WATCH, PART_WAIT, PART_INDEX /* a replica's, inside */ };

enum part_status {
    PART_DONE = 0,     /* reply holds the answer */
    PART_NOT_LEADER,   /* certainly not logged here; ask `leader` */
    PART_EXPIRED,      /* certainly not logged: its deadline passed while it queued */
    PART_OVERLOADED,   /* certainly not logged: a limit is reached */
    PART_DISK_FULL,    /* certainly not logged: read-only until space returns */
    PART_OUT_OF_ORDER, /* not done: the connection's earlier write has not run yet */
    PART_LOST, /* was in this leader's log, and leadership ended before it was applied: unknown */
    PART_REFUSED, /* not done: it cannot be done so, or not now; reply says why */
    /* This try was certainly not done: these keys are another partition's by now, or are on their way to one (a merge). Look
     * at the map again and send it there; if the map still names this partition, wait a little and ask here again.
     * A request all of whose tries were answered becomes a new one there, with a number of that partition's gateway. One with
     * a try of unknown outcome (PART_LOST, or no answer) keeps its session and number: the other partition has the
     * sessions of this one and knows whether it ran. */
    PART_WRONG_PLACE,
    PART_STALE, /* a stale:MS read: the state here is older, or nobody knows how old; reply says so */
};

struct part_answer {
    u64 part;
    struct part_waiter to;
    enum part_status status;
    node_id leader;
    u64 index;
    u64 hlc;                 /* of the state as of the answer: who has seen this sees nothing older */
    const struct cost *cost; /* borrowed for the call; NULL: not asked for */
    str reply;               /* borrowed for the call */
};

struct part_request {
    enum part_kind kind;
    struct part_waiter from;
    struct rcbuf *entry; /* a reference that the partition takes over; NULL for WAIT */
    u64 after; /* READ, WATCH: the connection's latest write under way: see it and nothing later */
    nanos deadline;
    u64 index;    /* WAIT */
    u32 replicas; /* WAIT; INDEX: the replica that asks */
    struct level level; /* READ. Of another replica than the leader it is asked only if level_is_leaders() is false */
    u64 floor;          /* READ: a state with a lower hlc does not do; 0: any does */
    bool wants_cost;
};

/* What the partition asks of its node. */
struct part_host {
    void *context;
    void (*answer)(void *context, const struct part_answer *a);
    /* Room and place for one frame to a peer: append the body, then peer_end. NULL: not connected
     * or its queue is full, the frame is dropped (Raft repairs that). */
    struct buf *(*peer_begin)(void *context, node_id to, const struct frame *f);
    void (*peer_end)(void *context);
    void (*log)(void *context, enum log_level level, const char *line);
    struct raft_actions **scratch; /* one of them for all partitions of a thread, NULL to begin; its owner frees it */
    /* The incarnation of a node's directory, as it said itself; NULL: not known. May be NULL. */
    const u8 *(*incarnation)(void *context, node_id node);
    /* May a snapshot to this node begin? It counts until the second is called. NULL: always. */
    bool (*ship)(void *context, node_id to);
    void (*shipped)(void *context, node_id to);
    /* Split and merge, see below; a host that does neither leaves them NULL. None of them may free a part or take its
     * turn inside the call: note it, and do it when the turn that called has returned. */
    struct part *(*replica)(void *context, u64 part); /* this node's replica of another partition; NULL: none */
    void (*born)(void *context, struct part *parent, u64 child);
    void (*gone)(void *context, u64 part);
    void (*wake)(void *context, u64 part); /* this node's replica of another one has something to do: a turn, soon */
    /* Support between nodes; both NULL: every group has its own heartbeats. */
    struct live_support (*support_from)(void *context, node_id node);
    u64 (*support_given)(void *context, node_id node);
};

struct part_options {
    u64 id;
    node_id self;
    u32 boot;
    struct raft_options raft;
    replica_id replica;         /* which one this is; 0: a founding member, its number is its node's */
    u8 incarnation[16];         /* of this node's directory */
    const struct raft_config *members; /* borrowed by part_new: who founded the group; NULL or none: this replica was
                                        * added to it later */
    /* The owner vouches that this replica has never run, so that an empty log is no lost one: it made no promise. */
    bool fresh;
    /* Of a new kv partition: its slots, which its first leader writes into the log before anything else, so that all
     * replicas know them, also those that come later. slot_last 0: all. */
    u16 slot_first, slot_last;
    /* tail kept for slow followers after a checkpoint; at six times that the next one is due */
    u64 log_bytes_keep;
    size_t snapshot_chunk_bytes;
    u64 checkpoint_dirty_bytes;
    nanos checkpoint_every;
    u64 dirty_bytes_max; /* apply waits above it */
    u64 wal_bytes_max;   /* checkpoint when the log is this long */
    u64 queue_bytes_max; /* requests waiting to be proposed */
};

/* Boot: part_new loads the store's marker; part_on_replay and part_on_damage are wal_open's
 * callbacks; part_boot starts the core. The machine becomes the partition's, whatever part_new returns. */
MUST_USE err part_new(struct env *env, struct store *store, struct machine *machine,
                      const struct part_options *options, const struct part_host *host,
                      struct part **out);
void part_on_replay(void *part, const struct wal_replayed *r);
void part_on_damage(void *part, const struct wal_damage *d);
MUST_USE err part_boot(struct part *p, struct wal *wal);
void part_free(struct part *p);

void part_submit(struct part *p, struct part_request *req);

/* One peer frame whose destination is this partition. ERR_MALFORMED: close the connection. */
MUST_USE err part_on_frame(struct part *p, node_id from, const struct frame *f, str body);
void part_on_peer_lost(struct part *p, node_id peer, bool restarted);
/* Change the members of the group to `target` (raft.h: raft_change_check); answered when the change
 * is committed, or why it was refused, in plain text. PART_LOST: leadership ended on the way. */
#define PART_CHANGE_TEXT_MAX 160
void part_change_members(struct part *p, const struct raft_config *target,
                         const struct part_waiter *from);

/* ---- Split and merge: split.c, merge.c, docs/design/partitions.md ----
 *
 * All four are proposals to the leader, answered like part_change_members: PART_DONE once applied here, PART_REFUSED
 * with a sentence, PART_NOT_LEADER, PART_OVERLOADED (ask again), PART_LOST. Asking again is safe: what was done already
 * answers PART_DONE. */

/* Slots from `slot` on (in a range keyspace: keys from `key` on) become the new partition `child`, with the same members
 * under the same replica numbers. Its keyspace ids to give out are block_first.. (at least 32; never used by
 * anybody before). Each replica makes its half of the child by itself, under its own number: when that is durable, in one step with the
 * parent's marker, `born` is called. The host then puts the child on its list of replicas, makes store, machine and part as at a
 * boot (members: none, the marker has them), and calls part_boot; it may call store_hand_over(parent's store,
 * child's store) after store_new to keep cached rows. If it dies before the list knows, nothing is lost: a replica made
 * later by the map finds the marker. `born` is not called where the child is not to be: this replica is
 * no member of it, or the host has one already (`replica`), which then gets its rows from the child's leader. PART_DONE
 * comes when the leader's half is durable and its log cut, so that members may change; it does not wait for the child's leader.
 *
 * A replica of the child that the map wants on a node is made without founders, whatever its members look like: its log does not
 * begin at 1, and empty ones must not come together as a group. */
struct part_split {
    u64 child;
    u32 block_first, block_count;
    u16 slot;
    str key;
};
void part_split(struct part *p, const struct part_split *split, const struct part_waiter *from);

/* A merge of `right` into its left neighbour: freeze the right, take what it answered to the left, in this order:
 *
 *   1 part_freeze(right)           it refuses everything from now on (PART_WRONG_PLACE)
 *   2 part_merge(left)             done: the left has all keys
 *   or, to give up: part_merge_cancel(left), only when that is PART_DONE part_unfreeze(right). If the left was merged already,
 *   the cancel is PART_REFUSED and the merge must be carried to its end.
 *
 * part_freeze is answered when every member of the right has all of its log on disk (so the merge waits for nobody)
 * and the leader's store has its rows; until then it may be given up by part_unfreeze. Members must not change between
 * 1 and 2. On each replica the left takes the rows over in place, deletes what the right had of its own, and
 * calls `gone(right)` when that is durable: free the part, there is nothing of it on disk any more. */
struct part_merge {
    u64 right;
    struct log_pos final; /* the reply of part_freeze: part_final_decode */
};
void part_freeze(struct part *right, u64 left, const struct part_waiter *from);
MUST_USE err part_final_decode(str reply, struct log_pos *out);
void part_unfreeze(struct part *right, const struct part_waiter *from);
void part_merge(struct part *left, const struct part_merge *merge, const struct part_waiter *from);
void part_merge_cancel(struct part *left, const struct part_merge *merge, const struct part_waiter *from);
/* Frozen, or merged into its neighbour and `gone` follows. The left here may still need it, so a frozen replica that the map does
 * not name any more is kept for a minute, and while the left here stands before the merge (part_waits_for_right). Then the left
 * was refilled past the merge: delete it, or what was split off since could not come here. If it is not frozen, or empty
 * (the node died before `gone`), it may be deleted at once. */
bool part_is_frozen(const struct part *p);
struct log_pos part_frozen_at(const struct part *p); /* its end, as part_freeze answers it; index 0: it is not frozen */
bool part_waits_for_right(const struct part *p);
bool part_is_empty(const struct part *p); /* it has no rows and no marker */

/* A key that has half of its keys below it; nothing is appended if there are too few. Of a kv machine by key. */
MUST_USE err part_middle(struct part *p, struct buf *key);
/* Which keys it has now, as applied. Of a kv machine. */
const struct kv_span *part_span(const struct part *p);
/* Does this replica's store still hold rows of these slots or keys (of its keyspace)? Then no other replica that has them
 * may be made on this node: they come by themselves when this one has caught up with its split. */
bool part_covers(const struct part *p, const struct kv_span *span);

/* No member any more, or its number belongs to another disk: it serves nobody and may be deleted. */
bool part_is_removed(const struct part *p);
node_id part_leader(const struct part *p); /* the node it lives on; 0: unknown */

/* Support between that node and this one was withdrawn, ended or came back. False: nothing to this group. */
bool part_on_support(struct part *p, node_id node);
void part_on_founding(struct part *p);
void part_on_disk_full(struct part *p, bool full); /* the log's */
MUST_USE err part_on_job(struct part *p, struct env_job *job); /* job->owner is the partition */

/* The partition's share of a turn: durable log, proposals, apply, reads, checkpoints, snapshots.
 * *more: call again soon. An err is final: the node must stop. */
MUST_USE err part_turn(struct part *p, bool *more);
nanos part_deadline(const struct part *p);
bool part_waits_for_log(const struct part *p); /* it has a turn's work when more of the log is durable */

/* A checkpoint soon, though none is due: all partitions together hold too much. */
void part_checkpoint(struct part *p);
/* A clean stop: checkpoint what is applied; true when done. */
bool part_stopping(struct part *p);
/* Ask for leadership to move away (before a clean stop). */
void part_resign(struct part *p);
u64 part_snapshot_sent(const struct part *p, replica_id to); /* bytes that arrived of one under way; 0: none is */

/* memory.c, docs/design/durability.md: entries count when a majority has them in memory, from when the hard state that says so
 * is durable; or on disk again. Never for the core's own group. Asked for as often as one likes. */
void part_set_memory(struct part *p, bool memory);
struct part_durability {
    bool memory;     /* acknowledgements do not wait for disks, just now */
    bool recovering; /* after a crash: it neither votes nor counts until it is refilled */
    bool abandoned;  /* it has applied what a recovery gave up, and waits for a snapshot */
    u64 entries;     /* acknowledged, and not on the disks of a majority as far as this leader knows */
    nanos age;       /* of the oldest of them */
};
struct part_durability part_durability(struct part *p);
/* An operator accepts the loss of what only crashed replicas had in memory: this replica asks for leadership. OK: it asks,
 * raft_recovery_status(part_raft(p)) says how it goes. ERR_STALE: there is a leader. ERR_INVALID: this one cannot. */
MUST_USE err part_recover(struct part *p);

/* Hand leadership to this replica, if it can take it. */
void part_transfer(struct part *p, replica_id to);
/* No job of it is under way: part_free may be called while the node goes on. */
bool part_may_be_freed(const struct part *p);

/* cut.c: the rows of this partition as of one stamp, for a backup that is consistent over many partitions. The coordinator
 * holds all of them, so that nothing is stamped anywhere; then takes the greatest stamp any has given, T, and cuts all
 * at it: each logs a barrier stamped T + 1 and goes on. What was acknowledged before the first hold is in, and what
 * is in one partition's cut did not depend on what another's leaves out: whoever saw it acknowledged asks later
 * than the last hold. A barrier that commits in the term of the hold proves that nobody else led in between. */
enum part_cut_state {
    PART_CUT_NONE,
    PART_CUT_HELD,    /* nothing is proposed, until the hold lapses */
    PART_CUT_LOGGED,  /* the barrier is on its way */
    PART_CUT_WRITING, /* it is applied; a checkpoint as of it is being written */
    PART_CUT_READY,   /* rows can be read */
    PART_CUT_FAILED,  /* leadership, the disk or time were lost; begin again */
};
/* False: not the leader, or no quorum in reach. An earlier cut is given up. `id` names this attempt; no other has it. */
bool part_cut_hold(struct part *p, u64 id, nanos until, u64 *last_hlc);
/* False: that hold has lapsed or was lost, or the stamp is not one to follow what was given. */
bool part_cut_make(struct part *p, u64 id, u64 stamp);
enum part_cut_state part_cut_state(const struct part *p, u64 *stamp, u64 *index);
void part_cut_end(struct part *p);
/* The rows of a cut that is ready. They are those of the store as it was then: a replica that goes, as it was merged or moved,
 * takes nothing of them with it, if part_cut_take keeps them (the caller's then). NULL: no cut is ready. */
struct part_rows;
struct part_rows *part_cut_rows(struct part *p);
struct part_rows *part_cut_take(struct part *p);
u64 part_rows_part(const struct part_rows *r);
nanos part_rows_until(const struct part_rows *r); /* when nobody will read on */
/* About so many bytes of rows, as docs/formats/backup.md has them, from a cursor that begins empty. ERR_STALE: the cut has
 * another stamp, or is not whole. */
MUST_USE err part_rows_next(struct part_rows *r, u64 stamp, struct buf *cursor, size_t bytes, struct buf *out, u32 *rows,
                            bool *last);
void part_rows_free(struct part_rows *r);

u64 part_id(const struct part *p);
const struct part_options *part_options(const struct part *p);
struct raft *part_raft(struct part *p);
struct machine *part_machine(struct part *p);
u64 part_bytes(struct part *p); /* about so much a copy of it takes */
struct kv *part_kv(struct part *p); /* NULL: another kind of machine */
struct store *part_store(struct part *p);
u64 part_applied(const struct part *p);
u64 part_marker(const struct part *p);
bool part_is_blank(const struct part *p);
bool part_is_damaged(const struct part *p);
/* It takes no writes: the node has said that the log is full, or checkpoints find no space and what waits for them in
 * memory has come to half of its limit. */
bool part_is_full(const struct part *p);

struct part_stats {
    u64 proposed, applied, answered, reads_lease, reads_index, reads_near, duplicates, ticks, checkpoints,
        snapshots_sent, snapshots_installed, elections, apply_stalls, queue_bytes, sessions, recoveries;
    u64 client_sessions; /* of the sessions, those of clients */
    /* times a limit was reached: of requests refused, and of batches or rounds that had to wait */
    u64 queue_refused, tail_full, uncommitted_full, wal_short, reads_full;
    u64 frames_not_ours; /* for another replica, or of one that the members do not know so */
    u64 config_index, config_changes;
    u32 voters, outgoing, learners, learners_caught_up; /* outgoing: a change is under way */
};
const struct part_stats *part_stats(struct part *p); /* as of now, until the next turn */

/* For evidence: called for each applied entry with its reply (empty for entries without one). */
typedef void (*part_observer_fn)(void *context, u64 index, u64 term, str entry, str reply);
void part_observe(struct part *p, part_observer_fn fn, void *context);
