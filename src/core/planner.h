/* The planner: from the map and from what is observed to the next few steps towards a better
 * placement. A pure function without memory: what it began is in the map (operations under way), so
 * any leader of the core goes on where another stopped. Called again and again, it comes to rest:
 * then it returns no step.
 *
 *     struct core_plan plan;
 *     core_plan_make(core, &facts, &plan);
 *     for each step: core_plan_command(step, &cmd) ? propose cmd : hand leadership over
 *
 * What it never does: replace a replica whose node was silent for less than replace-after; change
 * the members of a group that has no quorum, or would have none after the change; let a replica
 * vote that has not caught up; begin more than moves-per-node moves at one node. */
#pragma once

#include "core/core.h"

#define CORE_PLAN_STEPS_MAX   64 /* of one call */
#define CORE_PLAN_BLOCKED_MAX 8
#define CORE_PLAN_TEXT_BYTES  240

/* What is observed; both lists by id. A node or partition that is missing was not heard of: nothing
 * is moved to it or because of it. */
struct core_node_fact {
    u32 node;
    bool alive;
    bool busy;                 /* takes no new replicas for now: overloaded, disk slow */
    u64 silent_ms;             /* since it was last heard, if not alive */
    u64 disk_used, disk_bytes; /* 0: not known */
};

struct core_part_fact {
    u64 part;
    u64 bytes; /* of one replica */
    u64 load;  /* requests per second */
    u32 caught_up_count;
    u32 caught_up[CORE_MEMBERS_MAX]; /* replica numbers within reach of the leader's log end */
    str middle; /* a key that halves it; range partitions that could be split */
};

struct core_facts {
    const struct core_node_fact *nodes;
    u32 node_count;
    const struct core_part_fact *parts;
    u32 part_count;
    bool paused; /* as the setting: nothing new begins, what is under way ends */
};

enum core_plan_kind {
    CORE_PLAN_MOVE,     /* PART_BEGIN MOVE */
    CORE_PLAN_SWAP,     /* PART_STEP SWAP */
    CORE_PLAN_UNDO,     /* PART_STEP UNDO */
    CORE_PLAN_REMOVE,   /* PART_BEGIN REMOVE */
    CORE_PLAN_TRANSFER, /* the group hands leadership to `replica`; no command of the core */
    CORE_PLAN_SPLIT,
    CORE_PLAN_MERGE,
    CORE_PLAN_KINDS
};

enum core_plan_why {
    CORE_WHY_REPAIR, /* replicas are missing */
    CORE_WHY_DRAIN,
    CORE_WHY_SURPLUS,
    CORE_WHY_RACK,
    CORE_WHY_BALANCE,
    CORE_WHY_PIN,
    CORE_WHY_SIZE,
    CORE_WHY_PROGRESS, /* the next step of what is under way */
};

struct core_plan_step {
    u8 kind, why;
    u64 part, epoch;
    u32 node;    /* MOVE: where to */
    u32 replica; /* MOVE: who leaves (0: nobody); REMOVE: who; TRANSFER: to whom */
    u64 other;   /* MERGE */
    str key;     /* SPLIT; the facts' */
    u64 bytes;   /* that travel */
    char reason[CORE_PLAN_TEXT_BYTES];
};

struct core_plan {
    struct core_plan_step steps[CORE_PLAN_STEPS_MAX];
    u32 count;
    /* For an estimate of the time left: divide bytes by the speed seen. */
    u32 moves_running;
    u64 bytes_running; /* of moves whose learner has not caught up */
    u64 bytes_wanted; /* not begun: replicas that miss, that leave, and the surplus over the mean */
    /* What should be done and cannot, with the remedy. */
    u32 blocked_count; /* all; the first ones in words */
    char blocked[CORE_PLAN_BLOCKED_MAX][CORE_PLAN_TEXT_BYTES];
};

void core_plan_make(const struct core *c, const struct core_facts *facts, struct core_plan *out);
/* The command that begins the step; false for a TRANSFER. */
bool core_plan_command(const struct core_plan_step *step, struct core_command *out);
