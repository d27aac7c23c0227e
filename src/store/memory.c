/* The kvs of the simulator: an image that is one version of a persistent map. A snapshot or an
 * iterator is a reference to a version, and an ingest becomes visible by one assignment. */
#include "base/assert.h"
#include "base/list.h"
#include "base/mutant.h"
#include "store/kvs.h"
#include "store/ranges.h"
#include "store/treap.h"

struct kvs_image {
    struct treap *root;
    struct memory *open;
    err fault;
};

struct memory {
    struct kvs base;
    struct kvs_image *image;
    struct list snapshots, iters, stages; /* what is open: nothing may be, at a close */
};

struct kvs_snapshot {
    struct treap *root;
    struct list link;
};

struct kvs_iter {
    struct treap *root;
    struct treap **path; /* nodes still to be visited, the current one last */
    u32 depth, cap;
    struct list link;
};

struct kvs_stage {
    struct memory *memory;
    struct treap *rows;
    struct range_set ranges;
    struct buf last;
    struct list link;
};

static struct memory *memory_of(struct kvs *k) { return CONTAINER_OF(k, struct memory, base); }

static err memory_get(struct kvs *k, str key, struct buf *out, bool *found)
{
    const struct treap *row = treap_find(memory_of(k)->image->root, key);
    *found = row != NULL;
    if (row) buf_append_str(out, treap_value(row));
    return OK;
}

static struct kvs_snapshot *memory_snapshot_new(struct kvs *k)
{
    struct kvs_snapshot *s = mem_zalloc(sizeof *s);
    s->root = treap_ref(memory_of(k)->image->root);
    list_push(&memory_of(k)->snapshots, &s->link);
    return s;
}

static void memory_snapshot_free(struct kvs *k, struct kvs_snapshot *s)
{
    (void)k;
    if (!s) return;
    list_remove(&s->link);
    treap_unref(s->root);
    mem_free(s);
}

/* ---- iterators ---- */

static struct kvs_iter *memory_iter_new(struct kvs *k, struct kvs_snapshot *s)
{
    struct kvs_iter *i = mem_zalloc(sizeof *i);
    i->root = treap_ref(s ? s->root : memory_of(k)->image->root);
    list_push(&memory_of(k)->iters, &i->link);
    return i;
}

/* Onto the path go the nodes at which the way down went left. */
static void path_push(struct kvs_iter *i, struct treap *n)
{
    if (i->depth == i->cap) {
        i->cap = i->cap ? 2 * i->cap : 64;
        i->path = mem_resize_array(i->path, i->cap, sizeof *i->path);
    }
    i->path[i->depth++] = n;
}

static void memory_iter_seek(struct kvs_iter *i, str key)
{
    i->depth = 0;
    for (struct treap *n = i->root; n;) {
        bool left = str_compare(key, treap_key(n)) <= 0;
        if (left) path_push(i, n);
        n = left ? n->left : n->right;
    }
}

static bool memory_iter_valid(const struct kvs_iter *i) { return i->depth > 0; }

static void memory_iter_next(struct kvs_iter *i)
{
    assert(i->depth > 0);
    struct treap *n = i->path[--i->depth]->right;
    for (; n; n = n->left) path_push(i, n);
}

static str memory_iter_key(const struct kvs_iter *i)
{
    assert(i->depth > 0);
    return treap_key(i->path[i->depth - 1]);
}

static str memory_iter_value(const struct kvs_iter *i)
{
    assert(i->depth > 0);
    return treap_value(i->path[i->depth - 1]);
}

static err memory_iter_error(const struct kvs_iter *i)
{
    (void)i;
    return OK;
}

static void memory_iter_free(struct kvs_iter *i)
{
    if (!i) return;
    list_remove(&i->link);
    treap_unref(i->root);
    mem_free(i->path);
    mem_free(i);
}

/* ---- writes ---- */

static err memory_ingest(struct kvs *k, const struct kvs_range *ranges, u32 range_count,
                         const struct kvs_row *rows, size_t row_count)
{
    struct kvs_image *image = memory_of(k)->image;
    if (image->fault) return image->fault;
    struct treap *root = treap_ref(image->root);
    for (u32 i = 0; i < range_count; i++) {
        assert(str_compare(ranges[i].lower, ranges[i].upper) < 0);
        assert(i == 0 || str_compare(ranges[i - 1].upper, ranges[i].lower) <= 0);
        root = treap_without(root, ranges[i].lower, ranges[i].upper);
    }
    for (size_t i = 0; i < row_count; i++) {
        assert(i == 0 || str_compare(rows[i - 1].key, rows[i].key) < 0);
        root = treap_with(root, rows[i].key,
                          rows[i].is_delete ? NULL : treap_one(rows[i].key, rows[i].value));
    }
    treap_unref(image->root);
    image->root = root;
    return OK;
}

static err memory_stage_new(struct kvs *k, const struct kvs_range *ranges, u32 count,
                            struct kvs_stage **out)
{
    struct kvs_stage *s = mem_zalloc(sizeof *s);
    s->memory = memory_of(k);
    range_set_init(&s->ranges, ranges, count);
    list_push(&s->memory->stages, &s->link);
    *out = s;
    return OK;
}

static err memory_stage_add(struct kvs_stage *s, str key, str value)
{
    assert(range_set_has(&s->ranges, key));
    assert(!s->last.len || str_compare(buf_str(&s->last), key) < 0);
    if (s->memory->image->fault) return s->memory->image->fault;
    s->rows = treap_join(s->rows, treap_one(key, value));
    buf_clear(&s->last);
    buf_append_str(&s->last, key);
    return OK;
}

static void memory_stage_abort(struct kvs_stage *s)
{
    if (!s) return;
    list_remove(&s->link);
    treap_unref(s->rows);
    range_set_done(&s->ranges);
    buf_done(&s->last);
    mem_free(s);
}

static struct treap *merge_rows(struct treap *root, const struct treap *rows)
{
    if (!rows) return root;
    root = merge_rows(root, rows->left);
    root = treap_with(root, treap_key(rows), treap_one(treap_key(rows), treap_value(rows)));
    return merge_rows(root, rows->right);
}

static err memory_stage_commit(struct kvs_stage *s)
{
    struct kvs_image *image = s->memory->image;
    err e = image->fault;
    if (e) {
        memory_stage_abort(s);
        return e;
    }
    if (MUTANT(install_keeps_old_rows)) {
        image->root = merge_rows(image->root, s->rows);
    } else {
        struct treap *rows = treap_ref(s->rows);
        for (u32 i = 0; i < s->ranges.count; i++) {
            struct kvs_range range = s->ranges.range[i];
            struct treap *low, *old, *high, *new;
            treap_split(image->root, range.lower, &low, &old);
            treap_split(old, range.upper, &old, &high);
            treap_split(rows, range.upper, &new, &rows);
            treap_unref(old);
            image->root = treap_join(treap_join(low, new), high);
        }
        assert(!rows);
    }
    memory_stage_abort(s);
    return OK;
}

static u64 memory_bytes_on_disk(struct kvs *k)
{
    const struct treap *root = memory_of(k)->image->root;
    return root ? root->bytes : 0;
}

static const char *memory_problem(struct kvs *k)
{
    err e = memory_of(k)->image->fault;
    return e ? err_text(e) : "";
}

static void memory_close(struct kvs *k)
{
    struct memory *m = memory_of(k);
    assert(list_is_empty(&m->snapshots));
    assert(list_is_empty(&m->iters));
    assert(list_is_empty(&m->stages));
    if (m->base.stores.next)
        LIST_EACH_SAFE (l, &m->base.stores) list_remove(l); /* a crash takes the engine first */
    m->image->open = NULL;
    mem_free(m);
}

static const struct kvs_ops memory_ops = {
    .get = memory_get,
    .snapshot_new = memory_snapshot_new,
    .snapshot_free = memory_snapshot_free,
    .iter_new = memory_iter_new,
    .iter_seek = memory_iter_seek,
    .iter_valid = memory_iter_valid,
    .iter_next = memory_iter_next,
    .iter_key = memory_iter_key,
    .iter_value = memory_iter_value,
    .iter_error = memory_iter_error,
    .iter_free = memory_iter_free,
    .ingest = memory_ingest,
    .stage_new = memory_stage_new,
    .stage_add = memory_stage_add,
    .stage_commit = memory_stage_commit,
    .stage_abort = memory_stage_abort,
    .bytes_on_disk = memory_bytes_on_disk,
    .problem = memory_problem,
    .close = memory_close,
};

struct kvs *kvs_memory_open(struct kvs_image *image)
{
    assert(!image->open);
    struct memory *m = mem_zalloc(sizeof *m);
    m->base.ops = &memory_ops;
    m->image = image;
    list_init(&m->snapshots);
    list_init(&m->iters);
    list_init(&m->stages);
    image->open = m;
    return &m->base;
}

struct kvs_image *kvs_image_new(void) { return mem_zalloc(sizeof(struct kvs_image)); }

void kvs_image_crash(struct kvs_image *image)
{
    struct memory *m = image->open;
    if (!m) return;
    LIST_EACH_SAFE (l, &m->snapshots)
        memory_snapshot_free(&m->base, CONTAINER_OF(l, struct kvs_snapshot, link));
    LIST_EACH_SAFE (l, &m->iters) memory_iter_free(CONTAINER_OF(l, struct kvs_iter, link));
    LIST_EACH_SAFE (l, &m->stages) memory_stage_abort(CONTAINER_OF(l, struct kvs_stage, link));
    memory_close(&m->base);
}

void kvs_image_free(struct kvs_image *image)
{
    if (!image) return;
    kvs_image_crash(image);
    treap_unref(image->root);
    mem_free(image);
}

void kvs_image_fail(struct kvs_image *image, err e) { image->fault = e; }

u64 kvs_image_hash(const struct kvs_image *image) { return treap_hash(image->root); }
