#include "sim/disk_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/faults.h"

#include <string.h>

#define SLOW_FACTOR 50
#define JOB_MAX (3 * NANOS_SEC)
#define STALL_LOOK (100 * NANOS_MS)
#define ALIGNMENT 4096
#define ENGINE_STEP_BYTES (64 * KIB) /* what a checkpoint needs to find free */

static struct disk *disk_of(struct env *env) { return CONTAINER_OF(env, struct host, env)->disk; }

/* ---- inodes ---- */

struct inode *inode_new(bool is_dir)
{
    struct inode *i = mem_zalloc(sizeof *i);
    i->refs = 1;
    i->is_dir = is_dir;
    return i;
}

void inode_drop_unsynced(struct inode *i)
{
    for (u32 k = 0; k < i->unsynced_count; k++) mem_free(i->unsynced[k].data);
    i->unsynced_count = 0;
}

void inode_unref(struct inode *i)
{
    if (!i || --i->refs > 0) return;
    inode_drop_unsynced(i);
    mem_free(i->unsynced);
    buf_done(&i->live);
    buf_done(&i->durable);
    mem_free(i);
}

void image_resize(struct buf *image, u64 bytes)
{
    if (bytes <= image->len) {
        buf_truncate(image, (size_t)bytes);
        return;
    }
    size_t more = (size_t)bytes - image->len;
    memset(buf_reserve(image, more), 0, more);
    buf_extend(image, more);
}

void image_put(struct buf *image, u64 offset, const void *data, size_t bytes)
{
    if (offset + bytes > image->len) image_resize(image, offset + bytes);
    mem_copy(buf_bytes(image) + offset, data, bytes);
}

void inode_remember_unsynced(struct inode *i, u64 offset, const void *data, size_t bytes)
{
    if (i->unsynced_count == i->unsynced_cap) {
        i->unsynced_cap = i->unsynced_cap ? i->unsynced_cap * 2 : 8;
        i->unsynced = mem_resize_array(i->unsynced, i->unsynced_cap, sizeof *i->unsynced);
    }
    i->unsynced[i->unsynced_count++] =
        (struct unsynced){.offset = offset, .bytes = bytes, .data = bytes ? mem_copy_of(data, bytes) : NULL};
}

/* ---- every call ---- */

err disk_call(struct disk *d)
{
    if (d->dead) return ERR_IO;
    host_call(d->host);
    d->host->ahead += chance_exponential(disk_chance(d), d->character.call_base);
    if (d->die_in > 0 && --d->die_in == 0) {
        world_say(d->host->world, d->host, "dies at this disk call");
        d->dead = true;
        return ERR_IO;
    }
    return OK;
}

err disk_engine_call(struct disk *d, bool writes)
{
    err failed = disk_call(d);
    if (failed) return failed;
    if (!writes) return OK;
    if (!disk_has_room(d, ENGINE_STEP_BYTES)) return ERR_NO_SPACE;
    if (d->fail_next_write) {
        world_say(d->host->world, d->host, "EIO in the engine");
        d->fail_next_write = false;
        d->explains = true;
        return ERR_IO;
    }
    return OK;
}

/* ---- blocking file calls ---- */

static err file_open(struct env *env, const char *path, u32 flags, struct file **out)
{
    struct disk *d = disk_of(env);
    err failed = disk_call(d);
    if (failed) return failed;

    struct inode *i = names_find(&d->live, path);
    if (i && (flags & FILE_EXCLUSIVE)) return ERR_EXISTS;
    if (!i && !(flags & FILE_CREATE)) return ERR_NOT_FOUND;
    if (!i) {
        failed = disk_name_make(d, path, false, &i);
        if (failed) return failed;
    }
    if (i->is_dir) return ERR_IO;
    struct file *f = mem_zalloc(sizeof *f);
    f->disk = d;
    f->inode = inode_ref(i);
    f->read_only = flags & FILE_READ_ONLY;
    list_push(&d->handles, &f->link);
    *out = f;
    return OK;
}

static void file_close(struct env *env, struct file *f)
{
    (void)env;
    assert(!f->closed);
    list_remove(&f->link);
    inode_unref(f->inode);
    mem_free(f);
}

static err file_size(struct env *env, struct file *f, u64 *out)
{
    err failed = disk_call(disk_of(env));
    if (failed) return failed;
    *out = f->inode->live.len;
    return OK;
}

static err file_pread(struct env *env, struct file *f, u64 offset, void *to, size_t bytes, size_t *out_bytes)
{
    struct disk *d = disk_of(env);
    err failed = disk_call(d);
    if (failed) return failed;
    if (d->read_fail_ppm && prng_chance(disk_chance(d), d->read_fail_ppm)) {
        world_say(d->host->world, d->host, "EIO on a read");
        d->explains = d->read_failed = true;
        return ERR_IO;
    }
    const struct buf *image = &f->inode->live;
    size_t got = offset >= image->len ? 0 : size_min(bytes, image->len - (size_t)offset);
    if (got > 0) mem_copy(to, buf_bytes(image) + offset, got);
    *out_bytes = got;
    return OK;
}

static err file_pwrite(struct env *env, struct file *f, u64 offset, const void *from, size_t bytes)
{
    struct disk *d = disk_of(env);
    err failed = disk_call(d);
    if (failed) return failed;
    assert(!f->read_only);
    u64 end = offset + bytes, len = f->inode->live.len;
    if (end > len && !disk_has_room(d, end - len)) return ERR_NO_SPACE;
    world_trace_bytes(d->host->world, from, bytes);
    image_put(&f->inode->live, offset, from, bytes);
    inode_remember_unsynced(f->inode, offset, from, bytes);
    return OK;
}

static err file_sync(struct env *env, struct file *f)
{
    struct disk *d = disk_of(env);
    err failed = disk_call(d);
    if (failed) return failed;
    if (d->fail_next_write) {
        world_say(d->host->world, d->host, "EIO on a sync");
        d->fail_next_write = false;
        d->explains = true;
        return ERR_IO;
    }
    struct inode *i = f->inode;
    for (u32 k = 0; k < i->unsynced_count; k++) {
        const struct unsynced *u = &i->unsynced[k];
        if (u->bytes)
            image_put(&i->durable, u->offset, u->data, u->bytes);
        else
            image_resize(&i->durable, u->offset);
    }
    inode_drop_unsynced(i);
    return OK;
}

static err file_truncate(struct env *env, struct file *f, u64 bytes)
{
    struct disk *d = disk_of(env);
    err failed = disk_call(d);
    if (failed) return failed;
    u64 len = f->inode->live.len;
    if (bytes > len && !disk_has_room(d, bytes - len)) return ERR_NO_SPACE;
    image_resize(&f->inode->live, bytes);
    inode_remember_unsynced(f->inode, bytes, NULL, 0);
    return OK;
}

/* ---- submitted writes ---- */

static void write_free(struct write *wr)
{
    list_remove(&wr->link);
    inode_unref(wr->inode);
    mem_free(wr);
}

static void remember_proof(struct disk *d, const struct write *wr)
{
    struct proof *p = &d->proofs[d->proof_count++ % DISK_PROOFS];
    inode_unref(p->inode);
    *p = (struct proof){.inode = inode_ref(wr->inode), .offset = wr->op->offset, .bytes = wr->op->bytes,
                        .submitted_at = wr->submitted_at, .ended_at = d->host->world->now};
}

/* What a killed process left of older writes in the page cache must not come over newer ones. */
static void supersede(struct inode *i, const struct disk_op *op)
{
    for (u32 k = 0; k < i->unsynced_count; k++) {
        struct unsynced *u = &i->unsynced[k];
        u64 from = u64_max(u->offset, op->offset), to = u64_min(u->offset + u->bytes, op->offset + op->bytes);
        if (from < to) mem_copy(u->data + (from - u->offset), op->data + (from - op->offset), (size_t)(to - from));
    }
}

static void fire_disk(struct world *w, void *context, u64 arg)
{
    struct write *wr = context;
    struct disk *d = wr->disk;
    struct host *h = d->host;

    (void)arg;
    if (wr->boot != h->boot || !h->up) { /* the crash has taken what it wanted of it */
        mem_free(wr);
        return;
    }
    if (w->now < d->stalled_until) {
        nanos look = u64_min(d->stalled_until, w->now + STALL_LOOK); /* a mended disk goes on */
        world_at(w, look, EVENT_DISK, h->id, fire_disk, wr, arg);
        return;
    }
    if (d->die_in > 0 && --d->die_in == 0) {
        d->dead = true;
        host_crash(h, chance_one_in(world_chance(w, CHANCE_CRASH), 2), "died at the end of a write");
        mem_free(wr);
        return;
    }
    struct disk_op *op = wr->op;
    op->result = wr->fails ? ERR_IO : OK;
    if (!wr->fails) {
        image_put(&wr->inode->live, op->offset, op->data, op->bytes);
        image_put(&wr->inode->durable, op->offset, op->data, op->bytes);
        supersede(wr->inode, op);
        remember_proof(d, wr);
    }
    write_free(wr);
    host_push(h, &(struct env_event){.kind = ENV_DISK_DONE, .op = op, .result = op->result});
}

static void fire_power_cut(struct world *w, void *context, u64 arg)
{
    (void)arg;
    if (!faults_are_over(w)) host_crash(context, true, "power cut");
}

static void fire_rotation_crash(struct world *w, void *context, u64 boot)
{
    struct host *h = context;

    if (h->boot != boot) return;
    /* A killed process leaves in the page cache what the next one must not take for durable: power goes soon after. */
    bool killed = chance_one_in(world_chance(w, CHANCE_CRASH), 2);
    host_crash(h, !killed, "ends as a new file begins");
    if (!killed) return;
    nanos wait = chance_between(world_chance(w, CHANCE_CRASH), 10 * NANOS_MS, 3 * NANOS_SEC);
    world_at(w, w->now + wait, EVENT_CRASH, h->id, fire_power_cut, h, 0);
}

static void note_rotation(struct disk *d, struct inode *inode)
{
    struct host *h = d->host;

    if (d->rotation_crash_within && d->written_last && d->written_last != inode) {
        nanos wait = prng_below(disk_chance(d), d->rotation_crash_within);
        d->rotation_crash_within = 0;
        world_at(h->world, host_now(h) + wait, EVENT_CRASH, h->id, fire_rotation_crash, h, h->boot);
    }
    if (d->written_last == inode) return;
    inode_unref(d->written_last);
    d->written_last = inode_ref(inode);
}

static void disk_submit(struct env *env, struct disk_op *op)
{
    struct disk *d = disk_of(env);
    struct host *h = d->host;
    struct prng *p = disk_chance(d);

    host_call(h);
    if (d->dead || !h->up) return;
    assert(op->offset % ALIGNMENT == 0 && op->bytes % ALIGNMENT == 0 && op->bytes > 0);
    assert((uintptr_t)op->data % ALIGNMENT == 0);
    world_trace_bytes(h->world, op->data, op->bytes);
    world_trace(h->world, op->offset);
    note_rotation(d, op->file->inode);

    struct write *wr = mem_zalloc(sizeof *wr);
    *wr = (struct write){.disk = d, .op = op, .inode = inode_ref(op->file->inode), .submitted_at = host_now(h),
                         .boot = h->boot};
    list_push(&d->writes, &wr->link);
    if (d->fail_next_write) {
        world_say(h->world, h, "EIO on a write");
        d->fail_next_write = false;
        d->explains = wr->fails = true;
    }
    nanos lasts = d->character.write_base + chance_exponential(p, d->character.write_jitter) + op->bytes / 2;
    if (prng_chance(p, d->character.slow_ppm)) lasts *= SLOW_FACTOR;
    world_at(h->world, host_now(h) + lasts, EVENT_DISK, h->id, fire_disk, wr, op->offset);
}

void disk_ops_fill(struct env_ops *ops)
{
    ops->disk_submit = disk_submit;
    ops->file_open = file_open;
    ops->file_close = file_close;
    ops->file_size = file_size;
    ops->file_pread = file_pread;
    ops->file_pwrite = file_pwrite;
    ops->file_sync = file_sync;
    ops->file_truncate = file_truncate;
    ops->file_rename = disk_file_rename;
    ops->file_unlink = disk_file_unlink;
    ops->dir_make = disk_dir_make;
    ops->dir_sync = disk_dir_sync;
    ops->dir_list = disk_dir_list;
    ops->dir_lock = disk_dir_lock;
}

/* ---- the disk ---- */

struct disk *disk_new(struct host *h, const struct disk_character *character)
{
    struct disk *d = mem_zalloc(sizeof *d);

    d->host = h;
    d->character = *character;
    h->env.direct_refused = character->buffered;
    list_init(&d->handles);
    list_init(&d->writes);
    struct inode *root = inode_new(true);
    names_put(&d->live, "", root);
    names_put(&d->durable, "", root);
    inode_unref(root);
    return d;
}

nanos disk_job_delay(struct disk *d)
{
    return u64_min(chance_exponential(disk_chance(d), d->character.job_mean), JOB_MAX);
}

u64 disk_bytes(const struct disk *d)
{
    u64 sum = 0;
    for (u32 i = 0; i < d->live.count; i++) sum += d->live.items[i].inode->live.len;
    return sum;
}

void disk_crash_at_rotation(struct disk *d, nanos within) { d->rotation_crash_within = within; }
void disk_die_in(struct disk *d, u32 calls) { d->die_in = calls; }
bool disk_is_dead(const struct disk *d) { return d->dead; }
void disk_fail_next_write(struct disk *d) { d->fail_next_write = true; }
void disk_fail_reads(struct disk *d, u32 ppm) { d->read_fail_ppm = ppm; }
void disk_stall(struct disk *d, nanos until) { d->stalled_until = u64_max(d->stalled_until, until); }
bool disk_explains(const struct disk *d) { return d->explains || d->capacity; }
bool disk_is_full(const struct disk *d) { return d->capacity; }
bool disk_is_corrupted(const struct disk *d) { return d->corrupted; }
bool disk_is_doubtful(const struct disk *d) { return d->corrupted || d->read_failed; }
void disk_trust(struct disk *d) { d->read_failed = false; }

bool disk_has_room(struct disk *d, u64 more)
{
    if (d->capacity == 0 || disk_bytes(d) + more <= d->capacity) return true;
    d->explains = true; /* for this life: what it failed at may be noticed later */
    return false;
}

void disk_set_full(struct disk *d, bool full)
{
    d->capacity = full ? disk_bytes(d) + prng_below(disk_chance(d), 2 * ENGINE_STEP_BYTES) : 0;
}

void disk_mend(struct disk *d)
{
    d->capacity = 0;
    d->fail_next_write = false;
    d->read_fail_ppm = 0;
    d->stalled_until = 0;
    d->character.slow_ppm = 0;
    d->rotation_crash_within = 0;
    d->character.job_mean = u64_min(d->character.job_mean, 5 * NANOS_MS);
    d->character.write_jitter = u64_min(d->character.write_jitter, 10 * NANOS_MS); /* no write as long as an election timeout */
}
