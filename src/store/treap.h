/* A persistent ordered map from bytes to bytes: the rows of the memory engine.
 *
 * A treap (Aragon and Seidel 1989) with path copying (Driscoll, Sarnak, Sleator and Tarjan 1989).
 * Nodes count their references and never change while shared, so a version of the map is one
 * reference to its root. Priorities are hashes of the keys: the shape is a function of the
 * contents, and the depth about 2 log2(rows). NULL is the empty map.
 *
 * Functions that return a map take over the references they are given. */
#pragma once

#include "base/str.h"

struct treap_row {
    u32 refs, klen, vlen;
    u8 bytes[]; /* key, value */
};

struct treap {
    u64 priority;
    u64 bytes; /* of all rows below and here */
    struct treap *left, *right;
    struct treap_row *row;
    u32 refs;
};

static inline str treap_key(const struct treap *t) { return str_from(t->row->bytes, t->row->klen); }
static inline str treap_value(const struct treap *t)
{
    return str_from(t->row->bytes + t->row->klen, t->row->vlen);
}

struct treap *treap_ref(struct treap *t);
void treap_unref(struct treap *t);
struct treap *treap_one(str key, str value); /* copies */

/* low: keys < key; high: keys >= key. Takes over t. */
void treap_split(struct treap *t, str key, struct treap **low, struct treap **high);
/* Every key of low is below every key of high. */
struct treap *treap_join(struct treap *low, struct treap *high);

struct treap *treap_without(struct treap *t, str lower, str upper); /* [lower, upper) */
/* With the row at its key, replacing what is there; row NULL: only without the key. */
struct treap *treap_with(struct treap *t, str key, struct treap *row);
const struct treap *treap_find(const struct treap *t, str key);
u64 treap_hash(const struct treap *t); /* of all rows, in order */
