/* Who is let in, and by which way and how far frames queue. Node 1 is the test's, node 2 the peer. */
#include "base/test.h"
#include "server/node_internal.h"
#include "server/peers.h"
#include "wire/peer/join.h"

#define BOOT       5 /* node 1's */
#define PEER_BOOT  9
#define A_LOT      (33 * MIB) /* more than repairable traffic may queue */

static struct fixture {
    struct env env;
    struct node_config config;
    struct peers *peers;
    nanos now;
    struct stream *dialled[2], *accepted; /* the protocol's and the bulk one; of the latest connection */
    bool closed;                          /* the accepted one */
    u32 frames;                           /* that reached the node */
    bool was_member;                      /* node 3: it was removed */
} fixture;

/* ---- in place of the node and its env ---- */

const struct node_config *node_config_of(const struct node *n) { return (void)n, &fixture.config; }
struct env *node_env(const struct node *n) { return (void)n, &fixture.env; }
bool node_is_blank(const struct node *n) { return (void)n, false; }
nanos node_now(const struct node *n) { return (void)n, fixture.now; }

static nanos op_mono(struct env *e) { return (void)e, fixture.now; }
static u64 op_random(struct env *e) { return (void)e, 4; }
static err op_listen(struct env *e, const char *host, u16 port, struct listener *l)
{
    (void)e, (void)host, (void)port, (void)l;
    return OK;
}
static void op_unlisten(struct env *e, struct listener *l) { (void)e, (void)l; }
static void op_accept(struct env *e, void *pending, struct stream *s)
{
    (void)e, (void)pending;
    fixture.accepted = s;
    fixture.closed = false;
}
static void op_dial(struct env *e, const char *host, u16 port, struct stream *s)
{
    (void)e, (void)host, (void)port;
    fixture.dialled[fixture.dialled[0] != NULL] = s;
}
static void op_flush(struct env *e, struct stream *s) { (void)e, (void)s; }
static void op_pause(struct env *e, struct stream *s, bool paused) { (void)e, (void)s, (void)paused; }
static void op_close(struct env *e, struct stream *s, bool flush_first)
{
    (void)e, (void)flush_first;
    fixture.closed |= s == fixture.accepted;
}
static void op_log(struct env *e, enum log_level level, const char *line) { (void)e, (void)level, (void)line; }

static const struct env_ops ops = {.mono = op_mono,
                                   .random = op_random,
                                   .listen = op_listen,
                                   .unlisten = op_unlisten,
                                   .accept = op_accept,
                                   .dial = op_dial,
                                   .flush = op_flush,
                                   .pause = op_pause,
                                   .close = op_close,
                                   .log = op_log};

static err on_frame(void *context, node_id from, const struct frame *f, str body)
{
    (void)context, (void)from, (void)f, (void)body;
    fixture.frames++;
    return OK;
}
static void on_lost(void *context, node_id peer, bool restarted) { (void)context, (void)peer, (void)restarted; }
static void on_met(void *context, node_id peer, u32 boot, bool other) { (void)context, (void)peer, (void)boot, (void)other; }
static bool is_removed(void *context, node_id node) { return (void)context, node == 3 && fixture.was_member; }

static void open_node_1(void)
{
    static const struct peer_handlers handlers = {
        .on_frame = on_frame, .on_lost = on_lost, .on_met = on_met, .is_removed = is_removed};
    static const u8 incarnation[16] = {1};
    char problem[100];

    fixture = (struct fixture){.env.ops = &ops, .now = NANOS_SEC, .was_member = true};
    fixture.config = (struct node_config){.self = 1, .member_count = 2, .value_bytes_max = 64 * KIB, .cluster_id = {7}};
    fixture.config.members[0] = (struct node_member){.id = 1};
    fixture.config.members[1] = (struct node_member){.id = 2};
    CHECK_OK(peers_new(NULL, incarnation, BOOT, &handlers, problem, sizeof problem, &fixture.peers));
}

static void close_node_1(void) { peers_free(fixture.peers); }

/* ---- the other side ---- */

struct greeting {
    u8 cluster;
    node_id from, to;
    u8 channel;
};

static void put_hello(struct buf *out, struct greeting g)
{
    struct frame f = {
        .type = FRAME_HELLO, .src_node = g.from, .src_boot = PEER_BOOT, .dst_node = g.to, .req = 64 * KIB};
    struct hello h = {.cluster_id = {g.cluster},
                      .incarnation = {2},
                      .version_min = QUORATE_LEVEL_MIN,
                      .version_max = QUORATE_LEVEL_MAX,
                      .channel = g.channel};
    size_t place = frame_begin(out, &f);
    hello_encode(&h, out);
    frame_end(out, place);
}

static void event(enum env_event_kind kind, struct stream *s)
{
    peers_on_event(fixture.peers, &(struct env_event){.kind = kind, .stream = s});
}

/* Somebody connects and greets: is it let in? */
static bool is_let_in(struct greeting g)
{
    event(ENV_ACCEPTED, NULL);
    put_hello(&fixture.accepted->in, g);
    event(ENV_RECEIVED, fixture.accepted);
    return !fixture.closed;
}

/* Both ways to node 2 are up. */
static void reach_node_2(void)
{
    peers_turn(fixture.peers, fixture.now);
    for (u8 channel = 0; channel < 2; channel++) {
        struct stream *s = fixture.dialled[channel];
        event(ENV_CONNECTED, s);
        put_hello(&s->in, (struct greeting){.cluster = 7, .from = 2, .to = 1, .channel = channel});
        event(ENV_RECEIVED, s);
        buf_clear(&s->out);
    }
    CHECK(peers_is_connected(fixture.peers, 2));
}

static bool has_room(u16 type, bool may_drop)
{
    struct frame f = {.type = type};
    struct buf *out = peers_begin(fixture.peers, 2, &f, may_drop);
    if (out) peers_end(fixture.peers);
    return out != NULL;
}

/* ---- the tests ---- */

TEST(peers, a_member_is_let_in)
{
    open_node_1();
    CHECK(is_let_in((struct greeting){.cluster = 7, .from = 2, .to = 1}));
    close_node_1();
}

TEST(peers, a_node_of_another_cluster_is_refused)
{
    open_node_1();
    CHECK(!is_let_in((struct greeting){.cluster = 8, .from = 2, .to = 1}));
    close_node_1();
}

/* Its address was another node's before. */
TEST(peers, who_looks_for_another_node_is_refused)
{
    open_node_1();
    CHECK(!is_let_in((struct greeting){.cluster = 7, .from = 2, .to = 4}));
    close_node_1();
}

TEST(peers, a_node_that_was_removed_is_refused_and_told_so)
{
    struct frame f;
    str body;
    size_t bytes;

    open_node_1();
    CHECK(!is_let_in((struct greeting){.cluster = 7, .from = 3, .to = 1}));
    CHECK_EQ(frame_parse(buf_str(&fixture.accepted->out), MIB, &f, &body, &bytes), FRAME_READY);
    CHECK_EQ(f.type, FRAME_JOIN_REPLY);
    fixture.was_member = false;
    CHECK(!is_let_in((struct greeting){.cluster = 7, .from = 3, .to = 1}));
    CHECK_EQ(fixture.accepted->out.len, 0);
    close_node_1();
}

static void send_frame(u32 from_boot, u32 to_boot)
{
    struct frame f = {.type = FRAME_RAFT, .src_node = 2, .src_boot = from_boot, .dst_node = 1, .dst_boot = to_boot};
    frame_end(&fixture.accepted->in, frame_begin(&fixture.accepted->in, &f));
    event(ENV_RECEIVED, fixture.accepted);
}

TEST(peers, a_frame_of_another_life_ends_the_connection)
{
    static const struct {
        u32 from, to;
    } lives[] = {{PEER_BOOT - 1, BOOT}, {PEER_BOOT, BOOT - 1}};

    for (u32 i = 0; i < ARRAY_LEN(lives); i++) {
        open_node_1();
        CHECK(is_let_in((struct greeting){.cluster = 7, .from = 2, .to = 1}));
        send_frame(PEER_BOOT, BOOT);
        CHECK_EQ(fixture.frames, 1);
        send_frame(lives[i].from, lives[i].to);
        CHECK_EQ(fixture.frames, 1);
        CHECK(fixture.closed);
        close_node_1();
    }
}

TEST(peers, a_snapshot_does_not_go_before_heartbeats)
{
    open_node_1();
    reach_node_2();
    CHECK(has_room(FRAME_SNAPSHOT_CHUNK, false));
    CHECK_EQ(fixture.dialled[0]->out.len, 0);
    CHECK(fixture.dialled[1]->out.len > 0);
    CHECK(has_room(FRAME_RAFT, false));
    CHECK(fixture.dialled[0]->out.len > 0);
    close_node_1();
}

TEST(peers, what_can_be_repeated_finds_no_room_in_a_long_queue)
{
    open_node_1();
    reach_node_2();
    memset(buf_reserve(&fixture.dialled[0]->out, A_LOT), 0, A_LOT);
    buf_extend(&fixture.dialled[0]->out, A_LOT);
    CHECK(!has_room(FRAME_RAFT, true));
    CHECK(has_room(FRAME_RAFT, false));
    close_node_1();
}

TEST_MAIN(RUN(peers, a_member_is_let_in), RUN(peers, a_node_of_another_cluster_is_refused),
          RUN(peers, who_looks_for_another_node_is_refused), RUN(peers, a_node_that_was_removed_is_refused_and_told_so),
          RUN(peers, a_frame_of_another_life_ends_the_connection), RUN(peers, a_snapshot_does_not_go_before_heartbeats),
          RUN(peers, what_can_be_repeated_finds_no_room_in_a_long_queue))
