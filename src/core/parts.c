/* Operations on partitions, one at a time each, in steps: docs/formats/core.md draws them. Begun by
 * whoever follows the planner or an operator, moved on by what the group itself reports. Every
 * command names the epoch of the entry it was decided on; on another one nothing happens and the
 * fresh entry is the answer. */
#include "core/core_internal.h"

/* The partition, at the epoch the command was decided on. */
static struct core_part *the_part(struct core_call *call)
{
    struct core_part *p = core_find_part(call->core, call->cmd->part);

    if (!p) {
        core_refuse(call, CORE_NO_SUCH, "there is no partition %llu (any more): read the map again",
                    (unsigned long long)call->cmd->part);
        return NULL;
    }
    if (p->epoch == call->cmd->epoch || MUTANT(core_stale_report_taken)) return p;
    core_refuse_stale(call, p);
    return NULL;
}

static const char *const op_words[CORE_OP_KINDS] = {"nothing", "a move",  "a removal",
                                                    "a split", "a merge", "a merge"};

static bool is_idle(struct core_call *call, const struct core_part *p)
{
    if (p->op.kind == CORE_OP_NONE) return true;
    core_refuse(call, CORE_BUSY, "%s is under way on partition %llu: wait for its end",
                op_words[p->op.kind], (unsigned long long)p->id);
    return false;
}

static void begin(struct core_call *call, struct core_part *p, struct core_op op)
{
    op.step = CORE_STEP_BEGUN;
    op.begun = call->core->cluster.epoch + 1;
    p->op = op;
    core_save_part(call, p);
}

static u64 wanted_replicas(const struct core *c, const struct core_part *p)
{
    return core_find_keyspace(c, p->keyspace)->settings[CORE_REPLICAS];
}

/* ---- members: MOVE and REMOVE ---- */

static void begin_move(struct core_call *call, struct core_part *p)
{
    struct core *c = call->core;
    const struct core_node *n = core_find_node(c, call->cmd->node);
    u32 out = call->cmd->replica;
    const struct core_member *leaving = out ? core_part_member(p, out) : NULL;

    if (!n || n->state != CORE_UP)
        core_refuse(call, CORE_NO_SUCH, "node %u is not up: choose one that is", call->cmd->node);
    else if (core_part_lives_on(c, p, n->id) && !MUTANT(core_two_replicas_on_a_node))
        core_refuse(
            call, CORE_UNSAFE,
            "node %u holds a replica of partition %llu already, and two on one node would be "
            "lost together",
            n->id, (unsigned long long)p->id);
    else if (out && (!leaving || leaving->role != CORE_VOTER))
        core_refuse(call, CORE_NO_SUCH, "partition %llu has no voter number %u",
                    (unsigned long long)p->id, out);
    else if (!out && core_part_voters(p) >= wanted_replicas(c, p))
        core_refuse(call, CORE_UNSAFE,
                    "partition %llu has its %u replicas: name the one that leaves, or set replicas "
                    "higher",
                    (unsigned long long)p->id, core_part_voters(p));
    else if (p->member_count >= CORE_MEMBERS_MAX)
        core_refuse(call, CORE_LIMIT, "partition %llu has %u members: remove one first",
                    (unsigned long long)p->id, p->member_count);
    if (call->status) return;
    const struct core_member *in = core_part_add(c, p, n, CORE_LEARNER);
    begin(call, p, (struct core_op){.kind = CORE_OP_MOVE, .in = in->replica, .out = out});
    buf_append_u32(&call->result, in->replica);
}

static void begin_remove(struct core_call *call, struct core_part *p)
{
    const struct core_member *m = core_part_member(p, call->cmd->replica);

    if (!m) {
        core_refuse(call, CORE_NO_SUCH, "partition %llu has no replica number %u",
                    (unsigned long long)p->id, call->cmd->replica);
        return;
    }
    if (core_part_voters(p) <= wanted_replicas(call->core, p) &&
        !MUTANT(core_removed_below_wanted)) {
        core_refuse(
            call, CORE_UNSAFE,
            "partition %llu has %u replicas and its keyspace keeps %llu: move one instead, or "
            "set replicas lower first",
            (unsigned long long)p->id, core_part_voters(p),
            (unsigned long long)wanted_replicas(call->core, p));
        return;
    }
    begin(call, p, (struct core_op){.kind = CORE_OP_REMOVE, .out = m->replica});
}

/* ---- SPLIT and MERGE ---- */

static bool split_point_is_inside(const struct core_part *p, u16 slot, str key)
{
    if (!p->is_range) return key.len == 0 && slot > p->slot_first && slot <= p->slot_last;
    if (slot || key.len == 0 || key.len > CORE_KEY_BYTES_MAX) return false;
    return str_compare(key, p->from) > 0 && (p->to.len == 0 || str_compare(key, p->to) < 0);
}

static void begin_split(struct core_call *call, struct core_part *p)
{
    struct core *c = call->core;

    if (p->id == CORE_GROUP || p->keyspace == CORE_KEYSPACE)
        core_refuse(call, CORE_UNSAFE, "the core is one partition: it is never split");
    else if (!split_point_is_inside(p, call->cmd->slot, call->cmd->key))
        core_refuse(
            call, CORE_INVALID,
            "partition %llu cannot be split there: name a %s behind its first and up to its "
            "last",
            (unsigned long long)p->id, p->is_range ? "key" : "slot");
    else if (c->part_count >= CORE_PARTS_MAX)
        core_refuse(call, CORE_LIMIT, "a cluster has at most %d partitions", CORE_PARTS_MAX);
    else if (call->cmd->node != CORE_NODE_ANY)
        core_check_pin(call, call->cmd->node);
    if (call->status) return;
    u64 other = c->cluster.next_part++;
    begin(call, p,
          (struct core_op){.kind = CORE_OP_SPLIT,
                           .other = other,
                           .slot = call->cmd->slot,
                           .key = core_key_copy(call->cmd->key),
                           .upper_prefers = call->cmd->node});
    buf_append_u64(&call->result, other);
}

static bool are_neighbours(const struct core_part *left, const struct core_part *right)
{
    if (left->keyspace != right->keyspace) return false;
    if (left->is_range) return left->to.len && str_equal(left->to, right->from);
    return left->slot_last + 1 == right->slot_first;
}

static bool are_together(const struct core_part *a, const struct core_part *b)
{
    if (a->member_count != b->member_count) return false;
    for (u32 i = 0; i < a->member_count; i++) {
        const struct core_member *m = core_part_member_on(b, a->members[i].node);
        if (!m || m->role != CORE_VOTER || a->members[i].role != CORE_VOTER) return false;
    }
    return true;
}

static void begin_merge(struct core_call *call, struct core_part *p)
{
    struct core_part *right = core_find_part(call->core, call->cmd->other);

    if (!right || !are_neighbours(p, right)) {
        core_refuse(call, CORE_INVALID, "partition %llu is not the right neighbour of %llu",
                    (unsigned long long)call->cmd->other, (unsigned long long)p->id);
        return;
    }
    if (!is_idle(call, right)) return;
    if (!are_together(p, right)) {
        core_refuse(call, CORE_UNSAFE,
                    "partitions %llu and %llu are not on the same nodes: move them together first",
                    (unsigned long long)p->id, (unsigned long long)right->id);
        return;
    }
    begin(call, p, (struct core_op){.kind = CORE_OP_MERGE, .other = right->id});
    begin(call, right, (struct core_op){.kind = CORE_OP_MERGED, .other = p->id});
    right->op.begun = p->op.begun;
    core_save_part(call, right);
}

void core_do_part_begin(struct core_call *call)
{
    struct core_part *p = the_part(call);

    if (!p || !is_idle(call, p)) return;
    switch (call->cmd->kind) {
    case CORE_OP_MOVE: begin_move(call, p); break;
    case CORE_OP_REMOVE: begin_remove(call, p); break;
    case CORE_OP_SPLIT: begin_split(call, p); break;
    case CORE_OP_MERGE: begin_merge(call, p); break;
    default: core_refuse(call, CORE_INVALID, "operation %u cannot be begun", call->cmd->kind);
    }
}

/* ---- moving on ---- */

/* Which step may follow which; 0 is the end without an effect. */
static bool may_follow(u8 kind, u8 step, u8 next)
{
    static const u32 after[CORE_OP_KINDS][CORE_STEPS] = {
        [CORE_OP_MOVE] = {[CORE_STEP_BEGUN] = BIT(CORE_STEP_PREPARED) | BIT(CORE_STEP_UNDO),
                          [CORE_STEP_PREPARED] = BIT(CORE_STEP_SWAP) | BIT(CORE_STEP_UNDO)},
        [CORE_OP_SPLIT] = {[CORE_STEP_BEGUN] = BIT(CORE_STEP_PREPARED) | BIT(CORE_STEP_NONE)},
        [CORE_OP_MERGE] = {[CORE_STEP_BEGUN] = BIT(CORE_STEP_PREPARED) | BIT(CORE_STEP_NONE)},
    };
    return next < CORE_STEPS && (after[kind][step] & BIT(next));
}

void core_do_part_step(struct core_call *call)
{
    struct core_part *p = the_part(call);
    u8 next = call->cmd->step;

    if (!p) return;
    if (!may_follow(p->op.kind, p->op.step, next)) {
        core_refuse(call, CORE_INVALID, "step %u does not follow step %u of %s", next, p->op.step,
                    op_words[p->op.kind]);
        return;
    }
    if (next == CORE_STEP_SWAP) {
        const struct core_member *in = core_part_member(p, p->op.in);
        const struct core_node *n = core_find_node(call->core, in->node);
        if (n->state != CORE_UP) {
            core_refuse(call, CORE_UNSAFE,
                        "node %u is not up any more and must not become a voter of partition %llu: "
                        "undo the move",
                        n->id, (unsigned long long)p->id);
            return;
        }
    }
    if (next == CORE_STEP_NONE) {
        struct core_part *right = p->op.kind == CORE_OP_MERGE
                                      ? core_find_part(call->core, p->op.other)
                                      : NULL;
        core_op_clear(p);
        if (right) {
            core_op_clear(right);
            core_save_part(call, right);
        }
    } else {
        p->op.step = next;
    }
    core_save_part(call, p);
}

/* ---- done, says the group ---- */

static void done_move(struct core_call *call, struct core_part *p)
{
    u32 in = p->op.in, out = p->op.out, node = 0;

    if (p->op.step == CORE_STEP_UNDO) {
        out = in;
    } else {
        core_part_member(p, in)->role = CORE_VOTER;
    }
    core_op_clear(p);
    if (out) {
        node = core_part_member(p, out)->node;
        core_part_remove(call->core, p, out);
    }
    core_save_part(call, p);
    if (node) core_note_drained(call, node);
}

static void done_split(struct core_call *call, struct core_part *p)
{
    struct core *c = call->core;
    struct core_part *upper = mem_zalloc(sizeof *upper);

    upper->id = p->op.other;
    upper->keyspace = p->keyspace;
    upper->is_range = p->is_range;
    upper->slot_first = p->op.slot;
    upper->slot_last = p->slot_last;
    upper->from = core_key_copy(p->op.key);
    upper->to = p->to; /* handed over */
    upper->next_replica = p->next_replica + 1; /* so that its members never look like founders: it has a past */
    upper->member_count = p->member_count;
    memcpy(upper->members, p->members, sizeof upper->members);
    upper->prefer_node = p->op.upper_prefers ? p->op.upper_prefers : p->prefer_node;
    if (upper->prefer_node == CORE_NODE_ANY) upper->prefer_node = 0;
    p->to = core_key_copy(p->op.key);
    if (!p->is_range) {
        p->slot_last = (u16)(p->op.slot - 1);
        if (MUTANT(core_split_loses_a_slot)) p->slot_last--;
    }
    core_op_clear(p);
    core_save_part(call, p);
    core_add_part(c, upper);
    core_save_part(call, upper);
}

static void done_merge(struct core_call *call, struct core_part *p)
{
    struct core *c = call->core;
    struct core_part *right = core_find_part(c, p->op.other);

    assert(right->op.kind == CORE_OP_MERGED);
    mem_free((void *)(uintptr_t)p->to.at);
    p->to = core_key_copy(right->to);
    p->slot_last = right->slot_last;
    core_op_clear(p);
    core_save_part(call, p);
    core_note_gone(call, CORE_PART, right->id);
    core_drop_part(c, right);
}

void core_do_part_done(struct core_call *call)
{
    struct core_part *p = the_part(call);
    u32 node;

    if (!p) return;
    u8 kind = p->op.kind, step = p->op.step;
    if (kind == CORE_OP_MOVE && (step == CORE_STEP_SWAP || step == CORE_STEP_UNDO)) {
        done_move(call, p);
    } else if (kind == CORE_OP_REMOVE) {
        u32 out = p->op.out;
        node = core_part_member(p, out)->node;
        core_op_clear(p);
        core_part_remove(call->core, p, out);
        core_save_part(call, p);
        core_note_drained(call, node);
    } else if (kind == CORE_OP_SPLIT && step == CORE_STEP_PREPARED) {
        done_split(call, p);
    } else if (kind == CORE_OP_MERGE && step == CORE_STEP_PREPARED) {
        done_merge(call, p);
    } else {
        core_refuse(call, CORE_INVALID, "%s at step %u cannot be done yet", op_words[kind], step);
    }
}

/* ---- who leads: fenced by the group's own term, not by the entry's epoch ---- */

void core_do_part_leader(struct core_call *call)
{
    struct core_part *p = core_find_part(call->core, call->cmd->part);
    u64 term = call->cmd->term;

    if (!p) {
        core_refuse(call, CORE_NO_SUCH, "there is no partition %llu (any more)",
                    (unsigned long long)call->cmd->part);
        return;
    }
    if (term < p->leader_term && !MUTANT(core_old_leader_taken)) {
        core_refuse(call, CORE_STALE, "partition %llu had a leader in term %llu, after term %llu",
                    (unsigned long long)p->id, (unsigned long long)p->leader_term,
                    (unsigned long long)term);
        core_part_encode(p, &call->result);
        return;
    }
    if (!core_part_member(p, call->cmd->replica)) {
        core_refuse(call, CORE_NO_SUCH, "partition %llu has no replica number %u",
                    (unsigned long long)p->id, call->cmd->replica);
        core_part_encode(p, &call->result);
        return;
    }
    if (term == p->leader_term && call->cmd->replica == p->leader) return;
    p->leader_term = term;
    p->leader = call->cmd->replica;
    core_save_leader(call, p);
}
