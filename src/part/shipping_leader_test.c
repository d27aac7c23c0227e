/* What a leader does with the answers of those that it sends a snapshot to. */
#include "part/one_group.h"

#define TO 9

static void refuse(struct one *o, u64 needs_more_than)
{
    struct snapshot_ack a = {.term = raft_term(o->part->raft), .snap_id = 7, .next_seq = needs_more_than, .status = SNAPSHOT_REFUSED};
    struct buf body = {0};

    shipping_begin(o->part, TO);
    struct outgoing *to = o->part->shipping.out; /* the first: nobody else is sent anything */
    to->snapshot = store_snapshot_new(o->part->store);
    to->snap_id = a.snap_id;
    snapshot_ack_encode(&a, &body);
    CHECK_OK(shipping_on_ack(o->part, TO, buf_str(&body)));
    CHECK_EQ(to->to, 0); /* begins anew later */
    buf_done(&body);
}

static bool has_all_of_the_log(struct fixture *f)
{
    struct one *o = one_of(f);

    turn(o);
    return part_marker(o->part) == raft_last(part_raft(o->part)).index;
}

TEST(shipping, a_group_without_writes_comes_to_have_a_snapshot_of_more)
{
    struct one *o = one_new();
    u64 last = raft_last(part_raft(o->part)).index;

    refuse(o, 0); /* for want of space, say */
    CHECK_EQ(raft_last(part_raft(o->part)).index, last);
    refuse(o, last + 40); /* it had applied so much before a recovery gave that up */
    CHECK_EQ(raft_last(part_raft(o->part)).index, last + 41);
    fixture_run(&o->f, has_all_of_the_log);
    refuse(o, last + 40); /* of a snapshot from before */
    CHECK_EQ(raft_last(part_raft(o->part)).index, last + 41);
    one_free(o);
}

TEST(shipping, a_group_of_which_nobody_wants_more_makes_no_checkpoint)
{
    struct one *o = one_new();

    refuse(o, 0);
    o->until = env_mono(o->f.env) + 20 * NANOS_MS;
    fixture_run(&o->f, time_is_up);
    CHECK(part_applied(o->part) > 0);
    CHECK_EQ(part_stats(o->part)->checkpoints, 0);
    CHECK_EQ(part_marker(o->part), 0);
    one_free(o);
}

TEST(shipping, a_replica_that_asks_for_very_much_more_gets_it_in_steps)
{
    struct one *o = one_new();
    u64 last = raft_last(part_raft(o->part)).index;

    refuse(o, last + 3000);
    u64 step = raft_last(part_raft(o->part)).index;
    CHECK(step > last && step < last + 3000);
    while (raft_last(part_raft(o->part)).index <= last + 3000) refuse(o, last + 3000);
    CHECK_EQ(raft_last(part_raft(o->part)).index, last + 3001);
    fixture_run(&o->f, has_all_of_the_log);
    one_free(o);
}

TEST_MAIN(RUN(shipping, a_group_without_writes_comes_to_have_a_snapshot_of_more),
          RUN(shipping, a_group_of_which_nobody_wants_more_makes_no_checkpoint),
          RUN(shipping, a_replica_that_asks_for_very_much_more_gets_it_in_steps))
