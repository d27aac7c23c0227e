/* Shared by groups.c (what replicas hold), groups_wire.c (what their frames promise), groups_lead.c (who leads),
 * groups_reshape.c (what becomes of partitions), groups_loss.c (what a power cut of all may take) and groups_end.c (the world
 * at rest). */
#pragma once

#include "base/buf.h"
#include "part/part.h"
#include "server/node_state.h"
#include "sim/groups.h"
#include "sim/host.h"
#include "sim/witness.h"

#define SEATS_MAX 512 /* replica numbers of one group */

struct group;

struct believed { /* what a leader takes another replica to hold */
    replica_id id;
    u64 match;
};

struct seat { /* one replica number of one group */
    struct group *group;
    replica_id replica;
    u32 host;          /* where it was last seen; 0: never */
    bool on;           /* it runs, in the present life of its host */
    struct part *part; /* while on */
    bool nameless;     /* a founder's: whichever disk its node has */

    bool gone; /* deleted, or lost with its disk: it must never speak again */
    u32 gone_life;
    u64 gone_term;
    bool emptied; /* a nameless one whose disk was lost: damaged until it is refilled */

    /* what its disk must still hold after a crash */
    u64 durable, durable_term, term, seen_term, seen_lsn;
    replica_id vote, seen_vote;
    u64 said_term, acked_term, acked; /* on the wire */
    u64 lost, lost_term;              /* held before it lost its disk, or its memory where entries count there */
    u64 memory, memory_term;          /* acknowledged in the present life where they do; 0: they do not */
    bool whole;
    replica_id *votes; /* owned; by term: whom it voted for */
    u64 vote_cap;

    /* in the present life */
    u64 now_term, commit, applied, led_term, config_index;
    u32 turns;
    struct believed believed[16];
};

struct seen_digest {
    u64 value;
    replica_id by; /* 0: not known yet */
};

struct group {
    struct world *world;
    u64 part;
    struct seat **seats; /* owned, by number */
    u32 seat_count;
    struct logged *entries; /* owned; by index - 1 */
    u64 count, cap;
    u64 inherited; /* the upper half of a split begins behind this index of the whole's log */
    bool is_frozen; /* for a merge */
    bool reshaped; /* it was split or merged: its log alone does not make its state */
    struct buf bytes;
    struct seen_digest *digests; /* owned; by index / GROUP_DIGEST_EVERY */
    u64 digest_cap;
    replica_id *leaders; /* owned; by term */
    u64 leader_cap;
    u64 commit_seen, commit_seen_term;
    bool all_lost_power; /* at a time: an operator may have to recover it */
    u64 on_disk;         /* of what was applied then, so much was on the disks of a majority */
};

struct groups {
    struct world *world;
    struct group **items; /* owned, by partition */
    u32 count, cap;
    nanos removed_at[WORLD_NODES_MAX + 1]; /* by host: its own map says that it was removed; 0: it does not */
    u8 *kinds; /* owned; by partition: the operation under way, as the core's log says (groups_reshape.c) */
    u64 kind_cap;
};

#define GROUP_DIGEST_EVERY 256

struct group *groups_of(struct groups *g, u64 part); /* made when first heard of */
struct group *groups_known(const struct groups *g, u64 part); /* NULL: never heard of */
struct seat *group_seat(struct group *g, replica_id id); /* the same */
struct seat *group_seat_known(const struct group *g, replica_id id);

static inline struct host *seat_host(const struct seat *s) { return s->host ? s->group->world->hosts[s->host - 1] : NULL; }
static inline struct raft *seat_raft(const struct seat *s) { return part_raft(s->part); }

/* The core has carried out a command. */
void groups_on_core_command(struct groups *g, str bytes, str answer);

/* Does this replica's disk hold the entry, as far as an omniscient observer can tell? */
bool seat_holds(const struct seat *s, u64 index, u64 term);
/* Do a majority of the voters, and of the outgoing ones, hold it? By the members of `r` now, or at that index. */
bool group_quorum_holds(const struct group *g, const struct raft *r, u64 index, u64 term);
bool group_disks_hold(const struct group *g, const struct raft *r, u64 index, u64 term); /* by their disks alone */
struct seat *group_leader(const struct group *g); /* that leads in the highest term; NULL: nobody does */
void group_leading(struct seat *s);
/* It leads by an operator's word: is all there that must be? What was lost is forgotten. */
void group_recovered(struct seat *s);
err group_digest(struct part *p, u64 *out);
void group_say(const struct seat *s, const char *format, ...) PRINTF_LIKE(2, 3); /* a violation, told with its place */
