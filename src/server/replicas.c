#include "server/replicas.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/search.h"

#define FILE_NAME      "replicas"
#define FILE_BYTES_MAX (256 * MIB)
#define FORMAT         1

enum { FLAG_STARTED = BIT(0), FLAG_DELETING = BIT(1), FLAG_BY_KEY = BIT(2) };

static const char magic[8] = {'Q', 'R', 'T', 'R', 'E', 'P', 'L', 'S'};

static u32 place_of(const struct replicas *r, u64 part)
{
    u32 low;

    LOWER_BOUND(low, r->count, r->rows[low].part < part);
    return low;
}

struct replica_row *replicas_find(const struct replicas *r, u64 part)
{
    u32 at = place_of(r, part);
    return at < r->count && r->rows[at].part == part ? &r->rows[at] : NULL;
}

static void set_row(struct replica_row *to, const struct replica_row *row)
{
    *to = *row;
    to->founders = str_from(NULL, row->founders.len);
    if (row->founders.len) to->founders.at = mem_copy_of(row->founders.at, row->founders.len);
}

void replicas_add(struct replicas *r, const struct replica_row *row)
{
    u32 at = place_of(r, row->part);

    r->dirty = true;
    if (at < r->count && r->rows[at].part == row->part) {
        void *old = (void *)r->rows[at].founders.at;
        set_row(&r->rows[at], row);
        mem_free(old);
        return;
    }
    if (r->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 8;
        r->rows = mem_resize_array(r->rows, r->cap, sizeof *r->rows);
    }
    memmove(&r->rows[at + 1], &r->rows[at], (r->count - at) * sizeof *r->rows);
    set_row(&r->rows[at], row);
    r->count++;
}

void replicas_remove(struct replicas *r, u64 part)
{
    u32 at = place_of(r, part);

    if (at == r->count || r->rows[at].part != part) return;
    mem_free((void *)r->rows[at].founders.at);
    memmove(&r->rows[at], &r->rows[at + 1], (r->count - at - 1) * sizeof *r->rows);
    r->count--;
    r->dirty = true;
}

void replicas_done(struct replicas *r)
{
    for (u32 i = 0; i < r->count; i++) mem_free((void *)r->rows[i].founders.at);
    mem_free(r->rows);
    *r = (struct replicas){0};
}

/* ---- the file ---- */

static void encode_row(const struct replica_row *row, struct buf *out)
{
    buf_append_u64(out, row->part);
    buf_append_u32(out, row->replica);
    buf_append_u8(out, row->machine);
    buf_append_u8(out, (u8)((row->started ? FLAG_STARTED : 0) | (row->deleting ? FLAG_DELETING : 0) |
                            (row->by_key ? FLAG_BY_KEY : 0)));
    buf_append_u32(out, row->keyspace_first);
    buf_append_u32(out, row->keyspace_count);
    buf_append_u32(out, row->keyspace);
    buf_append_u16(out, row->slot_first);
    buf_append_u16(out, row->slot_last);
    buf_append_u16(out, (u16)row->founders.len);
    buf_append_str(out, row->founders);
}

static err decode_row(struct reader *r, struct replica_row *row)
{
    *row = (struct replica_row){.part = reader_u64(r)};
    row->replica = reader_u32(r);
    row->machine = reader_u8(r);
    u8 flags = reader_u8(r);
    row->started = flags & FLAG_STARTED;
    row->deleting = flags & FLAG_DELETING;
    row->by_key = flags & FLAG_BY_KEY;
    row->keyspace_first = reader_u32(r);
    row->keyspace_count = reader_u32(r);
    row->keyspace = reader_u32(r);
    row->slot_first = reader_u16(r);
    row->slot_last = reader_u16(r);
    u16 len = reader_u16(r);
    struct raft_config founders;
    row->founders = reader_str(r, len);
    if (r->bad || !row->part || !row->replica) return ERR_CORRUPT;
    return len && raft_config_decode(row->founders, &founders) ? ERR_CORRUPT : OK;
}

err replicas_save(struct replicas *r)
{
    struct buf b = {0};

    if (!r->dirty) return OK;
    buf_append(&b, magic, sizeof magic);
    buf_append_u32(&b, FORMAT);
    buf_append_u32(&b, r->count);
    for (u32 i = 0; i < r->count; i++) encode_row(&r->rows[i], &b);
    buf_append_u64(&b, r->epoch);
    buf_append_u32(&b, crc32c(buf_bytes(&b), b.len));
    err e = env_file_replace(r->env, FILE_NAME, buf_str(&b));
    buf_done(&b);
    r->dirty = e != OK;
    return e;
}

static err decode(struct replicas *r, str bytes)
{
    struct replica_row row;

    if (bytes.len < sizeof magic + 12 || !mem_equal(bytes.at, magic, sizeof magic)) return ERR_CORRUPT;
    if (get_u32(bytes.at + bytes.len - 4) != crc32c(bytes.at, bytes.len - 4)) return ERR_CORRUPT;
    struct reader in = reader_of(str_from(bytes.at + sizeof magic, bytes.len - sizeof magic - 4));
    if (reader_u32(&in) != FORMAT) return ERR_UNSUPPORTED;
    u32 count = reader_u32(&in);
    for (u32 i = 0; i < count; i++) {
        err e = decode_row(&in, &row);
        if (e) return e;
        if (r->count && r->rows[r->count - 1].part >= row.part) return ERR_CORRUPT;
        replicas_add(r, &row);
    }
    u64 epoch = reader_u64(&in);
    r->epoch = MUTANT(catalog_forgets_its_map) ? 0 : epoch;
    return reader_end(&in) ? ERR_CORRUPT : OK;
}

err replicas_open(struct env *env, struct replicas *r, bool *found)
{
    struct buf b = {0};

    *r = (struct replicas){.env = env};
    err e = env_file_read(env, FILE_NAME, FILE_BYTES_MAX, &b);
    *found = e == OK;
    if (e == ERR_NOT_FOUND) return OK;
    if (!e) e = decode(r, buf_str(&b));
    r->dirty = false;
    buf_done(&b);
    return e;
}
