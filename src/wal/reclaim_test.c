/* Which file may go, and what must have been written again before. */
#include "wal/wal_test_rig.h"

static struct rig *opened(void)
{
    struct rig *r = rig_new(9);

    CHECK_OK(rig_open(r));
    return r;
}

static u64 oldest(const struct rig *r)
{
    return r->w->segments.at[0]->seq;
}

/* Write entries of part 0 until file `seq` is in use, and a unit in it durable. */
static void go_to(struct rig *r, u64 seq)
{
    while (r->w->segments.at[r->w->segments.head]->seq < seq) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
}

static void release_all(struct rig *r)
{
    for (u64 part = 0; part < RIG_PARTS; part++) rig_release(r, part, r->next_index[part] - 1);
    CHECK_OK(rig_settle(r));
}

TEST(reclaim, a_file_stays_until_every_part_released_it)
{
    struct rig *r = opened();

    rig_entry(r, 1, 100);
    rig_entry(r, 2, 100);
    go_to(r, 3);
    rig_release(r, 0, r->next_index[0] - 1);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 1);
    rig_release(r, 1, 1);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 1);
    rig_release(r, 2, 1);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 3);
    rig_free(r);
}

TEST(reclaim, a_file_whose_last_entry_is_not_released_stays)
{
    struct rig *r = opened();

    go_to(r, 2);
    u64 in_first = r->next_index[0] - 2; /* the newest is in file 2 */
    rig_release(r, 0, in_first - 1);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 1);
    rig_release(r, 0, in_first);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 2);
    rig_free(r);
}

TEST(reclaim, the_newest_hard_state_is_written_again_and_durable_before_its_file_goes)
{
    struct rig *r = opened();

    rig_stage(r, WAL_HARD_STATE, 1, 0, 24);
    rig_stage(r, WAL_HARD_STATE, 1, 0, 40);
    u64 newest = r->next_id - 1;
    go_to(r, 3);
    rig_release(r, 0, r->next_index[0] - 1);
    rig_flush(r); /* stages it again and sends it */
    CHECK_EQ(oldest(r), 1);
    CHECK(!r->f->job);
    CHECK_EQ(r->f->op_count, 1);
    CHECK_OK(rig_settle(r));
    CHECK(oldest(r) > 1);
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    CHECK_EQ(r->got[r->got_count - 1].f.type, WAL_HARD_STATE);
    CHECK_EQ(r->got[r->got_count - 1].id, newest);
    CHECK_EQ(r->got[r->got_count - 1].bytes, 40);
    rig_free(r);
}

TEST(reclaim, an_older_hard_state_keeps_no_file)
{
    struct rig *r = opened();

    rig_stage(r, WAL_HARD_STATE, 1, 0, 24);
    go_to(r, 2);
    rig_stage(r, WAL_HARD_STATE, 1, 0, 24);
    CHECK_OK(rig_settle(r));
    u64 frames = wal_stats(r->w)->frames;
    rig_release(r, 0, r->next_index[0] - 2);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 2);
    CHECK_EQ(wal_stats(r->w)->frames, frames); /* nothing was staged again */
    rig_free(r);
}

TEST(reclaim, hard_states_replayed_at_open_are_kept_alive_too)
{
    struct rig *r = opened();

    rig_stage(r, WAL_HARD_STATE, 1, 0, 24);
    go_to(r, 2);
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    go_to(r, 4);
    release_all(r);
    CHECK(oldest(r) >= 3);
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    CHECK(rig_got(r, 1));
    rig_free(r);
}

TEST(reclaim, a_marker_keeps_its_file_until_its_index_is_released)
{
    static const u8 markers[] = {WAL_SNAP_BEGIN, WAL_SNAP_DONE, WAL_TRUNC_PREFIX, WAL_CKPT};

    for (u32 i = 0; i < ARRAY_LEN(markers); i++) {
        struct rig *r = opened();
        rig_stage(r, markers[i], 1, 500, 8);
        go_to(r, 3);
        rig_release(r, 0, r->next_index[0] - 1);
        CHECK_OK(rig_settle(r));
        CHECK_EQ(oldest(r), 1);
        rig_release(r, 1, 500);
        CHECK_OK(rig_settle(r));
        CHECK_EQ(oldest(r), 3);
        rig_free(r);
    }
}

TEST(reclaim, a_truncation_frees_the_entries_it_voids_once_it_is_durable)
{
    struct rig *r = opened();

    for (u32 i = 0; i < 9; i++) rig_entry(r, 1, 100); /* 1..9 */
    go_to(r, 3);
    rig_release(r, 0, r->next_index[0] - 1);
    rig_release(r, 1, 4);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 1); /* 5..9 are needed */
    rig_stage(r, WAL_TRUNC_SUFFIX, 1, 5, 8);
    rig_flush(r);
    CHECK_EQ(oldest(r),
             1); /* on its way: were the file gone and this lost, 5..9 would be missing */
    CHECK(!r->f->job);
    CHECK_OK(rig_settle(r));
    CHECK(oldest(r) > 1);
    rig_free(r);
}

TEST(reclaim, the_file_in_use_never_goes)
{
    struct rig *r = opened();

    rig_entry(r, 0, 100);
    CHECK_OK(rig_settle(r));
    release_all(r);
    CHECK_EQ(oldest(r), 1);
    CHECK(!r->f->job);
    rig_free(r);
}

TEST(reclaim, a_file_stays_while_no_unit_behind_it_is_durable)
{
    struct rig *r = opened();

    for (;;) { /* until file 2 is in use by a unit that is not durable */
        rig_entry(r, 0, 3000);
        rig_flush(r);
        if (r->w->segments.head == 1) break;
        CHECK_OK(rig_settle(r));
    }
    rig_release(r, 0, r->next_index[0] - 2);
    CHECK_OK(rig_job(r)); /* makes file 3 */
    rig_flush(r);
    CHECK_EQ(oldest(r), 1);
    CHECK(!r->f->job);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 2);
    rig_free(r);
}

/* A replica that was removed had released more than the next one of its group has written. */
TEST(reclaim, what_an_earlier_replica_released_frees_nothing_of_the_next)
{
    struct rig *r = opened();
    static const u8 bytes[8];
    str payload = str_from(bytes, sizeof bytes);
    struct wal_frame f = {.type = WAL_ENTRY, .part = 1, .index = 1, .term = 1, .repl = 5};

    rig_entry(r, 1, 100);
    wal_release(r->w, 1, 500);
    go_to(r, 2);
    wal_stage(r->w, &f, &payload, 1);
    go_to(r, 4);
    rig_release(r, 0, r->next_index[0] - 1);
    CHECK_OK(rig_settle(r));
    CHECK(oldest(r) <= 2);
    wal_release(r->w, 1, 1);
    CHECK_OK(rig_settle(r));
    CHECK_EQ(oldest(r), 4);
    rig_free(r);
}

TEST(reclaim, knows_thousands_of_parts)
{
    struct rig *r = rig_new(9);
    static const u8 vote[24];
    str payload = str_from(vote, sizeof vote);

    r->config.segment_bytes = 32 * 4096; /* all of them take 96,000 bytes */
    CHECK_OK(rig_open(r));
    for (u64 i = 0; i < 2000; i++) {
        u64 part = i % 1500;
        struct wal_frame f = {.type = WAL_HARD_STATE, .part = part * part};
        wal_stage(r->w, &f, &payload, 1);
        if (i % 50 == 0) CHECK_OK(rig_settle(r));
    }
    CHECK_OK(rig_settle(r));
    CHECK(oldest(r) > 1); /* hard states of quiet parts were carried along */
    CHECK_EQ(r->w->parts.count, 1500);
    rig_free(r);
}

TEST_MAIN(RUN(reclaim, a_file_stays_until_every_part_released_it),
          RUN(reclaim, a_file_whose_last_entry_is_not_released_stays),
          RUN(reclaim, the_newest_hard_state_is_written_again_and_durable_before_its_file_goes),
          RUN(reclaim, an_older_hard_state_keeps_no_file),
          RUN(reclaim, hard_states_replayed_at_open_are_kept_alive_too),
          RUN(reclaim, a_marker_keeps_its_file_until_its_index_is_released),
          RUN(reclaim, a_truncation_frees_the_entries_it_voids_once_it_is_durable),
          RUN(reclaim, the_file_in_use_never_goes),
          RUN(reclaim, a_file_stays_while_no_unit_behind_it_is_durable),
          RUN(reclaim, what_an_earlier_replica_released_frees_nothing_of_the_next),
          RUN(reclaim, knows_thousands_of_parts))
