#include "env/real_fixture.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Both ends live in one env: `server` echoes or collects, `client` talks. */
struct ends {
    struct fixture fx;
    struct listener listener;
    struct stream client, server;
    bool echo, refuse, collect;
    bool paused_server;
    bool server_stays; /* when the client has sent its last byte */
    u64 server_got, client_got;
    err client_end, server_end;
    u32 closed, ended, client_drained, server_received;
    u64 goal;
};

static struct ends t;

static void connect_ends(size_t in_limit)
{
    buf_init(&t.client.in, in_limit);
    buf_init(&t.server.in, in_limit);
    CHECK_OK(t.fx.env->ops->listen(t.fx.env, "127.0.0.1", 0, &t.listener));
    CHECK(t.listener.port != 0);
    t.fx.env->ops->dial(t.fx.env, "127.0.0.1", t.listener.port, &t.client);
}

static void server_received(void)
{
    t.server_received++;
    if (t.echo) buf_append_str(&t.server.out, buf_str(&t.server.in));
    if (!t.collect) {
        t.server_got += t.server.in.len;
        buf_clear(&t.server.in);
    }
    env_flush(t.fx.env, &t.server);
}

static void on_event(struct fixture *fx, const struct env_event *ev)
{
    switch (ev->kind) {
    case ENV_ACCEPTED:
        if (t.refuse) fx->env->ops->refuse(fx->env, ev->pending);
        else fx->env->ops->accept(fx->env, ev->pending, &t.server);
        if (t.paused_server) fx->env->ops->pause(fx->env, &t.server, true);
        break;
    case ENV_RECEIVED:
        if (ev->stream == &t.server) {
            server_received();
        } else {
            t.client_got += t.client.in.len;
            buf_clear(&t.client.in);
        }
        break;
    case ENV_ENDED:
        t.ended++;
        if (!t.server_stays) env_close(fx->env, ev->stream, false);
        break;
    case ENV_DRAINED: t.client_drained += ev->stream == &t.client; break;
    case ENV_CLOSED:
        t.closed++;
        *(ev->stream == &t.client ? &t.client_end : &t.server_end) = ev->result;
        assert_null(ev->stream->impl);
        break;
    default: break;
    }
}

static int setup(void **state)
{
    (void)state;
    t = (struct ends){0};
    fixture_init(&t.fx, NULL);
    t.fx.on_event = on_event;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_done(&t.fx);
    buf_done(&t.client.in);
    buf_done(&t.client.out);
    buf_done(&t.server.in);
    buf_done(&t.server.out);
    return 0;
}

static bool connected(struct fixture *fx) { return fx->seen[ENV_CONNECTED] && t.server.impl; }
static bool client_goal(struct fixture *fx)
{
    (void)fx;
    return t.client_got >= t.goal;
}
static bool server_goal(struct fixture *fx)
{
    (void)fx;
    return t.server_got >= t.goal;
}
static bool both_closed(struct fixture *fx)
{
    (void)fx;
    return t.closed == 2;
}
static bool one_closed(struct fixture *fx)
{
    (void)fx;
    return t.closed == 1;
}

static void fill(struct buf *out, size_t bytes)
{
    memset(buf_reserve(out, bytes), 'x', bytes);
    buf_extend(out, bytes);
}

TEST(net, echoes_over_loopback)
{
    t.echo = true;
    connect_ends(0);
    fixture_run(&t.fx, connected);
    CHECK_EQ(t.fx.seen[ENV_CONNECTED], 1);
    buf_append_text(&t.client.out, "hello");
    env_flush(t.fx.env, &t.client);
    t.goal = 5;
    fixture_run(&t.fx, client_goal);
    CHECK_EQ(t.client_got, 5);
    CHECK_EQ(t.client_drained, 0); /* nothing was blocked */
}

TEST(net, bytes_flushed_while_connecting_follow_by_themselves)
{
    connect_ends(0);
    buf_append_text(&t.client.out, "early");
    env_flush(t.fx.env, &t.client);
    t.goal = 5;
    fixture_run(&t.fx, server_goal);
    CHECK_EQ(t.server_got, 5);
}

TEST(net, eight_mebibytes_pass_in_parts_and_drain_once)
{
    connect_ends(0);
    fixture_run(&t.fx, connected);
    t.goal = 8 * MIB;
    fill(&t.client.out, 8 * MIB);
    env_flush(t.fx.env, &t.client);
    CHECK_EQ(t.client.out.len, 0); /* taken over: what is appended now waits behind it */
    buf_append_text(&t.client.out, "and more");
    env_flush(t.fx.env, &t.client);
    t.goal += 8;
    fixture_run(&t.fx, server_goal);
    CHECK_EQ(t.server_got, 8 * MIB + 8);
    CHECK_EQ(t.client.out.len, 0);
    CHECK_EQ(t.client_drained, 1);
    CHECK(t.server_received > 1);
}

static bool server_full(struct fixture *fx)
{
    (void)fx;
    return t.server.in.len == t.server.in.limit;
}

TEST(net, reading_stops_at_the_limit_and_resumes_when_there_is_room)
{
    t.collect = true;
    connect_ends(64 * KIB);
    fixture_run(&t.fx, connected);
    fill(&t.client.out, 300 * KIB);
    env_flush(t.fx.env, &t.client);
    fixture_run(&t.fx, server_full);
    CHECK_EQ(t.server.in.len, 64 * KIB);
    u32 received = t.server_received;

    t.fx.env->ops->wake_at(t.fx.env,
                           env_mono(t.fx.env)); /* a turn that takes nothing: still full */
    fixture_run(&t.fx, server_full);
    CHECK_EQ(t.server_received, received);

    t.collect = false;
    t.server_got = 64 * KIB;
    buf_clear(&t.server.in); /* consumed without a flush: the env sees it all the same */
    t.goal = 300 * KIB;
    fixture_run(&t.fx, server_goal);
    CHECK_EQ(t.server_got, 300 * KIB);
}

static bool drained_or_third_turn(struct fixture *fx) { return fx->turns >= 3; }

TEST(net, a_paused_stream_reads_nothing_until_resumed)
{
    t.paused_server = true;
    connect_ends(0);
    fixture_run(&t.fx, connected);
    buf_append_text(&t.client.out, "wait");
    env_flush(t.fx.env, &t.client);
    t.fx.turns = 0;
    for (u32 i = 0; i < 3; i++) {
        env_wake_at(t.fx.env, env_mono(t.fx.env));
        t.fx.turns = 3;
        fixture_run(&t.fx, drained_or_third_turn);
    }
    CHECK_EQ(t.server_received, 0);
    t.fx.env->ops->pause(t.fx.env, &t.server, false);
    t.goal = 4;
    fixture_run(&t.fx, server_goal);
    CHECK_EQ(t.server_got, 4);
}

TEST(net, close_ends_both_sides_exactly_once)
{
    connect_ends(0);
    fixture_run(&t.fx, connected);
    env_close(t.fx.env, &t.client, false);
    env_close(t.fx.env, &t.client, false);
    CHECK_EQ(t.closed, 0); /* never inside the call */
    fixture_run(&t.fx, both_closed);
    CHECK_EQ(t.client_end, OK);
    CHECK_EQ(t.server_end, OK);
    CHECK_EQ(t.ended, 1);
    env_close(t.fx.env, &t.client, false); /* after the end: nothing */
    env_flush(t.fx.env, &t.client);
    CHECK_EQ(t.fx.seen[ENV_CLOSED], 2);
}

static bool ended(struct fixture *fx)
{
    (void)fx;
    return t.ended == 1;
}

TEST(net, a_client_that_sends_no_more_can_still_be_answered)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    char got[4] = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    t.server_stays = t.collect = true;
    CHECK_OK(t.fx.env->ops->listen(t.fx.env, "127.0.0.1", 0, &t.listener));
    to.sin_port = htons(t.listener.port);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    CHECK_EQ(write(fd, "ask", 3), 3);
    CHECK_EQ(shutdown(fd, SHUT_WR), 0);
    fixture_run(&t.fx, ended);
    CHECK(str_equal(buf_str(&t.server.in), STR("ask"))); /* all of it was there before the end */
    CHECK_EQ(t.closed, 0);

    buf_append_text(&t.server.out, "yes");
    env_flush(t.fx.env, &t.server);
    env_close(t.fx.env, &t.server, true);
    fixture_run(&t.fx, one_closed);
    CHECK_EQ(recv(fd, got, sizeof got, MSG_WAITALL), 3);
    CHECK_EQ(t.ended, 1);
    close(fd);
}

TEST(net, close_with_flush_sends_everything_first)
{
    connect_ends(0);
    fixture_run(&t.fx, connected);
    fill(&t.client.out, 8 * MIB);
    env_close(t.fx.env, &t.client, true);
    fixture_run(&t.fx, both_closed);
    CHECK_EQ(t.server_got, 8 * MIB);
    CHECK_EQ(t.client_end, OK);
}

TEST(net, close_with_flush_can_be_cut_short)
{
    t.paused_server = true;
    connect_ends(0);
    fixture_run(&t.fx, connected);
    fill(&t.client.out, 8 * MIB);
    env_close(t.fx.env, &t.client, true);
    env_close(t.fx.env, &t.client, false);
    fixture_run(&t.fx, one_closed);
    CHECK_EQ(t.client_end, OK);
}

TEST(net, what_came_before_a_close_is_not_reported_after_it)
{
    t.paused_server = true;
    connect_ends(0);
    fixture_run(&t.fx, connected);
    buf_append_text(&t.client.out, "late");
    env_flush(t.fx.env, &t.client);
    env_close(t.fx.env, &t.client, true);
    t.fx.env->ops->pause(t.fx.env, &t.server, false);
    env_close(t.fx.env, &t.server, false);
    fixture_run(&t.fx, both_closed);
    CHECK_EQ(t.server_received, 0);
    CHECK_EQ(t.server_end, OK);
}

TEST(net, a_refused_connection_closes_the_dialler)
{
    t.refuse = true;
    connect_ends(0);
    fixture_run(&t.fx, one_closed);
    CHECK_EQ(t.ended, 1);
    assert_null(t.server.impl);
}

static u16 free_port(void)
{
    struct listener probe = {0};
    CHECK_OK(t.fx.env->ops->listen(t.fx.env, "127.0.0.1", 0, &probe));
    t.fx.env->ops->unlisten(t.fx.env, &probe);
    assert_null(probe.impl);
    return probe.port;
}

TEST(net, dialling_nobody_ends_in_closed_with_the_reason)
{
    t.fx.env->ops->dial(t.fx.env, "127.0.0.1", free_port(), &t.client);
    fixture_run(&t.fx, one_closed);
    CHECK_EQ(t.client_end, ERR_REFUSED);
    CHECK_EQ(t.fx.seen[ENV_CONNECTED], 0);
}

TEST(net, dialling_an_unknown_name_ends_in_closed)
{
    t.fx.env->ops->dial(t.fx.env, "no-such-host.invalid", 1, &t.client);
    fixture_run(&t.fx, one_closed);
    CHECK(t.client_end != OK);
}

TEST(net, a_dial_closed_while_it_resolves_ends_once)
{
    t.fx.env->ops->dial(t.fx.env, "localhost", 1, &t.client);
    env_close(t.fx.env, &t.client, false);
    fixture_run(&t.fx, one_closed);
    CHECK_EQ(t.client_end, OK);
}

TEST(net, dials_by_name)
{
    CHECK_OK(t.fx.env->ops->listen(t.fx.env, "localhost", 0, &t.listener));
    t.fx.env->ops->dial(t.fx.env, "localhost", t.listener.port, &t.client);
    fixture_run(&t.fx, connected);
    CHECK_EQ(t.closed, 0);
}

TEST(net, a_port_in_use_is_told)
{
    struct listener second = {0};
    CHECK_OK(t.fx.env->ops->listen(t.fx.env, "127.0.0.1", 0, &t.listener));
    CHECK_EQ(t.fx.env->ops->listen(t.fx.env, "127.0.0.1", t.listener.port, &second),
             ERR_ADDRESS_IN_USE);
    assert_null(second.impl);
}

TEST(net, a_port_can_be_bound_again_right_after_its_connections_closed)
{
    struct listener again = {0};

    connect_ends(0);
    fixture_run(&t.fx, connected);
    env_close(t.fx.env, &t.server, false);
    fixture_run(&t.fx, both_closed);
    t.fx.env->ops->unlisten(t.fx.env, &t.listener);
    CHECK_OK(t.fx.env->ops->listen(t.fx.env, "127.0.0.1", t.listener.port, &again));
}

TEST(net, peer_name_is_the_address_of_the_other_end)
{
    char name[64], expected[64];

    connect_ends(0);
    fixture_run(&t.fx, connected);
    t.fx.env->ops->peer_name(t.fx.env, &t.client, name, sizeof name);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", t.listener.port);
    assert_string_equal(name, expected);
    env_close(t.fx.env, &t.client, false);
    t.fx.env->ops->peer_name(t.fx.env, &t.client, name, sizeof name);
    assert_string_equal(name, "?");
}

static bool settled(struct fixture *fx)
{
    (void)fx;
    return t.client_got >= t.goal && !t.client.in.data && !t.server.in.data && !t.server.out.data;
}

TEST(net, idle_connections_hold_no_buffers)
{
    t.echo = true;
    connect_ends(0);
    fixture_run(&t.fx, connected);
    fill(&t.client.out, 200 * KIB);
    env_flush(t.fx.env, &t.client);
    t.goal = 200 * KIB;
    fixture_run(&t.fx, client_goal);
    env_wake_at(t.fx.env, env_mono(t.fx.env));
    fixture_run(&t.fx, settled);
    assert_null(t.client.in.data);
    assert_null(t.client.out.data);
    assert_null(t.server.in.data);
    assert_null(t.server.out.data);
}

/* A client that never reads its replies and resets the connection. */
TEST(net, a_reset_while_bytes_are_in_flight_ends_the_stream_once)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct linger reset = {1, 0};

    CHECK_OK(t.fx.env->ops->listen(t.fx.env, "127.0.0.1", 0, &t.listener));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = htons(t.listener.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    t.goal = 1;
    fixture_run(&t.fx, server_goal);
    fill(&t.server.out, 8 * MIB);
    env_flush(t.fx.env, &t.server);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    fixture_run(&t.fx, one_closed);
    CHECK_EQ(t.server_end, ERR_CLOSED);
    CHECK_EQ(t.fx.seen[ENV_DRAINED], 0);
}

TEST(net, the_env_may_end_with_connections_open)
{
    connect_ends(0);
    fixture_run(&t.fx, connected);
    fill(&t.client.out, 8 * MIB);
    env_flush(t.fx.env, &t.client);
    env_real_free(t.fx.env);
    t.fx.env = NULL;
}

#define WITH_ENV(group, name) cmocka_unit_test_setup_teardown(group##__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENV(net, echoes_over_loopback),
        WITH_ENV(net, bytes_flushed_while_connecting_follow_by_themselves),
        WITH_ENV(net, eight_mebibytes_pass_in_parts_and_drain_once),
        WITH_ENV(net, reading_stops_at_the_limit_and_resumes_when_there_is_room),
        WITH_ENV(net, a_paused_stream_reads_nothing_until_resumed),
        WITH_ENV(net, close_ends_both_sides_exactly_once),
        WITH_ENV(net, a_client_that_sends_no_more_can_still_be_answered),
        WITH_ENV(net, close_with_flush_sends_everything_first),
        WITH_ENV(net, close_with_flush_can_be_cut_short),
        WITH_ENV(net, what_came_before_a_close_is_not_reported_after_it),
        WITH_ENV(net, a_refused_connection_closes_the_dialler),
        WITH_ENV(net, dialling_nobody_ends_in_closed_with_the_reason),
        WITH_ENV(net, dialling_an_unknown_name_ends_in_closed),
        WITH_ENV(net, a_dial_closed_while_it_resolves_ends_once),
        WITH_ENV(net, dials_by_name),
        WITH_ENV(net, a_port_in_use_is_told),
        WITH_ENV(net, a_port_can_be_bound_again_right_after_its_connections_closed),
        WITH_ENV(net, peer_name_is_the_address_of_the_other_end),
        WITH_ENV(net, idle_connections_hold_no_buffers),
        WITH_ENV(net, a_reset_while_bytes_are_in_flight_ends_the_stream_once),
        WITH_ENV(net, the_env_may_end_with_connections_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
