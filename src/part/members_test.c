#include "base/test.h"
#include "part/part_internal.h"

/* A replica of a group whose members are 1 on node 1, 2 on node 2 and 7 on node 3, whose directory
 * is known; only what members.c touches. */
struct fixture {
    struct part p;
    struct env env;
    struct part_answer answer;
    u32 answers;
    struct buf frame;
    node_id sent_to;
    struct frame sent;
    u8 incarnation_of_3[16];
};

static struct buf *begin(void *context, node_id to, const struct frame *f)
{
    struct fixture *x = context;
    x->sent_to = to;
    x->sent = *f;
    return &x->frame;
}

static const u8 *incarnation(void *context, node_id node)
{
    struct fixture *x = context;
    return node == 3 ? x->incarnation_of_3 : NULL;
}

static void take_answer(void *context, const struct part_answer *a)
{
    struct fixture *x = context;
    x->answer = *a;
    x->answers++;
}

static nanos no_time(struct env *env)
{
    (void)env;
    return NANOS_SEC;
}

static u64 no_clock(const struct machine *m)
{
    return (void)m, 0;
}

static const struct machine_ops machine_ops = {.clock_hlc = no_clock};
static struct machine machine = {&machine_ops};

static const struct env_ops env_ops = {.mono = no_time};

static void ignore_log(void *context, enum log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
}

static struct raft_config members(void)
{
    struct raft_config c = {0};
    raft_config_found(&c, 1);
    raft_config_found(&c, 2);
    struct raft_member m = {.id = 7, .node = 3, .roles = RAFT_VOTER, .incarnation = {9}};
    raft_config_put(&c, &m);
    return c;
}

static struct fixture *fixture_new(node_id self, replica_id replica)
{
    struct fixture *x = mem_zalloc(sizeof *x);
    struct part *p = &x->p;
    struct raft_config c = members();

    p->options = (struct part_options){.id = 2,
                                       .self = self,
                                       .replica = replica,
                                       .raft = {.heartbeat_every = 1,
                                                .lease = 2,
                                                .election_timeout_min = 2,
                                                .election_timeout_max = 3,
                                                .inflight_messages_max = 1}};
    p->host = (struct part_host){.context = x,
                                 .peer_begin = begin,
                                 .incarnation = incarnation,
                                 .log = ignore_log,
                                 .answer = take_answer};
    x->env.ops = &env_ops;
    p->env = &x->env;
    p->machine = &machine;
    x->incarnation_of_3[0] = 9;
    members_init(p);
    p->raft = raft_new(&p->options.raft);
    raft_boot_config(p->raft, &c, 0);
    return x;
}

static void fixture_free(struct fixture *x)
{
    raft_free(x->p.raft);
    mem_free(x);
}

static bool accepts(struct fixture *x, node_id node, replica_id from, replica_id to)
{
    struct frame f = {.type = FRAME_RAFT, .src_repl = from, .dst_repl = to};
    replica_id sender;
    u64 dropped = x->p.stats.frames_not_ours;
    bool accepted = members_accept(&x->p, node, &f, &sender);
    CHECK_EQ(x->p.stats.frames_not_ours, dropped + !accepted);
    if (accepted) CHECK_EQ(sender, from ? from : node);
    return accepted;
}

TEST(members, a_founding_replica_has_its_nodes_number)
{
    struct fixture *x = fixture_new(2, 0);
    CHECK_EQ(x->p.options.replica, 2);
    CHECK_EQ(x->p.options.raft.self, 2);
    CHECK(accepts(x, 1, 1, 2));
    CHECK(accepts(x, 1, 0, 0)); /* of a node that writes no replica numbers */
    fixture_free(x);
}

TEST(members, frames_for_another_replica_are_dropped)
{
    struct fixture *x = fixture_new(3, 7);
    memcpy(x->p.options.incarnation, x->incarnation_of_3, 16);
    CHECK(accepts(x, 1, 1, 7));
    CHECK(!accepts(x, 1, 1, 3)); /* the replica that was here before */
    CHECK(!accepts(x, 1, 0, 0)); /* which is who a founding member means by node 3 */
    fixture_free(x);
}

TEST(members, a_sender_is_where_the_members_say)
{
    struct fixture *x = fixture_new(1, 0);
    CHECK(accepts(x, 3, 7, 1));
    CHECK(!accepts(x, 2, 7, 1));
    CHECK(!accepts(x, 3, 2, 1));
    CHECK(accepts(x, 3, 8, 1)); /* perhaps of a configuration still to come */
    fixture_free(x);
}

TEST(members, a_sender_has_the_disk_that_the_members_say)
{
    struct fixture *x = fixture_new(1, 0);
    x->incarnation_of_3[0] = 8; /* node 3's directory was lost: 7 was on the old one */
    CHECK(!accepts(x, 3, 7, 1));
    fixture_free(x);
}

TEST(members, a_replica_whose_number_is_another_lifes_is_silent)
{
    struct fixture *x = fixture_new(3, 7);
    x->p.options.incarnation[0] = 8;
    members_boot(&x->p);
    struct frame f = {.type = FRAME_RAFT};
    CHECK(part_is_removed(&x->p));
    CHECK(!accepts(x, 1, 1, 7));
    CHECK(members_begin(&x->p, 1, &f) == NULL);
    fixture_free(x);
}

TEST(members, frames_go_to_the_replicas_node_and_name_both)
{
    struct fixture *x = fixture_new(1, 0);
    struct frame f = {.type = FRAME_RAFT};
    CHECK(members_begin(&x->p, 7, &f) != NULL);
    CHECK_EQ(x->sent_to, 3);
    CHECK_EQ(x->sent.part, 2);
    CHECK_EQ(x->sent.src_repl, 1);
    CHECK_EQ(x->sent.dst_repl, 7);
    CHECK(members_begin(&x->p, 12, &f) == NULL); /* where would that be? */
    CHECK(accepts(x, 5, 12, 1));
    CHECK(members_begin(&x->p, 12, &f) != NULL); /* where it wrote from */
    CHECK_EQ(x->sent_to, 5);
    fixture_free(x);
}

TEST(members, who_asks_for_a_change_is_answered_once)
{
    static const struct part_waiter asker = {.node = 1, .boot = 1, .number = 5};
    struct fixture *x = fixture_new(1, 0);
    struct raft_config target = members();
    part_change_members(&x->p, &target, &asker);
    CHECK_EQ(x->answers, 1);
    CHECK_EQ(x->answer.status, PART_NOT_LEADER);
    CHECK_EQ(x->answer.to.number, 5);

    x->p.members.waiter = asker; /* a change is under way */
    x->p.members.waiting = true;
    members_on_events(&x->p, RAFT_CONFIG_CHANGED); /* appended */
    CHECK_EQ(x->answers, 1);
    members_on_events(&x->p, RAFT_CONFIG_COMMITTED |
                                 RAFT_STEPPED_DOWN); /* by a leader that leaves with it */
    CHECK_EQ(x->answers, 2);
    CHECK_EQ(x->answer.status, PART_DONE);

    x->p.members.waiting = true;
    members_on_events(&x->p, RAFT_STEPPED_DOWN);
    CHECK_EQ(x->answers, 3);
    CHECK_EQ(x->answer.status, PART_LOST);
    members_on_events(&x->p, RAFT_CONFIG_COMMITTED);
    CHECK_EQ(x->answers, 3);
    fixture_free(x);
}

TEST(members, stats_tell_the_members)
{
    struct fixture *x = fixture_new(1, 0);
    members_boot(&x->p);
    CHECK_EQ(x->p.stats.voters, 3);
    CHECK_EQ(x->p.stats.learners, 0);
    CHECK_EQ(x->p.stats.outgoing, 0);
    fixture_free(x);
}

TEST_MAIN(RUN(members, a_founding_replica_has_its_nodes_number),
          RUN(members, frames_for_another_replica_are_dropped),
          RUN(members, a_sender_is_where_the_members_say),
          RUN(members, a_sender_has_the_disk_that_the_members_say),
          RUN(members, a_replica_whose_number_is_another_lifes_is_silent),
          RUN(members, frames_go_to_the_replicas_node_and_name_both),
          RUN(members, who_asks_for_a_change_is_answered_once),
          RUN(members, stats_tell_the_members))
