/* Commands come from the log and from peers; the input is a run of them, [len:u8 bytes]*, behind a
 * founding. Arbitrary bytes must end in an error or a reply; what decodes must encode to the same
 * bytes; the state must stay sound and load again. Rows come from snapshots: the same bytes are
 * tried as rows. */
#include "core/core_internal.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct machine {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct core *core;
    struct buf out, again;
};

static void machine_init(struct machine *m)
{
    struct store_options so = {.part = 1, .keyspace_count = 1, .memory_bytes_max = 64 * MIB};

    *m = (struct machine){.image = kvs_image_new()};
    m->kvs = kvs_memory_open(m->image);
    m->store = store_new(m->kvs, &so);
    m->core = core_new(m->store);
    err e = core_load(m->core);
    assert(e == OK);
}

static void machine_done(struct machine *m)
{
    core_free(m->core);
    store_free(m->store);
    m->kvs->ops->close(m->kvs);
    kvs_image_free(m->image);
    buf_done(&m->out);
    buf_done(&m->again);
}

static void found(struct machine *m)
{
    struct core_command c = {.op = CORE_FOUND, .uuid = {{1}}, .version = 1, .node_count = 3};

    for (u8 i = 0; i < 3; i++)
        c.nodes[i] = (struct core_node_spec){
            .incarnation = {{(u8)(i + 1)}}, .peer = STR("h:1"), .version_min = 1, .version_max = 9};
    core_command_encode(&c, &m->again);
    err e = core_apply(m->core, buf_str(&m->again), &m->out);
    assert(e == OK && m->core->founded);
}

static void try_command(struct machine *m, str bytes)
{
    struct core_command c;
    struct core_reply reply;

    buf_clear(&m->again);
    if (core_command_decode(bytes, &c) == OK) {
        core_command_encode(&c, &m->again);
        assert(str_equal(buf_str(&m->again), bytes));
    }
    buf_clear(&m->out);
    if (core_apply(m->core, bytes, &m->out)) return;
    err e = core_reply_decode(buf_str(&m->out), &reply);
    assert(e == OK);
    core_check(m->core);
}

static void try_row(struct machine *m, str bytes)
{
    struct core_cluster cluster;
    struct core_node node;
    struct core_keyspace ks;
    struct core_part part;

    buf_clear(&m->again);
    if (core_part_decode(bytes, &part) == OK) {
        core_part_encode(&part, &m->again);
        assert(str_equal(buf_str(&m->again), bytes));
        core_part_done(&part);
    }
    buf_clear(&m->again);
    if (core_node_decode(bytes, &node) == OK) {
        core_node_encode(&node, &m->again);
        assert(str_equal(buf_str(&m->again), bytes));
    }
    (void)!core_keyspace_decode(bytes, &ks);
    (void)!core_cluster_decode(bytes, &cluster);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct machine m;
    struct reader r = reader_of(str_from(data, size));
    struct core_map map;
    struct core_object o;

    machine_init(&m);
    if (size && data[0] % 8) found(&m);
    try_row(&m, str_from(data, size));
    if (core_map_decode(str_from(data, size), &map) == OK)
        while (core_map_next(&map, &o)) try_row(&m, o.row);
    while (reader_left(&r) >= 1) {
        size_t len = reader_u8(&r);
        try_command(&m, reader_str(&r, size_min(len, reader_left(&r))));
    }
    err e = core_load(m.core);
    assert(e == OK);
    core_check(m.core);
    machine_done(&m);
    return 0;
}
