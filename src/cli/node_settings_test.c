#include "base/test.h"

#include "cli/node_settings.h"

#include <string.h>

static struct settings s;
static struct node_config c;
static char problem[512];

static bool config_of(int argc, const char *const *words)
{
    char *argv[16];
    for (int i = 0; i < argc; i++) argv[i] = (char *)(uintptr_t)words[i];
    settings_done(&s);
    CHECK_EQ(settings_read(&s, FOR_START, argc, argv, problem, sizeof problem), SETTINGS_READ);
    problem[0] = 0;
    return node_config_from(&s, &c, problem, sizeof problem);
}
#define CONFIG(...)                                                                                \
    config_of((int)ARRAY_LEN(((const char *[]){"start", __VA_ARGS__})),                            \
              (const char *[]){"start", __VA_ARGS__})

static int forget(void **state)
{
    (void)state;
    settings_done(&s);
    return 0;
}

TEST(config, without_flags_is_the_nodes_own_defaults)
{
    struct node_config usual;

    node_config_defaults(&usual);
    CHECK(CONFIG("--dir", "d"));
    CHECK_EQ(c.self, 0);
    CHECK_EQ(c.member_count, 0);
    assert_string_equal(c.host, usual.host);
    CHECK_EQ(c.redis_port, usual.redis_port);
    CHECK_EQ(c.peer_port, usual.peer_port);
    CHECK_EQ(c.admin_port, usual.admin_port);
    CHECK_EQ(c.value_bytes_max, usual.value_bytes_max);
    CHECK_EQ(c.clients_max, usual.clients_max);
    CHECK_EQ(c.election_timeout_max, usual.election_timeout_max);
    CHECK_EQ(c.lease, usual.lease);
    CHECK(c.pid != 0);
}

/* --help prints the table's defaults: they must be the node's. */
TEST(config, printed_defaults_are_the_nodes)
{
    struct node_config usual;

    node_config_defaults(&usual);
    CHECK(CONFIG("--dir", "d"));
    CHECK_EQ(settings_bytes(&s, SET_MEMORY), usual.memory_bytes);
    CHECK_EQ(settings_bytes(&s, SET_WAL_SEGMENT), usual.wal_segment_bytes);
    CHECK_EQ(settings_bytes(&s, SET_LOG_KEEP), usual.log_bytes_max);
    CHECK_EQ(settings_bytes(&s, SET_CHECKPOINT_DIRTY), usual.checkpoint_dirty_bytes);
    CHECK_EQ(settings_duration(&s, SET_CHECKPOINT_EVERY), usual.checkpoint_every);
    CHECK_EQ(settings_duration(&s, SET_ELECTION_TIMEOUT), usual.election_timeout_min);
    CHECK_EQ(settings_duration(&s, SET_HEARTBEAT), usual.heartbeat_every);
    CHECK_EQ(settings_duration(&s, SET_REQUEST_TIMEOUT), usual.request_timeout);
}

TEST(config, with_peers_listens_where_they_say)
{
    CHECK(CONFIG("--node", "2", "--peers", "1=10.0.0.1:7001,2=10.0.0.2:7002"));
    CHECK_EQ(c.self, 2);
    CHECK_EQ(c.member_count, 2);
    assert_string_equal(c.host, "10.0.0.2");
    CHECK_EQ(c.peer_port, 7002);
    CHECK(CONFIG("--node", "2", "--peers", "1=10.0.0.1:7001,2=10.0.0.2:7002", "--host", "0.0.0.0",
                 "--peer-port", "7379"));
    assert_string_equal(c.host, "0.0.0.0");
    CHECK_EQ(c.peer_port, 7379);
}

TEST(config, contradictions_are_refused_with_the_remedy)
{
    CHECK(!CONFIG("--peers", "1=a:1,2=b:2"));
    assert_non_null(strstr(problem, "--node"));
    CHECK(!CONFIG("--peers", "1=a:1,2=b:2", "--node", "3"));
    assert_non_null(strstr(problem, "not among"));
    CHECK(!CONFIG("--node", "2"));
    assert_non_null(strstr(problem, "--peers"));
    CHECK(!CONFIG("--redis-port", "7000", "--admin-port", "7000"));
    CHECK(!CONFIG("--heartbeat", "500ms"));
    CHECK(!CONFIG("--wal-segment", "3MB"));
    CHECK(!CONFIG("--join", "a:1", "--node", "2"));
    CHECK(!CONFIG("--join", "a"));
    assert_non_null(strstr(problem, "HOST:PORT"));
    CHECK(CONFIG("--join", "a:1,[::1]:2", "--rack", "r1"));
    CHECK_EQ(c.seed_count, 2);
    assert_string_equal(c.seeds[1].host, "::1");
    CHECK_EQ(c.seeds[1].peer_port, 2);
    assert_string_equal(c.rack, "r1");
    CHECK(!CONFIG("--wal-segment", "4MB", "--value-max", "8MB"));
    assert_string_equal(problem, "--wal-segment 4096KB is too small for --value-max 8192KB: take --wal-segment 32MB, or a "
                                 "smaller --value-max");
    CHECK(CONFIG("--wal-segment", "32MB", "--value-max", "8MB"));
}

TEST(config, a_longer_election_keeps_the_ratio_of_the_lease)
{
    struct node_config usual;

    node_config_defaults(&usual);
    CHECK(CONFIG("--election-timeout", "3s"));
    CHECK_EQ(c.election_timeout_min, 3 * NANOS_SEC);
    CHECK(c.lease <= c.election_timeout_min);
    CHECK_EQ(c.lease / 10, usual.lease);
    CHECK_EQ(c.heartbeat_every / 10, usual.heartbeat_every);
}

#define CLEAN(group, name) cmocka_unit_test_teardown(group##__##name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAN(config, without_flags_is_the_nodes_own_defaults),
        CLEAN(config, printed_defaults_are_the_nodes),
        CLEAN(config, with_peers_listens_where_they_say),
        CLEAN(config, contradictions_are_refused_with_the_remedy),
        CLEAN(config, a_longer_election_keeps_the_ratio_of_the_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
