/* Raft as a pure core: events in, actions out, one entrance (raft_step). No clock, socket, malloc
 * or disk. Sources: Ongaro 2014 (the thesis; § numbers below are its), etcd-io/raft for the shape
 * of asynchronous storage writes. Pre-vote and check-quorum (§9.6, §6.2), leader leases from the
 * *send* times of acknowledged heartbeats with vote refusal (§6.4.1), ReadIndex (§6.4), leadership
 * transfer (§3.10), a log in memory that the host compacts.
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

/* Who counts. Fixed at start for now; `outgoing` leaves the place of joint consensus (§4.3): while
 * outgoing_count > 0 every decision needs a majority of both halves. Learners never count. */
struct raft_config {
    u32 voter_count, outgoing_count, learner_count;
    node_id voters[RAFT_MEMBERS_MAX], outgoing[RAFT_MEMBERS_MAX], learners[RAFT_MEMBERS_MAX];
};

struct raft_hard_state {
    u64 term;
    node_id vote; /* 0: none in this term */
    /* This replica may have lost votes or entries it once promised (damaged log, empty disk). It
     * neither votes nor campaigns until a leader elected without it has refilled it; then the core
     * clears the flag and sets vote to that leader. */
    bool impaired;
};

enum raft_message_kind {
    RAFT_VOTE = 1,
    RAFT_VOTE_REPLY,
    RAFT_APPEND, /* also the heartbeat, with count 0 */
    RAFT_APPEND_REPLY,
    RAFT_TIMEOUT_NOW,
    RAFT_SNAPSHOT_STATUS, /* follower -> leader: an install ended at prev (or failed: rejected) */
};

/* One message for all kinds; a kind uses the fields its comment names. Entries are borrowed from
 * the sender's tail (or the decoder's scratch) for the call. */
struct raft_message {
    u32 kind;
    node_id from, to;
    u64 term;
    /* VOTE: pre, transfer (a transfer overrides stickiness), prev = candidate's last entry.
     * VOTE_REPLY: pre, granted. A pre-vote request carries the term it would campaign in; its grant
     * echoes it. */
    bool pre, transfer, granted;
    /* APPEND: prev, entries, commit, sent_at (leader's clock, echoed by the reply: leases count
     * from it), round (read-index round, echoed), life (not 0: since the leader learned that this
     * life of the receiver is impaired, a quorum without it has confirmed the leader: the commit
     * may heal it).
     * APPEND_REPLY: rejected; prev = that of the APPEND answered; match: entries <= match are on
     * disk in log of `term`; hint = the last entry known to equal the leader's, on disk or not
     * (or, rejected, where to try next: §5.3 of the paper, by term); sent_at, round, full,
     * impaired and then life, a number drawn at boot.
     * TIMEOUT_NOW: prev = the last entry the target must have; void in any other term.
     * SNAPSHOT_STATUS: prev = the snapshot's position, now the follower's and durable; or
     * rejected. */
    struct log_pos prev, hint;
    u64 match, commit, round, life;
    nanos sent_at;
    bool rejected, impaired, full; /* full: this follower's disk takes no entries now */
    const struct raft_entry *entries;
    u32 count;
};

enum raft_event_kind {
    RAFT_TICK,      /* time passed; nothing else */
    RAFT_RECEIVED,  /* message; full: its entries cannot be taken now (a backlog) */
    RAFT_PROPOSE,   /* proposals: kind + data (a reference is taken when accepted); only on a leader */
    RAFT_PERSISTED, /* pos: the last entry staged that is durable with all staged before it */
    RAFT_SAVED,     /* saved_term: the hard state of that term is durable. Report every save: nothing
                       is applied in a term that is not saved */
    RAFT_APPLIED,   /* index */
    RAFT_READ,      /* context: a linearizable read wants a read index */
    RAFT_COMPACT,   /* index: entries <= index may go from the tail (a durable snapshot has them) */
    RAFT_RESTORED,  /* pos, config: the host installed a snapshot durably; the log restarts there
                       (a matching suffix is kept). peer: who sent it */
    RAFT_TRANSFER,  /* peer: hand leadership over to it; until it ends proposals are refused */
    RAFT_UNREACHABLE,   /* peer: its connection broke; stop pipelining, probe. rejected: it has started
                           again, its acknowledgements are void until it repeats them */
    RAFT_SNAPSHOT_SENT, /* peer, index: the host's transfer ended (rejected: failed, try again later) */
    RAFT_DISK_FULL,     /* full: on/off. A full leader hands over; a full follower refuses entries */
    RAFT_FOUNDING,      /* every configured member said its log is empty: a blank replica may vote */
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
    node_id peer;
    bool rejected, full;
    const struct raft_config *config;
};

#define RAFT_OUTBOX_MAX 512
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
    node_id snapshot_to; /* 0: none; else this peer needs entries the tail no longer has */
    u32 events;          /* raft_out_event bits */
};

struct raft_options {
    node_id self;
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
};

struct raft;

/* Memory: one block for the core, grown tail pages come from base/mem. */
struct raft *raft_new(const struct raft_options *options);
void raft_free(struct raft *r);

/* Boot, before the first step: the configuration, the hard state, the snapshot position the log
 * starts after, then the log's entries in order (they are durable; `data` is referenced), then the
 * applied index of the restored state machine. `booted_at` starts the no-vote wait after a restart:
 * the replica refuses votes for one lease, because it may have promised before it died. */
void raft_boot_config(struct raft *r, const struct raft_config *c);
void raft_boot_hard_state(struct raft *r, const struct raft_hard_state *hs);
void raft_boot_snapshot(struct raft *r, struct log_pos pos);
void raft_boot_entry(struct raft *r, const struct raft_entry *e);
void raft_boot_done(struct raft *r, u64 applied, nanos booted_at);

/* The one entrance. A refused step changes nothing.
 *   ERR_STALE   PROPOSE, READ, TRANSFER on a replica that is not leader; PROPOSE while it hands leadership
 *               over; RESTORED of what was applied already
 *   ERR_FULL    PROPOSE beyond tail or uncommitted limits, or with a full disk: none of the batch was
 *               taken. READ with too many waiting. TRANSFER while another is under way
 *   ERR_INVALID TRANSFER to who cannot lead;  ERR_UNSUPPORTED  PROPOSE of a RAFT_CONFIG
 * `out` is overwritten. A step that would overflow an outbox keeps the rest for the next step and
 * sets its deadline to now. */
MUST_USE err raft_step(struct raft *r, const struct raft_event *ev, struct raft_actions *out);

/* Asserts every invariant of the core; after each step in tests and simulation. */
void raft_check(const struct raft *r);

nanos raft_deadline(const struct raft *r);
bool raft_is_leader(const struct raft *r);
enum raft_role raft_role(const struct raft *r);
u64 raft_term(const struct raft *r);
node_id raft_leader(const struct raft *r); /* 0: unknown */
struct log_pos raft_last(const struct raft *r);
struct log_pos raft_first(const struct raft *r); /* the position before the oldest entry in the tail */
u64 raft_commit(const struct raft *r);
u64 raft_durable(const struct raft *r);
u64 raft_term_at(const struct raft *r, u64 index); /* 0: not in the tail */
const struct raft_entry *raft_entry_at(const struct raft *r, u64 index); /* index must be in the tail */
const struct raft_config *raft_config(const struct raft *r);
const struct raft_hard_state *raft_hard_state(const struct raft *r);
u64 raft_tail_bytes(const struct raft *r);

/* May this leader answer a linearizable read from its applied state at `now`, a fresh reading of
 * the clock? Needs an applied entry of its own term, no transfer begun, and a lease of a quorum. */
bool raft_lease_holds(const struct raft *r, nanos now);

struct raft_peer_status {
    u64 match, next;
    u32 state; /* 0 probe, 1 replicate, 2 snapshot */
    u32 inflight;
    nanos heard_at; /* 0: never */
    bool impaired;
};
bool raft_peer_status(const struct raft *r, node_id peer, struct raft_peer_status *out);
/* How many voters other than the leader have `index` on disk, as far as the leader knows. */
u32 raft_replicas_with(const struct raft *r, u64 index);

/* codec.c: the body of a peer frame (docs/formats/peer.md). Encoding appends to out; decoding
 * borrows from `body`, fills `scratch` with entries whose data are fresh buffers (one reference
 * each, the caller drops them with raft_message_done). Each entry carries a CRC-32C that is checked
 * here. */
void raft_message_encode(const struct raft_message *m, struct buf *out);
MUST_USE err raft_message_decode(str body, struct raft_message *out);
void raft_message_done(struct raft_message *m);
void raft_config_encode(const struct raft_config *c, struct buf *out);
MUST_USE err raft_config_decode(str bytes, struct raft_config *out);

/* One line per decision, cause then effect ("log behind (2/5 < 3/1) -> refuse"), for tests and
 * traces; NULL for silence. */
typedef void (*raft_trace_fn)(void *context, const char *line);
void raft_trace_to(struct raft *r, raft_trace_fn fn, void *context);
