/* Shared by disk.c (the file calls), disk_names.c (directories) and disk_crash.c (what a crash leaves). */
#pragma once

#include "base/list.h"
#include "sim/disk.h"
#include "sim/host.h"

#define SECTOR 512
#define DISK_PROOFS 64

struct unsynced { /* one blocking write or truncation in the page cache */
    u64 offset, bytes; /* bytes 0: a truncation to `offset` */
    u8 *data;          /* owned */
};

struct inode {
    u32 refs; /* live name, durable name, open handles */
    bool is_dir;
    struct buf live, durable; /* what reads see; what a power cut leaves */
    struct unsynced *unsynced; /* owned array, in order */
    u32 unsynced_count, unsynced_cap;
};

struct name { /* path -> inode, sorted by path */
    char *path; /* owned */
    struct inode *inode;
};

struct names {
    struct name *items; /* owned */
    u32 count, cap;
};

struct name_change { /* made, but its directory is not synced yet */
    char *path;          /* owned */
    struct inode *inode; /* NULL: the name is gone */
};

struct file { /* an open handle */
    struct list link;
    struct disk *disk;
    struct inode *inode;
    bool read_only, closed;
};

struct write { /* a submitted write in flight */
    struct list link;
    struct disk *disk;
    struct disk_op *op;
    struct inode *inode; /* a reference */
    nanos submitted_at;  /* by the host's own time: after a pause it is later than the world's */
    u32 boot;
    bool fails;
};

struct proof { /* a submitted write that has ended */
    struct inode *inode; /* a reference */
    u64 offset, bytes;
    nanos submitted_at, ended_at;
};

struct disk {
    struct host *host;
    struct disk_character character;
    struct names live, durable;
    struct name_change *changes; /* owned, in order */
    u32 change_count, change_cap;
    struct list handles, writes;

    struct inode *written_last; /* a reference: where the latest submitted write went */
    nanos rotation_crash_within; /* 0: not armed */

    u32 die_in; /* calls left; 0: not armed */
    bool dead;
    bool fail_next_write, explains, corrupted;
    u64 capacity; /* 0: no limit; else what all files together may hold */
    u32 read_fail_ppm;
    bool read_failed; /* since disk_trust */
    nanos stalled_until;
    struct proof proofs[DISK_PROOFS]; /* a ring of the latest */
    u32 proof_count, flips;
};

static inline struct prng *disk_chance(struct disk *d)
{
    return world_chance(d->host->world, CHANCE_DISK);
}

/* Is there room for this many more bytes? Running out is remembered as an explanation. */
bool disk_has_room(struct disk *d, u64 more);

/* One blocking call: counts towards death, takes time. ERR_IO once dead. */
MUST_USE err disk_call(struct disk *d);

struct inode *inode_new(bool is_dir);
void inode_unref(struct inode *i);
static inline struct inode *inode_ref(struct inode *i) { i->refs++; return i; }
void inode_drop_unsynced(struct inode *i);
void inode_remember_unsynced(struct inode *i, u64 offset, const void *data, size_t bytes);
/* Put bytes at an offset, growing the file with zeros. */
void image_put(struct buf *image, u64 offset, const void *data, size_t bytes);
void image_resize(struct buf *image, u64 bytes);

struct inode *names_find(const struct names *n, const char *path);
void names_put(struct names *n, const char *path, struct inode *inode); /* takes its own reference */
void names_remove(struct names *n, const char *path);
void names_clear(struct names *n);

err disk_dir_make(struct env *env, const char *path);
err disk_dir_sync(struct env *env, const char *path);
err disk_dir_list(struct env *env, const char *path, struct buf *names);
err disk_dir_lock(struct env *env, const char *path, u64 *holder_pid);
err disk_file_rename(struct env *env, const char *from, const char *to);
err disk_file_unlink(struct env *env, const char *path);
/* Create a name (its directory must exist). */
err disk_name_make(struct disk *d, const char *path, bool is_dir, struct inode **out);
