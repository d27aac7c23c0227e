/* A file system that fills up: writes are refused with ERR_NO_SPACE, reads go on, and writes return
 * when space does. Needs the right to mount a small tmpfs; skipped without. */
#include "base/test.h"
#include "store/test_dir.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { DISK = 48 * 1024 * 1024, VALUE = 64 * 1024 };

/* Takes all the space but `leave` bytes. */
static void fill_disk(struct test_dir *dir, size_t leave)
{
    int fd = open(test_dir_path(dir, "ballast"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    u8 *block = mem_zalloc(64 * KIB);
    off_t size = 0;
    ssize_t n;
    while ((n = write(fd, block, 64 * KIB)) > 0) size += n;
    CHECK_EQ(ftruncate(fd, size > (off_t)leave ? size - (off_t)leave : 0), 0);
    mem_free(block);
    close(fd);
}

static err put(struct kvs *k, u32 i, u8 mark, size_t bytes)
{
    char key[16];
    u8 *value = mem_zalloc(bytes);
    u64 x = i + 1; /* not compressible */
    for (size_t j = 0; j + 8 <= bytes; j += 8) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        put_u64(value + j, x);
    }
    value[0] = mark;
    int len = snprintf(key, sizeof key, "k%u", i);
    struct kvs_row row = {str_from(key, (size_t)len), str_from(value, bytes), false};
    err e = k->ops->ingest(k, NULL, 0, &row, 1);
    mem_free(value);
    return e;
}

static u8 mark_of(struct kvs *k, u32 i)
{
    char key[16];
    int len = snprintf(key, sizeof key, "k%u", i);
    struct buf out = {0};
    bool found;
    CHECK_OK(k->ops->get(k, str_from(key, (size_t)len), &out, &found));
    u8 mark = found ? buf_bytes(&out)[0] : 0;
    buf_done(&out);
    return mark;
}

static bool mount_small(const char *path)
{
    char data[64];
    snprintf(data, sizeof data, "size=%d", DISK);
    return mkdir(path, 0700) == 0 && mount("tmpfs", path, "tmpfs", 0, data) == 0;
}

static err try_open(struct test_dir *dir, struct kvs **k)
{
    struct kvs_rocks_options options = {.block_cache_bytes = 4 * MIB, .threads = 1};
    char problem[256];
    return kvs_rocks_open(test_dir_path(dir, "db"), &options, k, problem, sizeof problem);
}

static struct kvs *open_rocks(struct test_dir *dir)
{
    struct kvs *k = NULL;
    CHECK_OK(try_open(dir, &k));
    return k;
}

TEST(rocks, a_full_disk_refuses_writes_and_serves_reads_until_there_is_space_again)
{
    struct test_dir outer, dir;
    test_dir_make(&outer);
    snprintf(dir.root, sizeof dir.root, "%.200s/disk", outer.root);
    if (!mount_small(dir.root)) {
        test_dir_remove(&outer);
        skip();
    }
    struct kvs *k = open_rocks(&dir);
    for (u32 i = 0; i < 20; i++) CHECK_OK(put(k, i, 1, VALUE));

    static const size_t left[] = {0, 4096, 200 * 1024, 1024 * 1024, 8 * 1024 * 1024 + 100 * 1024};
    for (u32 round = 0; round < ARRAY_LEN(left); round++) {
        fill_disk(&dir, left[round]);
        for (u32 i = 0; i < 4; i++) CHECK_EQ(put(k, i, 2, 512 * 1024), ERR_NO_SPACE);
        CHECK(strstr(k->ops->problem(k), "No space left") || round == 0 || !*k->ops->problem(k));
        for (u32 i = 0; i < 20; i++) CHECK_EQ(mark_of(k, i), 1);
        unlink(test_dir_path(&dir, "ballast"));
    }
    CHECK_OK(put(k, 3, 3, VALUE));
    CHECK_EQ(mark_of(k, 3), 3);
    k->ops->close(k);
    k = open_rocks(&dir);
    CHECK_EQ(mark_of(k, 3), 3);
    CHECK_EQ(mark_of(k, 4), 1);
    fill_disk(&dir, 0);
    k->ops->close(k);
    fill_disk(&dir, 0); /* closing gave some back */
    CHECK_EQ(try_open(&dir, &k), ERR_NO_SPACE);
    umount(dir.root);
    test_dir_remove(&outer);
}

TEST_MAIN(RUN(rocks, a_full_disk_refuses_writes_and_serves_reads_until_there_is_space_again))
