/* A split or merge as its group's leader carries it out: it asks the partitions, one step after the other, and tells the core
 * what is done. What matters is in the partitions' logs and in the map; the notes here only keep it from asking twice, and
 * another leader begins with none. */
#include "server/cluster_internal.h"

#define ASK_AGAIN      (2 * NANOS_SEC)
#define TRANSFER_AGAIN NANOS_SEC
#define FREEZE_PATIENCE (5 * NANOS_SEC) /* nothing is written to the right meanwhile */

enum { ASK_NOTHING, ASK_SPLIT, ASK_FREEZE, ASK_MERGE, ASK_CANCEL, ASK_UNFREEZE, ASK_TRANSFER };

static struct reshape *notes_of(struct cluster *c, const struct core_part *map)
{
    struct reshape *free = NULL;

    for (u32 i = 0; i < RESHAPES_MAX; i++) {
        if (c->reshapes[i].part == map->id && c->reshapes[i].begun == map->op.begun) return &c->reshapes[i];
        if (c->reshapes[i].part == map->id) c->reshapes[i].part = 0; /* of an earlier one */
        const struct core_part *p = c->reshapes[i].part ? core_part(cluster_map(c), c->reshapes[i].part) : NULL;
        if (!p || (p->op.kind != CORE_OP_SPLIT && p->op.kind != CORE_OP_MERGE)) free = &c->reshapes[i];
    }
    if (free) *free = (struct reshape){.part = map->id, .begun = map->op.begun};
    return free;
}

/* May this be asked now? Then who is to be told is noted. */
static bool begin(struct cluster *c, struct reshape *r, u8 what, struct part_waiter *to)
{
    if (r->asked && c->now < r->asked_at + ASK_AGAIN) return false;
    r->asked = what;
    r->asked_at = c->now;
    *to = (struct part_waiter){.node = node_config_of(c->node)->self,
                               .boot = node_identity(c->node)->boot,
                               .number = CLUSTER_NUMBER | (u64)what << 8 | (u64)(r - c->reshapes)};
    return true;
}

static void tell_core(struct cluster *c, const struct core_part *map, u8 op, u8 step)
{
    struct core_command cmd = {.op = op, .part = map->id, .epoch = map->epoch, .step = step};

    if (!changes_is_busy(c, map->id)) changes_propose(c, &cmd);
}

static void done(struct cluster *c, const struct core_part *map)
{
    if (map->op.step == CORE_STEP_BEGUN)
        tell_core(c, map, CORE_PART_STEP, CORE_STEP_PREPARED);
    else
        tell_core(c, map, CORE_PART_DONE, 0);
}

static void touch(struct cluster *c, u64 part)
{
    struct hosted *h = parts_find(c->parts, part);
    if (h) parts_touch(c->parts, h);
}

void reshape_split(struct cluster *c, const struct core_part *map, struct part *p)
{
    struct reshape *r = notes_of(c, map);
    struct part_waiter to;

    if (!r) return;
    if (kv_span_ends_at(part_span(p), map->op.slot, map->op.key)) {
        done(c, map);
    } else if (r->gives_up) {
        tell_core(c, map, CORE_PART_STEP, CORE_STEP_NONE);
    } else if (begin(c, r, ASK_SPLIT, &to)) {
        struct part_split s = {.child = map->op.other, .slot = map->op.slot, .key = map->op.key};
        node_place_of(s.child, &s.block_first, &s.block_count);
        part_split(p, &s, &to);
        touch(c, map->id);
    }
}

/* ---- merge: both groups are led from one node, so that the end of the right is known where the left is asked ---- */

static void fetch_leadership(struct cluster *c, struct reshape *r, const struct core_part *right)
{
    struct frame f = {.type = FRAME_TRANSFER, .part = right->id};
    node_id self = node_config_of(c->node)->self, leader = 0;
    replica_id here = 0;

    if (r->asked == ASK_TRANSFER && c->now < r->asked_at + TRANSFER_AGAIN) return;
    r->asked = ASK_TRANSFER;
    r->asked_at = c->now;
    for (u32 i = 0; i < right->member_count; i++) {
        if (right->members[i].node == self) here = right->members[i].replica;
        if (right->members[i].replica == right->leader) leader = right->members[i].node;
    }
    if (!here || !leader || leader == self) return;
    struct buf *out = peers_begin(c->peers, leader, &f, true);
    if (!out) return;
    buf_append_u32(out, here);
    peers_end(c->peers);
}

static void give_up(struct cluster *c, struct reshape *r, const struct core_part *map, struct part *left,
                    struct part *right)
{
    struct part_merge m = {.right = map->op.other, .final = r->final};
    struct part_waiter to;

    if (!part_is_frozen(right)) {
        tell_core(c, map, CORE_PART_STEP, CORE_STEP_NONE);
    } else if (r->is_cancelled || !r->final.index || MUTANT(right_let_go_without_a_word)) {
        if (begin(c, r, ASK_UNFREEZE, &to)) part_unfreeze(right, &to);
        touch(c, m.right);
    } else if (begin(c, r, ASK_CANCEL, &to)) {
        part_merge_cancel(left, &m, &to);
        touch(c, map->id);
    }
}

/* The right is frozen and one of its members does not come to its end: it is down, or its disk is gone for ever, and as long as
 * this is under way it is not replaced. Another leader of the left may have asked for the merge already, so the left's log has to
 * say that there is none before the right goes on. */
static bool waits_in_vain(struct cluster *c, struct reshape *r, const struct core_part *map, const struct part *right)
{
    if (!r->freezing_since) r->freezing_since = c->now;
    if (!part_frozen_at(right).index || c->now < r->freezing_since + FREEZE_PATIENCE) return false;
    if (MUTANT(merge_waits_for_ever)) return false;
    env_log(c->env, LOG_WARN, "partition %llu is not merged: not every replica of partition %llu can be reached",
            (unsigned long long)map->id, (unsigned long long)map->op.other);
    r->final = part_frozen_at(right);
    r->gives_up = true;
    r->asked = ASK_NOTHING;
    return true;
}

void reshape_merge(struct cluster *c, const struct core_part *map, struct part *left)
{
    const struct core_part *right_map = core_part(cluster_map(c), map->op.other);
    struct hosted *h = parts_find(c->parts, map->op.other);
    struct reshape *r = notes_of(c, map);
    struct part_waiter to;

    if (!r || !right_map) return;
    if (kv_span_ends_at(part_span(left), (u16)(right_map->slot_last + 1), right_map->to)) {
        done(c, map);
    } else if (!h || !h->part || !raft_is_leader(part_raft(h->part))) {
        fetch_leadership(c, r, right_map);
    } else if (r->gives_up) {
        give_up(c, r, map, left, h->part);
    } else if (!r->is_frozen) {
        if (r->asked == ASK_TRANSFER) r->asked = ASK_NOTHING;
        if (waits_in_vain(c, r, map, h->part) || !begin(c, r, ASK_FREEZE, &to)) return;
        part_freeze(h->part, map->id, &to);
        touch(c, h->id);
    } else if (begin(c, r, ASK_MERGE, &to)) {
        struct part_merge m = {.right = h->id, .final = r->final};
        part_merge(left, &m, &to);
        touch(c, map->id);
    }
}

/* ---- what the partitions answer ---- */

void cluster_on_answer(struct cluster *c, const struct part_answer *a)
{
    struct reshape *r = &c->reshapes[a->to.number & 0xff];
    u8 what = (u8)(a->to.number >> 8);

    if (a->to.boot != node_identity(c->node)->boot || (a->to.number & 0xff) >= RESHAPES_MAX || r->asked != what) return;
    r->asked = ASK_NOTHING;
    if (a->status == PART_REFUSED && what != ASK_CANCEL) {
        env_log(c->env, LOG_WARN, "partition %llu is not split or merged: %.*s", (unsigned long long)a->part,
                STR_ARG(a->reply));
        r->gives_up = true;
    }
    if (a->status == PART_REFUSED && what == ASK_CANCEL) r->gives_up = false; /* it is merged: to the end */
    if (a->status != PART_DONE) return;
    if (what == ASK_FREEZE && part_final_decode(a->reply, &r->final) == OK) r->is_frozen = true;
    if (what == ASK_CANCEL) r->is_cancelled = true;
}
