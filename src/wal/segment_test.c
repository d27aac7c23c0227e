/* The files of the log: made ahead, filled, running out of space, and used again. */
#include "wal/wal_test_rig.h"

static struct rig *opened(void)
{
    struct rig *r = rig_new(5);

    CHECK_OK(rig_open(r));
    return r;
}

static u64 head_seq(const struct rig *r)
{
    return r->w->segments.at[r->w->segments.head]->seq;
}

/* Entries, one unit each, without running jobs, until the log takes no more. */
static void fill(struct rig *r)
{
    while (wal_room(r->w) >= 3000 + WAL_FRAME_OVERHEAD) {
        rig_entry(r, 0, 3000);
        rig_flush(r);
        while (r->f->op_count) CHECK_OK(rig_complete(r, 0));
    }
}

static bool has_name(const struct rig *r, const char *prefix)
{
    for (u32 i = 0; i < r->f->now_count; i++)
        if (strstr(r->f->now[i].path, prefix)) return true;
    return false;
}

TEST(segment, names_are_sixteen_hex_digits)
{
    char name[WAL_NAME_BYTES];
    u64 seq;
    bool spare;

    wal_name_segment(name, "wal/r0", 0x1af);
    CHECK(!strcmp(name, "wal/r0/00000000000001af"));
    CHECK(wal_name_parse("00000000000001af", &seq, &spare) && seq == 0x1af && !spare);
    CHECK(wal_name_parse("spare-00000000000001af", &seq, &spare) && seq == 0x1af && spare);
    CHECK(!wal_name_parse("00000000000001AF", &seq, &spare));
    CHECK(!wal_name_parse("00000000000001a", &seq, &spare));
    CHECK(!wal_name_parse("0000000000000000", &seq, &spare));
    CHECK(!wal_name_parse("identity", &seq, &spare));
}

TEST(segment, the_next_file_is_made_when_the_one_before_comes_into_use)
{
    struct rig *r = opened();

    CHECK(!r->f->job);
    while (head_seq(r) == 1) {
        rig_entry(r, 0, 3000);
        rig_flush(r);
        while (r->f->op_count) CHECK_OK(rig_complete(r, 0));
    }
    CHECK(r->f->job);
    CHECK(!rig_file(r, 3));
    CHECK_OK(rig_job(r));
    CHECK(rig_file(r, 3));
    CHECK_EQ(rig_file(r, 3)->medium_bytes, r->config.segment_bytes);
    rig_free(r);
}

TEST(segment, the_backlog_waits_for_a_file_that_is_not_ready_and_then_leaves_in_order)
{
    struct rig *r = opened();

    fill(r); /* both files, the job for the third not run */
    u32 told = r->count;
    for (u32 i = 0; i < 8; i++) rig_stage(r, WAL_HARD_STATE, 0, 0, 3000); /* beyond all there is */
    rig_flush(r);
    while (r->f->op_count) CHECK_OK(rig_complete(r, 0));
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 0);
    CHECK(wal_durable(r->w) < wal_staged(r->w));
    CHECK(r->acked < told + 8);
    CHECK_OK(rig_job(r));
    CHECK_OK(rig_settle(r));
    CHECK(wal_durable(r->w) >= wal_staged(r->w));
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    CHECK_EQ(r->got_count, told + 8);
    rig_free(r);
}

TEST(segment, entries_leave_a_reserve_in_the_last_file_and_hard_state_uses_it)
{
    struct rig *r = opened();

    fill(r);
    struct wal_segment *last = r->w->segments.at[r->w->segments.head];
    CHECK_EQ(last->seq, 2);
    u64 left = wal_segment_limit(last) - wal_units_end(r->w);
    CHECK(left >= r->w->reserve);
    u64 lsn = rig_stage(r, WAL_HARD_STATE, 0, 0, 24);
    rig_flush(r);
    while (r->f->op_count) CHECK_OK(rig_complete(r, 0));
    CHECK(wal_durable(r->w) >= lsn);
    rig_free(r);
}

/* --- out of space --- */

TEST(segment, out_of_space_refuses_entries_writes_hard_state_and_takes_entries_when_space_returns)
{
    struct rig *r = opened();

    r->f->space = fake_bytes_used(r->f);
    while (head_seq(r) == 1) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    CHECK(wal_stats(r->w)->full);
    CHECK_EQ(wal_room(r->w), 0);
    CHECK(!has_name(r, "new.tmp")); /* the part that was written is given back */
    u64 lsn = rig_stage(r, WAL_HARD_STATE, 0, 0, 24);
    CHECK_OK(rig_settle(r));
    CHECK(wal_durable(r->w) >= lsn);

    CHECK(wal_deadline(r->w) <= r->f->clock + WAL_RETRY_FULL);
    r->f->clock += WAL_RETRY_FULL;
    CHECK_OK(rig_settle(r));
    CHECK(wal_stats(r->w)->full); /* still */
    r->f->space += r->config.segment_bytes;
    CHECK_OK(rig_settle(r)); /* not before its time */
    CHECK(wal_stats(r->w)->full);
    r->f->clock += WAL_RETRY_FULL;
    CHECK_OK(rig_settle(r));
    CHECK(!wal_stats(r->w)->full);
    CHECK(wal_room(r->w) > 0);
    rig_free(r);
}

TEST(segment, out_of_space_what_is_left_of_the_last_file_is_for_few_entries_and_half_its_reserve_for_hard_state)
{
    struct rig *r = opened();

    r->f->space = fake_bytes_used(r->f);
    while (head_seq(r) == 1) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    CHECK(wal_stats(r->w)->full);
    u64 lsn = 0;
    while (wal_space(r->w) >= 3000 + WAL_FRAME_OVERHEAD) {
        lsn = rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
        CHECK(wal_durable(r->w) >= lsn);
    }
    CHECK(lsn > 0);
    CHECK(wal_stats(r->w)->full);
    CHECK_EQ(wal_room(r->w), 0);
    u32 blocks = (u32)(r->w->reserve / 2 / WAL_BLOCK);
    CHECK(blocks > 0);
    for (u32 i = 0; i < blocks; i++) {
        lsn = rig_stage(r, WAL_HARD_STATE, 0, 0, 24);
        rig_flush(r);
        while (r->f->op_count) CHECK_OK(rig_complete(r, 0));
        CHECK(wal_durable(r->w) >= lsn);
    }
    rig_free(r);
}

TEST(segment, a_held_log_makes_files_of_released_ones_only)
{
    struct rig *r = opened();

    wal_hold(r->w, true);
    while (head_seq(r) == 1) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    CHECK(wal_stats(r->w)->full);
    r->f->clock += WAL_RETRY_FULL;
    CHECK_OK(rig_settle(r));
    CHECK(wal_stats(r->w)->full);
    rig_release(r, 0, r->next_index[0] - 2);
    CHECK_OK(rig_settle(r));
    CHECK(!wal_stats(r->w)->full);
    while (head_seq(r) == 2) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    CHECK(wal_stats(r->w)->full);
    wal_hold(r->w, false);
    CHECK_OK(rig_settle(r)); /* at once */
    CHECK(!wal_stats(r->w)->full);
    rig_free(r);
}

TEST(segment, out_of_space_a_released_file_becomes_the_next_without_waiting)
{
    struct rig *r = opened();

    r->f->space = fake_bytes_used(r->f);
    while (head_seq(r) == 1) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    CHECK(wal_stats(r->w)->full);
    rig_release(r, 0, r->next_index[0] - 2);
    CHECK_OK(rig_settle(r));
    CHECK(!wal_stats(r->w)->full);
    CHECK(wal_room(r->w) > 0);
    CHECK(!rig_file(r, 1) && rig_file(r, 3));
    rig_free(r);
}

TEST(segment, a_full_disk_at_open_does_not_stop_it_if_the_log_has_a_file)
{
    struct rig *r = opened();

    fill(r);
    rig_crash(r, FAKE_LOSE); /* two files, the second in use */
    r->f->space = 0;
    CHECK_OK(rig_open(r));
    CHECK(wal_stats(r->w)->full);
    CHECK_EQ(wal_room(r->w), 0);
    CHECK(!rig_verdict(r));
    rig_free(r);
}

TEST(segment, a_log_cannot_be_founded_without_space)
{
    struct rig *r = rig_new(5);

    r->f->space = 4096;
    CHECK_EQ(rig_open(r), ERR_NO_SPACE);
    r->f->space = UINT64_MAX;
    CHECK_OK(rig_open(r));
    rig_free(r);
}

TEST(segment, a_failing_directory_sync_of_a_new_file_ends_the_log)
{
    struct rig *r = opened();

    while (!r->f->job) {
        rig_entry(r, 0, 3000);
        rig_flush(r);
        while (r->f->op_count) CHECK_OK(rig_complete(r, 0));
    }
    r->f->fail_at = r->f->steps + 1;
    r->f->fail_with = ERR_IO;
    CHECK_EQ(rig_job(r), ERR_IO);
    CHECK_EQ(wal_room(r->w), 0);
    rig_free(r);
}

/* --- again --- */

static void write_and_release(struct rig *r, u64 until_seq)
{
    while (head_seq(r) < until_seq) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
        rig_release(r, 0, r->next_index[0] - 2);
        CHECK_OK(rig_settle(r));
    }
}

TEST(segment, released_files_are_used_again_so_the_log_stays_small)
{
    struct rig *r = opened();

    write_and_release(r, 30);
    CHECK(wal_stats(r->w)->recycled > 20);
    CHECK(wal_stats(r->w)->segments <= 3);
    CHECK(fake_bytes_used(r->f) <= 4 * r->config.segment_bytes);
    CHECK(wal_bytes_live(r->w) <= 2 * r->config.segment_bytes);
    rig_free(r);
}

TEST(segment, old_units_of_a_recycled_file_are_not_taken_for_new_ones)
{
    struct rig *r = opened();
    struct wal_unit_header h;

    write_and_release(r, 10);
    u64 seq = r->w->segments.at[r->w->segments.count - 1]->seq; /* made ahead from an old file */
    const struct wal_segment *s = r->w->segments.at[r->w->segments.count - 1];
    const struct fake_file *file = rig_file(r, seq);
    const u8 *first = file->medium + WAL_BLOCK;
    struct wal_place as_written = {get_u64(first + 8), get_u64(first + 16)};
    struct wal_place here = {s->start_lsn, s->salt};
    CHECK(!wal_unit_check(first, s->bytes - WAL_BLOCK, as_written, &h)); /* an old unit is there */
    CHECK(wal_unit_check(first, s->bytes - WAL_BLOCK, here, &h));
    CHECK(as_written.salt != here.salt);

    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    rig_free(r);
}

TEST(segment, a_burst_leaves_at_most_as_many_spares_as_a_full_log_has_files)
{
    struct rig *r = opened();
    u32 spares = 0;

    while (head_seq(r) < WAL_SPARES_MAX + 4) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    CHECK(wal_stats(r->w)->segments >= WAL_SPARES_MAX + 4);
    rig_release(r, 0, r->next_index[0] - 2);
    CHECK_OK(rig_settle(r));
    CHECK(wal_stats(r->w)->segments <= 3);
    for (u32 i = 0; i < r->f->now_count; i++) spares += !!strstr(r->f->now[i].path, "spare-");
    CHECK_EQ(spares, WAL_SPARES_MAX);

    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    CHECK_EQ(r->w->segments.spare_count, WAL_SPARES_MAX);
    write_and_release(r, head_seq(r) + 8);
    CHECK(wal_stats(r->w)->recycled > 0);
    rig_free(r);
}

TEST(segment, the_file_size_may_change_between_starts)
{
    struct rig *r = opened();

    for (u32 i = 0; i < 30; i++) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    rig_crash(r, FAKE_LOSE);
    r->config.segment_bytes *= 2;
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    for (u32 i = 0; i < 60; i++) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
        rig_release(r, 0, r->next_index[0] - 2);
    }
    CHECK_OK(rig_settle(r));
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
    CHECK(!rig_verdict(r));
    CHECK_EQ(rig_file(r, head_seq(r))->medium_bytes, 32 * 4096);
    rig_free(r);
}

TEST_MAIN(RUN(segment, names_are_sixteen_hex_digits),
          RUN(segment, the_next_file_is_made_when_the_one_before_comes_into_use),
          RUN(segment, the_backlog_waits_for_a_file_that_is_not_ready_and_then_leaves_in_order),
          RUN(segment, entries_leave_a_reserve_in_the_last_file_and_hard_state_uses_it),
          RUN(segment,
              out_of_space_refuses_entries_writes_hard_state_and_takes_entries_when_space_returns),
          RUN(segment, out_of_space_what_is_left_of_the_last_file_is_for_few_entries_and_half_its_reserve_for_hard_state),
          RUN(segment, a_held_log_makes_files_of_released_ones_only),
          RUN(segment, out_of_space_a_released_file_becomes_the_next_without_waiting),
          RUN(segment, a_full_disk_at_open_does_not_stop_it_if_the_log_has_a_file),
          RUN(segment, a_log_cannot_be_founded_without_space),
          RUN(segment, a_failing_directory_sync_of_a_new_file_ends_the_log),
          RUN(segment, released_files_are_used_again_so_the_log_stays_small),
          RUN(segment, old_units_of_a_recycled_file_are_not_taken_for_new_ones),
          RUN(segment, a_burst_leaves_at_most_as_many_spares_as_a_full_log_has_files),
          RUN(segment, the_file_size_may_change_between_starts))
