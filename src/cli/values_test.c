#include "base/test.h"

#include "cli/values.h"

#include <string.h>

TEST(number, is_digits_in_range)
{
    u64 n = 7;
    CHECK(value_number("65535", 1, 65535, &n));
    CHECK_EQ(n, 65535);
    CHECK(!value_number("65536", 1, 65535, &n));
    CHECK(!value_number("0", 1, 65535, &n));
    CHECK(!value_number("", 0, 10, &n));
    CHECK(!value_number("-1", 0, 10, &n));
    CHECK(!value_number("1x", 0, 10, &n));
    CHECK(!value_number("99999999999999999999", 0, UINT64_MAX, &n));
    CHECK_EQ(n, 65535); /* untouched by refusals */
}

TEST(bytes, take_units_of_1024)
{
    u64 n;
    CHECK(value_bytes("65536", &n) && n == 65536);
    CHECK(value_bytes("64KB", &n) && n == 64 * KIB);
    CHECK(value_bytes("64k", &n) && n == 64 * KIB);
    CHECK(value_bytes("256MiB", &n) && n == 256 * MIB);
    CHECK(value_bytes("2gb", &n) && n == 2048 * MIB);
    CHECK(value_bytes("10b", &n) && n == 10);
    CHECK(!value_bytes("MB", &n));
    CHECK(!value_bytes("1XB", &n));
    CHECK(!value_bytes("1MBs", &n));
    CHECK(!value_bytes("1 MB", &n));
    CHECK(!value_bytes("99999999999TB", &n));
}

TEST(duration, wants_a_unit)
{
    nanos t;
    CHECK(value_duration("50ms", &t) && t == 50 * NANOS_MS);
    CHECK(value_duration("1.5s", &t) && t == 1500 * NANOS_MS);
    CHECK(value_duration("2m", &t) && t == 120 * NANOS_SEC);
    CHECK(!value_duration("50", &t));
    CHECK(!value_duration("1.25s", &t));
    CHECK(!value_duration("s", &t));
    CHECK(!value_duration("99999999999h", &t));
}

TEST(cluster_id, prints_as_it_reads)
{
    u8 id[16];
    char text[33];
    CHECK(value_cluster_id("00112233-4455-6677-8899-AABBCCDDEEFF", id));
    value_print_cluster_id(id, text);
    assert_string_equal(text, "00112233445566778899aabbccddeeff");
    CHECK(!value_cluster_id("0011", id));
    CHECK(!value_cluster_id("00112233445566778899aabbccddeeff0", id));
    CHECK(!value_cluster_id("00112233445566778899aabbccddeefg", id));
}

TEST(host_port, takes_names_and_bracketed_ipv6)
{
    char host[NODE_HOST_MAX];
    u16 port;
    CHECK(value_host_port("127.0.0.1:7379", host, &port));
    assert_string_equal(host, "127.0.0.1");
    CHECK_EQ(port, 7379);
    CHECK(value_host_port("[::1]:1", host, &port));
    assert_string_equal(host, "::1");
    CHECK(!value_host_port("::1:1", host, &port));
    CHECK(!value_host_port("host", host, &port));
    CHECK(!value_host_port("host:", host, &port));
    CHECK(!value_host_port("host:0", host, &port));
    CHECK(!value_host_port("host:65536", host, &port));
    CHECK(!value_host_port(":1", host, &port));
}

TEST(peers, are_ids_with_addresses)
{
    struct node_member m[NODE_MEMBERS_MAX];
    const char *why;
    u32 count;
    CHECK(value_peers("1=a:1,3=b:2", m, &count, &why));
    CHECK_EQ(count, 2);
    CHECK_EQ(m[1].id, 3);
    assert_string_equal(m[1].host, "b");
    CHECK_EQ(m[1].peer_port, 2);
}

TEST(peers, are_refused_with_the_reason)
{
    struct node_member m[NODE_MEMBERS_MAX];
    const char *why;
    u32 count;
    CHECK(!value_peers("a:1", m, &count, &why));
    assert_non_null(strstr(why, "ID=HOST:PORT"));
    CHECK(!value_peers("1=a:1,1=b:1", m, &count, &why));
    assert_non_null(strstr(why, "twice"));
    CHECK(!value_peers("0=a:1", m, &count, &why));
    CHECK(!value_peers("1=a", m, &count, &why));
    CHECK(!value_peers("1=a:1,", m, &count, &why));
    CHECK(!value_peers("", m, &count, &why));
}

TEST_MAIN(RUN(number, is_digits_in_range), RUN(bytes, take_units_of_1024),
          RUN(duration, wants_a_unit), RUN(cluster_id, prints_as_it_reads),
          RUN(host_port, takes_names_and_bracketed_ipv6), RUN(peers, are_ids_with_addresses),
          RUN(peers, are_refused_with_the_reason))
