/* For the planner's files: one look at the cluster, on which all passes decide and note what they
 * began. */
#pragma once

#include "core/core_internal.h"
#include "core/planner.h"

struct seen_node {
    const struct core_node *node;
    u32 rack;
    bool alive;
    bool gone;    /* removed, or silent for longer than replace-after: its replicas are made anew */
    bool leaving; /* gone or being drained */
    bool placeable; /* new replicas may come */
    u64 silent_ms;
    u64 room;    /* bytes that may still come; UINT64_MAX: not known */
    u64 load;    /* bytes of its replicas, as they will be when all moves have ended */
    u32 leaders; /* likewise */
    u32 moving;  /* moves it takes part in */
};

struct seen_part {
    const struct core_part *part;
    const struct core_part_fact *fact; /* NULL: not heard of */
    u64 weight;
    u32 voters, live; /* live voters */
    u32 wanted;
    bool taken; /* has an operation, or a step of this plan */
};

struct planner {
    const struct core *core;
    const struct core_facts *facts;
    struct core_plan *out;
    struct seen_node *nodes;
    struct seen_part *parts;
    u32 node_count, part_count;
    u32 *index_of;    /* of a node, by its id */
    u32 racks_usable; /* racks with a placeable node */
    u32 *rack_mark;   /* by rack; equal to `mark`: counted in the question under way */
    u32 mark;
    u32 moves; /* under way and begun */
    bool may_begin;
    u64 mean_load;
};

/* ---- planner_view.c ---- */
void planner_look(struct planner *p);
void planner_done(struct planner *p);
struct seen_node *planner_node(const struct planner *p, u32 id);
bool planner_lives(const struct planner *p, const struct core_member *m);
bool part_caught_up(const struct seen_part *s, u32 replica);
bool planner_quorum_holds(const struct planner *p, const struct seen_part *s, u32 in, u32 out);
u32 planner_racks_of(struct planner *p, const struct seen_part *s, u32 without,
                     const struct seen_node *with);
bool planner_is_full(const struct planner *p); /* no more steps fit in this plan */
bool planner_has_slot(const struct planner *p, const struct seen_node *n); /* of the throttle */

/* ---- planner.c: notes of what is decided ---- */
struct core_plan_step *plan_add(struct planner *p, struct seen_part *s, enum core_plan_kind kind,
                                enum core_plan_why why, const char *format, ...) PRINTF_LIKE(5, 6);
void plan_move(struct planner *p, struct seen_part *s, struct core_plan_step *step,
               struct seen_node *to, const struct core_member *out);
void plan_block(struct planner *p, const char *format, ...) PRINTF_LIKE(2, 3);
/* Leadership away from replica `from` to the best other voter, for this reason; false: there is
 * none. */
bool plan_transfer_away(struct planner *p, struct seen_part *s, const struct core_member *from,
                        enum core_plan_why why, const char *reason);
void duration_text(u64 ms, char *out, size_t size);

/* ---- the passes, in their order ---- */
void plan_progress(struct planner *p); /* planner_repair.c */
void plan_repairs(struct planner *p);
void plan_drains(struct planner *p);
void plan_surplus(struct planner *p);
void plan_racks(struct planner *p);
void plan_balance(struct planner *p); /* planner_balance.c */
void plan_leaders(struct planner *p);
void plan_shapes(struct planner *p); /* planner_shape.c */
