/* The catalog comes back as it was written, or is refused. */
#include "base/test.h"
#include "base/mem.h"
#include "server/replicas.h"

#define BYTES_MAX 4096

static struct disk { /* of two files: the catalog and its next version */
    struct disk_file {
        u8 bytes[BYTES_MAX];
        size_t len;
        bool is_there;
    } now, next;
} disk;

static struct disk_file *file_of(struct file *f) { return (struct disk_file *)(void *)f; }

static err op_open(struct env *e, const char *path, u32 flags, struct file **out)
{
    struct disk_file *f = strstr(path, ".tmp") ? &disk.next : &disk.now;
    (void)e;
    if (!f->is_there && !(flags & FILE_CREATE)) return ERR_NOT_FOUND;
    f->is_there = true;
    *out = (struct file *)(void *)f;
    return OK;
}
static void op_close(struct env *e, struct file *f) { (void)e, (void)f; }
static err op_truncate(struct env *e, struct file *f, u64 bytes)
{
    (void)e;
    file_of(f)->len = (size_t)bytes;
    return OK;
}
static err op_write(struct env *e, struct file *f, u64 at, const void *from, size_t bytes)
{
    (void)e;
    CHECK(at + bytes <= BYTES_MAX);
    mem_copy(file_of(f)->bytes + at, from, bytes);
    file_of(f)->len = (size_t)at + bytes;
    return OK;
}
static err op_size(struct env *e, struct file *f, u64 *out)
{
    (void)e;
    *out = file_of(f)->len;
    return OK;
}
static err op_read(struct env *e, struct file *f, u64 at, void *to, size_t bytes, size_t *got)
{
    (void)e;
    *got = size_min(bytes, file_of(f)->len - (size_t)at);
    mem_copy(to, file_of(f)->bytes + at, *got);
    return OK;
}
static err op_sync(struct env *e, struct file *f) { return (void)e, (void)f, OK; }
static err op_rename(struct env *e, const char *from, const char *to)
{
    (void)e, (void)from, (void)to;
    disk.now = disk.next;
    return OK;
}
static err op_dir_sync(struct env *e, const char *path) { return (void)e, (void)path, OK; }

static const struct env_ops ops = {.file_open = op_open,
                                   .file_close = op_close,
                                   .file_truncate = op_truncate,
                                   .file_pwrite = op_write,
                                   .file_size = op_size,
                                   .file_pread = op_read,
                                   .file_sync = op_sync,
                                   .file_rename = op_rename,
                                   .dir_sync = op_dir_sync};
static struct env env = {.ops = &ops};

/* Two replicas: a founder that runs, and one that is being deleted; made by the map of epoch 77. */
static void write_two(void)
{
    struct replicas r = {.env = &env, .epoch = 77};
    struct replica_row founder = {.part = 3, .replica = 2, .machine = REPLICA_REDIS, .started = true, .keyspace = 16};
    struct replica_row going = {.part = 1, .replica = 5, .machine = REPLICA_CORE, .deleting = true};

    struct raft_config members = {0};
    struct buf encoded = {0};

    disk = (struct disk){0};
    raft_config_found(&members, 1);
    raft_config_found(&members, 2);
    raft_config_encode(&members, &encoded);
    founder.founders = buf_str(&encoded);
    replicas_add(&r, &founder);
    buf_done(&encoded);
    replicas_add(&r, &going);
    CHECK_OK(replicas_save(&r));
    replicas_done(&r);
}

TEST(replicas, come_back_as_they_were_written)
{
    struct replicas r;
    bool found;

    write_two();
    CHECK_OK(replicas_open(&env, &r, &found));
    CHECK(found);
    CHECK_EQ(r.count, 2);
    CHECK_EQ(r.epoch, 77); /* an older map is not believed after a restart either */
    CHECK_EQ(replicas_find(&r, 3)->replica, 2);
    CHECK(replicas_find(&r, 3)->started && !replicas_find(&r, 3)->deleting);
    struct raft_config members;
    CHECK_OK(raft_config_decode(replicas_find(&r, 3)->founders, &members));
    CHECK_EQ(members.count, 2);
    CHECK(replicas_find(&r, 1)->deleting);
    CHECK_EQ(replicas_find(&r, 1)->founders.len, 0);
    replicas_done(&r);
}

TEST(replicas, no_file_is_no_replicas)
{
    struct replicas r;
    bool found;

    disk = (struct disk){0};
    CHECK_OK(replicas_open(&env, &r, &found));
    CHECK(!found && r.count == 0);
    replicas_done(&r);
}

TEST(replicas, any_flipped_bit_is_noticed)
{
    struct replicas r;
    bool found;

    write_two();
    for (size_t i = 0; i < disk.now.len; i++) {
        disk.now.bytes[i] ^= 4;
        CHECK(replicas_open(&env, &r, &found) != OK);
        replicas_done(&r);
        disk.now.bytes[i] ^= 4;
    }
}

TEST_MAIN(RUN(replicas, come_back_as_they_were_written), RUN(replicas, no_file_is_no_replicas),
          RUN(replicas, any_flipped_bit_is_noticed))
