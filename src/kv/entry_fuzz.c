/* Entries come from the log and from peers; the input is a run of them, [len:u16 bytes]*. Decoding and
 * applying arbitrary bytes must end in an error or a reply, never in a crash; and what two state
 * machines make of them must be the same. */
#include "kv/kv_internal.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct machine {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct kv *kv;
    struct buf out;
};

static void machine_init(struct machine *m)
{
    struct store_options so = {.part = 1, .memory_bytes_max = 64 * MIB};
    struct kv_options ko = {.value_bytes_max = 4096, .step_budget = 10000};

    *m = (struct machine){.image = kvs_image_new()};
    m->kvs = kvs_memory_open(m->image);
    m->store = store_new(m->kvs, &so);
    m->kv = kv_new(m->store, &ko);
}

static void machine_done(struct machine *m)
{
    kv_free(m->kv);
    store_free(m->store);
    m->kvs->ops->close(m->kvs);
    kvs_image_free(m->image);
    buf_done(&m->out);
}

static u64 digest(struct machine *m)
{
    u64 d;
    err e = kv_digest(m->kv, &d);

    assert(e == OK);
    return d;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct machine a, b;
    struct reader r = reader_of(str_from(data, size));
    u64 ver = 0;

    machine_init(&a);
    machine_init(&b);
    while (reader_left(&r) >= 2) {
        struct entry e;
        bool need_tick;
        size_t len = reader_u16(&r);
        str bytes = reader_str(&r, size_min(len, reader_left(&r)));
        if (entry_decode(bytes, &e)) continue;
        if (e.op == ENTRY_COMMAND || e.op == ENTRY_EXEC) { /* b also reads; it must not matter */
            u64 before = digest(&b);
            (void)!kv_read(b.kv, e.op, e.flags, e.body, hlc_us(e.hlc), e.seed, &b.out, &need_tick);
            assert(digest(&b) == before);
        }
        ver++;
        buf_clear(&a.out);
        buf_clear(&b.out);
        err ea = kv_apply(a.kv, &e, ver, &a.out);
        err eb = kv_apply(b.kv, &e, ver, &b.out);
        assert(ea == eb);
        assert(str_equal(buf_str(&a.out), buf_str(&b.out)));
        if (ea) break; /* the node stops */
    }
    assert(digest(&a) == digest(&b));
    machine_done(&a);
    machine_done(&b);
    return 0;
}
