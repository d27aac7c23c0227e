/* Inside the cluster's files: one struct, each part of it written by the file named beside it. */
#pragma once

#include "base/assert.h"
#include "base/mem.h"
#include "server/cluster.h"
#include "server/join.h"
#include "server/replicas.h"
#include "wire/peer/join.h"
#include "wire/peer/map.h"

#define JOINS_MAX      16
#define RESHAPES_MAX   16 /* splits and merges that one node carries out at once */
#define CHANGES_MAX    64 /* commands of the controller under way */
#define STEPS_AT_ONCE  64

struct change { /* a command of the controller or of a group's leader, on its way */
    struct cluster_request request;
    struct cluster *cluster;
    struct list link; /* among the busy or the free ones */
    u64 part;         /* whose; 0: no partition's */
};

struct joining { /* a stranger whose NODE_JOIN is under way */
    struct cluster_request request;
    struct cluster *cluster;
    u64 ticket; /* 0: a free place */
    char peer[NODE_HOST_MAX + 8];
};

struct group_seen { /* what the leader of a group told last */
    struct group_report report;
    node_id from;
    struct buf middle; /* a key that halves it; empty: not told */
};

struct cluster {
    struct node *node;
    struct env *env;
    struct parts *parts;
    struct peers *peers;
    struct replicas *replicas;
    nanos now;

    struct { /* map_copy.c */
        struct core *core;      /* the copy; not founded: none yet */
        struct core *next;      /* being read by pages; NULL: none is */
        bool busy;              /* a pull is under way */
        node_id from;
        nanos asked_at, behind_since;
        u8 page_kind;
        u64 page_id;
    } copy;

    struct { /* residents.c: the replicas and ways that this node holds for the map */
        u64 epoch;              /* of the map that was carried out */
        const struct core *map;
        nanos next_at;
        u64 *ops; /* partitions with an operation under way and a replica here */
        u32 op_count, op_cap;
        struct {
            u64 parent, child;
        } *births; /* of splits, not hosted yet */
        u32 birth_count, birth_cap;
        nanos look_again_at;
        bool has_noted; /* replicas are in the catalog that do not run yet */
        bool starts_unsaved;    /* replicas were started and the catalog does not say so yet */
        u64 started_lsn;
        nanos save_at;
    } residents;

    struct { /* changes.c: commands under way */
        struct change slots[CHANGES_MAX];
        struct list busy, free;
    } changes;

    struct { /* membership.c */
        struct joining joins[JOINS_MAX];
        nanos next_at;
        bool told_ids;
    } membership;

    struct { /* group_ops.c */
        nanos next_at;
    } ops;

    struct reshape { /* reshape.c: a split or merge that this node is at work on */
        u64 part, begun; /* the left one's, and the map's epoch when it began; part 0: a free place */
        u8 asked; /* what was asked of a partition and not answered */
        nanos asked_at, freezing_since;
        bool is_frozen, gives_up, is_cancelled;
        struct log_pos final; /* of the right */
    } reshapes[RESHAPES_MAX];

    struct { /* reports.c: what this node tells of the groups it leads */
        struct group_report *told; /* by part */
        u32 told_count, told_cap;
        node_id to;                /* who was told */
        u64 to_term;
        nanos next_at, looked_at;
        struct buf body;
    } reports;

    struct { /* controller.c */
        struct group_seen *groups; /* by part */
        u32 group_count, group_cap;
        struct core_node_fact *node_facts;
        struct core_part_fact *part_facts;
        u32 node_cap, part_cap;
        struct core_facts facts;
        struct core_plan *plan;
        bool leads, dirty;
        bool is_unwritten; /* there may be leaders that the map does not know */
        u64 term;
        u64 planned_epoch;
        nanos next_at, plan_by;
        char said[CORE_PLAN_TEXT_BYTES]; /* the latest block that was told to the log */
    } controller;
};

/* cluster.c */
struct core *cluster_own_core(const struct cluster *c); /* of the replica here; NULL: none */
struct hosted *cluster_core_hosted(const struct cluster *c);
bool cluster_is_founded(const struct cluster *c);
const u8 *cluster_incarnation(const struct cluster *c);

/* map_copy.c */
void map_copy_turn(struct cluster *c);
void map_copy_serve(struct cluster *c, node_id to, str body); /* ERR_MALFORMED bodies are dropped */
void map_copy_take(struct cluster *c, node_id from, str body);
void map_copy_keep(struct cluster *c); /* the replica of the core here goes: its map is the copy from now on */
void map_copy_free(struct cluster *c);

/* residents.c */
void residents_turn(struct cluster *c);
nanos residents_deadline(const struct cluster *c);

/* changes.c */
void changes_init(struct cluster *c);
bool changes_has_room(const struct cluster *c);
bool changes_is_busy(const struct cluster *c, u64 part); /* a command about this partition is under way */
void changes_propose(struct cluster *c, const struct core_command *cmd);

/* membership.c */
void membership_turn(struct cluster *c);
void membership_on_join(struct cluster *c, u64 ticket, str body);

/* group_ops.c */
void group_ops_turn(struct cluster *c);

/* reshape.c: splits and merges, by the leader of the (left) group */
void reshape_split(struct cluster *c, const struct core_part *map, struct part *p);
void reshape_merge(struct cluster *c, const struct core_part *map, struct part *left);

/* reports.c */
void reports_turn(struct cluster *c);
void reports_forget(struct cluster *c); /* whoever was told knows nothing any more */

/* controller.c */
void controller_turn(struct cluster *c);
void controller_take(struct cluster *c, node_id from, str body);
void controller_see(struct cluster *c, node_id from, const struct group_report *g);
void controller_see_middle(struct cluster *c, u64 part, str key);
nanos controller_deadline(const struct cluster *c);
void controller_free(struct cluster *c);
