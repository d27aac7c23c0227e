#include "server/backup.h"

#include "server/node_internal.h"

static void tell(const struct hosted *h, u64 hlc, backup_each_fn each, void *context)
{
    struct backup_group g = {.group = h->id, .hlc = hlc};

    g.state = (u8)part_cut_state(h->part, &g.stamp, &g.index);
    each(context, &g);
}

static struct hosted *kv_group_at(struct node *n, u32 i)
{
    struct hosted *h = parts_at(node_parts(n), i);
    return h->part && part_kv(h->part) ? h : NULL;
}

void node_backup_hold(struct node *n, u64 id, nanos how_long, backup_each_fn each, void *context)
{
    nanos until = env_mono(node_env(n)) + u64_min(how_long, BACKUP_HOLD_MAX);
    u64 hlc;

    for (u32 i = 0; i < parts_count(node_parts(n)); i++) {
        struct hosted *h = kv_group_at(n, i);
        if (!h || !part_cut_hold(h->part, id, until, &hlc)) continue;
        parts_touch(node_parts(n), h);
        tell(h, hlc, each, context);
    }
}

void node_backup_cut(struct node *n, u64 id, u64 stamp, backup_each_fn each, void *context)
{
    u64 before, index;

    for (u32 i = 0; i < parts_count(node_parts(n)); i++) {
        struct hosted *h = kv_group_at(n, i);
        if (!h || part_cut_state(h->part, &before, &index) != PART_CUT_HELD) continue;
        part_cut_make(h->part, id, stamp);
        parts_touch(node_parts(n), h);
        tell(h, 0, each, context);
    }
}

void node_backup_state(struct node *n, backup_each_fn each, void *context)
{
    u64 stamp, index;

    for (u32 i = 0; i < parts_count(node_parts(n)); i++) {
        struct hosted *h = kv_group_at(n, i);
        if (h && part_cut_state(h->part, &stamp, &index) != PART_CUT_NONE)
            tell(h, 0, each, context);
    }
}

void node_backup_end(struct node *n)
{
    for (u32 i = 0; i < parts_count(node_parts(n)); i++) {
        struct hosted *h = kv_group_at(n, i);
        if (!h) continue;
        part_cut_end(h->part);
        parts_touch(node_parts(n), h);
    }
    parts_drop_rows(node_parts(n));
}

err node_backup_rows(struct node *n, u64 group, u64 stamp, struct buf *cursor, size_t bytes,
                     struct buf *out, u32 *rows, bool *last)
{
    struct hosted *h = parts_find(node_parts(n), group);

    struct part_rows *r = h && h->part ? part_cut_rows(h->part) : NULL;
    if (!r) r = parts_rows_left(node_parts(n), group);
    return r ? part_rows_next(r, stamp, cursor, bytes, out, rows, last) : ERR_STALE;
}
