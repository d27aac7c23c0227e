/* Looking at a log from outside: every unit is shown, nothing is changed. */
#include "wal/wal_test_rig.h"

struct seen {
    struct wal_unit_info units[64];
    u32 count, frames, damages;
};

static void on_unit(void *context, const struct wal_unit_info *u)
{
    struct seen *s = context;

    assert(s->count < ARRAY_LEN(s->units));
    s->units[s->count++] = *u;
}

static void on_frame(void *context, const struct wal_replayed *f)
{
    (void)f;
    ((struct seen *)context)->frames++;
}

static void on_damage(void *context, const struct wal_damage *d)
{
    (void)d;
    ((struct seen *)context)->damages++;
}

static struct seen inspect(struct rig *r)
{
    struct seen s = {0};

    CHECK_OK(wal_inspect(&r->f->env, RIG_DIR, on_unit, on_frame, on_damage, &s));
    return s;
}

static struct rig *log_of(u32 units)
{
    struct rig *r = rig_new(7);

    CHECK_OK(rig_open(r));
    for (u32 i = 0; i < units; i++) {
        rig_entry(r, 0, 3000);
        CHECK_OK(rig_settle(r));
    }
    return r;
}

TEST(inspect, shows_every_unit_of_every_file_in_order)
{
    struct rig *r = log_of(20);
    struct seen s = inspect(r);

    CHECK_EQ(s.count, 21); /* and the empty one of the open */
    CHECK_EQ(s.frames, 20);
    CHECK_EQ(s.damages, 0);
    for (u32 i = 0; i < s.count; i++) {
        CHECK(s.units[i].valid && !s.units[i].problem);
        CHECK_EQ(s.units[i].frames, i > 0);
        if (i) CHECK(s.units[i].lsn > s.units[i - 1].lsn);
    }
    CHECK_EQ(s.units[0].file_seq, 1);
    CHECK_EQ(s.units[20].file_seq, 2);
    rig_free(r);
}

TEST(inspect, changes_nothing)
{
    struct rig *r = log_of(5);
    u64 steps = r->f->steps;

    inspect(r);
    CHECK(r->f->steps == steps);
    rig_free(r);
}

TEST(inspect, names_damage_and_shows_what_follows)
{
    struct rig *r = log_of(6);

    CHECK_OK(rig_prove(r));
    fake_rot(rig_file(r, 1), 3 * WAL_BLOCK + 100, 1);
    struct seen s = inspect(r);
    CHECK_EQ(s.count, 8);
    CHECK(!s.units[2].valid && s.units[2].problem);
    CHECK(!strcmp(s.units[2].problem, "checksum"));
    CHECK(s.units[3].valid);
    CHECK_EQ(s.damages, 1);
    CHECK_EQ(s.frames, 5);
    rig_free(r);
}

TEST(inspect, shows_a_torn_tail_as_no_damage)
{
    struct rig *r = log_of(3);

    fake_rot(rig_file(r, 1), 4 * WAL_BLOCK + 100, 1);
    struct seen s = inspect(r);
    CHECK_EQ(s.count, 4);
    CHECK(!s.units[3].valid);
    CHECK_EQ(s.damages, 0);
    rig_free(r);
}

TEST(inspect, says_so_when_there_is_no_log)
{
    struct rig *r = rig_new(7);
    struct seen s = {0};

    CHECK_EQ(wal_inspect(&r->f->env, RIG_DIR, on_unit, on_frame, on_damage, &s), ERR_NOT_FOUND);
    rig_free(r);
}

TEST_MAIN(RUN(inspect, shows_every_unit_of_every_file_in_order), RUN(inspect, changes_nothing),
          RUN(inspect, names_damage_and_shows_what_follows),
          RUN(inspect, shows_a_torn_tail_as_no_damage), RUN(inspect, says_so_when_there_is_no_log))
