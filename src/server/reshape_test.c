/* The steps of a merge as the leader of the left takes them. Node 1 leads both: ORDERS is the left one. */
#include "server/lone_cluster.h"

static struct {
    bool is_frozen;
    u32 freezes, merges, cancels, unfreezes;
    struct log_pos cancelled;
    struct part_waiter to; /* who waits for the latest */
    struct identity identity;
} parts;
static struct kv_span left_span = {.slot_last = 8191};

struct raft *part_raft(struct part *p) { return (struct raft *)(void *)p; }
bool raft_is_leader(const struct raft *r) { return (void)r, true; }
const struct kv_span *part_span(const struct part *p) { return (void)p, &left_span; }
const struct identity *node_identity(const struct node *n) { return (void)n, &parts.identity; }
bool part_is_frozen(const struct part *p) { return (void)p, parts.is_frozen; }
struct log_pos part_frozen_at(const struct part *p)
{
    (void)p;
    return parts.is_frozen ? (struct log_pos){.term = 2, .index = 9} : (struct log_pos){0};
}
err part_final_decode(str reply, struct log_pos *out) { return (void)reply, (void)out, OK; }
void part_split(struct part *p, const struct part_split *s, const struct part_waiter *w) { (void)p, (void)s, (void)w; }
void part_freeze(struct part *right, u64 left, const struct part_waiter *w)
{
    (void)right, (void)left;
    parts.is_frozen = true;
    parts.freezes++;
    parts.to = *w;
}
void part_merge(struct part *left, const struct part_merge *m, const struct part_waiter *w)
{
    (void)left, (void)m;
    parts.merges++;
    parts.to = *w;
}
void part_merge_cancel(struct part *left, const struct part_merge *m, const struct part_waiter *w)
{
    (void)left;
    parts.cancels++;
    parts.cancelled = m->final;
    parts.to = *w;
}
void part_unfreeze(struct part *right, const struct part_waiter *w)
{
    (void)right;
    parts.unfreezes++;
    parts.to = *w;
}

static const struct core_part *left(void) { return core_part(lone.map, ORDERS); }

/* ORDERS was split in two, and is merged again. */
static struct cluster *merging(void)
{
    struct cluster *c = lone_open();

    memset(&parts, 0, sizeof parts);
    LONE_DO(.op = CORE_PART_BEGIN, .kind = CORE_OP_SPLIT, .part = ORDERS, .epoch = left()->epoch, .slot = 8192);
    lone_step(CORE_PART_STEP, CORE_STEP_PREPARED);
    lone_step(CORE_PART_DONE, 0);
    const struct core_part *right = core_lookup_slot(lone.map, left()->keyspace, 8192);
    LONE_DO(.op = CORE_PART_BEGIN, .kind = CORE_OP_MERGE, .part = ORDERS, .epoch = left()->epoch, .other = right->id);
    lone.hosted[0] = (struct hosted){.id = ORDERS, .part = (struct part *)(void *)&parts};
    lone.hosted[1] = (struct hosted){.id = right->id, .part = (struct part *)(void *)&parts};
    lone.hosted_count = 2;
    return c;
}

static void turn(struct cluster *c, nanos later)
{
    c->now += later;
    reshape_merge(c, left(), lone.hosted[0].part);
}

static void answer(struct cluster *c, enum part_status status)
{
    cluster_on_answer(c, &(struct part_answer){.to = parts.to, .status = status, .part = ORDERS});
}

TEST(reshape, a_frozen_right_is_merged)
{
    struct cluster *c = merging();

    turn(c, 0);
    CHECK_EQ(parts.freezes, 1);
    answer(c, PART_DONE);
    turn(c, 0);
    CHECK_EQ(parts.merges, 1);
    CHECK_EQ(parts.cancels, 0);
    lone_close();
}

/* A member's disk is gone for ever. The left's log says that there is no merge before the right goes on. */
TEST(reshape, a_right_that_does_not_come_to_its_end_is_let_go)
{
    struct cluster *c = merging();

    turn(c, 0);
    turn(c, 3 * NANOS_SEC);
    CHECK_EQ(parts.cancels, 0);
    turn(c, 3 * NANOS_SEC);
    turn(c, 0);
    CHECK_EQ(parts.cancels, 1);
    CHECK_EQ(parts.cancelled.index, 9);
    CHECK_EQ(parts.unfreezes, 0);
    answer(c, PART_DONE);
    turn(c, 0);
    CHECK_EQ(parts.unfreezes, 1);
    parts.is_frozen = false;
    answer(c, PART_DONE);
    turn(c, 0);
    CHECK_EQ(lone.proposed_count, 1);
    CHECK(lone.proposed[0].op == CORE_PART_STEP && lone.proposed[0].step == CORE_STEP_NONE);
    lone_close();
}

/* Another leader had asked for the merge, and that came first. */
TEST(reshape, a_merge_that_is_in_the_log_is_carried_to_its_end)
{
    struct cluster *c = merging();

    turn(c, 0);
    turn(c, 6 * NANOS_SEC);
    turn(c, 0);
    CHECK_EQ(parts.cancels, 1);
    answer(c, PART_REFUSED);
    turn(c, 0);
    CHECK_EQ(parts.unfreezes, 0);
    lone_close();
}

TEST_MAIN(RUN(reshape, a_frozen_right_is_merged), RUN(reshape, a_right_that_does_not_come_to_its_end_is_let_go),
          RUN(reshape, a_merge_that_is_in_the_log_is_carried_to_its_end))
