/* One row, and the generations of dirty rows. */
#include "store/store_internal.h"

struct row *row_new(enum row_kind kind, u32 keyspace, u64 position, str key, str head, str body)
{
    size_t klen = HEAD_PREFIX_BYTES + key.len;
    size_t vlen = head.len + body.len;
    assert(klen <= UINT32_MAX);
    assert(vlen <= UINT32_MAX);
    struct row *r = mem_alloc(heap_usable(row_heap_bytes(klen, vlen)));
    *r = (struct row){.klen = (u32)klen, .vlen = (u32)vlen, .kind = (u8)kind};
    head_key_put(r->bytes, keyspace, position);
    mem_copy(r->bytes + HEAD_PREFIX_BYTES, key.at, key.len);
    mem_copy(r->bytes + klen, head.at, head.len);
    mem_copy(r->bytes + klen + head.len, body.at, body.len);
    return r;
}

bool row_overlaps(const struct row *r, str bytes)
{
    const u8 *end = r->bytes + r->klen + r->vlen;
    return bytes.len && bytes.at < end && bytes.at + bytes.len > r->bytes;
}

/* ---- generations ---- */

enum { CHUNK_ROWS = 4096 };

static struct row **generation_slot(const struct generation *g, u32 index)
{
    assert(index < g->count);
    return &g->chunks[index / CHUNK_ROWS][index % CHUNK_ROWS];
}

struct row *generation_at(const struct generation *g, u32 index)
{
    return *generation_slot(g, index);
}

void generation_done(struct generation *g)
{
    for (u32 i = 0; i < g->chunk_count; i++) mem_free(g->chunks[i]);
    mem_free(g->chunks);
    *g = (struct generation){0};
}

void generation_push(struct generation *g, struct row *r)
{
    if (g->count == g->chunk_count * CHUNK_ROWS) {
        if (g->chunk_count == g->chunk_cap) {
            g->chunk_cap = g->chunk_cap ? 2 * g->chunk_cap : 4;
            g->chunks = mem_resize_array(g->chunks, g->chunk_cap, sizeof *g->chunks);
        }
        g->chunks[g->chunk_count++] = mem_alloc(CHUNK_ROWS * sizeof(struct row *));
    }
    r->index = g->count++;
    *generation_slot(g, r->index) = r;
    g->bytes += row_memory(r);
}

void generation_replace(struct generation *g, struct row *old, struct row *with)
{
    struct row **slot = generation_slot(g, old->index);
    assert(*slot == old);
    *slot = with;
    with->index = old->index;
    g->bytes = g->bytes - row_memory(old) + row_memory(with);
}

void generation_remove(struct generation *g, struct row *r)
{
    struct row **slot = generation_slot(g, r->index);
    assert(*slot == r);
    struct row *last = generation_at(g, g->count - 1);
    *slot = last;
    last->index = r->index;
    g->bytes -= row_memory(r);
    g->count--;
    if (g->count == 0) generation_done(g);
}

/* Takes the last row, and gives back each chunk as it empties. */
struct row *generation_pop(struct generation *g)
{
    assert(g->count > 0);
    struct row *r = generation_at(g, g->count - 1);
    g->count--;
    g->bytes -= row_memory(r);
    if (g->count == 0)
        generation_done(g);
    else if (g->count % CHUNK_ROWS == 0)
        mem_free(g->chunks[--g->chunk_count]);
    return r;
}

size_t generation_memory(const struct generation *g)
{
    return g->chunk_count * heap_bytes(CHUNK_ROWS * sizeof(struct row *)) +
           (g->chunks ? heap_bytes(g->chunk_cap * sizeof *g->chunks) : 0);
}
