/* Files that are deleted are cut off piece by piece, and only those. */
#include "base/test.h"
#include "store/rocks_sweep.h"
#include "store/test_dir.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static int make_file(struct test_dir *dir, const char *name, size_t bytes)
{
    static const char zeros[64 * KIB];
    int fd = open(test_dir_path(dir, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    for (size_t at = 0; at < bytes;) {
        ssize_t put = write(fd, zeros, size_min(sizeof zeros, bytes - at));
        CHECK(put > 0);
        at += (size_t)put;
    }
    CHECK_EQ(fsync(fd), 0);
    return fd;
}

static u64 size_of(int fd)
{
    struct stat st;
    CHECK_EQ(fstat(fd, &st), 0);
    return (u64)st.st_size;
}

/* Until as many are held, and nothing is left of what was deleted. */
static struct sweep_stats wait_until_held(struct sweep *s, u64 files)
{
    struct sweep_stats now;

    for (u32 tries = 0; tries < 20000; tries++) {
        sweep_stats(s, &now);
        if (now.files == files && !now.bytes) return now;
        (void)poll(NULL, 0, 1);
    }
    fail_msg("%llu files are held, %llu bytes are left", (unsigned long long)now.files, (unsigned long long)now.bytes);
    return now;
}

static bool has_room(struct test_dir *dir)
{
    struct statvfs v;
    CHECK_EQ(statvfs(dir->root, &v), 0);
    if ((u64)v.f_bavail * v.f_frsize > 3 * SWEEP_BYTES_MAX) return true;
    print_message("skipped: %s has less than %llu bytes free, where files go at once\n", dir->root,
                  (unsigned long long)(3 * SWEEP_BYTES_MAX));
    return false;
}

TEST(sweep, a_deleted_file_goes_piece_by_piece)
{
    struct test_dir dir;
    test_dir_make(&dir);
    if (!has_room(&dir)) {
        test_dir_remove(&dir);
        skip();
    }
    int old = make_file(&dir, "000001.sst", 2 * SWEEP_PIECE_BYTES);
    struct sweep *s = sweep_begin(dir.root);
    CHECK(s);
    int new = make_file(&dir, "000002.sst", 5 * SWEEP_PIECE_BYTES + 123), other = make_file(&dir, "LOG", 3 * SWEEP_PIECE_BYTES);
    wait_until_held(s, 2);
    CHECK_EQ(size_of(new), 5 * SWEEP_PIECE_BYTES + 123); /* nothing before it is deleted */
    CHECK_EQ(unlink(test_dir_path(&dir, "000002.sst")), 0);
    CHECK_EQ(unlink(test_dir_path(&dir, "LOG")), 0);
    CHECK_EQ(wait_until_held(s, 1).pieces, 6);
    CHECK_EQ(size_of(new), 123); /* the rest of it went with its descriptor there */
    CHECK_EQ(unlink(test_dir_path(&dir, "000001.sst")), 0);
    CHECK_EQ(wait_until_held(s, 0).pieces, 8);
    CHECK_EQ(size_of(old), SWEEP_PIECE_BYTES);
    CHECK_EQ(size_of(other), 3 * SWEEP_PIECE_BYTES); /* not a table */
    sweep_end(s);
    close(old);
    close(new);
    close(other);
    test_dir_remove(&dir);
}

TEST(sweep, what_has_another_name_stays_whole)
{
    struct test_dir dir;
    char from[400];
    test_dir_make(&dir);
    struct sweep *s = sweep_begin(dir.root);
    CHECK(s);
    int fd = make_file(&dir, "000001.sst", 2 * SWEEP_PIECE_BYTES);
    wait_until_held(s, 1);
    snprintf(from, sizeof from, "%s", test_dir_path(&dir, "000001.sst"));
    CHECK_EQ(link(from, test_dir_path(&dir, "backup")), 0);
    CHECK_EQ(unlink(from), 0);
    CHECK_EQ(wait_until_held(s, 0).pieces, 0);
    CHECK_EQ(size_of(fd), 2 * SWEEP_PIECE_BYTES);
    sweep_end(s);
    close(fd);
    test_dir_remove(&dir);
}

TEST(sweep, the_oldest_is_let_go_when_there_are_too_many)
{
    struct test_dir dir;
    char name[32];
    test_dir_make(&dir);
    struct sweep *s = sweep_begin(dir.root);
    CHECK(s);
    int first = make_file(&dir, "000000.sst", 2 * SWEEP_PIECE_BYTES);
    for (u32 i = 1; i <= SWEEP_FILES_MAX; i++) {
        snprintf(name, sizeof name, "%06u.sst", i);
        close(make_file(&dir, name, 1));
    }
    wait_until_held(s, SWEEP_FILES_MAX);
    CHECK_EQ(unlink(test_dir_path(&dir, "000000.sst")), 0);
    CHECK_EQ(unlink(test_dir_path(&dir, "000002.sst")), 0);
    CHECK_EQ(wait_until_held(s, SWEEP_FILES_MAX - 1).pieces, 1);
    CHECK_EQ(size_of(first), 2 * SWEEP_PIECE_BYTES);
    sweep_end(s);
    close(first);
    test_dir_remove(&dir);
}

TEST_MAIN(RUN(sweep, a_deleted_file_goes_piece_by_piece), RUN(sweep, what_has_another_name_stays_whole),
          RUN(sweep, the_oldest_is_let_go_when_there_are_too_many))
