/* Snapshots coming in: which chunks are taken. */
#include "base/test.h"
#include "part/part_internal.h"

/* A follower on node 2 over an engine in memory; nothing of it is at work but shipping.c. */
struct fixture {
    struct part p;
    struct env env;
    struct kvs_image *image;
    struct kvs *kvs;
    struct buf frame; /* the latest one sent */
    struct snapshot_ack ack;
};

static struct buf *begin(void *context, node_id to, const struct frame *f)
{
    struct fixture *x = context;
    (void)to, (void)f;
    buf_clear(&x->frame);
    return &x->frame;
}

static void end(void *context)
{
    struct fixture *x = context;
    CHECK_OK(snapshot_ack_decode(buf_str(&x->frame), &x->ack));
}

static nanos no_time(struct env *env)
{
    (void)env;
    return NANOS_SEC;
}

static const struct env_ops env_ops = {.mono = no_time};

static struct fixture *fixture_new(void)
{
    struct fixture *x = mem_zalloc(sizeof *x);
    struct part *p = &x->p;
    struct store_options so = {.part = 2, .memory_bytes_max = MIB};
    struct raft_config c = {0};

    p->options = (struct part_options){.id = 2,
                                       .self = 2,
                                       .raft = {.heartbeat_every = 1,
                                                .lease = 2,
                                                .election_timeout_min = 2,
                                                .election_timeout_max = 3,
                                                .inflight_messages_max = 1}};
    p->host = (struct part_host){.context = x, .peer_begin = begin, .peer_end = end};
    x->env.ops = &env_ops;
    p->env = &x->env;
    x->image = kvs_image_new();
    x->kvs = kvs_memory_open(x->image);
    p->store = store_new(x->kvs, &so);
    members_init(p);
    p->raft = raft_new(&p->options.raft);
    raft_config_found(&c, 1);
    raft_config_found(&c, 2);
    raft_boot_config(p->raft, &c, 0);
    return x;
}

static void fixture_free(struct fixture *x)
{
    shipping_free(&x->p);
    raft_free(x->p.raft);
    store_free(x->p.store);
    x->kvs->ops->close(x->kvs);
    kvs_image_free(x->image);
    buf_done(&x->frame);
    mem_free(x);
}

/* One row, whose key tells which snapshot and which chunk it is of. */
static void chunk(struct fixture *x, u64 snap_id, u64 seq)
{
    struct buf key = {0}, rows = {0}, body = {0};
    u8 sub[2] = {(u8)seq, (u8)snap_id};

    store_local_key(2, 9, str_from(sub, 2), &key);
    buf_append_u32(&rows, (u32)key.len);
    buf_append_u32(&rows, 0);
    buf_append_str(&rows, buf_str(&key));
    struct snapshot_chunk c = {
        .snap_id = snap_id, .index = 10 * snap_id, .index_term = 1, .seq = seq, .rows = buf_str(&rows)};
    snapshot_chunk_encode(&c, &body);
    CHECK_OK(shipping_on_chunk(&x->p, 1, buf_str(&body)));
    buf_done(&key);
    buf_done(&rows);
    buf_done(&body);
}

TEST(shipping, chunks_are_taken_in_order_and_once)
{
    struct fixture *x = fixture_new();

    CHECK_EQ(part_snapshot_sent(&x->p, 2), 0); /* nothing is on its way out */

    chunk(x, 1, 0);
    CHECK(x->ack.snap_id == 1 && x->ack.next_seq == 1);
    chunk(x, 1, 2);
    CHECK_EQ(x->ack.next_seq, 1);
    chunk(x, 1, 0);
    CHECK_EQ(x->ack.next_seq, 1);
    chunk(x, 1, 1);
    CHECK_EQ(x->ack.next_seq, 2);
    fixture_free(x);
}

/* A leader that begins again reads its store anew: rows of two moments are no state there ever was. */
TEST(shipping, chunks_of_two_snapshots_are_not_mixed)
{
    struct fixture *x = fixture_new();

    chunk(x, 1, 0);
    chunk(x, 2, 1);
    CHECK(x->ack.snap_id == 2 && x->ack.next_seq == 0 && x->ack.status == SNAPSHOT_WANT);
    CHECK_EQ(x->p.shipping.in.snap_id, 1);
    CHECK_EQ(x->p.shipping.in.next_seq, 1);
    chunk(x, 2, 0);
    CHECK_EQ(x->p.shipping.in.snap_id, 2);
    CHECK_EQ(x->p.shipping.in.index, 20);
    CHECK_EQ(x->ack.next_seq, 1);
    fixture_free(x);
}

/* One operation on the store at a time: both would write rows and marker. */
TEST(shipping, no_checkpoint_begins_while_a_snapshot_is_installed)
{
    struct fixture *x = fixture_new();
    struct part *p = &x->p;

    p->shipping.in.committing = true;
    p->apply.applied = 7; /* the marker is behind */
    p->checkpoint.wanted = true;
    CHECK_OK(checkpoint_turn(p));
    CHECK(!p->checkpoint.running);
    p->shipping.in.committing = false;
    fixture_free(x);
}

TEST(shipping, no_snapshot_is_installed_while_a_checkpoint_runs)
{
    struct fixture *x = fixture_new();
    struct part *p = &x->p;
    struct store_checkpoint running;

    p->shipping.in.waiting = true; /* all of it has come */
    p->checkpoint.running = &running;
    CHECK_OK(shipping_turn(p));
    CHECK(p->shipping.in.waiting && !p->shipping.in.committing);
    p->checkpoint.running = NULL;
    p->shipping.in.waiting = false;
    fixture_free(x);
}

static bool lacks(struct fixture *x, struct outgoing *o, const u8 *kinds, u32 count, bool last)
{
    struct buf rows = {0};

    for (u32 i = 0; i < count; i++) {
        struct buf key = {0};
        store_local_key(2, kinds[i], str_from("", 0), &key);
        buf_append_u32(&rows, (u32)key.len);
        buf_append_u32(&rows, 0);
        buf_append_str(&rows, buf_str(&key));
        buf_done(&key);
    }
    bool lacking = shipping_lacks_marker(&x->p, o, buf_str(&rows), last);
    buf_done(&rows);
    return lacking;
}
#define LACKS(last, ...) lacks(x, &o, (const u8[]){__VA_ARGS__}, (u32)sizeof((const u8[]){__VA_ARGS__}), last)

/* The list of extents is row 0; a long one leaves the marker no room in the first chunk. */
TEST(shipping, the_marker_may_come_in_a_later_chunk_but_before_all_other_rows)
{
    struct fixture *x = fixture_new();
    struct outgoing o = {0};

    CHECK(!LACKS(false, 0));
    CHECK(!LACKS(false, ROW_MARKER, ROW_SESSION));
    CHECK(!LACKS(true, ROW_SESSION));
    o = (struct outgoing){0};
    CHECK(!LACKS(false, 0));
    CHECK(LACKS(false, ROW_SESSION));
    o = (struct outgoing){0};
    CHECK(LACKS(true, 0));
    o = (struct outgoing){0};
    CHECK(!LACKS(true, ROW_MARKER));
    fixture_free(x);
}

TEST_MAIN(RUN(shipping, no_checkpoint_begins_while_a_snapshot_is_installed),
          RUN(shipping, no_snapshot_is_installed_while_a_checkpoint_runs),
          RUN(shipping, the_marker_may_come_in_a_later_chunk_but_before_all_other_rows),
          RUN(shipping, chunks_are_taken_in_order_and_once),
          RUN(shipping, chunks_of_two_snapshots_are_not_mixed))
