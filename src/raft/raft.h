/* Raft as a pure core: events in, actions out, one entrance (raft_step). No clock, socket, malloc
 * or disk. Sources: Ongaro 2014 (the thesis; § numbers below are its), etcd-io/raft for the shape
 * of asynchronous storage writes. Pre-vote and check-quorum (§9.6, §6.2), leader leases from the
 * *send* times of acknowledged heartbeats with vote refusal (§6.4.1), ReadIndex (§6.4), leadership
 * transfer (§3.10), a log in memory that the host compacts. A host that keeps support between nodes
 * (live/live.h) lets idle groups do without heartbeats and timers (fortify.c).
 *
 * The host carries actions out from top to bottom and does no thinking:
 *
 *   raft_step(r, &event, &out);
 *   1 send out.send                                may leave at once
 *   2 stage out.save (if set), then out.truncate_from (if not 0), then out.append in the write-ahead log
 *   3 hold out.send_after_save until everything staged so far (not only by this step) is durable
 *   4 apply out.apply in order, exactly once; fail waiters named by out.events
 *   5 step again by raft_deadline() even if nothing happens
 *
 * and reports back: RAFT_PERSISTED when staged entries are durable, RAFT_APPLIED, RAFT_COMPACT.
 * Entry payloads are shared buffers: the core holds a reference while the entry is in its tail. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/prng.h"
#include "base/types.h"

#define RAFT_MEMBERS_MAX 15

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER, RAFT_ROLES };

enum raft_entry_kind {
    RAFT_NOOP = 1,     /* starts a term */
    RAFT_CONFIG = 2,   /* a membership; payload: raft_config_encode */
    RAFT_COMMAND = 3,  /* evaluated by every replica */
    RAFT_WRITESET = 4, /* rows and reply evaluated by the leader (format reserved) */
};

struct raft_entry {
    struct log_pos pos;
    u32 kind;
    struct rcbuf *data; /* NULL for an empty payload */
};

typedef u32 replica_id; /* a member of one group; given out once and never again in it. 0: none */

/* Who is in the group, in ascending order of replica. A member votes (VOTER), or voted in the
 * configuration that a change is leaving (OUTGOING, §4.3: while there are any, every decision needs
 * a majority of the voters and one of the outgoing), or only learns. Node and incarnation say where
 * a replica lives and with which disk; the core carries them and does not look. A replica of
 * incarnation zero is a founding member whose directory is not known. */
enum raft_member_role { RAFT_VOTER = 1, RAFT_OUTGOING = 2, RAFT_LEARNER = 4 };

struct raft_member {
    replica_id id;
    node_id node;
    u8 incarnation[16];
    u8 roles; /* raft_member_role bits */
};

/* An operator let the group begin again without what its crashed replicas had only in memory: the leader of `term`
 * kept the log up to `kept`, and no more of what came before. The newest few are remembered. */
#define RAFT_RECOVERIES_MAX 8
struct raft_recovery {
    u64 term;
    struct log_pos kept;
};
struct raft_recoveries {
    u32 count;
    struct raft_recovery items[RAFT_RECOVERIES_MAX]; /* in order of term */
};

struct raft_config { /* count 0: not known yet, a replica that is joining */
    u32 count;
    replica_id next; /* the least number never given out */
    struct raft_member members[RAFT_MEMBERS_MAX];
    struct raft_recoveries recoveries;
};

struct raft_hard_state {
    u64 term;
    replica_id vote; /* 0: none in this term */
    /* This replica may have lost votes or entries it once promised (damaged log, empty disk). It
     * neither votes nor campaigns until a leader elected without it has refilled it; then the core
     * clears the flag and sets vote to that leader. */
    bool impaired;
    /* It may acknowledge entries that are only in memory: whoever finds this at boot did not stop cleanly, and is
     * impaired. */
    bool memory;
    bool votes_kept; /* impaired, but only entries are in doubt: every vote it gave is here */
    bool accepts;    /* impaired, and its vote of this term was for a recovery: it takes that leader's log for whole */
};

enum raft_message_kind {
    RAFT_VOTE = 1,
    RAFT_VOTE_REPLY,
    RAFT_APPEND, /* also the heartbeat, with count 0 */
    RAFT_APPEND_REPLY,
    RAFT_TIMEOUT_NOW,
    RAFT_SNAPSHOT_STATUS, /* follower -> leader: an install ended at prev (or failed: rejected) */
    RAFT_REMOVED, /* leader -> who is no member any more, and never will be: prev.index = the entry */
    RAFT_DEFORTIFY, /* who led in prev.term, and does not any more -> who may have fortified it then */
    RAFT_DEFORTIFY_REPLY, /* nothing of prev.term or before rests on it any more */
};

/* One message for all kinds; a kind uses the fields its comment names. Entries are borrowed from
 * the sender's tail (or the decoder's scratch) for the call. */
struct raft_message {
    u32 kind;
    replica_id from, to;
    u64 term;
    /* VOTE: pre, transfer (a transfer overrides stickiness), prev = candidate's last entry.
     * VOTE_REPLY: pre, granted. A pre-vote request carries the term it would campaign in; its grant
     * echoes it. recover: an operator accepts the loss of what is in no log that is asked; an impaired replica may
     * grant it. A refusal for its log's sake says in hint where the log of who refuses ends.
     * APPEND: recoveries. APPEND_REPLY: lag, accepts (impaired, but this leader's recovery will heal it). */
    bool pre, transfer, granted, recover, accepts;
    /* APPEND: prev, entries, commit, sent_at (leader's clock, echoed by the reply: leases count
     * from it), round (read-index round, echoed), life (not 0: since the leader learned that this
     * life of the receiver is impaired, a quorum without it has confirmed the leader: the commit
     * may heal it).
     * APPEND_REPLY: rejected; prev = that of the APPEND answered; match: entries <= match are on
     * disk in log of `term`; hint = the last entry known to equal the leader's, on disk or not
     * (or, rejected, where to try next: §5.3 of the paper, by term); commit: what it knows to be
     * committed; sent_at, round, full, disk_full, impaired and then life, a number drawn at boot.
     * APPEND, APPEND_REPLY: fortify asks for a promise, or gives it, under this epoch of support
     * between their nodes.
     * TIMEOUT_NOW: prev = the last entry the target must have; void in any other term.
     * SNAPSHOT_STATUS: prev = the snapshot's position, now the follower's and durable; or
     * rejected. */
    struct log_pos prev, hint;
    u64 match, commit, round, life;
    nanos sent_at;
    u64 epoch;
    u64 lag; /* so many of the entries up to match are in memory only */
    struct raft_recoveries recoveries;
    bool rejected, impaired, fortify;
    bool full;      /* this follower takes not all entries now */
    bool disk_full; /* because its disk is full: what it still takes is not much */
    const struct raft_entry *entries;
    u32 count;
};

enum raft_event_kind {
    RAFT_TICK,      /* time passed; nothing else */
    RAFT_RECEIVED,  /* message. Of its entries no more are taken than there is room for */
    RAFT_PROPOSE,   /* proposals: kind + data (a reference is taken when accepted); only on a leader */
    RAFT_PERSISTED, /* pos: the last entry staged that is durable with all staged before it */
    RAFT_SAVED,     /* saved_term, saved_memory: the hard state of that term, with that flag, is durable. Report
                       every save: nothing is applied in a term that is not saved */
    RAFT_APPLIED,   /* index. A leader tells the others of no commit beyond it */
    RAFT_COMMITTED, /* pos: an entry that its leader said is committed; known from now on if the log has that very entry */
    RAFT_READ,      /* context: a linearizable read wants a read index */
    RAFT_COMPACT,   /* index: entries <= index may go from the tail (a durable snapshot has them) */
    RAFT_RESTORED,  /* pos, config: the host installed a snapshot durably; the log restarts there
                       (a matching suffix is kept). peer: who sent it */
    RAFT_TRANSFER,  /* peer: hand leadership over to it; until it ends proposals are refused */
    RAFT_UNREACHABLE,   /* peer: its connection broke; stop pipelining, probe. rejected: it has started
                           again, its acknowledgements are void until it repeats them */
    RAFT_SNAPSHOT_SENT, /* peer, index: the host's transfer ended (rejected: failed, try again later) */
    RAFT_DISK_FULL,     /* full: on/off. From now on nothing is written that `room` does not hold: the last of the
                           space is for hard state, the no-op of a term and entries others have. A full leader
                           hands over if others have space */
    RAFT_FOUNDING,      /* every configured member said its log is empty: a blank replica may vote */
    RAFT_CHANGE,        /* config: change the members to it; only on a leader, see raft_change_check */
    RAFT_SUPPORT, /* peer: support between its node and ours was withdrawn, ended, or came back. Before any other
                     event after that */
    RAFT_MEMORY,  /* full: on/off. Entries count, here and in what is told the leader, when they are staged, not
                     when they are durable. Begins when the hard state that says so is durable; after it was taken
                     back, until raft_is_volatile says no. Hard state, and entries that waits_for_disk names, are
                     never told before they are durable */
    RAFT_RECOVER, /* an operator accepts the loss of entries that only crashed replicas had, in memory: campaign, if no
                     replica that answers has a longer log, and a majority answers. raft_recovery says how it goes */
};

struct raft_proposal {
    u32 kind;
    struct rcbuf *data;
};

struct raft_event {
    nanos now; /* time enters here and nowhere else */
    enum raft_event_kind kind;
    const struct raft_message *message;
    const struct raft_proposal *proposals;
    u32 count;
    struct log_pos pos;
    u64 index, context, saved_term;
    replica_id peer;
    bool rejected, full, saved_memory;
    u64 room; /* every event: entries the host can write now, in bytes of payload and RAFT_ENTRY_ROOM for each */
    const struct raft_config *config;
};

#define RAFT_OUTBOX_MAX 512
#define RAFT_ENTRY_ROOM 64u
#define RAFT_READS_MAX 256

struct raft_outbox {
    struct raft_message items[RAFT_OUTBOX_MAX];
    u32 count;
};

struct raft_read_done {
    u64 context;
    u64 index;    /* serve once applied >= index */
    bool refused; /* not leader any more, or no quorum in time: not served */
};

enum raft_out_event {
    RAFT_BECAME_LEADER = BIT(0),
    RAFT_STEPPED_DOWN = BIT(1),    /* was leader (or candidate) of an earlier term */
    RAFT_LEADER_CHANGED = BIT(2),  /* raft_leader() differs */
    RAFT_TRUNCATED = BIT(3),       /* entries >= truncate_from were replaced: their waiters get a definite error */
    RAFT_CONFIG_CHANGED = BIT(4),
    RAFT_HEALED = BIT(5),          /* impaired was cleared */
    RAFT_CONFIG_COMMITTED = BIT(6), /* the members in effect are committed, and no change is under way */
    RAFT_CAUGHT_UP = BIT(7),        /* a learner has caught up: raft_peer_status says which */
    RAFT_TOLD_REMOVED = BIT(8),     /* this replica is no member any more: its owner may delete it */
    RAFT_RECOVERED = BIT(9),        /* it leads by RAFT_RECOVER: raft_config's newest recovery says what was kept */
    RAFT_ABANDONED = BIT(10),       /* the group was recovered to less than this replica has applied: it takes nothing
                                       but a snapshot of more, and is impaired until then */
};

struct raft_actions { /* carry these out from top to bottom; good until the next step */
    struct raft_outbox send;
    const struct raft_hard_state *save; /* NULL if unchanged */
    u64 truncate_from;                  /* 0: none; else entries >= it are void, before append */
    struct {
        u64 from, to; /* indexes in the tail, inclusive; from 0: none. Read them with raft_entry_at */
    } append, apply;
    struct raft_outbox send_after_save;
    struct raft_read_done reads[RAFT_READS_MAX];
    u32 read_count;
    replica_id snapshot_to; /* 0: none; else this peer needs entries the tail no longer has */
    u32 events;          /* raft_out_event bits */
};

/* Support between nodes as the host knows it now; with none of it (NULL) every group lives by its own
 * heartbeats. Same answers, same actions. */
struct raft_support {
    u64 epoch;   /* 0: none */
    nanos until; /* by our clock */
    nanos asked; /* when what was answered last was sent */
};
struct raft_liveness {
    void *context;
    struct raft_support (*from)(void *context, replica_id id); /* by its node, of ours */
    u64 (*given)(void *context, replica_id id); /* the epoch in which our node supports its; 0: it does not */
};

struct raft_options {
    replica_id self;
    u64 seed;
    nanos election_timeout_min, election_timeout_max; /* drawn anew each time; 300..600 ms on a LAN */
    nanos heartbeat_every;                            /* 60 ms */
    nanos lease;      /* D: a follower refuses votes this long after an APPEND of a live leader; <= election_timeout_min */
    u32 drift_ppm;    /* rho: 10000 = 1%; the leader's limit is D(1-rho)/(1+rho) from the send time */
    u32 inflight_messages_max; /* 256 per peer */
    u64 inflight_bytes_max;    /* 4 MiB per peer; a larger entry goes alone */
    u64 append_bytes_max;      /* 512 KiB of payload per message, at least one entry */
    u64 tail_bytes_max;        /* payload bytes in the tail; beyond it proposals are refused (ERR_FULL) */
    u64 uncommitted_bytes_max; /* proposals not yet committed */
    /* Beside CONFIG entries: those that others rely on, so that they count on disk only. NULL: none. Pure. */
    bool (*waits_for_disk)(const struct raft_entry *e);
    struct raft_liveness liveness;
};

struct raft;

/* Memory: one block for the core, grown tail pages come from base/mem. */
struct raft *raft_new(const struct raft_options *options);
void raft_free(struct raft *r);

/* Boot, before the first step: the configuration that the entries up to `at` make (the founding one
 * and 0; the snapshot's and its index; an empty one for a replica that joins), the hard state, the snapshot position the log
 * starts after, then the log's entries in order (they are durable; `data` is referenced), then the
 * applied index of the restored state machine. `booted_at` starts the no-vote wait after a restart:
 * the replica refuses votes for one lease, because it may have promised before it died. */
void raft_boot_config(struct raft *r, const struct raft_config *c, u64 at);
void raft_boot_hard_state(struct raft *r, const struct raft_hard_state *hs);
void raft_boot_snapshot(struct raft *r, struct log_pos pos);
void raft_boot_entry(struct raft *r, const struct raft_entry *e);
void raft_boot_done(struct raft *r, u64 applied, nanos booted_at);

/* The one entrance. A refused step changes nothing.
 *   ERR_STALE   PROPOSE, READ, TRANSFER on a replica that is not leader; PROPOSE while it hands leadership
 *               over; RESTORED of what was applied already
 *   ERR_FULL    PROPOSE beyond tail or uncommitted limits, or with a full disk beyond its room: none of
 *               the batch was taken. READ with too many waiting. TRANSFER while another is under way
 *   ERR_INVALID TRANSFER to who cannot lead;  ERR_UNSUPPORTED  PROPOSE of a RAFT_CONFIG
 *   RAFT_CHANGE ERR_STALE, ERR_INVALID or ERR_FULL (not now): raft_change_check says why
 * `out` is overwritten. A step that would overflow an outbox keeps the rest for the next step and
 * sets its deadline to now. */
MUST_USE err raft_step(struct raft *r, const struct raft_event *ev, struct raft_actions *out);

/* Asserts every invariant of the core; after each step in tests and simulation. */
void raft_check(const struct raft *r);

nanos raft_deadline(const struct raft *r); /* NANOS_NEVER: a quiet group, until something happens */
bool raft_is_leader(const struct raft *r);
enum raft_role raft_role(const struct raft *r);
u64 raft_term(const struct raft *r);
replica_id raft_leader(const struct raft *r); /* 0: unknown */
struct log_pos raft_last(const struct raft *r);
struct log_pos raft_first(const struct raft *r); /* the position before the oldest entry in the tail */
u64 raft_commit(const struct raft *r);
u64 raft_durable(const struct raft *r);
/* What was acknowledged may be in memory only, or was when it crashed and the log may not say so yet: a clean stop waits
 * until this is false. */
bool raft_is_volatile(const struct raft *r);
bool raft_counts_memory(const struct raft *r); /* entries count when they are staged, just now */
u64 raft_disk_reached(const struct raft *r); /* on the disks of a quorum, as far as this replica knows; a leader's */
u64 raft_term_at(const struct raft *r, u64 index); /* 0: not in the tail */
const struct raft_entry *raft_entry_at(const struct raft *r, u64 index); /* index must be in the tail */
/* Members: in effect now, committed or not; the entry that made them; as of an entry that is applied
 * or in the tail. */
const struct raft_config *raft_config(const struct raft *r);
u64 raft_config_index(const struct raft *r);
void raft_config_at(const struct raft *r, u64 index, struct raft_config *out);
bool raft_config_before(const struct raft *r, struct raft_config *out); /* the newest; false: not in the log */
bool raft_is_removed(const struct raft *r);
bool raft_is_abandoned(const struct raft *r); /* RAFT_ABANDONED, until a snapshot came */
const struct raft_hard_state *raft_hard_state(const struct raft *r);
u64 raft_tail_bytes(const struct raft *r);
struct raft_pressure { /* on its limits, now; windows: how often a follower's was full, by messages and by bytes */
    u64 uncommitted_bytes, reads_waiting, reads_waiting_max, windows_of_messages, windows_of_bytes;
};
void raft_pressure(const struct raft *r, struct raft_pressure *out);

/* May this leader answer a linearizable read from its applied state at `now`, a fresh reading of
 * the clock? Needs to have applied all that earlier leaders may have committed, no transfer begun,
 * and a lease of a quorum. */
bool raft_lease_holds(const struct raft *r, nanos now);

struct raft_peer_status {
    u64 match, next;
    u32 state; /* 0 probe, 1 replicate, 2 snapshot */
    u32 inflight;
    u64 inflight_bytes;
    nanos heard_at; /* itself, or its node in its place; 0: never */
    bool impaired;
    bool caught_up;      /* a learner: promoting it would not hold commits up (§4.2.1) */
    u32 catch_up_rounds; /* it took so far; more than 10: it is too slow */
};
bool raft_peer_status(const struct raft *r, replica_id peer, struct raft_peer_status *out);

enum raft_recovery_state {
    RAFT_RECOVERY_NONE,      /* never asked for in this life */
    RAFT_RECOVERY_ASKING,    /* under way */
    RAFT_RECOVERY_DONE,      /* it won */
    RAFT_RECOVERY_HAS_LEADER, /* there is a leader: nothing to do */
    RAFT_RECOVERY_LONGER,    /* `longer` has a longer log: ask it */
    RAFT_RECOVERY_NO_QUORUM, /* of `of` voters only `heard` answered so that it could go on, itself included */
};
struct raft_recovery_status {
    enum raft_recovery_state state;
    replica_id longer;
    u32 heard, of;
};
struct raft_recovery_status raft_recovery_status(const struct raft *r);
/* A leader whose own disk is full and that finds nobody to hand over to, or the disks of so many others that nothing new
 * can commit. */
bool raft_is_read_only(const struct raft *r);
/* How many voters other than the leader have `index` on disk, as far as the leader knows. */
u32 raft_replicas_with(const struct raft *r, u64 index);

/* codec.c: the body of a peer frame (docs/formats/peer.md). Encoding appends to out; decoding
 * borrows from `body`, fills `scratch` with entries whose data are fresh buffers (one reference
 * each, the caller drops them with raft_message_done). Each entry carries a CRC-32C that is checked
 * here. */
void raft_message_encode(const struct raft_message *m, struct buf *out);
MUST_USE err raft_message_decode(str body, struct raft_message *out);
void raft_message_done(struct raft_message *m);

/* change.c: what RAFT_CHANGE to `target` would do, without doing it. Target names everyone who shall
 * be a member, as VOTER or LEARNER; members who stay keep replica, node and incarnation (one of
 * incarnation zero may become known), new ones have numbers >= next. Voters that come or go make
 * the change a joint one: both halves decide until the leader has left it by itself. */
enum raft_change_reason {
    RAFT_CHANGE_POSSIBLE,
    RAFT_CHANGE_SAME,           /* these are the members */
    RAFT_CHANGE_INVALID,        /* no such group can be: nobody votes, too many, a role or node missing */
    RAFT_CHANGE_NUMBER_USED,    /* `replica` was given out before, to another node or disk */
    RAFT_CHANGE_NOT_LEADER,
    RAFT_CHANGE_HANDING_OVER,   /* a transfer of leadership is under way */
    RAFT_CHANGE_UNDER_WAY,      /* an earlier change is not finished */
    RAFT_CHANGE_TERM_NOT_BEGUN, /* no entry of this leader's own term is committed yet */
    RAFT_CHANGE_DISK_FULL,
    RAFT_CHANGE_NO_QUORUM,      /* of `of` voters `needed` must be live and caught up, `live` are */
};

struct raft_change_plan {
    enum raft_change_reason reason;
    replica_id replica;
    u32 live, needed, of;
    bool joint;              /* two entries: into the joint configuration, and out of it */
    bool leader_leaves;      /* this leader hands over at the end */
    u32 joining, leaving;    /* voters */
    struct raft_config first; /* the entry that would be appended */
};
void raft_change_check(const struct raft *r, const struct raft_config *target, nanos now,
                       struct raft_change_plan *out);
/* The plan as a sentence. */
void raft_change_text(const struct raft_change_plan *plan, char *out, size_t size);

/* config.c: configurations as values. */
void raft_config_encode(const struct raft_config *c, struct buf *out);
MUST_USE err raft_config_decode(str bytes, struct raft_config *out);
/* A founding member: a voter whose replica number is its node's. */
void raft_config_found(struct raft_config *c, node_id node);
/* Put a member in its place, over the one of its number if there is one. False: too many. */
bool raft_config_put(struct raft_config *c, const struct raft_member *m);
void raft_config_remove(struct raft_config *c, replica_id id);
const struct raft_member *raft_config_find(const struct raft_config *c, replica_id id);
bool raft_member_is_nameless(const struct raft_member *m); /* of incarnation zero: whichever disk its node has */
u32 raft_config_count(const struct raft_config *c, u8 roles); /* members with any of these */
bool raft_config_is_joint(const struct raft_config *c);
bool raft_config_equal(const struct raft_config *a, const struct raft_config *b);
/* Remember one more recovery. When there are too many, the two oldest become one that keeps what the older kept: who
 * has applied what came between them, and slept since, must take a snapshot. */
void raft_config_recovered(struct raft_config *c, const struct raft_recovery *recovery);

/* One line per decision, cause then effect ("log behind (2/5 < 3/1) -> refuse"), for tests and
 * traces; NULL for silence. */
typedef void (*raft_trace_fn)(void *context, const char *line);
void raft_trace_to(struct raft *r, raft_trace_fn fn, void *context);
