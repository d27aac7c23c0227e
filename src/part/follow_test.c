#include "base/test.h"
#include "part/part_internal.h"

/* Replica 1, on node 1, of a group that node 2 leads, and only what follow.c touches. The state machine answers a read with the
 * index that is applied, and 'e' behind it if the read met what is over by the wall clock. */
struct fixture {
    struct part p;
    struct env env;
    struct machine machine;
    struct part_options options;
    nanos now;
    u64 wall_us, clock_hlc;
    bool expires; /* what is read is over by the wall clock */
    struct buf frame, replies;
    u32 questions, answers, refused, stale, expired;
    u64 round; /* of the latest question */
    replica_id asked;
    struct cost cost;
};

static struct fixture *of_env(struct env *env)
{
    return CONTAINER_OF(env, struct fixture, env);
}

static struct fixture *of_machine(const struct machine *m)
{
    return CONTAINER_OF((struct machine *)(void *)m, struct fixture, machine);
}

static nanos clock_now(struct env *env)
{
    return of_env(env)->now;
}

static u64 wall_now(struct env *env)
{
    return of_env(env)->wall_us;
}

static u64 clock_of(const struct machine *m)
{
    return of_machine(m)->clock_hlc;
}

static err read_index(struct machine *m, const struct entry *e, u64 now_us, u64 seed, struct buf *out, bool *need_tick)
{
    struct fixture *x = of_machine(m);
    (void)e, (void)seed;

    *need_tick = x->expires && now_us > hlc_us(x->clock_hlc);
    if (!*need_tick) buf_printf(out, "%llu ", (unsigned long long)x->p.apply.applied);
    return OK;
}

static bool goes_on(const struct machine *m)
{
    return (void)m, false;
}

static void forget(struct machine *m)
{
    (void)m;
}

static struct buf *begin(void *context, node_id to, const struct frame *f)
{
    struct fixture *x = context;

    CHECK_EQ(f->type, FRAME_READ_INDEX);
    x->questions++;
    x->round = f->req;
    x->asked = f->dst_repl;
    buf_clear(&x->frame);
    return (void)to, &x->frame;
}

static void end(void *context)
{
    (void)context;
}

static void take_answer(void *context, const struct part_answer *a)
{
    struct fixture *x = context;

    x->answers++;
    if (a->cost) x->cost = *a->cost;
    if (a->status == PART_DONE) buf_append_str(&x->replies, a->reply);
    x->refused += a->status == PART_NOT_LEADER;
    x->stale += a->status == PART_STALE;
    x->expired += a->status == PART_EXPIRED;
}

static const struct machine_ops machine_ops = {
    .read = read_index, .read_goes_on = goes_on, .read_forget = forget, .clock_hlc = clock_of};
static const struct env_ops env_ops = {.mono = clock_now, .wall_us = wall_now};

static void hear_of_leader(struct fixture *x, replica_id leader, u64 term)
{
    struct raft_actions *out = mem_zalloc(sizeof *out);
    struct raft_message m = {.kind = RAFT_APPEND, .from = leader, .to = 1, .term = term, .sent_at = 1};
    struct raft_event ev = {.kind = RAFT_RECEIVED, .message = &m, .now = x->now, .room = MIB};

    CHECK_OK(raft_step(x->p.raft, &ev, out));
    CHECK_EQ(raft_leader(x->p.raft), leader);
    mem_free(out);
}

static struct fixture *fixture_new(void)
{
    struct fixture *x = mem_zalloc(sizeof *x);
    struct part *p = &x->p;
    struct raft_config c = {0};

    for (node_id node = 1; node <= 3; node++) raft_config_found(&c, node);
    x->env.ops = &env_ops;
    x->machine.ops = &machine_ops;
    x->now = 100 * NANOS_SEC;
    x->wall_us = 5000000;
    x->clock_hlc = hlc_from_us(4000000);
    p->env = &x->env;
    p->machine = &x->machine;
    p->options = (struct part_options){.id = 7, .self = 1, .boot = 1, .queue_bytes_max = MIB};
    p->options.raft = (struct raft_options){.election_timeout_min = 300 * NANOS_MS, .election_timeout_max = 600 * NANOS_MS,
                                            .heartbeat_every = 60 * NANOS_MS, .lease = 300 * NANOS_MS, .drift_ppm = 10000,
                                            .inflight_messages_max = 16, .inflight_bytes_max = MIB, .append_bytes_max = MIB,
                                            .tail_bytes_max = MIB, .uncommitted_bytes_max = MIB};
    p->host = (struct part_host){.context = x, .answer = take_answer, .peer_begin = begin, .peer_end = end};
    members_init(p);
    p->raft = raft_new(&p->options.raft);
    raft_boot_config(p->raft, &c, 0);
    raft_boot_snapshot(p->raft, (struct log_pos){1, 1000}); /* so much is known to be committed */
    raft_boot_done(p->raft, 1000, x->now - NANOS_SEC);
    fifo_init(&p->follow.reads, sizeof(struct queued));
    fifo_init(&p->read.ready, sizeof(struct queued));
    p->apply.applied = 10;
    hear_of_leader(x, 2, 1);
    return x;
}

static void fixture_free(struct fixture *x)
{
    follow_refuse_all(&x->p, PART_NOT_LEADER);
    fifo_done(&x->p.follow.reads);
    fifo_done(&x->p.read.ready);
    raft_free(x->p.raft);
    buf_done(&x->p.read.reply);
    buf_done(&x->frame);
    buf_done(&x->replies);
    mem_free(x);
}

static struct rcbuf *some_entry(void)
{
    struct entry e = {.apply_ver = ENTRY_APPLY_VER, .op = ENTRY_COMMAND, .body = STR("x")};
    struct buf b = {0};

    entry_encode_header(&e, &b);
    buf_append_str(&b, e.body);
    struct rcbuf *entry = rcbuf_from(buf_str(&b));
    buf_done(&b);
    return entry;
}

static void ask_with_floor(struct fixture *x, const char *level, u64 floor)
{
    struct part_request r = {.kind = PART_READ,
                             .from = {.node = 1, .boot = 1, .number = 1},
                             .entry = some_entry(),
                             .deadline = x->now + NANOS_SEC,
                             .floor = floor,
                             .wants_cost = true};

    CHECK(level_parse(str_of(level), &r.level));
    part_submit(&x->p, &r);
}

static void ask(struct fixture *x, const char *level)
{
    ask_with_floor(x, level, 0);
}

static void turn_after(struct fixture *x, nanos time)
{
    x->now += time;
    x->p.now = x->now;
    CHECK_OK(follow_turn(&x->p));
}

static void answer_round(struct fixture *x, u64 round, u64 index)
{
    struct read_index_reply r = {.index = index, .term = 1};
    struct frame f = {.type = FRAME_READ_INDEX_REPLY, .req = round};
    struct buf b = {0};

    x->p.now = x->now;
    read_index_reply_encode(&r, &b);
    CHECK_OK(follow_on_index(&x->p, x->asked, &f, buf_str(&b)));
    buf_done(&b);
}

static void apply_to(struct fixture *x, u64 index)
{
    x->p.apply.applied = index;
}

TEST(follow, reads_share_a_question_and_wait_until_its_answer_is_applied)
{
    struct fixture *x = fixture_new();

    for (u32 i = 0; i < 500; i++) ask(x, "follower");
    turn_after(x, 0);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->questions, 1);
    answer_round(x, x->round, 12);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->answers, 0);
    apply_to(x, 12);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->answers, 500);
    CHECK_EQ(x->questions, 1);
    CHECK_EQ(x->cost.stale_us, 0);
    CHECK_EQ(x->cost.trips, 1);
    fixture_free(x);
}

TEST(follow, an_answer_is_for_reads_that_came_before_its_question)
{
    struct fixture *x = fixture_new();

    ask(x, "follower");
    turn_after(x, 0);
    u64 first = x->round;
    ask(x, "follower"); /* it may have seen what was written since the leader looked */
    turn_after(x, NANOS_MS);
    answer_round(x, first, 10);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->answers, 1);
    CHECK_EQ(x->questions, 2);
    answer_round(x, x->round, 11);
    apply_to(x, 11);
    turn_after(x, NANOS_MS);
    CHECK_STR(buf_str(&x->replies), "10 11 ");
    fixture_free(x);
}

TEST(follow, a_question_is_repeated_and_goes_to_a_new_leader_under_its_number)
{
    struct fixture *x = fixture_new();

    ask(x, "follower");
    turn_after(x, 0);
    turn_after(x, 59 * NANOS_MS);
    CHECK_EQ(x->questions, 1);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->questions, 2);
    u64 round = x->round;
    hear_of_leader(x, 3, 2);
    turn_after(x, NANOS_MS);
    CHECK(x->asked == 3 && x->questions == 3 && x->round == round);
    x->asked = 2; /* the old one's answer comes late */
    answer_round(x, round, 10);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->answers, 0);
    x->asked = 3;
    answer_round(x, round, 10);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->answers, 1);
    fixture_free(x);
}

TEST(follow, who_waits_too_long_is_sent_to_the_leader)
{
    struct fixture *x = fixture_new();

    ask(x, "follower");
    ask_with_floor(x, "session", x->clock_hlc + 1);
    turn_after(x, 149 * NANOS_MS);
    CHECK_EQ(x->answers, 0);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->refused, 2);
    fixture_free(x);
}

TEST(follow, a_stale_read_takes_a_state_whose_age_is_within_its_bound)
{
    struct fixture *x = fixture_new();

    ask(x, "stale:100");
    turn_after(x, 0);
    CHECK_EQ(x->questions, 1);
    answer_round(x, x->round, 10);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->answers, 1);
    turn_after(x, 90 * NANOS_MS);
    ask(x, "stale:100");
    turn_after(x, 0);
    CHECK_EQ(x->answers, 2);
    CHECK(x->cost.stale_us >= 91000 && x->cost.stale_us < 95000);
    CHECK_EQ(x->stale, 0);
    fixture_free(x);
}

TEST(follow, the_age_of_a_state_counts_what_a_slow_clock_does_not)
{
    struct fixture *x = fixture_new();

    ask(x, "stale:100");
    turn_after(x, 0);
    answer_round(x, x->round, 10);
    turn_after(x, 99 * NANOS_MS); /* by a clock that may be slow by 1 in 100 */
    ask(x, "stale:100");
    turn_after(x, 0);
    CHECK_EQ(x->answers, 0);
    fixture_free(x);
}

TEST(follow, a_state_too_old_is_refused_and_said_to_be)
{
    struct fixture *x = fixture_new();

    ask(x, "stale:100");
    turn_after(x, 150 * NANOS_MS);
    CHECK_EQ(x->stale, 1);
    fixture_free(x);
}

TEST(follow, stale_reads_keep_the_state_fresh_for_those_to_come)
{
    struct fixture *x = fixture_new();

    ask(x, "stale:400");
    turn_after(x, 0);
    answer_round(x, x->round, 10);
    turn_after(x, NANOS_MS);
    CHECK_EQ(follow_deadline(&x->p), x->now + 99 * NANOS_MS); /* a quarter of the bound after the first */
    turn_after(x, 99 * NANOS_MS);
    CHECK_EQ(x->questions, 2);
    answer_round(x, x->round, 10);
    turn_after(x, 11 * NANOS_SEC); /* nobody has asked since */
    CHECK_EQ(x->questions, 2);
    CHECK_EQ(follow_deadline(&x->p), NANOS_NEVER);
    fixture_free(x);
}

TEST(follow, a_session_waits_for_what_it_has_seen)
{
    struct fixture *x = fixture_new();

    ask_with_floor(x, "session", x->clock_hlc + 1);
    ask_with_floor(x, "sequential", x->clock_hlc);
    turn_after(x, 0);
    CHECK_EQ(x->answers, 1);
    x->clock_hlc++;
    apply_to(x, 11);
    turn_after(x, NANOS_MS);
    CHECK_STR(buf_str(&x->replies), "10 11 ");
    CHECK_EQ(x->questions, 0);
    fixture_free(x);
}

TEST(follow, only_the_leader_may_say_that_a_key_is_over)
{
    struct fixture *x = fixture_new();

    x->expires = true;
    ask(x, "follower");
    turn_after(x, 0);
    answer_round(x, x->round, 10);
    turn_after(x, NANOS_MS);
    CHECK_EQ(x->refused, 1);
    ask(x, "local"); /* by the log's time it is there */
    turn_after(x, 0);
    CHECK_STR(buf_str(&x->replies), "10 ");
    fixture_free(x);
}

TEST(follow, a_replica_that_has_nothing_answers_nothing)
{
    struct fixture *x = fixture_new();

    apply_to(x, 0);
    ask(x, "local");
    turn_after(x, 0);
    CHECK_EQ(x->refused, 1);
    fixture_free(x);
}

TEST(follow, a_read_is_over_at_its_deadline)
{
    struct fixture *x = fixture_new();

    ask(x, "follower");
    turn_after(x, NANOS_SEC);
    CHECK_EQ(x->expired, 1);
    fixture_free(x);
}

TEST_MAIN(RUN(follow, reads_share_a_question_and_wait_until_its_answer_is_applied),
          RUN(follow, an_answer_is_for_reads_that_came_before_its_question),
          RUN(follow, a_question_is_repeated_and_goes_to_a_new_leader_under_its_number),
          RUN(follow, who_waits_too_long_is_sent_to_the_leader),
          RUN(follow, a_stale_read_takes_a_state_whose_age_is_within_its_bound),
          RUN(follow, the_age_of_a_state_counts_what_a_slow_clock_does_not),
          RUN(follow, a_state_too_old_is_refused_and_said_to_be),
          RUN(follow, stale_reads_keep_the_state_fresh_for_those_to_come),
          RUN(follow, a_session_waits_for_what_it_has_seen), RUN(follow, only_the_leader_may_say_that_a_key_is_over),
          RUN(follow, a_replica_that_has_nothing_answers_nothing), RUN(follow, a_read_is_over_at_its_deadline))
