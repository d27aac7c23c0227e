/* What is left of a disk after a crash, and the slow ways in which disks fail. */
#include "sim/disk_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

/* Any subset of the sectors of a write reaches the disk; within a sector all or nothing. */
static void put_some(struct disk *d, struct buf *image, u64 offset, const u8 *data, u64 bytes, u32 keep_ppm)
{
    struct prng *p = world_chance(d->host->world, CHANCE_CRASH);
    u64 whole = prng_below(p, 4);

    for (u64 at = 0; at < bytes;) {
        u64 sector = u64_min(SECTOR - (offset + at) % SECTOR, bytes - at);
        bool keep = whole == 0 || (whole != 1 && prng_chance(p, keep_ppm));
        if (keep) image_put(image, offset + at, data + at, (size_t)sector);
        at += sector;
    }
}

static void crash_inode(struct disk *d, struct inode *i, bool power)
{
    struct prng *p = world_chance(d->host->world, CHANCE_CRASH);

    if (power) {
        for (u32 k = 0; k < i->unsynced_count; k++) {
            const struct unsynced *u = &i->unsynced[k];
            if (u->bytes)
                put_some(d, &i->durable, u->offset, u->data, u->bytes, d->character.power_keep_ppm);
            else if (prng_chance(p, d->character.power_keep_ppm))
                image_resize(&i->durable, u->offset);
        }
    } else {
        buf_clear(&i->durable);
        buf_append_str(&i->durable, buf_str(&i->live));
    }
    inode_drop_unsynced(i);
}

/* Each directory's journal is written in order: a crash keeps a prefix of what was not synced. */
static void crash_names(struct disk *d, bool power)
{
    struct prng *p = world_chance(d->host->world, CHANCE_CRASH);
    bool ended = false;

    for (u32 i = 0; i < d->change_count; i++) {
        struct name_change *c = &d->changes[i];
        ended = ended || (power && !prng_chance(p, d->character.power_keep_ppm));
        if (!ended) {
            if (c->inode)
                names_put(&d->durable, c->path, c->inode);
            else
                names_remove(&d->durable, c->path);
        }
        mem_free(c->path);
        inode_unref(c->inode);
    }
    d->change_count = 0;
}

static void crash_writes(struct disk *d)
{
    while (!list_is_empty(&d->writes)) {
        struct write *wr = CONTAINER_OF(d->writes.next, struct write, link);
        const struct disk_op *op = wr->op;
        if (wr->submitted_at <= d->host->world->now) {
            /* Both images: with the process alone gone, the device may still take all, some or nothing. */
            struct buf torn = {0};
            buf_append_str(&torn, buf_str(&wr->inode->live));
            put_some(d, &torn, op->offset, op->data, op->bytes, d->character.power_keep_ppm);
            size_t end = size_min((size_t)(op->offset + op->bytes), torn.len);
            if (end > op->offset) {
                const u8 *bytes = buf_bytes(&torn) + op->offset;
                image_put(&wr->inode->live, op->offset, bytes, end - (size_t)op->offset);
                image_put(&wr->inode->durable, op->offset, bytes, end - (size_t)op->offset);
            }
            buf_done(&torn);
        }
        list_remove(&wr->link);
        inode_unref(wr->inode);
        wr->inode = NULL; /* its event frees it */
        wr->op = NULL;
    }
}

void disk_crash(struct disk *d, bool power)
{
    crash_writes(d);
    for (u32 i = 0; i < d->live.count; i++) crash_inode(d, d->live.items[i].inode, power);
    for (u32 i = 0; i < d->durable.count; i++) crash_inode(d, d->durable.items[i].inode, power);
    crash_names(d, power);
    d->dead = true; /* until disk_restarted: what the dying process still calls has no effect */
}

/* The durable state becomes the live one. Names whose directory did not survive are gone too. */
void disk_restarted(struct disk *d)
{
    names_clear(&d->live);
    for (u32 i = 0; i < d->durable.count;) {
        struct name *n = &d->durable.items[i];
        const char *slash = strrchr(n->path, '/');
        char dir[512] = "";
        if (slash) {
            assert((size_t)(slash - n->path) < sizeof dir);
            mem_copy(dir, n->path, (size_t)(slash - n->path));
            dir[slash - n->path] = 0;
        }
        if (!names_find(&d->durable, dir)) {
            char *path = mem_strdup(n->path);
            names_remove(&d->durable, path);
            mem_free(path);
            i = 0;
            continue;
        }
        buf_clear(&n->inode->live);
        buf_append_str(&n->inode->live, buf_str(&n->inode->durable));
        names_put(&d->live, n->path, n->inode);
        i++;
    }
    d->dead = false;
    d->explains = d->corrupted;
    d->fail_next_write = false;
}

/* ---- slow death ---- */

static void forget_proofs(struct disk *d)
{
    for (u32 i = 0; i < DISK_PROOFS; i++) {
        inode_unref(d->proofs[i].inode);
        d->proofs[i] = (struct proof){0};
    }
    d->proof_count = 0;
}

/* A write counts as proven when later writes were submitted after it had ended: each of them carries
 * the proof that it was acknowledged, and more of them survive than have ever been damaged. */
static bool is_proven(const struct disk *d, const struct proof *p)
{
    u32 later = 0;
    for (u32 i = 0; i < DISK_PROOFS; i++) later += d->proofs[i].inode && d->proofs[i].submitted_at >= p->ended_at;
    return later >= d->flips + 2;
}

bool disk_flip_bits(struct disk *d, struct prng *p)
{
    for (u32 tries = 0; tries < 16; tries++) {
        struct proof *proof = &d->proofs[prng_below(p, DISK_PROOFS)];
        if (!proof->inode || proof->bytes == 0 || !is_proven(d, proof)) continue;
        struct inode *i = proof->inode;
        u64 at = proof->offset + prng_below(p, proof->bytes);
        u8 mask = (u8)(1u << prng_below(p, 8));
        if (at >= i->durable.len || at >= i->live.len) continue;
        buf_bytes(&i->durable)[at] ^= mask;
        buf_bytes(&i->live)[at] ^= mask;
        d->corrupted = d->explains = true;
        d->flips++;
        return true;
    }
    return false;
}

void disk_wipe(struct disk *d)
{
    assert(!d->host->up);
    names_clear(&d->live);
    names_clear(&d->durable);
    struct inode *root = inode_new(true);
    names_put(&d->durable, "", root);
    inode_unref(root);
    forget_proofs(d);
    d->corrupted = true;
}

void disk_free(struct disk *d)
{
    if (!d) return;
    forget_proofs(d);
    while (!list_is_empty(&d->writes)) {
        struct write *wr = CONTAINER_OF(d->writes.next, struct write, link);
        list_remove(&wr->link);
        inode_unref(wr->inode);
    }
    while (!list_is_empty(&d->handles)) {
        struct file *f = CONTAINER_OF(d->handles.next, struct file, link);
        list_remove(&f->link);
        inode_unref(f->inode);
        mem_free(f);
    }
    for (u32 i = 0; i < d->change_count; i++) {
        mem_free(d->changes[i].path);
        inode_unref(d->changes[i].inode);
    }
    mem_free(d->changes);
    names_clear(&d->live);
    names_clear(&d->durable);
    mem_free(d);
}
