/* What is left of a disk after a crash, and the slow ways in which disks fail. */
#include "sim/disk_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

/* Any subset of the sectors of a write is kept; within a sector all or nothing. */
struct keep {
    u64 whole; /* 0: all of it, 1: nothing, else by sector */
    u32 ppm;
};

static struct keep draw_keep(struct disk *d, bool cached)
{
    struct prng *p = world_chance(d->host->world, CHANCE_CRASH);
    bool whole = cached && !chance_one_in(p, 4); /* copying into the cache is quick */

    return (struct keep){whole ? 0 : prng_below(p, 4), d->character.power_keep_ppm};
}

static void put_some(struct disk *d, const struct keep *k, struct inode *i, u64 offset, const u8 *data, u64 bytes,
                     bool cached)
{
    struct prng *p = world_chance(d->host->world, CHANCE_CRASH);

    for (u64 at = 0; at < bytes;) {
        u64 sector = u64_min(SECTOR - (offset + at) % SECTOR, bytes - at);
        bool keep = k->whole == 0 || (k->whole != 1 && prng_chance(p, k->ppm));
        if (keep && cached) {
            image_put(&i->live, offset + at, data + at, (size_t)sector);
            inode_remember_unsynced(i, offset + at, data + at, (size_t)sector);
        } else if (keep) {
            image_put(&i->durable, offset + at, data + at, (size_t)sector);
            if (offset + at + sector <= i->live.len) image_put(&i->live, offset + at, data + at, (size_t)sector);
        }
        at += sector;
    }
}

static void power_cut_inode(struct disk *d, struct inode *i)
{
    struct prng *p = world_chance(d->host->world, CHANCE_CRASH);

    for (u32 n = 0; n < i->unsynced_count; n++) {
        const struct unsynced *u = &i->unsynced[n];
        struct keep k = draw_keep(d, false);
        if (u->bytes)
            put_some(d, &k, i, u->offset, u->data, u->bytes, false);
        else if (prng_chance(p, d->character.power_keep_ppm))
            image_resize(&i->durable, u->offset);
    }
    inode_drop_unsynced(i);
    buf_clear(&i->live);
    buf_append_str(&i->live, buf_str(&i->durable));
}

/* Each directory's journal is written in order: a crash keeps a prefix of what was not synced. */
static void power_cut_names(struct disk *d)
{
    struct prng *p = world_chance(d->host->world, CHANCE_CRASH);
    bool ended = false;

    for (u32 i = 0; i < d->change_count; i++) {
        struct name_change *c = &d->changes[i];
        ended = ended || !prng_chance(p, d->character.power_keep_ppm);
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

static void crash_writes(struct disk *d, bool power)
{
    bool cached = d->character.buffered && !power;

    while (!list_is_empty(&d->writes)) {
        struct write *wr = CONTAINER_OF(d->writes.next, struct write, link);
        const struct disk_op *op = wr->op;
        struct keep k = draw_keep(d, cached);
        if (wr->submitted_at <= d->host->world->now)
            put_some(d, &k, wr->inode, op->offset, op->data, op->bytes, cached);
        list_remove(&wr->link);
        inode_unref(wr->inode);
        wr->inode = NULL; /* its event frees it */
        wr->op = NULL;
    }
}

/* Names whose directory did not survive are gone too. */
static void drop_orphans(struct names *n)
{
    for (u32 i = 0; i < n->count;) {
        const char *path = n->items[i].path, *slash = strrchr(path, '/');
        char dir[512] = "";
        if (slash) {
            assert((size_t)(slash - path) < sizeof dir);
            mem_copy(dir, path, (size_t)(slash - path));
            dir[slash - path] = 0;
        }
        if (names_find(n, dir)) {
            i++;
            continue;
        }
        char *orphan = mem_strdup(path);
        names_remove(n, orphan);
        mem_free(orphan);
        i = 0;
    }
}

void disk_crash(struct disk *d, bool power)
{
    crash_writes(d, power);
    d->dead = true; /* until disk_restarted: what the dying process still calls has no effect */
    inode_unref(d->written_last);
    d->written_last = NULL;
    if (!power) return; /* the page cache and the names in it live on */

    power_cut_names(d);
    drop_orphans(&d->durable);
    names_clear(&d->live);
    for (u32 i = 0; i < d->durable.count; i++) {
        power_cut_inode(d, d->durable.items[i].inode);
        names_put(&d->live, d->durable.items[i].path, d->durable.items[i].inode);
    }
}

void disk_restarted(struct disk *d)
{
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
    names_put(&d->live, "", root);
    inode_unref(root);
    for (u32 i = 0; i < d->change_count; i++) {
        mem_free(d->changes[i].path);
        inode_unref(d->changes[i].inode);
    }
    d->change_count = 0;
    forget_proofs(d);
    d->corrupted = true;
}

void disk_free(struct disk *d)
{
    if (!d) return;
    inode_unref(d->written_last);
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
