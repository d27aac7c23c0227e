#include "base/test.h"

#include "cli/http.h"
#include "cli/ports.h"
#include "cli/supervisor.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_somewhere(u16 *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(listen(fd, 8), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

TEST(ports, a_listener_makes_a_port_busy_and_is_named)
{
    char holder[128], expected[32];
    u16 port;
    int fd = listen_somewhere(&port);

    CHECK(!port_is_free("127.0.0.1", port));
    port_holder(port, holder, sizeof holder);
    snprintf(expected, sizeof expected, "pid %d", getpid());
    assert_non_null(strstr(holder, expected));
    close(fd);
    CHECK(port_is_free("127.0.0.1", port));
}

/* A child that answers one request with `reply`. */
static u32 get_from(const char *reply, char *body, size_t size)
{
    u16 port;
    int fd = listen_somewhere(&port);
    pid_t child = fork();

    if (child == 0) {
        char request[512];
        int client = accept(fd, NULL, NULL);
        if (read(client, request, sizeof request) > 0) (void)!write(client, reply, strlen(reply));
        _exit(0);
    }
    close(fd);
    u32 status = http_get("127.0.0.1", port, "/readyz", 10000, body, size);
    waitpid(child, NULL, 0);
    return status;
}

TEST(http_get, gives_status_and_body)
{
    char body[16];
    CHECK_EQ(get_from("HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello", body, sizeof body), 200);
    assert_string_equal(body, "hello");
    CHECK_EQ(get_from("HTTP/1.1 503 Service Unavailable\r\n\r\n", body, sizeof body), 503);
    assert_string_equal(body, "");
}

TEST(http_get, gives_0_when_nobody_or_nonsense_answers)
{
    char body[16];
    u16 port;
    CHECK_EQ(get_from("-ERR not http\r\n", body, sizeof body), 0);
    close(listen_somewhere(&port));
    CHECK_EQ(http_get("127.0.0.1", port, "/", 1000, body, sizeof body), 0);
}

TEST(supervisor, pauses_grow_with_quick_deaths_and_are_forgiven_after_a_long_life)
{
    struct member m = {0};

    member_schedule_restart(&m);
    u32 first = m.pause_ticks;
    for (u32 i = 0; i < 20; i++) member_schedule_restart(&m);
    CHECK(m.pause_ticks > first);
    CHECK(m.pause_ticks * TICK_MS <= 5000);
    m.ticks_alive = 1000;
    member_schedule_restart(&m);
    CHECK_EQ(m.pause_ticks, first);
    for (u32 i = 1; i < first; i++) CHECK(!member_tick(&m));
    CHECK(member_tick(&m));
    CHECK(!member_tick(&m));
}

TEST(supervisor, the_command_is_quoted_for_a_shell_and_without_the_demos_own_flag)
{
    struct member m = {0};
    char command[256];

    member_add_arg(&m, "/a b/quorate");
    member_add_arg(&m, "start");
    member_add_arg(&m, "--die-with-parent");
    member_add_arg(&m, "1");
    member_add_arg(&m, "--dir");
    member_add_arg(&m, "it's");
    member_print_command(&m, command, sizeof command);
    assert_string_equal(command, "'/a b/quorate' start --dir 'it'\\''s'");
    member_done(&m);
}

TEST(supervisor, a_death_says_signal_or_exit_code)
{
    struct member m = {0};
    char how[64];

    m.pid = fork();
    if (m.pid == 0) _exit(3);
    struct member *dead;
    while (!(dead = members_reap(&m, 1))) {
    }
    member_describe_death(dead, how, sizeof how);
    assert_string_equal(how, "exit code 3");
    m.pid = fork();
    if (m.pid == 0)
        for (;;) pause();
    members_kill(&m, 1);
    while (!(dead = members_reap(&m, 1))) {
    }
    member_describe_death(dead, how, sizeof how);
    assert_string_equal(how, "killed by SIGKILL");
    CHECK_EQ(members_alive(&m, 1), 0);
}

TEST_MAIN(RUN(ports, a_listener_makes_a_port_busy_and_is_named),
          RUN(http_get, gives_status_and_body),
          RUN(http_get, gives_0_when_nobody_or_nonsense_answers),
          RUN(supervisor, pauses_grow_with_quick_deaths_and_are_forgiven_after_a_long_life),
          RUN(supervisor, the_command_is_quoted_for_a_shell_and_without_the_demos_own_flag),
          RUN(supervisor, a_death_says_signal_or_exit_code))
