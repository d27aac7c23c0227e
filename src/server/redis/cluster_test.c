/* CLUSTER and MOVED. The three nodes' ids are their incarnations, 01aa.., 02aa.. and 03aa.., and
 * their numbers. */
#include "server/redis/door_cluster.h"
#include "server/redis/door_fixture.h"

static struct cluster_fixture cluster_open(void)
{
    struct cluster_fixture cf = cluster_new();

    fixture_start(cf.f);
    return cf;
}

static void cluster_close(struct cluster_fixture *cf)
{
    fixture_free(cf->f);
    cluster_done(cf);
}

#define ID1                                                                                        \
    "01aa0000000000000000000000000000"                                                             \
    "00000001"
#define ID2                                                                                        \
    "02aa0000000000000000000000000000"                                                             \
    "00000002"
#define ID3                                                                                        \
    "03aa0000000000000000000000000000"                                                             \
    "00000003"
#define NODE1 "*4\r\n$8\r\n10.0.0.1\r\n:6379\r\n$40\r\n" ID1 "\r\n*0\r\n"
#define NODE2 "*4\r\n$8\r\n10.0.0.2\r\n:6380\r\n$40\r\n" ID2 "\r\n*0\r\n"
#define NODE3 "*4\r\n$8\r\n10.0.0.3\r\n:6381\r\n$40\r\n" ID3 "\r\n*0\r\n"

/* "orders": node 1 leads the partitions 0 and 1, 2 the third, 3 the last. */
static struct cluster_fixture open_led(void)
{
    static const u32 leaders[] = {1, 1, 2, 3};
    struct cluster_fixture cf = cluster_open();

    for (u32 i = 0; i < 4; i++) cluster_lead(&cf, cluster_part(&cf, 16, i), leaders[i]);
    return cf;
}

static struct far_end *connect_to_orders(struct cluster_fixture *cf)
{
    struct far_end *e = fixture_connect(cf->f);

    fixture_send(cf->f, e, "AUTH orders x\r\n");
    buf_clear(&e->got);
    return e;
}

static bool holds(struct far_end *e, const char *text)
{
    buf_append_u8(&e->got, 0);
    bool found = strstr((const char *)buf_bytes(&e->got), text) != NULL;
    if (!found) print_error("no \"%s\" in:\n%s\n", text, (const char *)buf_bytes(&e->got));
    buf_truncate(&e->got, e->got.len - 1);
    return found;
}

TEST(cluster, slots_are_ranges_with_one_leader)
{
    struct cluster_fixture cf = open_led();
    struct far_end *e = connect_to_orders(&cf);

    fixture_send(cf.f, e, "CLUSTER SLOTS\r\n");
    CHECK_GOT(e, "*3\r\n"
                 "*5\r\n:0\r\n:8191\r\n" NODE1 NODE2 NODE3
                 "*5\r\n:8192\r\n:12287\r\n" NODE2 NODE1 NODE3
                 "*5\r\n:12288\r\n:16383\r\n" NODE3 NODE1 NODE2);
    cf.f->unreachable = 2;
    fixture_send(cf.f, e, "CLUSTER SLOTS\r\n");
    CHECK_GOT(e, "*3\r\n"
                 "*4\r\n:0\r\n:8191\r\n" NODE1 NODE3 "*5\r\n:8192\r\n:12287\r\n" NODE2 NODE1 NODE3
                 "*4\r\n:12288\r\n:16383\r\n" NODE3 NODE1);
    cluster_close(&cf);
}

#define FIELDS(id, port, ip, role, health)                                                         \
    "%7\r\n$2\r\nid\r\n$40\r\n" id "\r\n$4\r\nport\r\n:" port "\r\n$2\r\nip\r\n$8\r\n" ip          \
    "\r\n$8\r\nendpoint\r\n$8\r\n" ip "\r\n$4\r\nrole\r\n" role                                    \
    "\r\n$18\r\nreplication-offset\r\n:0\r\n$6\r\nhealth\r\n" health "\r\n"
#define MASTER  "$6\r\nmaster"
#define REPLICA "$7\r\nreplica"
#define ONLINE  "$6\r\nonline"

TEST(cluster, shards_gather_the_slots_of_the_same_nodes)
{
    struct cluster_fixture cf = open_led();
    cluster_lead(&cf, cluster_part(&cf, 16, 1), 2);
    cluster_lead(&cf, cluster_part(&cf, 16, 2), 1);
    cluster_lead(&cf, cluster_part(&cf, 16, 3), 2); /* 1 2 1 2 */
    struct far_end *e = connect_to_orders(&cf);

    fixture_send(cf.f, e, "HELLO 3\r\n");
    buf_clear(&e->got);
    fixture_send(cf.f, e, "CLUSTER SHARDS\r\n");
    CHECK_GOT(e,
              "*2\r\n%2\r\n$5\r\nslots\r\n*4\r\n:0\r\n:4095\r\n:8192\r\n:12287\r\n$5\r\nnodes\r\n*"
              "3\r\n" FIELDS(ID1, "6379", "10.0.0.1", MASTER, ONLINE)
                  FIELDS(ID2, "6380", "10.0.0.2", REPLICA, ONLINE) FIELDS(
                      ID3, "6381", "10.0.0.3", REPLICA,
                      ONLINE) "%2\r\n$5\r\nslots\r\n*4\r\n:4096\r\n:8191\r\n:12288\r\n:16383\r\n$"
                              "5\r\nnodes\r\n*3\r\n" FIELDS(ID2, "6380", "10.0.0.2", MASTER, ONLINE)
                                  FIELDS(ID1, "6379", "10.0.0.1", REPLICA, ONLINE)
                                      FIELDS(ID3, "6381", "10.0.0.3", REPLICA, ONLINE));
    cluster_close(&cf);
}

TEST(cluster, nodes_has_a_line_for_each)
{
    struct cluster_fixture cf = open_led();
    cluster_lead(&cf, cluster_part(&cf, 16, 3), 1);
    struct far_end *e = connect_to_orders(&cf);

    cf.f->unreachable = 3;
    fixture_send(cf.f, e, "CLUSTER NODES\r\n");
    CHECK(holds(e, ID1 " 10.0.0.1:6379@7379 myself,master - 0 0 "));
    CHECK(holds(e, " connected 0-8191 12288-16383\n"));
    CHECK(holds(e, ID2 " 10.0.0.2:6380@7380 master - 0 0 "));
    CHECK(holds(e, " connected 8192-12287\n"));
    CHECK(holds(e, ID3 " 10.0.0.3:6381@7381 master,fail? - 0 0 "));
    CHECK(holds(e, " disconnected\n"));
    cf.f->unreachable = 0;
    buf_clear(&e->got);
    fixture_send(cf.f, e, "CLUSTER NODES\r\n");
    CHECK(holds(e, ID3 " 10.0.0.3:6381@7381 slave " ID1 " 0 0 "));
    cluster_close(&cf);
}

TEST(cluster, info_says_whether_all_slots_have_a_leader)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = connect_to_orders(&cf);

    fixture_send(cf.f, e, "CLUSTER INFO\r\n");
    CHECK(holds(e, "cluster_state:fail\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:0\r\n"));
    buf_clear(&e->got);
    for (u32 i = 0; i < 4; i++) cluster_lead(&cf, cluster_part(&cf, 16, i), 1 + i % 2);
    fixture_send(cf.f, e, "CLUSTER INFO\r\n");
    CHECK(holds(e, "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"
                   "cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:"
                   "3\r\ncluster_size:2\r\n"));
    buf_clear(&e->got);
    fixture_send(cf.f, e, "CLUSTER MYID\r\nINFO cluster\r\nCONFIG GET cluster-enabled\r\n");
    CHECK_GOT(e, "$40\r\n" ID1 "\r\n$30\r\n# Cluster\r\ncluster_enabled:1\r\n\r\n"
                 "*2\r\n$15\r\ncluster-enabled\r\n$3\r\nyes\r\n");
    cluster_close(&cf);
}

TEST(cluster, only_who_asked_for_the_map_is_sent_elsewhere)
{
    struct cluster_fixture cf = open_led();
    struct far_end *plain = connect_to_orders(&cf), *e = connect_to_orders(&cf);
    struct fixture *f = cf.f;

    fixture_send(f, plain, "GET foo\r\n");
    CHECK_EQ(f->request_count, 1);
    fixture_send(f, e, "CLUSTER SLOTS\r\n");
    buf_clear(&e->got);
    fixture_send(f, e, "GET foo\r\nMGET a a\r\nSET bar 1\r\nDBSIZE\r\n");
    CHECK_EQ(f->request_count, 6); /* bar is ours; DBSIZE is everybody's */
    CHECK_GOT(e, "-MOVED 12182 10.0.0.2:6380\r\n-MOVED 15495 10.0.0.3:6381\r\n");
    for (u32 i = 1; i < 6; i++) fixture_answer(f, i, i == 1 ? "+OK\r\n" : ":1\r\n");
    CHECK_GOT(e, "+OK\r\n:4\r\n");
    fixture_send(f, e, "ASKING\r\nGET foo\r\nGET foo\r\n");
    CHECK_GOT(e, "+OK\r\n");
    fixture_answer(f, 6, "$-1\r\n");
    CHECK_GOT(e, "$-1\r\n-MOVED 12182 10.0.0.2:6380\r\n");
    fixture_send(f, e, "READONLY\r\nGET foo\r\nSET foo 1\r\n");
    CHECK_EQ(f->requests[7]->level.kind, LEVEL_FOLLOWER); /* of any replica, and nothing older */
    fixture_answer(f, 7, "$-1\r\n");
    CHECK_GOT(e, "+OK\r\n$-1\r\n-MOVED 12182 10.0.0.2:6380\r\n");
    fixture_send(f, e, "READWRITE\r\nMULTI\r\nGET foo\r\nEXEC\r\n");
    CHECK_GOT(e, "+OK\r\n+OK\r\n-MOVED 12182 10.0.0.2:6380\r\n"
                 "-EXECABORT Transaction discarded because of previous errors.\r\n");
    fixture_send(f, e, "DEL bar foo\r\nSELECT 17\r\nGET foo\r\n");
    fixture_answer(f, 8, "$-1\r\n"); /* nobody is known to lead "alone" */
    fixture_answer(f, 0, "$-1\r\n");
    cluster_close(&cf);
}

TEST(cluster, a_leader_known_here_counts_more_than_the_map)
{
    struct cluster_fixture cf = open_led();
    struct far_end *e = connect_to_orders(&cf);
    struct hosted *h = parts_find((struct parts *)(void *)cf.f, cluster_part(&cf, 16, 2));

    h->part = (struct part *)(void *)h; /* a replica of its own, that says node 1 */
    h->leader_hint = 1;
    fixture_send(cf.f, e, "CLUSTER SLOTS\r\n");
    CHECK_GOT(e, "*2\r\n*5\r\n:0\r\n:12287\r\n" NODE1 NODE2 NODE3
                 "*5\r\n:12288\r\n:16383\r\n" NODE3 NODE1 NODE2);
    fixture_send(cf.f, e, "GET foo\r\n");
    CHECK_EQ(cf.f->request_count, 1);
    fixture_answer(cf.f, 0, "$-1\r\n");
    h->part = NULL;
    cluster_close(&cf);
}

TEST(cluster, changing_it_is_refused_with_the_command_to_use)
{
    static const char *const lines[][2] = {
        {"CLUSTER MEET 10.0.0.9 6379", "quorate start --join HOST:PORT"},
        {"CLUSTER ADDSLOTS 1", "quorate ks create"},
        {"CLUSTER SETSLOT 1 NODE x", "quorate group move"},
        {"CLUSTER FAILOVER", "quorate node drain"},
        {"CLUSTER FORGET x", "quorate node remove"},
        {"CLUSTER REPLICATE x", "quorate group move"},
        {"CLUSTER RESET HARD", "quorate node remove"},
        {"CLUSTER BUMPEPOCH", "quorate group move"},
    };
    struct cluster_fixture cf = open_led();
    struct far_end *e = connect_to_orders(&cf);

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        fixture_send(cf.f, e, lines[i][0]);
        fixture_send(cf.f, e, "\r\n");
        CHECK(holds(e, "-ERR CLUSTER "));
        CHECK(holds(e, lines[i][1]));
        buf_clear(&e->got);
    }
    fixture_send(cf.f, e, "SELECT ranged\r\nCLUSTER SLOTS\r\nCLUSTER HELP\r\n");
    CHECK(holds(
        e,
        "+OK\r\n-ERR the keyspace of this connection is cut by key ranges and has no slots\r\n*"));
    cluster_close(&cf);
}

TEST(cluster, before_the_founding_there_is_none)
{
    struct fixture *f = fixture_open();
    struct far_end *e = fixture_connect(f);

    fixture_send(f, e,
                 "CLUSTER SLOTS\r\nCLUSTER MYID\r\nREADONLY\r\nCLUSTER COUNTKEYSINSLOT 1\r\nSELECT "
                 "16\r\nCLUSTER KEYSLOT foo\r\n");
    CHECK_GOT(e, "-ERR This instance has cluster support disabled\r\n"
                 "-ERR This instance has cluster support disabled\r\n"
                 "-ERR This instance has cluster support disabled\r\n"
                 "-ERR This instance has cluster support disabled\r\n"
                 "-ERR DB index is out of range\r\n:12182\r\n");
    fixture_free(f);
}

TEST(cluster, a_name_may_only_not_be_known_yet)
{
    struct cluster_fixture cf = cluster_open();
    struct far_end *e = fixture_connect(cf.f);
    struct core *empty = core_new(cf.store);

    cf.f->map = empty; /* a node that has just started */
    fixture_send(cf.f, e,
                 "SELECT 16\r\nSELECT orders\r\nAUTH orders x\r\nSELECT 3\r\nAUTH default x\r\n");
    CHECK_GOT(e,
              "-NOQUORUM this node has no map of the keyspaces yet; nothing was done, try again\r\n"
              "-NOQUORUM this node has no map of the keyspaces yet; nothing was done, try again\r\n"
              "-NOQUORUM this node has no map of the keyspaces yet; nothing was done, try "
              "again\r\n+OK\r\n+OK\r\n");
    cf.f->map = cf.core;
    core_free(empty);
    cluster_close(&cf);
}

TEST_MAIN(RUN(cluster, slots_are_ranges_with_one_leader),
          RUN(cluster, shards_gather_the_slots_of_the_same_nodes),
          RUN(cluster, nodes_has_a_line_for_each),
          RUN(cluster, info_says_whether_all_slots_have_a_leader),
          RUN(cluster, only_who_asked_for_the_map_is_sent_elsewhere),
          RUN(cluster, a_leader_known_here_counts_more_than_the_map),
          RUN(cluster, changing_it_is_refused_with_the_command_to_use),
          RUN(cluster, before_the_founding_there_is_none),
          RUN(cluster, a_name_may_only_not_be_known_yet))
