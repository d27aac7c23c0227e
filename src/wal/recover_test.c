/* Torn tail or damage: what an open makes of a log that is not whole. */
#include "wal/wal_test_script.h"

/* A log of `units` units, one entry of part 0 each, all durable; the last one not yet proven. */
static struct rig *log_of(u32 units)
{
    struct rig *r = rig_new(42);

    CHECK_OK(rig_open(r));
    for (u32 i = 0; i < units; i++) {
        rig_entry(r, 0, 100);
        CHECK_OK(rig_settle(r));
    }
    CHECK_EQ(r->acked, units);
    return r;
}

/* Offset in file 1 of the unit with the i-th entry; unit 0 is the empty one of the open. */
static u64 offset_of(u32 entry)
{
    return (1 + entry) * WAL_BLOCK;
}

static void reopen(struct rig *r)
{
    rig_crash(r, FAKE_LOSE);
    CHECK_OK(rig_open(r));
}

/* --- torn tail --- */

TEST(recover, an_empty_directory_becomes_a_log_with_two_files)
{
    struct rig *r = rig_new(1);

    CHECK_OK(rig_open(r));
    CHECK(rig_file(r, 1) && rig_file(r, 2) && !rig_file(r, 3));
    CHECK(wal_durable(r->w) == WAL_BLOCK); /* the empty unit */
    CHECK(wal_room(r->w) > 0);
    CHECK_EQ(r->f->op_count, 0);
    rig_free(r);
}

TEST(recover, cuts_a_torn_last_unit_and_goes_on_in_its_place)
{
    struct rig *r = log_of(3);

    fake_rot(rig_file(r, 1), offset_of(3) + 70, 1);
    reopen(r);
    CHECK_EQ(r->damage_count, 0);
    CHECK_EQ(r->got_count, 2);
    rig_entry(r, 0, 50);
    CHECK_OK(rig_settle(r));
    reopen(r);
    CHECK_EQ(r->damage_count, 0);
    CHECK_EQ(r->got_count, 3);
    CHECK(rig_got(r, 4) && !rig_got(r, 3));
    rig_free(r);
}

/* Two units on their way; the first is lost, the second arrived: neither was acknowledged. */
static struct rig *log_with_a_hole(void)
{
    struct rig *r = log_of(2);

    rig_entry(r, 0, 4000);
    rig_flush(r);
    rig_entry(r, 0, 4001);
    rig_flush(r);
    CHECK_EQ(r->f->op_count, 2);
    CHECK_OK(rig_complete(r, 1));
    CHECK_EQ(r->acked, 2);
    return r;
}

TEST(recover, cuts_valid_units_that_follow_a_torn_one)
{
    struct rig *r = log_with_a_hole();

    reopen(r);
    CHECK_EQ(r->damage_count, 0);
    CHECK_EQ(r->got_count, 2);
    CHECK(!rig_got(r, 4));
    rig_free(r);
}

TEST(recover, overwrites_what_it_cut_before_anything_new_is_written)
{
    struct rig *r = log_with_a_hole();
    struct wal_unit_header h;
    const struct fake_file *file = rig_file(r, 1);
    u64 at = offset_of(5); /* each takes two blocks */
    struct wal_place place = {at - WAL_BLOCK, wal_salt_of(r->w, 1)};

    CHECK(!wal_unit_check(file->medium + at, 2 * WAL_BLOCK, place, &h));
    reopen(r);
    CHECK(wal_unit_check(file->medium + at, 2 * WAL_BLOCK, place, &h));
    for (; at < offset_of(7); at++) CHECK_EQ(file->medium[at], 0);
    rig_free(r);
}

TEST(recover, an_open_without_news_twice_gives_the_same)
{
    struct rig *r = log_of(5);

    for (u32 i = 0; i < 20; i++) {
        reopen(r);
        CHECK_EQ(r->got_count, 5);
        CHECK_EQ(r->damage_count, 0);
    }
    rig_free(r);
}

/* --- damage --- */

TEST(recover, reports_damage_below_the_proven_end_and_replays_what_is_around_it)
{
    struct rig *r = log_of(6);

    fake_rot(rig_file(r, 1), offset_of(3) + 80, 0x10);
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK(r->damages[0].lsn_from == offset_of(3) - WAL_BLOCK);
    CHECK(r->damages[0].lsn_to == offset_of(4) - WAL_BLOCK);
    CHECK_EQ(r->damages[0].file_seq, 1);
    CHECK(!r->damages[0].accepted);
    CHECK_EQ(r->got_count, 5);
    CHECK(!rig_got(r, 3));
    rig_free(r);
}

TEST(recover, takes_rot_in_the_last_unit_for_damage_once_it_was_proven)
{
    struct rig *r = log_of(3);

    CHECK_OK(rig_prove(r));
    fake_rot(rig_file(r, 1), offset_of(3) + 80, 0x10);
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK_EQ(r->got_count, 2);
    rig_free(r);
}

TEST(recover, an_open_proves_the_last_unit_too)
{
    struct rig *r = log_of(3);

    reopen(r);
    fake_rot(rig_file(r, 1), offset_of(3) + 80, 0x10);
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    rig_free(r);
}

TEST(recover, reports_a_write_that_never_happened)
{
    static const u8 zero[WAL_BLOCK];
    struct rig *r = log_of(4);

    fake_overwrite(rig_file(r, 1), offset_of(2), zero, sizeof zero);
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK_EQ(r->got_count, 3);
    rig_free(r);
}

TEST(recover, reports_a_write_that_went_elsewhere)
{
    struct rig *r = log_of(5);
    struct fake_file *file = rig_file(r, 1);

    fake_overwrite(file, offset_of(2), file->medium + offset_of(4), WAL_BLOCK);
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK(r->damages[0].lsn_from == offset_of(2) - WAL_BLOCK);
    CHECK_EQ(r->got_count, 4);
    CHECK_EQ(r->got[1].id, 3);
    rig_free(r);
}

TEST(recover, a_block_the_device_refuses_is_damage_even_at_the_tail)
{
    struct rig *r = log_of(3);
    struct fake_file *file = rig_file(r, 1);

    file->bad_from = offset_of(3);
    file->bad_to = file->bad_from + 512;
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK(r->damages[0].lsn_from == offset_of(3) - WAL_BLOCK);
    CHECK_EQ(r->got_count, 2);
    rig_free(r);
}

TEST(recover, accepting_an_unreadable_tail_hides_nothing_that_is_written_there_later)
{
    struct rig *r = log_of(5);
    struct fake_file *file = rig_file(r, 1);

    fake_rot(file, offset_of(2) + 80, 0x10);
    file->bad_from = offset_of(5);
    file->bad_to = offset_of(12);
    reopen(r);
    CHECK_EQ(r->damage_count, 2);
    file->bad_from = file->bad_to = 0;
    wal_accept_damage(r->w);
    CHECK_OK(rig_settle(r));
    for (u32 i = 0; i < 4; i++) {
        rig_entry(r, 0, 100);
        rig_flush(r);
        CHECK_OK(rig_settle(r));
    }
    fake_rot(rig_file(r, 1), offset_of(8) + 80, 0x10);
    reopen(r);
    CHECK_EQ(r->damage_count, 2);
    CHECK(r->damages[0].accepted);
    CHECK(!r->damages[1].accepted);
    rig_free(r);
}

TEST(recover, accepted_damage_is_no_news_and_new_damage_is)
{
    struct rig *r = log_of(6);

    fake_rot(rig_file(r, 1), offset_of(3) + 80, 0x10);
    reopen(r);
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK(!r->damages[0].accepted); /* still, nobody accepted it */
    wal_accept_damage(r->w);
    CHECK_OK(rig_settle(r));
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK(r->damages[0].accepted);
    CHECK_EQ(r->got_count, 5);

    fake_rot(rig_file(r, 1), offset_of(5) + 80, 0x10);
    reopen(r);
    CHECK_EQ(r->damage_count, 2);
    CHECK(r->damages[0].accepted);
    CHECK(!r->damages[1].accepted);
    rig_free(r);
}

TEST(recover, damage_grown_since_it_was_accepted_is_news)
{
    struct rig *r = log_of(6);

    fake_rot(rig_file(r, 1), offset_of(3) + 80, 0x10);
    reopen(r);
    wal_accept_damage(r->w);
    CHECK_OK(rig_settle(r));
    fake_rot(rig_file(r, 1), offset_of(4) + 80, 0x10);
    reopen(r);
    CHECK_EQ(r->damage_count, 1);
    CHECK(!r->damages[0].accepted);
    CHECK(r->damages[0].lsn_to == offset_of(5) - WAL_BLOCK);
    rig_free(r);
}

/* Whatever byte rots: nothing false is replayed, nothing comes out of order, and a proven frame is
 * never missing without a report. */
static void rot_is_noticed(const struct rig *whole, u64 seq, u64 offset, u64 proven_id)
{
    struct rig *r = rig_clone(whole);
    u64 last = 0;

    fake_rot(rig_file(r, seq), offset, (u8)(1 + offset % 255));
    CHECK_OK(rig_open(r));
    if (r->bad_payload) fail_msg("%s", r->bad_payload);
    for (u32 i = 0; i < r->got_count; i++) {
        const struct rig_frame *told = rig_find(r, r->got[i].id);
        CHECK(told && rig_same(told, &r->got[i]));
        if (r->got[i].f.type == WAL_HARD_STATE) continue; /* may be there twice */
        CHECK(r->got[i].id > last);
        last = r->got[i].id;
    }
    for (u32 i = 0; i < r->count; i++) {
        const struct rig_frame *m = &r->frames[i];
        if (m->id > proven_id || rig_got(r, m->id) || r->damage_count) continue;
        fail_msg("rot at %llu of file %llu swallows frame %llu", (unsigned long long)offset,
                 (unsigned long long)seq, (unsigned long long)m->id);
    }
    rig_free(r);
}

TEST(recover, notices_any_rotten_byte_or_does_not_need_it)
{
    struct rig *r = rig_new(3);

    CHECK_OK(rig_open(r));
    while (r->next_id < 60) {
        script_stage(r);
        CHECK_OK(rig_settle(r));
    }
    CHECK_OK(rig_prove(r));
    u64 proven_id = r->acked;
    rig_entry(r, 1, 300);
    CHECK_OK(rig_settle(r));

    u64 last_seq = r->w->segments.at[r->w->segments.count - 1]->seq;
    CHECK(last_seq >= 3);
    for (u64 seq = 1; seq <= last_seq; seq++)
        for (u64 at = 0; at < r->config.segment_bytes; at += at % WAL_BLOCK < 128 ? 3 : 61)
            rot_is_noticed(r, seq, at, proven_id);
    rig_free(r);
}

/* --- files --- */

TEST(recover, one_readable_copy_of_a_file_header_is_enough_and_both_are_good_again)
{
    for (u32 copy = 0; copy < 2; copy++) {
        struct rig *r = log_of(3);
        struct fake_file *file = rig_file(r, 1);
        struct wal_file_header h;
        bool damaged;

        fake_rot(file, copy * WAL_FILE_COPY_AT + 33, 4);
        reopen(r);
        CHECK_EQ(r->got_count, 3);
        CHECK_EQ(r->damage_count, 0);
        CHECK_OK(wal_file_decode(file->medium, &h, &damaged));
        CHECK(!damaged);
        rig_free(r);
    }
}

TEST(recover, refuses_a_needed_file_without_a_header)
{
    struct rig *r = log_of(3);

    fake_rot(rig_file(r, 1), 33, 4);
    fake_rot(rig_file(r, 1), WAL_FILE_COPY_AT + 33, 4);
    rig_crash(r, FAKE_LOSE);
    CHECK_EQ(rig_open(r), ERR_CORRUPT);
    rig_free(r);
}

TEST(recover, makes_an_unused_file_without_a_header_anew)
{
    struct rig *r = log_of(3);

    fake_rot(rig_file(r, 2), 33, 4);
    fake_rot(rig_file(r, 2), WAL_FILE_COPY_AT + 33, 4);
    reopen(r);
    CHECK_EQ(r->got_count, 3);
    for (u32 i = 0; i < 20; i++) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    reopen(r);
    CHECK_EQ(r->got_count, 23);
    rig_free(r);
}

TEST(recover, refuses_a_log_with_a_file_missing_in_the_middle)
{
    struct rig *r = log_of(40);
    char path[WAL_NAME_BYTES];

    CHECK(rig_file(r, 3));
    rig_crash(r, FAKE_LOSE);
    wal_name_segment(path, RIG_DIR, 2);
    CHECK_OK(r->f->env.ops->file_unlink(&r->f->env, path));
    CHECK_EQ(rig_open(r), ERR_CORRUPT);
    rig_free(r);
}

TEST(recover, refuses_the_log_of_another_reactor_and_of_a_later_boot)
{
    struct rig *r = log_of(3);

    rig_crash(r, FAKE_LOSE);
    r->config.reactor = 1;
    CHECK_EQ(rig_open(r), ERR_WRONG_IDENTITY);
    r->config.reactor = 0;
    r->config.boot_epoch = 0;
    r->config.boot_epoch--; /* counts up at open: boot 0 */
    CHECK_EQ(rig_open(r), ERR_STALE);
    CHECK_OK(rig_open(r));
    CHECK_EQ(r->got_count, 3);
    rig_free(r);
}

TEST(recover, refuses_impossible_settings)
{
    struct rig *r = rig_new(1);
    struct wal_config good = r->config;

    r->config.segment_bytes = 16 * 4096 + 1;
    CHECK_EQ(rig_open(r), ERR_INVALID);
    r->config = good;
    r->config.units_in_flight_max = 3;
    CHECK_EQ(rig_open(r), ERR_INVALID);
    r->config = good;
    r->config.frame_bytes_max = 14 * 4096; /* would not fit a file beside its reserve */
    CHECK_EQ(rig_open(r), ERR_INVALID);
    r->config = good;
    r->config.backlog_bytes_max = 4096;
    CHECK_EQ(rig_open(r), ERR_INVALID);
    rig_free(r);
}

TEST(recover, goes_on_over_the_end_of_a_file_without_seeing_damage)
{
    struct rig *r = rig_new(8);
    CHECK_OK(rig_open(r));
    while (r->count < 40) { /* units of 1 to 6 blocks: files end with unused blocks */
        rig_entry(r, 0, (u32)prng_between(&r->prng, 8, 5 * 4096));
        CHECK_OK(rig_settle(r));
    }
    reopen(r);
    CHECK_EQ(r->damage_count, 0);
    CHECK_EQ(r->got_count, 40);
    rig_free(r);
}

TEST_MAIN(RUN(recover, an_empty_directory_becomes_a_log_with_two_files),
          RUN(recover, cuts_a_torn_last_unit_and_goes_on_in_its_place),
          RUN(recover, cuts_valid_units_that_follow_a_torn_one),
          RUN(recover, overwrites_what_it_cut_before_anything_new_is_written),
          RUN(recover, an_open_without_news_twice_gives_the_same),
          RUN(recover, reports_damage_below_the_proven_end_and_replays_what_is_around_it),
          RUN(recover, takes_rot_in_the_last_unit_for_damage_once_it_was_proven),
          RUN(recover, an_open_proves_the_last_unit_too),
          RUN(recover, reports_a_write_that_never_happened),
          RUN(recover, reports_a_write_that_went_elsewhere),
          RUN(recover, a_block_the_device_refuses_is_damage_even_at_the_tail),
          RUN(recover, accepting_an_unreadable_tail_hides_nothing_that_is_written_there_later),
          RUN(recover, accepted_damage_is_no_news_and_new_damage_is),
          RUN(recover, damage_grown_since_it_was_accepted_is_news),
          RUN(recover, notices_any_rotten_byte_or_does_not_need_it),
          RUN(recover, one_readable_copy_of_a_file_header_is_enough_and_both_are_good_again),
          RUN(recover, refuses_a_needed_file_without_a_header),
          RUN(recover, makes_an_unused_file_without_a_header_anew),
          RUN(recover, refuses_a_log_with_a_file_missing_in_the_middle),
          RUN(recover, refuses_the_log_of_another_reactor_and_of_a_later_boot),
          RUN(recover, refuses_impossible_settings),
          RUN(recover, goes_on_over_the_end_of_a_file_without_seeing_damage))
