/* The passes in their order, and the notes of what they decide. */
#include "core/planner_internal.h"

#include <stdio.h>

static void format_text(char *out, const char *format, va_list args)
{
    int length = vsnprintf(out, CORE_PLAN_TEXT_BYTES, format, args);
    assert(length > 0);
}

struct core_plan_step *plan_add(struct planner *p, struct seen_part *s, enum core_plan_kind kind,
                                enum core_plan_why why, const char *format, ...)
{
    va_list args;

    assert(!planner_is_full(p));
    struct core_plan_step *step = &p->out->steps[p->out->count++];
    *step = (struct core_plan_step){
        .kind = (u8)kind, .why = (u8)why, .part = s->part->id, .epoch = s->part->epoch};
    va_start(args, format);
    format_text(step->reason, format, args);
    va_end(args);
    s->taken = true;
    return step;
}

void plan_block(struct planner *p, const char *format, ...)
{
    va_list args;
    u32 at = p->out->blocked_count++;

    if (at >= CORE_PLAN_BLOCKED_MAX) return;
    va_start(args, format);
    format_text(p->out->blocked[at], format, args);
    va_end(args);
}

/* A move begins: the loads become what they will be. */
void plan_move(struct planner *p, struct seen_part *s, struct core_plan_step *step,
               struct seen_node *to, const struct core_member *out)
{
    const struct core_member *leader = core_part_member(s->part, s->part->leader);

    step->node = to->node->id;
    step->replica = out ? out->replica : 0;
    step->bytes = s->fact ? s->fact->bytes : 0;
    to->load += s->weight;
    if (to->room != UINT64_MAX) to->room -= u64_min(to->room, s->weight);
    to->moving++;
    p->moves++;
    if (out) {
        struct seen_node *from = planner_node(p, out->node);
        from->load -= u64_min(from->load, s->weight);
        from->moving++;
    }
    if (leader && leader != out) planner_node(p, leader->node)->moving++;
}

bool plan_transfer_away(struct planner *p, struct seen_part *s, const struct core_member *from,
                        enum core_plan_why why, const char *reason)
{
    const struct core_member *best = NULL;

    for (u32 i = 0; i < s->part->member_count; i++) {
        const struct core_member *m = &s->part->members[i];
        const struct seen_node *n = planner_node(p, m->node);
        if (m == from || m->role != CORE_VOTER || !n->alive || n->leaving) continue;
        if (!part_caught_up(s, m->replica)) continue;
        if (!best || n->leaders < planner_node(p, best->node)->leaders) best = m;
    }
    if (!best) return false;
    struct core_plan_step *step = plan_add(p, s, CORE_PLAN_TRANSFER, why,
                                           "%s: leadership of partition %llu goes to node %u",
                                           reason, (unsigned long long)s->part->id, best->node);
    step->replica = best->replica;
    planner_node(p, from->node)->leaders--;
    planner_node(p, best->node)->leaders++;
    return true;
}

void duration_text(u64 ms, char *out, size_t size)
{
    u64 s = ms / 1000;

    if (s < 120)
        snprintf(out, size, "%llu s", (unsigned long long)s);
    else if (s < 7200)
        snprintf(out, size, "%llu min", (unsigned long long)(s / 60));
    else
        snprintf(out, size, "%llu h", (unsigned long long)(s / 3600));
}

void core_plan_make(const struct core *c, const struct core_facts *facts, struct core_plan *out)
{
    struct planner p = {.core = c, .facts = facts, .out = out};

    *out = (struct core_plan){0};
    if (!c->founded) return;
    planner_look(&p);
    plan_progress(&p);
    p.may_begin = !facts->paused && !c->cluster.settings[CORE_PAUSED];
    if (MUTANT(core_plan_while_paused)) p.may_begin = true;
    if (p.may_begin) {
        plan_repairs(&p);
        plan_drains(&p);
        plan_surplus(&p);
        plan_racks(&p);
        plan_balance(&p);
        plan_leaders(&p);
        plan_shapes(&p);
    }
    planner_done(&p);
}

bool core_plan_command(const struct core_plan_step *step, struct core_command *out)
{
    static const u8 kinds[CORE_PLAN_KINDS] = {[CORE_PLAN_MOVE] = CORE_OP_MOVE,
                                              [CORE_PLAN_REMOVE] = CORE_OP_REMOVE,
                                              [CORE_PLAN_SPLIT] = CORE_OP_SPLIT,
                                              [CORE_PLAN_MERGE] = CORE_OP_MERGE};

    *out = (struct core_command){.part = step->part, .epoch = step->epoch};
    switch (step->kind) {
    case CORE_PLAN_TRANSFER: return false;
    case CORE_PLAN_SWAP:
    case CORE_PLAN_UNDO:
        out->op = CORE_PART_STEP;
        out->step = step->kind == CORE_PLAN_SWAP ? CORE_STEP_SWAP : CORE_STEP_UNDO;
        return true;
    default:
        out->op = CORE_PART_BEGIN;
        out->kind = kinds[step->kind];
        out->node = step->node;
        out->replica = step->replica;
        out->other = step->other;
        out->key = step->key;
        return true;
    }
}
