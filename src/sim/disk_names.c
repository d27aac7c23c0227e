#include "sim/disk_internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

/* Where path is, or would be. */
static u32 place_of(const struct names *n, const char *path, bool *found)
{
    u32 low = 0, high = n->count;

    while (low < high) {
        u32 middle = (low + high) / 2;
        if (strcmp(n->items[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < n->count && strcmp(n->items[low].path, path) == 0;
    return low;
}

struct inode *names_find(const struct names *n, const char *path)
{
    bool found;
    u32 at = place_of(n, path, &found);
    return found ? n->items[at].inode : NULL;
}

void names_put(struct names *n, const char *path, struct inode *inode)
{
    bool found;
    u32 at = place_of(n, path, &found);

    inode_ref(inode);
    if (found) {
        inode_unref(n->items[at].inode);
        n->items[at].inode = inode;
        return;
    }
    if (n->count == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 16;
        n->items = mem_resize_array(n->items, n->cap, sizeof *n->items);
    }
    memmove(n->items + at + 1, n->items + at, (n->count - at) * sizeof *n->items);
    n->items[at] = (struct name){.path = mem_strdup(path), .inode = inode};
    n->count++;
}

void names_remove(struct names *n, const char *path)
{
    bool found;
    u32 at = place_of(n, path, &found);

    if (!found) return;
    mem_free(n->items[at].path);
    inode_unref(n->items[at].inode);
    n->count--;
    memmove(n->items + at, n->items + at + 1, (n->count - at) * sizeof *n->items);
}

void names_clear(struct names *n)
{
    for (u32 i = 0; i < n->count; i++) {
        mem_free(n->items[i].path);
        inode_unref(n->items[i].inode);
    }
    mem_free(n->items);
    *n = (struct names){0};
}

/* ---- changes that wait for their directory's sync ---- */

static size_t dir_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool is_in_dir(const char *path, const char *dir)
{
    size_t bytes = strlen(dir);
    return path[0] && dir_bytes(path) == bytes && strncmp(path, dir, bytes) == 0;
}

static void change(struct disk *d, const char *path, struct inode *inode)
{
    if (d->change_count == d->change_cap) {
        d->change_cap = d->change_cap ? d->change_cap * 2 : 16;
        d->changes = mem_resize_array(d->changes, d->change_cap, sizeof *d->changes);
    }
    d->changes[d->change_count++] =
        (struct name_change){.path = mem_strdup(path), .inode = inode ? inode_ref(inode) : NULL};
    if (inode)
        names_put(&d->live, path, inode);
    else
        names_remove(&d->live, path);
}

static bool parent_exists(const struct disk *d, const char *path)
{
    char dir[512];
    size_t bytes = dir_bytes(path);
    assert(bytes < sizeof dir);
    mem_copy(dir, path, bytes);
    dir[bytes] = 0;
    const struct inode *i = names_find(&d->live, dir);
    return i && i->is_dir;
}

err disk_name_make(struct disk *d, const char *path, bool is_dir, struct inode **out)
{
    if (!parent_exists(d, path)) return ERR_NOT_FOUND;
    struct inode *i = inode_new(is_dir);
    change(d, path, i);
    inode_unref(i); /* the name holds it */
    if (out) *out = i;
    return OK;
}

static struct disk *disk_of(struct env *env) { return CONTAINER_OF(env, struct host, env)->disk; }

/* Paths may end in a slash or begin with "./". */
static const char *clean(const char *path, char *out, size_t size)
{
    while (path[0] == '.' && path[1] == '/') path += 2;
    if (strcmp(path, ".") == 0) path = "";
    size_t bytes = strlen(path);
    while (bytes > 0 && path[bytes - 1] == '/') bytes--;
    assert(bytes < size);
    mem_copy(out, path, bytes);
    out[bytes] = 0;
    return out;
}

err disk_dir_make(struct env *env, const char *path)
{
    struct disk *d = disk_of(env);
    char dir[512];
    err failed = disk_call(d);
    if (failed) return failed;
    clean(path, dir, sizeof dir);
    struct inode *i = names_find(&d->live, dir);
    if (i) return i->is_dir ? OK : ERR_EXISTS;
    return disk_name_make(d, dir, true, NULL);
}

err disk_dir_sync(struct env *env, const char *path)
{
    struct disk *d = disk_of(env);
    char dir[512];
    u32 kept = 0;
    err failed = disk_call(d);
    if (failed) return failed;
    clean(path, dir, sizeof dir);
    if (!names_find(&d->live, dir)) return ERR_NOT_FOUND;
    for (u32 i = 0; i < d->change_count; i++) {
        struct name_change *c = &d->changes[i];
        if (!is_in_dir(c->path, dir)) {
            d->changes[kept++] = *c;
            continue;
        }
        if (c->inode)
            names_put(&d->durable, c->path, c->inode);
        else
            names_remove(&d->durable, c->path);
        mem_free(c->path);
        inode_unref(c->inode);
    }
    d->change_count = kept;
    return OK;
}

err disk_dir_list(struct env *env, const char *path, struct buf *names)
{
    struct disk *d = disk_of(env);
    char dir[512];
    err failed = disk_call(d);
    if (failed) return failed;
    clean(path, dir, sizeof dir);
    if (!names_find(&d->live, dir)) return ERR_NOT_FOUND;
    for (u32 i = 0; i < d->live.count; i++) {
        const char *name = d->live.items[i].path;
        if (!is_in_dir(name, dir)) continue;
        name += dir[0] ? strlen(dir) + 1 : 0;
        buf_append(names, name, strlen(name) + 1);
    }
    return OK;
}

err disk_dir_lock(struct env *env, const char *path, u64 *holder_pid)
{
    (void)path;
    *holder_pid = 0;
    return disk_call(disk_of(env)); /* a host runs one process, and a crash unlocks */
}

err disk_file_rename(struct env *env, const char *from, const char *to)
{
    struct disk *d = disk_of(env);
    err failed = disk_call(d);
    if (failed) return failed;
    struct inode *i = names_find(&d->live, from);
    if (!i) return ERR_NOT_FOUND;
    if (!parent_exists(d, to)) return ERR_NOT_FOUND;
    inode_ref(i);
    change(d, to, i); /* journaled in one step with the next: a crash may still fall between */
    change(d, from, NULL);
    inode_unref(i);
    return OK;
}

err disk_file_unlink(struct env *env, const char *path)
{
    struct disk *d = disk_of(env);
    err failed = disk_call(d);
    if (failed) return failed;
    if (!names_find(&d->live, path)) return ERR_NOT_FOUND;
    change(d, path, NULL);
    return OK;
}
