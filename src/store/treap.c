#include "store/treap.h"

#include "base/buf.h"
#include "base/hash.h"

struct treap *treap_ref(struct treap *n)
{
    if (n) n->refs++;
    return n;
}

void treap_unref(struct treap *n)
{
    while (n && --n->refs == 0) {
        struct treap *right = n->right;
        treap_unref(n->left);
        if (--n->row->refs == 0) mem_free(n->row);
        mem_free(n);
        n = right;
    }
}

struct treap *treap_one(str key, str value)
{
    struct treap_row *r = mem_alloc(sizeof *r + key.len + value.len);
    *r = (struct treap_row){.refs = 1, .klen = (u32)key.len, .vlen = (u32)value.len};
    mem_copy(r->bytes, key.at, key.len);
    mem_copy(r->bytes + key.len, value.at, value.len);
    struct treap *n = mem_zalloc(sizeof *n);
    n->refs = 1;
    n->row = r;
    n->priority = hash64(key.at, key.len);
    n->bytes = key.len + value.len;
    return n;
}

/* The same node, ours alone to change. */
static struct treap *own(struct treap *n)
{
    if (n->refs == 1) return n;
    struct treap *copy = mem_copy_of(n, sizeof *n);
    copy->refs = 1;
    copy->row->refs++;
    treap_ref(copy->left);
    treap_ref(copy->right);
    n->refs--;
    return copy;
}

static void sum_up(struct treap *n)
{
    n->bytes = (u64)n->row->klen + n->row->vlen + (n->left ? n->left->bytes : 0) +
               (n->right ? n->right->bytes : 0);
}

/* low: keys < key; high: keys >= key. */
void treap_split(struct treap *n, str key, struct treap **low, struct treap **high)
{
    if (!n) {
        *low = *high = NULL;
        return;
    }
    n = own(n);
    if (str_compare(treap_key(n), key) < 0) {
        treap_split(n->right, key, &n->right, high);
        *low = n;
    } else {
        treap_split(n->left, key, low, &n->left);
        *high = n;
    }
    sum_up(n);
}

/* Every key of low is below every key of high. */
struct treap *treap_join(struct treap *low, struct treap *high)
{
    if (!low) return high;
    if (!high) return low;
    struct treap *top;
    if (low->priority >= high->priority) {
        top = own(low);
        top->right = treap_join(top->right, high);
    } else {
        top = own(high);
        top->left = treap_join(low, top->left);
    }
    sum_up(top);
    return top;
}

struct treap *treap_without(struct treap *root, str lower, str upper)
{
    struct treap *low, *middle, *high;
    treap_split(root, lower, &low, &middle);
    treap_split(middle, upper, &middle, &high);
    treap_unref(middle);
    return treap_join(low, high);
}

/* With the row in place of what stood at its key; a NULL row takes that away only. */
struct treap *treap_with(struct treap *root, str key, struct treap *row)
{
    struct treap *low, *rest, *same, *high;
    struct buf after = {0}; /* the least key above: key 00 */
    buf_append_str(&after, key);
    buf_append_u8(&after, 0);
    treap_split(root, key, &low, &rest);
    treap_split(rest, buf_str(&after), &same, &high);
    buf_done(&after);
    treap_unref(same);
    return treap_join(treap_join(low, row), high);
}

const struct treap *treap_find(const struct treap *t, str key)
{
    while (t) {
        int order = str_compare(key, treap_key(t));
        if (order == 0) return t;
        t = order < 0 ? t->left : t->right;
    }
    return NULL;
}

static u64 hash_rows(const struct treap *n, u64 hash)
{
    if (!n) return hash;
    hash = hash_rows(n->left, hash);
    hash = hash_mix(hash, hash64(n->row->bytes, n->row->klen));
    hash = hash_mix(hash, hash64(n->row->bytes + n->row->klen, n->row->vlen));
    return hash_rows(n->right, hash);
}

u64 treap_hash(const struct treap *t) { return hash_rows(t, 0); }
