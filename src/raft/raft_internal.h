/* The inside of struct raft: small structs, each written by one file. Others read them, or ask that
 * file for a change. The door (raft.c) checks terms and dispatches; it decides nothing. */
#pragma once

#include "base/assert.h"
#include "base/mutant.h"
#include "quorum/joint.h"
#include "raft/progress.h"
#include "raft/raft.h"
#include "raft/tail.h"

#include <inttypes.h>

#define NO_SLOT        UINT32_MAX
#define RAFT_SLOTS_MAX (RAFT_MEMBERS_MAX + 1) /* members, and this replica if it is none */

struct membership { /* membership.c. A member is a slot: a bit in sets, an index in arrays */
    struct raft_config config; /* in effect: that of the log's newest CONFIG entry, else base */
    struct rcbuf *base;        /* that of the entries up to base_index, encoded: there may be thousands. NULL: none yet */
    u64 base_index;
    u64 *changes; /* owned; indexes of the CONFIG entries after base_index, ascending */
    u32 change_count, change_cap;
    struct raft_config *previous; /* owned. A leader's, until its change commits: what that replaces; NULL: no change */
    u32 count;
    replica_id ids[RAFT_SLOTS_MAX]; /* members, voters of previous, and this replica */
    struct joint quorum, quorum_before; /* of config; of previous */
    u32 self; /* own slot */
};

struct election { /* election.c: role, term, vote, timers */
    struct raft_hard_state hard;
    bool hard_changed; /* must be saved with this step */
    u64 saved_term;    /* durable, as far as the host has said */
    bool saved_memory; /* the same, of hard.memory */
    bool wants_memory; /* the host's wish: hard.memory follows when what is under way is saved */
    bool by_recovery;  /* this candidacy accepts loss; and so was this leadership won */
    enum raft_role role;
    replica_id leader;
    u32 granted, refused; /* sets of slots, in the election under way */
    bool by_transfer;     /* this candidacy was asked for by the leader */
    nanos deadline;       /* campaign then */
    nanos votes_from;     /* before it, votes are refused: a live leader, or one from before boot */
    bool disk_full;
    bool removed; /* a leader said that this replica is no member any more */
    nanos full_since;
    u64 life; /* tells this start from an earlier one, also with the same impairment; never 0 */
};

/* Does a log that ends at `a` have more than one that ends at `b`? (5.4.1 of the paper) */
static inline bool log_pos_after(struct log_pos a, struct log_pos b)
{
    return a.term != b.term ? a.term > b.term : a.index > b.index;
}

struct marks { /* commit.c: how far things are. All are indexes; see commit.c for their order */
    u64 commit;
    u64 durable;  /* own disk has the log up to here, as it is now */
    u64 counted;  /* acknowledged, and counted by a leader: durable, or in memory when that is enough */
    u64 staged;   /* given to the host to write */
    u64 applying; /* given to the host to apply */
    u64 applied;  /* the host has applied */
    u64 accepted_term; /* the leader's term in which the newest entries came */
    nanos disk_moved_at; /* the own disk last finished something, or ceased to be idle */
    u64 needs_disk; /* the newest entry that must be durable before it counts; nothing behind it counts before */
    u64 void_term; /* reports of this or an older term speak of entries cut off since; 0: none */
};

struct fortify { /* fortify.c */
    struct {
        replica_id leader; /* 0: none. The promise to it outlives the term */
        u64 term, epoch;
    } promise;
    u64 released_term; /* who led then or before has released us */
    u64 led_term;      /* the latest term this replica led */
    struct release {
        replica_id to;
        u64 term, epoch;
    } *releases; /* owned, RAFT_SLOTS_MAX of them while there are any: to be told that this replica leads no more */
    u32 release_count;
    nanos release_due;
};

struct following { /* append.c */
    u64 matched; /* the log up to here is known to equal the leader's of this term */
};

struct leading { /* replicate.c */
    struct progress *peers; /* owned, one a slot, while this replica leads; progress.c holds the arithmetic */
    u32 peer_count;
    nanos since;                             /* when this leadership began */
    u64 term_start;                          /* index of its first entry, the no-op */
    nanos heartbeat_due; /* NANOS_NEVER: the group is quiet */
    u64 windows_of_messages, windows_of_bytes; /* times a follower could be sent no more for now: counted, never asked */
};

#define RAFT_READS_WAITING_MAX 1024u

struct read_waiting {
    u64 context, index, round;
    nanos deadline;
};

struct reads { /* read.c: a ring of reads in order of arrival */
    struct read_waiting *waiting; /* owned */
    u32 cap, head, count;
    u32 refused; /* so many at the head only wait to be told no */
    u64 round;   /* the newest round started; carried by every APPEND */
    u64 confirmed;
};

struct transfer { /* transfer.c */
    replica_id target; /* 0: none */
    nanos deadline;
    u64 void_lease_term; /* TIMEOUT_NOW left in this term: no lease in it any more */
};

struct recovering { /* recover.c: an operator's word that loss is accepted */
    struct raft_recovery_status status;
    nanos until;  /* asked anew until then */
    u32 answered; /* a set of slots, of the round under way */
};

struct raft {
    struct raft_options options;
    struct prng prng;
    struct membership membership;
    struct election election;
    struct marks marks;
    struct tail tail; /* appended to by append.c and replicate.c, cut by append.c and snapshot.c */
    struct fortify fortify;
    struct following following;
    struct leading leading;
    struct reads reads;
    struct transfer transfer;
    struct recovering recovering;
    bool abandoned; /* append.c: the group was recovered to less than was applied here */

    /* The step under way; raft.c. */
    nanos now;
    struct raft_actions *out;
    u64 room;            /* the event's */
    bool refused_entries; /* not all of this message's found room */
    bool more; /* an outbox filled up: step again at once */

    raft_trace_fn trace;
    void *trace_context;
};

/* raft.c */
void raft_trace(struct raft *r, const char *format, ...) PRINTF_LIKE(2, 3);
#define TRACE(r, ...)                                                                              \
    do {                                                                                           \
        if (UNLIKELY((r)->trace != NULL)) raft_trace((r), __VA_ARGS__);                            \
    } while (0)
#define POS "%" PRIu64 "/%" PRIu64 /* term/index, as traces and tests write positions */
#define POS_ARG(p) (p).term, (p).index
/* A message from this replica in its term; the caller fills the rest. `outbox` has room. */
struct raft_message *raft_message_to(struct raft *r, struct raft_outbox *outbox, u32 kind,
                                     replica_id to);
static inline bool outbox_has_room(const struct raft_outbox *o)
{
    return o->count < RAFT_OUTBOX_MAX;
}
static inline u64 entry_room(const struct raft_entry *e)
{
    return (e->data ? e->data->len : 0) + RAFT_ENTRY_ROOM;
}
static inline u64 own_term(const struct raft *r) { return r->election.hard.term; }

/* config.c */
bool config_is_valid(const struct raft_config *c);
bool config_is_founded(const struct raft_config *c); /* never changed: see change.c */

/* membership.c */
void membership_boot(struct raft *r, const struct raft_config *c, u64 at);
void membership_done(struct membership *m);
void membership_appended(struct raft *r, const struct raft_entry *e);
void membership_truncated(struct raft *r); /* the tail is shorter now */
void membership_compact(struct raft *r, u64 upto); /* the tail is about to lose them */
void membership_restored(struct raft *r, u64 index, const struct raft_config *c);
void membership_begin_change(struct raft *r); /* a leader is about to append one */
void membership_end_change(struct raft *r);   /* it is committed, or leadership is over */
u64 membership_index(const struct membership *m); /* of the entry in effect */
void membership_at(const struct raft *r, u64 index, struct raft_config *out);
void membership_take_effect(struct raft *r);
void membership_set(struct membership *m, replica_id self); /* slots and sets of config, previous */
u32 membership_slot(const struct membership *m, replica_id id); /* or NO_SLOT */
bool membership_is_voter(const struct membership *m, u32 slot);
/* Left by a change that may be taken back: until it is committed this replica may be needed as leader
 * (§4.2.2), though it would not count itself. */
bool membership_may_still_vote(const struct raft *r);
bool membership_is_sole_voter(const struct membership *m); /* this replica alone decides */
/* What a quorum of every configuration from the last committed to the last appended has reached;
 * on a leader. */
u64 membership_supported(const struct membership *m, const u64 *values);

/* change.c */
enum raft_change_reason change_refusal(const struct raft *r, const struct raft_config *target,
                                       nanos now);
void change_begin(struct raft *r, const struct raft_config *target);
void change_append_config(struct raft *r, const struct raft_config *c);
void change_advance(struct raft *r, u64 commit_before); /* what was committed lets it go on */
bool change_is_caught_up(const struct raft *r, u32 slot, nanos now);
void change_note_progress(struct raft *r, u32 slot); /* a learner answered */
bool change_tell_removed(struct raft *r, replica_id id); /* true: told, it is no member any more */

/* election.c */
void election_boot_hard_state(struct raft *r, const struct raft_hard_state *hs);
void election_boot(struct raft *r, nanos booted_at);
bool election_may_campaign(const struct raft *r);
bool election_is_saved(const struct raft *r); /* a crash would not forget the term */
const struct raft_hard_state *election_to_save(struct raft *r); /* NULL: unchanged by this step */
void election_on_tick(struct raft *r);
void election_on_vote(struct raft *r, const struct raft_message *m);
void election_on_vote_reply(struct raft *r, const struct raft_message *m, u32 from);
void election_on_saved(struct raft *r, u64 term);
void election_on_founding(struct raft *r);
void election_on_disk_full(struct raft *r, bool full);
void election_campaign(struct raft *r, bool by_transfer);
void election_adopt_term(struct raft *r, u64 term, replica_id because_of);
void election_raise_term(struct raft *r, u64 term); /* a snapshot's; keeps role and leader */
void election_follow(struct raft *r, replica_id leader);
void election_step_down(struct raft *r, const char *why);
void election_on_removed(struct raft *r, const struct raft_message *m);
void election_members_changed(struct raft *r); /* slots mean others now */
void election_heal(struct raft *r);
void election_impair(struct raft *r); /* entries were lost, or are not the group's: nothing said before counts */
void election_on_memory(struct raft *r, bool wanted);
void election_finish_step(struct raft *r);
void election_ask_for_recovery(struct raft *r);
void election_give_up(struct raft *r); /* a candidacy */
void election_rest(struct raft *r); /* the leader's node has this one's support: no timer */
void election_wake(struct raft *r); /* not any more */

/* fortify.c */
bool fortify_holds(const struct raft *r);  /* a promise stands: neither vote nor campaign */
bool fortify_forbids_vote(const struct raft *r, const struct raft_message *m);
bool fortify_rests(const struct raft *r);  /* it is to the leader of this term: no timer */
void fortify_follow(struct raft *r, replica_id leader);
void fortify_end_promise(struct raft *r);  /* this replica votes, or was asked to campaign */
void fortify_on_append(struct raft *r, const struct raft_message *m);
bool fortify_answers(const struct raft *r, const struct raft_message *m);
void fortify_begin(struct raft *r); /* this replica leads */
void fortify_ask(struct raft *r, u32 slot, struct raft_message *m);
void fortify_on_reply(struct raft *r, u32 slot, const struct raft_message *m);
nanos fortify_until(const struct raft *r, u32 slot);    /* it elects nobody else before; 0: not known */
nanos fortify_heard_at(const struct raft *r, u32 slot); /* by its node; 0: not so */
bool fortify_is_settled(const struct raft *r, u32 slot); /* needs no heartbeat */
bool fortify_is_quiet(const struct raft *r);
void fortify_leave(struct raft *r); /* leadership is over: release everybody */
void fortify_done(struct fortify *f);
void fortify_release(struct raft *r, replica_id id, u64 epoch);
void fortify_on_release(struct raft *r, const struct raft_message *m);
void fortify_on_release_reply(struct raft *r, const struct raft_message *m);
void fortify_on_support(struct raft *r, replica_id id);
void fortify_finish_step(struct raft *r);
nanos fortify_deadline(const struct raft *r);

/* recover.c */
err recover_check(const struct raft *r);
void recover_begin(struct raft *r);
void recover_on_tick(struct raft *r); /* the round's time is over */
void recover_count(struct raft *r, const struct raft_message *m, u32 from);
bool recover_is_wanted(const struct raft *r);
void recover_followed(struct raft *r); /* there is a leader */
void recover_lead(struct raft *r);     /* it won: the first entry of the term says so */
void recover_heal(struct raft *r);     /* its leader's first entry may be on disk here by now */
bool recover_lets_vote(const struct raft *r, const struct raft_message *m);

/* append.c */
void append_on_message(struct raft *r, const struct raft_message *m);
void append_refuse_stale(struct raft *r, const struct raft_message *m);
void append_forget_leader(struct raft *r); /* a new term: nothing is known to match */
void append_restored(struct raft *r, u64 index);
void append_report(struct raft *r); /* to a leader that rests on this replica's promise */

/* replicate.c */
void replicate_start(struct raft *r);
void replicate_done(struct raft *r); /* it leads no more */
void replicate_append_own(struct raft *r, u32 kind, struct rcbuf *data);
void replicate_members_changed(struct raft *r, const replica_id *old_ids, u32 old_count);
void replicate_on_tick(struct raft *r);
void replicate_on_reply(struct raft *r, const struct raft_message *m, u32 from);
void replicate_on_unreachable(struct raft *r, replica_id peer, bool restarted);
void replicate_propose(struct raft *r, const struct raft_event *ev);
void replicate_heartbeat(struct raft *r, u32 slot);
void replicate_heartbeats(struct raft *r);
void replicate_finish_step(struct raft *r);
nanos replicate_heard_at(const struct raft *r, u32 slot); /* 0: never in this leadership */
void replicate_pump(struct raft *r);
bool replicate_is_read_only(const struct raft *r);
u32 replicate_roomy_others(const struct raft *r); /* voters in reach whose disks are not full: a set of slots */
bool replicate_heard_recently(const struct raft *r, u32 slot);
u64 replicate_uncommitted_bytes(const struct raft *r);

/* commit.c */
void commit_boot(struct raft *r, u64 applied);
void commit_on_persisted(struct raft *r, struct log_pos pos);
void commit_on_applied(struct raft *r, u64 index);
void commit_on_told(struct raft *r, struct log_pos pos);
void commit_appended(struct raft *r, u64 leader_term);
void commit_note_entry(struct raft *r, const struct raft_entry *e); /* each that is appended */
bool commit_counts_memory(const struct raft *r);
void commit_truncated(struct raft *r, u64 from);
void commit_restored(struct raft *r, u64 index, bool kept_suffix);
void commit_follow(struct raft *r, u64 index);
void commit_advance(struct raft *r);
void commit_finish_step(struct raft *r);
u64 commit_stages_upto(const struct raft *r); /* where this step's room ends; the last entry unless the disk is full */
u64 commit_room(const struct raft *r);        /* of the step's room, what unstaged entries leave */
bool commit_has_own_term(const struct raft *r);
bool commit_is_current(const struct raft *r); /* no earlier leader committed anything beyond the commit index */
bool commit_disk_is_stalled(const struct raft *r); /* nothing finished for an election timeout */

/* read.c */
bool read_has_room(const struct raft *r);
bool read_is_asking(const struct raft *r); /* a round is to be answered, or a read waits */
void read_begin(struct raft *r, u64 context);
void read_begin_round(struct raft *r); /* the next APPENDs ask whether this is still the leader */
void read_on_tick(struct raft *r);
void read_on_reply(struct raft *r);
void read_refuse_all(struct raft *r);
void read_finish_step(struct raft *r);
void read_trim(struct raft *r); /* nothing waits: give the memory back */
void read_done(struct raft *r);
nanos read_deadline(const struct raft *r);

/* transfer.c */
err transfer_check(const struct raft *r, replica_id target);
void transfer_begin(struct raft *r, replica_id target);
void transfer_forget(struct raft *r);
void transfer_leave(struct raft *r); /* this leader is no member any more: who should be the next? */
void transfer_continue(struct raft *r); /* the target may have caught up */
bool transfer_is_likely(const struct raft *r); /* from a full disk; it should be over soon */
void transfer_on_tick(struct raft *r);
void transfer_on_timeout_now(struct raft *r, const struct raft_message *m);

/* snapshot.c */
void snapshot_begin(struct raft *r, u32 slot);
void snapshot_on_sent(struct raft *r, const struct raft_event *ev);
void snapshot_on_status(struct raft *r, const struct raft_message *m, u32 from);
err snapshot_check_restored(const struct raft *r, const struct raft_event *ev);
void snapshot_on_restored(struct raft *r, const struct raft_event *ev);
void snapshot_on_compact(struct raft *r, u64 index);
