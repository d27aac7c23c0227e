/* Which of the leader's reads believe its lease. The core is a real one, settled as leader; the machine answers "ok". */
#include "part/part_internal.h"
#include "raft/raft_fixture.h"

static struct world {
    struct fixture f;
    struct part p;
    struct env env;
    u32 answers;
} w;

static nanos mono(struct env *env) { return (void)env, w.f.now; }
static u64 wall(struct env *env) { return (void)env, 1000000; }
static u64 clock_of(const struct machine *m) { return (void)m, 1; }
static bool goes_on(const struct machine *m) { return (void)m, false; }
static void forget(struct machine *m) { (void)m; }

static err read_ok(struct machine *m, const struct entry *e, u64 now_us, u64 seed, struct buf *out, bool *need_tick)
{
    (void)m, (void)e, (void)now_us, (void)seed;
    *need_tick = false;
    buf_append_text(out, "+ok\r\n");
    return OK;
}

static void take_answer(void *context, const struct part_answer *a)
{
    (void)context;
    w.answers += a->status == PART_DONE;
}

static const struct machine_ops machine_ops = {
    .read = read_ok, .read_goes_on = goes_on, .read_forget = forget, .clock_hlc = clock_of};
static struct machine machine = {&machine_ops};
static const struct env_ops env_ops = {.mono = mono, .wall_us = wall};

static void world_open(void)
{
    struct part *p = &w.p;

    w = (struct world){0};
    w.f = with_log("1/1");
    become_settled_leader(&w.f);
    w.env.ops = &env_ops;
    p->env = &w.env;
    p->machine = &machine;
    p->raft = w.f.r;
    p->options = (struct part_options){.id = 7, .self = 1, .boot = 1, .replica = 1, .queue_bytes_max = MIB};
    p->host = (struct part_host){.answer = take_answer};
    fifo_init(&p->read.ready, sizeof(struct queued));
    fifo_init(&p->read.waits, sizeof(struct queued));
    p->apply.applied = p->apply.target = raft_last(p->raft).index;
    p->now = w.f.now;
}

static void world_close(void)
{
    struct part *p = &w.p;

    reads_refuse_all(p, PART_NOT_LEADER);
    fifo_done(&p->read.ready);
    fifo_done(&p->read.waits);
    buf_done(&p->read.reply);
    fixture_done(&w.f);
}

static void ask(const char *level)
{
    struct entry e = {.apply_ver = ENTRY_APPLY_VER, .op = ENTRY_COMMAND, .body = STR("x")};
    struct buf b = {0};
    struct queued q = {.req = {.kind = PART_READ, .from = {1, 1, 1}, .deadline = w.f.now + NANOS_SEC},
                       .target = w.p.apply.applied,
                       .ceiling = w.p.apply.applied};

    CHECK(level_parse(str_of(level), &q.req.level));
    entry_encode_header(&e, &b);
    buf_append_str(&b, e.body);
    q.req.entry = rcbuf_from(buf_str(&b));
    buf_done(&b);
    read_admit(&w.p, &q);
}

TEST(read, a_lease_read_asks_nobody)
{
    world_open();
    CHECK(raft_lease_holds(w.p.raft, w.f.now));
    ask("lease");
    CHECK_OK(read_turn(&w.p));
    CHECK_EQ(w.answers, 1);
    world_close();
}

TEST(read, a_quorum_read_is_confirmed_though_the_lease_holds)
{
    struct raft_read_done done = {.context = 1, .index = 2};

    world_open();
    ask("quorum");
    ask("lease"); /* behind it */
    CHECK_OK(read_run_at(&w.p, w.p.apply.applied));
    CHECK_EQ(w.answers, 0);
    w.p.read.next_round = 1; /* a round begins for it, and is confirmed */
    ((struct queued *)fifo_first(&w.p.read.ready))->read_round = 1;
    read_on_confirmed(&w.p, &done);
    CHECK_OK(read_run_at(&w.p, w.p.apply.applied));
    CHECK_EQ(w.answers, 2);
    world_close();
}

TEST_MAIN(RUN(read, a_lease_read_asks_nobody), RUN(read, a_quorum_read_is_confirmed_though_the_lease_holds))
