/* Inside a partition. Each sub-struct has one writing file, named beside it. */
#pragma once

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "part/part.h"
#include "part/session.h"

/* Partition-local row kinds: docs/formats/keys.md. */
enum { ROW_MARKER = 1, ROW_SESSION = 2 };

/* WAL_TRUNC_SUFFIX flag: written when a damaged log was cut back; replay is whole again from here.
 */
enum { TRUNC_REPAIR = 1 };

/* Flags of a saved hard state: docs/formats/wal.md. */
enum { HARD_IMPAIRED = 1, HARD_MEMORY = 2, HARD_VOTES_KEPT = 4, HARD_ACCEPTS = 8 };

/* A FIFO of plain structs, for the queues below; grows, reuses its memory. */
struct fifo {
    u8 *items;
    size_t item_bytes, head, count, cap;
};
void fifo_init(struct fifo *f, size_t item_bytes);
void fifo_done(struct fifo *f);
void *fifo_push(struct fifo *f);  /* zeroed place at the end */
void *fifo_push_front(struct fifo *f);
void *fifo_first(struct fifo *f); /* NULL when empty */
void *fifo_at(struct fifo *f, size_t i);
void fifo_pop(struct fifo *f);
void fifo_trim(struct fifo *f); /* when empty: give the memory back */

struct boot_log { /* boot.c: what replay has found so far */
    struct raft_config *config; /* owned: the members as of the marker */
    struct raft_entry *entries;
    u64 count, cap, start; /* live entries are [start, start + count) */
    u64 bytes;
    struct log_pos before; /* the position before the first entry, when known from a marker */
    struct raft_hard_state hard;
    bool saw_hard, saw_anything;
    bool damaged; /* behind a hole: entries are not trusted until a repair mark or a snapshot */
    bool suspect; /* a hole that no earlier start has dealt with */
};

struct staged { /* log.c: what a durable LSN will mean */
    u64 lsn;
    struct log_pos pos; /* entries up to here; index 0: none */
    u64 saved_term;
    bool is_save, saved_memory;
};

struct open_commit { /* memory.c */
    u64 upto;
    nanos at; /* the oldest of them was committed */
};

struct held { /* log.c: messages that may leave when everything staged before them is durable */
    u64 lsn;
    struct raft_message message;
};

struct pending { /* submit.c: one per proposed index, in order */
    struct part_waiter waiter;
    u64 index, term;
    bool wants_cost;
    nanos queued_at, proposed_at;
};

struct queued { /* submit.c: requests not yet proposed or read */
    struct part_request req;
    u64 target;     /* reads: run exactly when this index has been applied */
    u64 ceiling;    /* reads: the end of the log at admission; its connection's later writes are beyond */
    bool ticked;    /* reads: a TICK was proposed for it */
    u64 read_round; /* reads: needs this ReadIndex confirmation; 0: the lease is enough */
    bool confirmed; /* reads: by such a round, not by the lease */
    nanos arrived;
};

struct outgoing { /* shipping.c: one snapshot under way to one peer */
    replica_id to;
    node_id node; /* where it goes, once it has begun */
    bool waits;   /* for others to end */
    u64 snap_id, index, index_term;
    struct store_snapshot *snapshot;
    struct buf last_key;
    struct sent_chunk {
        struct buf bytes;
        u64 seq;
        bool last, used;
    } window[4];
    u64 next_seq, acked_seq, acked_bytes;
    bool read_all, has_marker; /* of the chunks so far */
    nanos last_progress, resend_at;
};

struct incoming { /* shipping.c: one snapshot being received */
    replica_id from;
    u64 snap_id, index, index_term, next_seq, term;
    struct store_install *install;
    bool committing;
    bool committed; /* the rows are durable: the log starts again when nothing of it is under way */
    u64 wait_lsn; /* the commit job starts when the hard state staged before it is durable */
    bool waiting;
};

struct part {
    struct env *env;
    struct store *store;
    struct wal *wal;
    struct raft *raft;
    struct machine *machine;
    struct session_table *sessions;
    struct part_options options;
    struct part_host host;
    struct part_stats stats;
    part_observer_fn observer;
    void *observer_context;
    struct raft_actions *scratch; /* without one of the host's */
    err failed;                  /* set once, returned by the next part_turn */
    nanos now;                   /* of this turn */
    bool log_full, disk_full;    /* as the node said; what the core was told */
    bool joins;                  /* it was added to a running group */

    struct boot_log boot;

    struct { /* log.c */
        struct fifo staged, held;
        u64 durable_seen;
    } log;

    struct { /* apply.c */
        u64 applied, applied_term;
        u64 released; /* by raft: entries up to here are known to be committed */
        u64 target;   /* the same, or further: the end of a partition whose neighbour takes it in */
        u64 reported; /* to raft */
        struct buf reply;
        bool stalled;
    } apply;

    struct {               /* submit.c */
        struct fifo queue; /* struct queued: writes and reads as they came */
        u64 queue_bytes;
        struct fifo pending; /* struct pending */
        struct prng seeds;   /* for the entries this leader stamps */
        u64 last_hlc;        /* latest stamp given or seen in the log */
        u64 tick_index;      /* index of the latest TICK proposed by this leader */
        u64 tick_us;
        const char *held_by; /* the limit that what is queued waits for; NULL: none */
        u64 span_index, span_term; /* where this leader's SPAN is */
        nanos next_expiry_at;
        bool ended_leadership;
    } submit;

    struct {               /* read.c */
        struct fifo ready; /* struct queued reads in order of target */
        struct fifo waits; /* struct queued WAITs */
        u64 next_round, confirmed_round;
        struct buf reply;
        /* The read at the front has run in part: it goes on at this time of its own, in this state. */
        bool walking;
        bool walk_follows; /* it is one of follow.c's */
        struct part_waiter walker;
        u64 walk_us, walk_applied;
    } read;

    struct {               /* follow.c */
        struct fifo reads; /* struct queued: those that any replica may answer */
        u64 round;         /* the latest asked of the leader */
        bool asking;       /* it is not answered yet */
        bool refresh;      /* one is wanted, though no read waits for it */
        replica_id asked;
        nanos began, ask_again_at; /* of that round, by our clock */
        struct fresh_mark {
            nanos at; /* all that was acknowledged before it ... */
            u64 index, term; /* ... is at or below this entry */
        } marks[8]; /* answered but not applied yet, oldest first */
        u32 mark_count;
        nanos fresh_at; /* of the newest mark that is applied; 0: none was yet */
        nanos keep_every, keep_until; /* stale reads came lately: ask so often without being asked */
    } follow;

    struct { /* checkpoint.c */
        struct store_checkpoint *running;
        struct log_pos running_pos, marker; /* marker: what the store holds durably */
        nanos last_at;
        bool stopping;
        bool wanted; /* a write waits for room in the tail */
        u64 at_least; /* one of this index or more is wanted: shipping.c */
        bool pressed; /* the node holds too much in memory */
        bool no_space; /* the latest one found none */
        nanos retry_at;
        bool held;     /* frozen; the job starts when the log on disk reaches as far */
        u64 wait_lsn;
    } checkpoint;

    struct { /* memory.c: entries that count before they are on disk */
        bool wanted;
        struct fifo open; /* struct open_commit: what was committed, and is not on the disks of a quorum for all we know */
        u64 noted;        /* committed up to here is in it, or on disk */
    } memory;

    struct { /* members.c */
        struct {
            replica_id id;
            node_id node;
        } contacts[8]; /* who wrote, and is no member that the log names */
        u32 next_contact;
        struct part_waiter waiter; /* of the change under way */
        bool waiting;
        bool silent; /* this replica's number is another life's */
    } members;

    struct { /* split.c: a child whose rows wait for the next checkpoint; 0: none */
        u64 child, at;
        struct buf rows; /* its local rows: kind:u8 | sub_len:u32 | value_len:u32 | sub | value */
        bool made_here, is_durable;
    } split;

    struct { /* merge.c */
        struct log_pos frozen_at; /* the right's: nothing of its state changes behind it */
        u64 left;                 /* who takes it in */
        bool absorbed;            /* it was, by the left here: it is silent, and goes when that is durable */
        u64 cancelled, cancelled_final, merged, merged_final; /* the left's: the latest of each, right and F */
        u64 at;                   /* the index of the latest SPLIT or MERGE entry */
        u64 split_done;           /* child of the latest SPLIT applied here in this life */
        u64 right;                /* taken in, but not in the store yet */
        nanos since;
        bool waits;               /* apply stands before a MERGE */
        bool looks_back;          /* the state was just loaded */
        u64 asked;
        bool asked_split;
        struct part_waiter waiter;
    } merge;

    struct { /* cut.c */
        enum part_cut_state state;
        nanos until; /* the hold's end; then when the checkpoint has to be written */
        u64 id, stamp, index, term;
        bool frozen; /* WRITING: the checkpoint holds exactly what is applied at index */
        struct part_rows *rows; /* WRITING and READY */
    } cut;

    struct { /* shipping.c */
        struct outgoing *out; /* owned; RAFT_MEMBERS_MAX of them, or NULL: none yet */
        struct incoming in;
        u64 next_snap_id;
    } shipping;
};

static inline u64 machine_clock_hlc(const struct part *p)
{
    return p->machine->ops->clock_hlc(p->machine);
}

static inline bool machine_covers(const struct part *p, const struct entry *e)
{
    return !p->machine->ops->covers || p->machine->ops->covers(p->machine, e);
}

/* log.c */
u64 log_stage_hard_state(struct part *p, const struct raft_hard_state *hs);
err log_step(struct part *p, struct raft_event *ev); /* one raft_step, carried out */
void log_step_or_fail(struct part *p, struct raft_event *ev);
err log_advance(struct part *p); /* report what became durable, release held messages */
void log_send(struct part *p, const struct raft_message *m);

/* memory.c */
void memory_init(struct part *p);
void memory_done(struct part *p);
void memory_booted(struct part *p);
void memory_turn(struct part *p);
void memory_on_events(struct part *p, u32 events);

/* members.c */
void members_init(struct part *p);
void members_boot(struct part *p);
void members_count(struct part *p); /* into the stats */
bool members_is_silent(const struct part *p);
node_id members_node(const struct part *p, replica_id id); /* 0: not known */
/* Room for one frame to a replica, or NULL: it is not in reach. Ends with host.peer_end. */
struct buf *members_begin(struct part *p, replica_id to, struct frame *f);
/* Is this frame for this replica, from who it says? */
bool members_accept(struct part *p, node_id from, const struct frame *f, replica_id *sender);
void members_on_peer_lost(struct part *p, node_id node, bool restarted);
void members_on_events(struct part *p, u32 events);

/* boot.c */
err boot_load_marker(struct part *p, struct raft_config *config); /* config: stays if there is no marker yet */
void marker_encode(struct part *p, struct buf *out);
/* p: whose merges are part of it; NULL: a child's first. */
void marker_put(struct log_pos pos, str config, const struct part *p, str machine_state, struct buf *out);
err boot_load_sessions(struct part *p);

/* submit.c */
/* A place for it in one of the partition's queues, which share their bytes. NULL: there is none, it was answered OVERLOADED. */
struct queued *submit_queue(struct part *p, struct fifo *queue, struct part_request *req);
void submit_unqueue(struct part *p, const struct part_request *req); /* its bytes are free again */
err submit_turn(struct part *p, bool *more);
void submit_on_leadership_end(struct part *p);
void submit_answer_pending(struct part *p, u64 index, u64 term, enum part_status status, str reply);
void submit_on_became_leader(struct part *p);
void submit_refuse_all(struct part *p, enum part_status status);
u64 submit_tick_under_way(const struct part *p, u64 now_us); /* its index; 0: none that late */
void submit_look_for_expiry(struct part *p); /* entries were applied: is there a reason to look now and then? */
u64 submit_tick(struct part *p, u64 now_us,
                str body); /* index of the TICK, 0: could not be proposed */
u64 submit_filler(struct part *p); /* a TICK of no keys; as submit_tick */
u64 submit_barrier(struct part *p, u64 hlc); /* the same with this stamp */
u64 submit_last_hlc(const struct part *p);
void part_answer(struct part *p, const struct part_waiter *to, enum part_status status, u64 index,
                 str reply);
void part_answer_cost(struct part *p, const struct part_waiter *to, enum part_status status, u64 index,
                      const struct cost *cost, str reply);
/* What every cost says: who serves, and where its group is. */
struct cost part_cost(const struct part *p, struct level level, u64 index);
u32 part_us(nanos from, nanos to); /* in microseconds; 0 if from is later */

/* An entry of split.c or merge.c. _ok: false, and nobody is answered: not leader, or no room. */
void submit_operation(struct part *p, u8 op, str body, const struct part_waiter *from);
bool submit_operation_ok(struct part *p, u8 op, str body, const struct part_waiter *from);

/* split.c */
bool split_is_ready(const struct part *p);
err split_apply(struct part *p, const struct entry *e, struct log_pos at, struct buf *reply,
                enum part_status *status);
typedef void (*split_row_fn)(void *context, u64 part, u8 kind, str sub, str value);
void split_add_rows(struct part *p, split_row_fn add, void *context); /* to a checkpoint */
void split_on_checkpoint(struct part *p, u64 index);
bool split_holds_checkpoints(const struct part *p);
void split_forget(struct part *p);
void split_turn(struct part *p);

/* merge.c */
/* Answered by merge_turn when all that follows is done, or merge_refuse. asked: the child, or the right; 0: a freeze. */
void merge_propose(struct part *p, u8 op, str body, u64 asked, const struct part_waiter *from);
void merge_refuse(struct part *p, u64 asked, str why);
bool merge_is_frozen(const struct part *p);
bool merge_is_ready(struct part *p, const struct entry *e);
err merge_apply_freeze(struct part *p, const struct entry *e, struct log_pos at, struct buf *reply,
                       enum part_status *status);
err merge_apply_unfreeze(struct part *p, struct buf *reply, enum part_status *status);
err merge_apply(struct part *p, const struct entry *e, struct log_pos at, struct buf *reply,
                enum part_status *status);
err merge_apply_cancel(struct part *p, const struct entry *e, struct buf *reply, enum part_status *status);
void merge_on_checkpoint(struct part *p, u64 index);
void merge_release(struct part *p, u64 right); /* its rows are another's, durably */
u64 merge_log_floor(const struct part *p);     /* the log's beginning is to come so far; 0: it may stay */
bool merge_is_in_log(const struct part *p);
bool merge_holds_snapshots(const struct part *p);
void merge_turn(struct part *p);
bool merge_has_state(const struct part *p);
void merge_encode(const struct part *p, struct buf *out);
void merge_decode(struct part *p, struct reader *r); /* NULL: none */

/* apply.c */
err apply_turn(struct part *p, bool *more);

/* read.c */
void read_admit(struct part *p, const struct queued *q);
/* Run a read on the applied state at this time, into p->read.reply. *need_tick: it met what expired since. */
enum read_result { READ_DONE, READ_GOES_ON, READ_NEEDS_TICK, READ_WRONG_PLACE, READ_OUT_OF_ORDER };
err read_state(struct part *p, struct queued *q, u64 now_us, enum read_result *result);
void read_finish(struct part *p, struct queued *q, enum part_status status, const struct cost *cost, str reply);
extern const char read_too_long_text[];
err read_turn(struct part *p);
err read_run_at(struct part *p, u64 applied); /* reads whose target is exactly reached */
bool read_holds_apply(struct part *p); /* a read at the applied index still waits for its confirmation */
void read_on_confirmed(struct part *p, const struct raft_read_done *done);
void read_on_leadership_end(struct part *p);
void wait_turn(struct part *p);
void reads_refuse_all(struct part *p, enum part_status status);

/* follow.c */
void follow_admit(struct part *p, struct part_request *req);
err follow_turn(struct part *p);
bool follow_holds_apply(const struct part *p); /* a walk over many keys has begun */
void follow_on_asked(struct part *p, replica_id from, const struct frame *f);
void follow_answer_index(struct part *p, const struct queued *q, bool refused);
err follow_on_index(struct part *p, replica_id from, const struct frame *f, str body);
void follow_refuse_all(struct part *p, enum part_status status);
nanos follow_deadline(const struct part *p);

/* cut.c */
bool cut_holds_writes(const struct part *p);
bool cut_holds_apply(const struct part *p);
bool cut_wants_checkpoint(const struct part *p);
void cut_on_applied(struct part *p, u64 index, u64 term);
void cut_on_freeze(struct part *p);
void cut_on_checkpoint(struct part *p, u64 index, bool written);
void cut_turn(struct part *p);
nanos cut_deadline(const struct part *p);

/* checkpoint.c */
err checkpoint_turn(struct part *p);
void checkpoint_start_held(struct part *p); /* the job of one that waited for the log, if it is durable now */
bool checkpoint_owns(const struct part *p, const struct env_job *job);
err checkpoint_on_job(struct part *p);
void checkpoint_compact(struct part *p);
void checkpoint_found_space(struct part *p); /* or it is over */
bool checkpoint_lacks_space(const struct part *p);

/* shipping.c */
err shipping_turn(struct part *p);
bool shipping_lacks_marker(const struct part *p, struct outgoing *o, str chunk, bool last); /* of the chunks, in order */
void shipping_begin(struct part *p, replica_id to);
err shipping_on_chunk(struct part *p, replica_id from, str body);
err shipping_on_ack(struct part *p, replica_id from, str body);
err shipping_on_job(struct part *p);
bool shipping_owns(const struct part *p, const struct env_job *job);
void shipping_on_peer_lost(struct part *p, replica_id peer);
u64 shipping_pins(
    const struct part *p); /* lowest index a running transfer needs in the tail; UINT64_MAX */
void shipping_free(struct part *p);
nanos shipping_deadline(const struct part *p);
