/* Group commit: what leaves when, and when it counts as durable. */
#include "wal/wal_test_rig.h"

static struct rig *opened(void)
{
    struct rig *r = rig_new(5);

    CHECK_OK(rig_open(r));
    return r;
}

static const u8 *flying(const struct rig *r, u32 i)
{
    return r->f->ops[i]->data;
}

TEST(unit, all_frames_of_a_turn_share_one_write)
{
    struct rig *r = opened();

    for (u32 i = 0; i < 20; i++) rig_entry(r, i % RIG_PARTS, 100);
    CHECK_EQ(r->f->op_count, 0);
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 1);
    CHECK_EQ(r->f->ops[0]->bytes, WAL_BLOCK); /* 64 + 20 * (40 + 104) */
    CHECK_EQ(get_u32(flying(r, 0) + 40), 20);
    rig_free(r);
}

TEST(unit, at_most_two_units_fly_and_the_open_one_gathers_meanwhile)
{
    struct rig *r = opened();

    for (u32 i = 0; i < 5; i++) {
        rig_entry(r, 0, 100);
        rig_flush(r);
    }
    CHECK_EQ(r->f->op_count, 2);
    CHECK_OK(rig_complete(r, 0));
    CHECK_EQ(r->acked, 1);
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 2);
    CHECK_EQ(get_u32(flying(r, 1) + 40), 3); /* the three that came while two were flying */
    rig_free(r);
}

TEST(unit, with_a_depth_of_one_only_one_flies)
{
    struct rig *r = rig_new(5);

    r->config.units_in_flight_max = 1;
    CHECK_OK(rig_open(r));
    for (u32 i = 0; i < 3; i++) {
        rig_entry(r, 0, 100);
        rig_flush(r);
        CHECK_EQ(r->f->op_count, 1);
    }
    rig_free(r);
}

TEST(unit, a_frame_is_durable_when_its_own_unit_is)
{
    struct rig *r = opened();
    u64 first = rig_entry(r, 0, 100);
    u64 second = rig_entry(r, 1, 100);
    rig_flush(r);
    u64 third = rig_entry(r, 0, 100);
    rig_flush(r);

    CHECK(first < second && second < third && third == wal_staged(r->w));
    CHECK(wal_durable(r->w) < first);
    CHECK_OK(rig_complete(r, 0));
    CHECK(wal_durable(r->w) >= second && wal_durable(r->w) < third);
    CHECK_OK(rig_complete(r, 0));
    CHECK(wal_durable(r->w) >= third);
    rig_free(r);
}

TEST(unit, a_unit_that_lands_first_waits_for_the_one_before_it)
{
    struct rig *r = opened();
    u64 first = rig_entry(r, 0, 100);
    rig_flush(r);
    u64 second = rig_entry(r, 0, 100);
    rig_flush(r);

    CHECK_OK(rig_complete(r, 1));
    CHECK(wal_durable(r->w) < first);
    CHECK_OK(rig_complete(r, 0));
    CHECK(wal_durable(r->w) >= second);
    rig_free(r);
}

TEST(unit, carries_the_durable_end_and_the_chain_of_its_submit)
{
    struct rig *r = opened();
    u64 durable = wal_durable(r->w);

    rig_entry(r, 0, 100);
    rig_flush(r);
    rig_entry(r, 0, 100);
    rig_flush(r);
    CHECK(get_u64(flying(r, 0) + 24) == durable);
    CHECK(get_u64(flying(r, 1) + 24) == durable);
    CHECK_EQ(get_u32(flying(r, 1) + 44), get_u32(flying(r, 0) + 4));
    CHECK_OK(rig_complete(r, 0));
    rig_entry(r, 0, 100);
    rig_flush(r);
    CHECK(get_u64(flying(r, 1) + 24) == durable + WAL_BLOCK);
    rig_free(r);
}

TEST(unit, silence_is_followed_by_one_empty_unit_that_proves_the_last)
{
    struct rig *r = opened();

    CHECK(wal_deadline(r->w) == NANOS_NEVER); /* the open proved all there was */
    rig_entry(r, 0, 100);
    rig_flush(r);
    CHECK(wal_deadline(r->w) == NANOS_NEVER); /* one is flying */
    r->f->clock += 5;
    CHECK_OK(rig_complete(r, 0));
    CHECK(wal_deadline(r->w) == r->f->clock + WAL_QUIET);
    r->f->clock += WAL_QUIET - 1;
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 0);
    r->f->clock++;
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 1);
    CHECK_EQ(get_u32(flying(r, 0) + 40), 0);
    CHECK(get_u64(flying(r, 0) + 24) == wal_durable(r->w));
    CHECK_OK(rig_complete(r, 0));
    CHECK(wal_deadline(r->w) == NANOS_NEVER); /* an empty unit needs no proof */
    r->f->clock += NANOS_SEC;
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 0);
    rig_free(r);
}

TEST(unit, a_large_frame_goes_alone_in_a_unit_of_its_size)
{
    struct rig *r = opened();

    rig_entry(r, 0, 100);
    rig_entry(r, 0, 5 * 4096);
    rig_entry(r, 0, 100);
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 2);
    CHECK_EQ(r->f->ops[0]->bytes, WAL_BLOCK);
    CHECK_EQ(r->f->ops[1]->bytes, 6 * WAL_BLOCK);
    CHECK_OK(rig_settle(r));
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK_EQ(r->got_count, 3);
    CHECK(!r->bad_payload);
    rig_free(r);
}

TEST(unit, takes_a_frame_of_sixteen_mebibytes)
{
    struct rig *r = rig_new(5);

    r->config.segment_bytes = 64 * MIB;
    r->config.unit_bytes_max = 1 * MIB;
    r->config.frame_bytes_max = 16 * MIB + 4096;
    r->config.backlog_bytes_max = 32 * MIB;
    CHECK_OK(rig_open(r));
    CHECK(wal_room(r->w) >= 16 * MIB + WAL_FRAME_OVERHEAD);
    rig_entry(r, 0, 100);
    rig_entry(r, 0, 16 * MIB);
    rig_entry(r, 0, 100);
    CHECK_OK(rig_settle(r));
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK_EQ(r->got_count, 3);
    CHECK_EQ(r->got[1].bytes, 16 * MIB);
    CHECK(!r->bad_payload);
    rig_free(r);
}

TEST(unit, room_shrinks_with_the_backlog_and_returns_when_it_left)
{
    struct rig *r = rig_new(5);

    r->config.backlog_bytes_max = 8 * 4096; /* less than the files hold */
    CHECK_OK(rig_open(r));
    CHECK_EQ(wal_room(r->w), 8 * 4096);
    for (u32 i = 0; i < 2; i++) { /* two fly */
        rig_entry(r, 0, 100);
        rig_flush(r);
    }
    size_t before = wal_room(r->w);
    rig_entry(r, 0, 1000);
    CHECK(wal_room(r->w) <= before - 1000);
    while (wal_room(r->w) >= 4096 + WAL_FRAME_OVERHEAD) rig_entry(r, 0, 4096);
    CHECK(r->w->units.backlog <= r->config.backlog_bytes_max);
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 2);
    CHECK_OK(rig_settle(r));
    CHECK(wal_room(r->w) > 4096);
    CHECK(wal_durable(r->w) >= wal_staged(r->w));
    rig_free(r);
}

TEST(unit, hard_state_fits_when_there_is_no_room)
{
    struct rig *r = opened();

    for (u32 i = 0; i < 2; i++) {
        rig_entry(r, 0, 100);
        rig_flush(r);
    }
    while (wal_room(r->w) >= 4096 + WAL_FRAME_OVERHEAD) rig_entry(r, 0, 4096);
    u64 lsn = rig_stage(r, WAL_HARD_STATE, 0, 0, 24);
    CHECK_OK(rig_settle(r));
    CHECK(wal_durable(r->w) >= lsn);
    rig_free(r);
}

TEST(unit, a_failed_write_is_final_and_never_tried_again)
{
    struct rig *r = opened();
    u64 lsn = rig_entry(r, 0, 100);

    rig_flush(r);
    r->f->fail_at = r->f->steps + 1;
    r->f->fail_with = ERR_IO;
    CHECK_EQ(rig_complete(r, 0), ERR_IO);
    CHECK(wal_durable(r->w) < lsn);
    CHECK_EQ(wal_room(r->w), 0);
    CHECK(wal_deadline(r->w) == NANOS_NEVER);
    struct wal_frame f = {.type = WAL_HARD_STATE};
    CHECK(wal_stage(r->w, &f, NULL, 0) == UINT64_MAX);
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 0);
    CHECK(!r->f->job);
    rig_free(r);
}

TEST(unit, a_unit_in_flight_beside_a_failed_one_does_not_become_durable)
{
    struct rig *r = opened();

    rig_entry(r, 0, 100);
    rig_flush(r);
    u64 lsn = rig_entry(r, 0, 100);
    rig_flush(r);
    r->f->fail_at = r->f->steps + 1;
    r->f->fail_with = ERR_IO;
    CHECK_EQ(rig_complete(r, 0), ERR_IO);
    CHECK_EQ(rig_complete(r, 0), ERR_IO); /* it went well; the log has stopped all the same */
    CHECK(wal_durable(r->w) < lsn);
    rig_free(r);
}

TEST(unit, counts_what_it_wrote_and_how_long_it_took)
{
    struct rig *r = opened();
    u64 units = wal_stats(r->w)->units;

    rig_entry(r, 0, 5000);
    rig_flush(r);
    r->f->clock += 3 * NANOS_MS;
    CHECK_OK(rig_complete(r, 0));
    const struct wal_stats *s = wal_stats(r->w);
    CHECK_EQ(s->units, units + 1);
    CHECK_EQ(s->frames, 1);
    CHECK(s->last_write_ns == 3 * NANOS_MS && s->max_write_ns == 3 * NANOS_MS);
    CHECK(s->durable_lsn == wal_durable(r->w));
    CHECK(s->staged_lsn == wal_staged(r->w));
    rig_free(r);
}

TEST_MAIN(RUN(unit, all_frames_of_a_turn_share_one_write),
          RUN(unit, at_most_two_units_fly_and_the_open_one_gathers_meanwhile),
          RUN(unit, with_a_depth_of_one_only_one_flies),
          RUN(unit, a_frame_is_durable_when_its_own_unit_is),
          RUN(unit, a_unit_that_lands_first_waits_for_the_one_before_it),
          RUN(unit, carries_the_durable_end_and_the_chain_of_its_submit),
          RUN(unit, silence_is_followed_by_one_empty_unit_that_proves_the_last),
          RUN(unit, a_large_frame_goes_alone_in_a_unit_of_its_size),
          RUN(unit, takes_a_frame_of_sixteen_mebibytes),
          RUN(unit, room_shrinks_with_the_backlog_and_returns_when_it_left),
          RUN(unit, hard_state_fits_when_there_is_no_room),
          RUN(unit, a_failed_write_is_final_and_never_tried_again),
          RUN(unit, a_unit_in_flight_beside_a_failed_one_does_not_become_durable),
          RUN(unit, counts_what_it_wrote_and_how_long_it_took))
