/* What a leader knows of one peer, and how much it may send it. Three states (etcd-io/raft's):
 * PROBE, one APPEND and then silence until it is answered or a heartbeat is due; REPLICATE,
 * pipelined within a window of messages and bytes; SNAPSHOT, no entries while the host moves a
 * snapshot. Arithmetic only: when to change state is replicate.c's and snapshot.c's decision. */
#pragma once

#include "base/types.h"

struct inflight {
    u64 last;  /* index of the message's last entry */
    u64 bytes; /* of payload */
};

enum progress_state { PROGRESS_PROBE, PROGRESS_REPLICATE, PROGRESS_SNAPSHOT };

struct progress {
    enum progress_state state;
    u64 match; /* acknowledged by the peer and equal to our log; goes back only when it is impaired */
    u64 on_disk; /* of these, what is on its disk: all, unless entries count in memory */
    u64 next;  /* the next entry to send */
    nanos heard_at;   /* latest reply of this leadership; 0: none */
    nanos acked_sent; /* send time of the latest APPEND it answered: leases count from it */
    bool acked;       /* acked_sent is set */
    u64 acked_round;  /* read round of the latest APPEND it answered */
    u64 commit;       /* it knows that so much is committed */
    u64 asked_epoch;  /* of support, in which it was last asked to fortify; 0: not in this leadership */
    u64 fortified;    /* the epoch in which it did; 0: it did not, or takes it back */

    bool paused;      /* PROBE: one is out. Cleared by an answer */
    nanos wait_until; /* SNAPSHOT: ask again then. PROBE of a full disk: no entries before */
    nanos retry_at;   /* after a snapshot that failed: no other before */
    bool full;        /* it takes not all entries now */
    bool disk_full;   /* because its disk is full */

    bool impaired;    /* it said so: it does not count */
    u64 life;         /* which of its lives said so */
    u64 heal_round;   /* once this round is confirmed without it, our commit may heal it */
    bool may_heal;
    bool accepts; /* impaired, but it voted for this leader's recovery, whose first entry heals it */
    nanos heal_from;  /* send time of the first APPEND that may heal; older answers are void */

    nanos since; /* a member that came during this leadership: since then. 0: from its beginning */
    struct {     /* a learner's rounds (§4.2.1), by change.c */
        u64 target; /* this round ends when match reaches it; 0: none begun */
        nanos since;
        u32 rounds;
        bool done;
    } catching_up;

    struct inflight *ring; /* owned. REPLICATE: sent and not acknowledged, oldest first */
    u32 ring_max, ring_cap, ring_head, ring_count; /* cap grows up to max */
    u64 inflight_bytes;
};

void progress_init(struct progress *p, u32 ring_max);
void progress_done(struct progress *p);
/* Nothing is in flight: give the window's memory back. */
void progress_trim(struct progress *p);
/* A new leadership: nothing is known. */
void progress_reset(struct progress *p, u64 next);
void progress_become_probe(struct progress *p, u64 next);
void progress_become_replicate(struct progress *p, u64 next);
void progress_become_snapshot(struct progress *p, nanos wait_until);

/* Entries up to `last` left; the window shrinks by bytes. */
void progress_sent(struct progress *p, u64 last, u64 bytes);
/* Entries up to index are durable there. */
void progress_acked(struct progress *p, u64 index);

/* May a message leave now, and with how much payload? A window with nothing in flight lets any one
 * entry pass, however large. 0: no. */
u64 progress_window(const struct progress *p, u64 inflight_bytes_max);

void progress_check(const struct progress *p, u64 last);
