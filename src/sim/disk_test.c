#include "sim/fixture.h"

#define BLOCK 4096

static err write_file(struct env *e, const char *path, const u8 *bytes, size_t count, bool sync)
{
    struct file *f;
    err failed = e->ops->file_open(e, path, FILE_CREATE, &f);
    if (failed) return failed;
    failed = e->ops->file_pwrite(e, f, 0, bytes, count);
    if (!failed && sync) failed = e->ops->file_sync(e, f);
    e->ops->file_close(e, f);
    return failed;
}

static err read_file(struct env *e, const char *path, struct buf *out)
{
    buf_clear(out);
    return env_file_read(e, path, MIB, out);
}

static void power_cycle(struct fixture *f)
{
    disk_crash(f->hosts[1]->disk, true);
    disk_restarted(f->hosts[1]->disk);
}

TEST(disk, keeps_what_was_synced_with_its_name)
{
    u8 bytes[1000];
    struct buf got = {0};

    memset(bytes, 7, sizeof bytes);
    for (u64 seed = 1; seed <= 30; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct env *e = &f.hosts[1]->env;
        CHECK_OK(write_file(e, "a", bytes, sizeof bytes, true));
        CHECK_OK(e->ops->dir_sync(e, ""));
        power_cycle(&f);
        CHECK_OK(read_file(e, "a", &got));
        CHECK_EQ(got.len, sizeof bytes);
        CHECK(mem_equal(buf_bytes(&got), bytes, sizeof bytes));
        fixture_done(&f);
    }
    buf_done(&got);
}

TEST(disk, may_lose_a_name_whose_directory_was_not_synced)
{
    u8 bytes[100] = {0};
    struct buf got = {0};
    u32 lost = 0, kept = 0;

    for (u64 seed = 1; seed <= 60; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct env *e = &f.hosts[1]->env;
        CHECK_OK(write_file(e, "a", bytes, sizeof bytes, true));
        power_cycle(&f);
        err found = read_file(e, "a", &got);
        CHECK(found == OK || found == ERR_NOT_FOUND);
        *(found ? &lost : &kept) += 1;
        fixture_done(&f);
    }
    CHECK(lost > 5);
    CHECK(kept > 5);
    buf_done(&got);
}

TEST(disk, keeps_any_subset_of_the_sectors_of_an_unsynced_write)
{
    static u8 old[8 * 512], new[8 * 512];
    struct buf got = {0};
    u32 seen_mixed = 0, seen_hole = 0;

    memset(old, 1, sizeof old);
    memset(new, 2, sizeof new);
    for (u64 seed = 1; seed <= 100; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct env *e = &f.hosts[1]->env;
        CHECK_OK(write_file(e, "a", old, sizeof old, true));
        CHECK_OK(e->ops->dir_sync(e, ""));
        CHECK_OK(write_file(e, "a", new, sizeof new, false));
        power_cycle(&f);
        CHECK_OK(read_file(e, "a", &got));
        u32 news = 0, turns = 0;
        for (u32 s = 0; s < 8; s++) {
            const u8 *sector = buf_bytes(&got) + s * 512;
            for (u32 i = 1; i < 512; i++) CHECK_EQ(sector[i], sector[0]);
            news += sector[0] == 2;
            turns += s > 0 && sector[0] != sector[-512];
        }
        seen_mixed += news > 0 && news < 8;
        seen_hole += turns > 1;
        fixture_done(&f);
    }
    CHECK(seen_mixed > 20);
    CHECK(seen_hole > 10);
    buf_done(&got);
}

TEST(disk, survives_the_death_of_the_process_alone)
{
    u8 bytes[100] = {5};
    struct buf got = {0};
    struct fixture f;

    fixture_init(&f, 1);
    struct env *e = &f.hosts[1]->env;
    CHECK_OK(write_file(e, "a", bytes, sizeof bytes, false));
    disk_crash(f.hosts[1]->disk, false);
    disk_restarted(f.hosts[1]->disk);
    CHECK_OK(read_file(e, "a", &got));
    CHECK_EQ(got.len, sizeof bytes);
    fixture_done(&f);
    buf_done(&got);
}

TEST(disk, makes_a_submitted_write_durable_by_its_event)
{
    u8 *block = mem_alloc_aligned(BLOCK, BLOCK);
    struct buf got = {0};

    memset(block, 9, BLOCK);
    for (u64 seed = 1; seed <= 20; seed++) {
        struct fixture f;
        struct file *file;
        struct env_event ev;
        fixture_init(&f, seed);
        struct env *e = &f.hosts[1]->env;
        CHECK_OK(e->ops->file_open(e, "a", FILE_CREATE, &file));
        CHECK_OK(e->ops->dir_sync(e, ""));
        struct disk_op op = {.file = file, .offset = BLOCK, .data = block, .bytes = BLOCK};
        env_disk_submit(e, &op);
        CHECK(!fixture_take(f.hosts[1], ENV_DISK_DONE, &ev));
        fixture_run(&f, NANOS_SEC);
        CHECK(fixture_take(f.hosts[1], ENV_DISK_DONE, &ev));
        CHECK(ev.op == &op);
        CHECK_OK(ev.result);
        e->ops->file_close(e, file);
        power_cycle(&f);
        CHECK_OK(read_file(e, "a", &got));
        CHECK_EQ(got.len, 2 * BLOCK);
        CHECK(mem_equal(buf_bytes(&got) + BLOCK, block, BLOCK));
        fixture_done(&f);
    }
    buf_done(&got);
    mem_free(block);
}

TEST(disk, replaces_a_file_all_or_nothing_whatever_call_is_the_last)
{
    struct buf got = {0};
    u32 olds = 0, news = 0;

    for (u64 seed = 1; seed <= 200; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct env *e = &f.hosts[1]->env;
        CHECK_OK(env_file_replace(e, "id", STR("old")));
        disk_die_in(f.hosts[1]->disk, 1 + (u32)(seed % 8));
        (void)!env_file_replace(e, "id", STR("newer"));
        disk_die_in(f.hosts[1]->disk, 0);
        power_cycle(&f);
        CHECK_OK(read_file(e, "id", &got));
        bool is_old = str_equal(buf_str(&got), STR("old"));
        CHECK(is_old || str_equal(buf_str(&got), STR("newer")));
        *(is_old ? &olds : &news) += 1;
        fixture_done(&f);
    }
    CHECK(olds > 20);
    CHECK(news > 20);
    buf_done(&got);
}

TEST(disk, fails_writes_and_runs_full_when_told_to)
{
    u8 bytes[BLOCK] = {0};
    struct fixture f;
    struct file *file;
    err last = OK;

    fixture_init(&f, 1);
    struct env *e = &f.hosts[1]->env;
    CHECK_OK(e->ops->file_open(e, "a", FILE_CREATE, &file));
    CHECK_OK(e->ops->file_pwrite(e, file, 0, bytes, sizeof bytes));
    CHECK(!disk_explains(f.hosts[1]->disk));
    disk_fail_next_write(f.hosts[1]->disk);
    CHECK_EQ(e->ops->file_sync(e, file), ERR_IO);
    CHECK_OK(e->ops->file_sync(e, file));
    disk_set_full(f.hosts[1]->disk, true);
    CHECK_OK(e->ops->file_pwrite(e, file, 0, bytes, sizeof bytes)); /* in place */
    for (u64 at = BLOCK; at < MIB && !last; at += BLOCK) last = e->ops->file_pwrite(e, file, at, bytes, sizeof bytes);
    CHECK_EQ(last, ERR_NO_SPACE);
    disk_mend(f.hosts[1]->disk);
    CHECK_OK(e->ops->file_pwrite(e, file, MIB, bytes, sizeof bytes));
    e->ops->file_close(e, file);
    fixture_done(&f);
}

TEST(disk, lists_names_sorted_and_knows_directories)
{
    struct fixture f;
    struct buf names = {0};

    fixture_init(&f, 1);
    struct env *e = &f.hosts[1]->env;
    CHECK_OK(e->ops->dir_make(e, "wal"));
    CHECK_OK(e->ops->dir_make(e, "wal"));
    CHECK_OK(write_file(e, "wal/b", (const u8 *)"x", 1, false));
    CHECK_OK(write_file(e, "wal/a", (const u8 *)"x", 1, false));
    CHECK_OK(e->ops->dir_list(e, "wal", &names));
    CHECK_EQ(names.len, 4);
    CHECK(mem_equal(buf_bytes(&names), "a\0b\0", 4));
    CHECK_EQ(write_file(e, "none/a", (const u8 *)"x", 1, false), ERR_NOT_FOUND);
    CHECK_OK(e->ops->file_rename(e, "wal/a", "wal/c"));
    CHECK_OK(e->ops->file_unlink(e, "wal/b"));
    CHECK_EQ(e->ops->file_unlink(e, "wal/b"), ERR_NOT_FOUND);
    buf_clear(&names);
    CHECK_OK(e->ops->dir_list(e, "wal", &names));
    CHECK(mem_equal(buf_bytes(&names), "c\0", 2));
    buf_done(&names);
    fixture_done(&f);
}

TEST_MAIN(RUN(disk, keeps_what_was_synced_with_its_name),
          RUN(disk, may_lose_a_name_whose_directory_was_not_synced),
          RUN(disk, keeps_any_subset_of_the_sectors_of_an_unsynced_write),
          RUN(disk, survives_the_death_of_the_process_alone), RUN(disk, makes_a_submitted_write_durable_by_its_event),
          RUN(disk, replaces_a_file_all_or_nothing_whatever_call_is_the_last),
          RUN(disk, fails_writes_and_runs_full_when_told_to), RUN(disk, lists_names_sorted_and_knows_directories))
