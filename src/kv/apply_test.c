#include "kv/kv_fixture.h"

#include "base/bytes.h"

static struct kv_db_stats stats(struct kv_fixture *f)
{
    struct kv_db_stats s;

    kv_db_stats(f->kv, f->db, &s);
    return s;
}

/* A TICK naming these keys of the fixture's database. */
static void tick(struct kv_fixture *f, const char *const *keys, u32 count)
{
    buf_clear(&f->body);
    buf_append_u32(&f->body, count);
    for (u32 i = 0; i < count; i++) {
        buf_append_u8(&f->body, f->db);
        buf_append_u32(&f->body, (u32)strlen(keys[i]));
        buf_append_text(&f->body, keys[i]);
    }
    CHECK_EQ(fixture_apply(f, ENTRY_TICK).len, 0);
}

TEST(apply, answers_in_the_entrys_protocol)
{
    struct kv_fixture f;

    fixture_init(&f);
    CHECK_STR(apply(&f, "GET k"), "$-1\r\n");
    f.proto = 3;
    CHECK_STR(apply(&f, "GET k"), "_\r\n");
    fixture_done(&f);
}

TEST(apply, takes_time_from_the_entry)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    f.now_us += 99 * 1000;
    CHECK_STR(apply(&f, "GET k"), "$1\r\nv\r\n");
    f.now_us += 1000;
    CHECK_STR(apply(&f, "GET k"), "$-1\r\n");
    fixture_done(&f);
}

TEST(apply, expires_at_the_very_microsecond)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    f.now_us += 100 * 1000 - 2;
    CHECK_STR(apply(&f, "EXISTS k"), ":1\r\n");
    CHECK_STR(apply(&f, "EXISTS k"), ":0\r\n");
    fixture_done(&f);
}

TEST(apply, never_lets_time_go_back)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    f.now_us += 200 * 1000;
    apply(&f, "SET other v");
    u64 clock = kv_clock_hlc(f.kv);
    f.now_us -= 150 * 1000;
    CHECK_STR(apply(&f, "GET k"), "$-1\r\n");
    CHECK_EQ(kv_clock_hlc(f.kv), clock);
    fixture_done(&f);
}

TEST(apply, counts_keys_and_expiring_keys)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "MSET a 1 b 2 c 3");
    apply(&f, "SET b 2 EX 100");
    apply(&f, "EXPIRE c 100");
    CHECK_EQ(stats(&f).keys, 3);
    CHECK_EQ(stats(&f).expires, 2);
    apply(&f, "SET b 2");
    apply(&f, "PERSIST c");
    CHECK_EQ(stats(&f).expires, 0);
    apply(&f, "SETEX a 10 1");
    apply(&f, "RENAME a b");
    CHECK_EQ(stats(&f).keys, 2);
    CHECK_EQ(stats(&f).expires, 1);
    apply(&f, "COPY b d");
    CHECK_EQ(stats(&f).expires, 2);
    apply(&f, "MOVE b 1");
    CHECK_EQ(stats(&f).keys, 2);
    CHECK_EQ(stats(&f).expires, 1);
    f.db = 1;
    CHECK_EQ(stats(&f).keys, 1);
    CHECK_EQ(stats(&f).expires, 1);
    apply(&f, "FLUSHDB");
    CHECK_EQ(stats(&f).keys, 0);
    CHECK_EQ(stats(&f).expires, 0);
    fixture_done(&f);
}

TEST(apply, removes_an_expired_key_it_meets)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    f.now_us += 200 * 1000;
    CHECK_EQ(stats(&f).keys, 1);
    apply(&f, "SET k w XX");
    CHECK_EQ(stats(&f).keys, 0);
    CHECK_EQ(stats(&f).expires, 0);
    fixture_done(&f);
}

TEST(apply, tick_removes_what_has_expired_and_nothing_else)
{
    struct kv_fixture f;
    static const char *const keys[] = {"gone", "later", "forever", "nothing"};

    fixture_init(&f);
    apply(&f, "SET gone v PX 100");
    apply(&f, "SET later v PX 1000");
    apply(&f, "SET forever v");
    f.now_us += 200 * 1000;
    tick(&f, keys, 4);
    CHECK_EQ(stats(&f).keys, 2);
    CHECK_EQ(stats(&f).expires, 1);
    CHECK_STR(apply(&f, "EXISTS later forever"), ":2\r\n");
    fixture_done(&f);
}

TEST(apply, copies_between_keys_one_of_which_expires_meanwhile)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET a abc");
    apply(&f, "SET b xbx PX 100");
    f.now_us += 200 * 1000;
    CHECK_STR(apply(&f, "LCS a b"), "$0\r\n\r\n");
    apply(&f, "SET b xbx PX 100");
    f.now_us += 200 * 1000;
    CHECK_STR(apply(&f, "RENAME a b"), "+OK\r\n");
    CHECK_STR(apply(&f, "GET b"), "$3\r\nabc\r\n");
    fixture_done(&f);
}

TEST(apply, refuses_a_command_of_too_many_steps_whole)
{
    struct kv_fixture f;
    struct buf line = {0};

    fixture_init(&f);
    f.kv->options.step_budget = 100;
    buf_append_text(&line, "MSET");
    for (u32 i = 0; i < 60; i++) buf_printf(&line, " key%u v", i);
    CHECK_STR(apply_str(&f, buf_str(&line)),
              "-TOOBIG limit=command.steps this takes more than 100 steps, the limit of one request; split it\r\n");
    CHECK_EQ(stats(&f).keys, 0);
    buf_done(&line);
    fixture_done(&f);
}

TEST(apply, cuts_a_walk_off_by_steps_but_not_a_readers)
{
    struct kv_fixture f;

    fixture_init(&f);
    f.kv->options.step_budget = 20;
    for (u32 i = 0; i < 50; i++) {
        char line[40];
        snprintf(line, sizeof line, "SET key%u v", i);
        apply(&f, line);
    }
    CHECK_STR(apply(&f, "KEYS *"),
              "-TOOBIG limit=command.steps this takes more than 20 steps, the limit of one request; split it\r\n");
    CHECK(memcmp(read_now(&f, "KEYS *").at, "*50\r\n", 5) == 0);
    fixture_done(&f);
}

TEST(apply, stops_at_what_it_does_not_understand)
{
    struct kv_fixture f;
    struct entry e = {.apply_ver = 1, .op = ENTRY_COMMAND, .hlc = 1};
    static const u8 bad_db[] = {16, 1, 0, 0, 0, 1, 0, 0, 0, 'x'};
    static const u8 too_long[] = {0, 1, 0, 0, 0, 1, 0, 0, 0, 'x', 'y'};

    fixture_init(&f);
    CHECK_EQ(kv_apply(f.kv, &e, 1, &f.out), ERR_MALFORMED);
    e.body = str_from(bad_db, sizeof bad_db);
    CHECK_EQ(kv_apply(f.kv, &e, 2, &f.out), ERR_MALFORMED);
    e.body = str_from(too_long, sizeof too_long);
    CHECK_EQ(kv_apply(f.kv, &e, 3, &f.out), ERR_MALFORMED);
    e.op = ENTRY_SESSION_OPEN;
    CHECK_EQ(kv_apply(f.kv, &e, 4, &f.out), ERR_MALFORMED);
    e.apply_ver = ENTRY_APPLY_VER + 1;
    CHECK_EQ(kv_apply(f.kv, &e, 5, &f.out), ERR_UNSUPPORTED);
    CHECK_EQ(f.out.len, 0);
    fixture_done(&f);
}

TEST(apply, answers_an_unknown_command_without_stopping)
{
    struct kv_fixture f;

    fixture_init(&f);
    CHECK_STR(apply(&f, "NOSUCH a"),
              "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n");
    fixture_done(&f);
}

TEST(apply, keeps_values_up_to_the_documented_limit)
{
    struct kv_fixture f;

    fixture_init(&f);
    f.kv->options.value_bytes_max = 100;
    apply(&f, "SET k 1234567890");
    CHECK_STR(apply(&f, "SETRANGE k 99 x"), ":100\r\n");
    CHECK_STR(apply(&f, "APPEND k x"),
              "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
    CHECK_STR(apply(&f, "STRLEN k"), ":100\r\n");
    fixture_done(&f);
}

TEST(apply, clamps_times_beyond_the_clock)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v PXAT 9223372036854775807");
    CHECK_STR(apply(&f, "GET k"), "$1\r\nv\r\n");
    CHECK_STR(apply(&f, "PEXPIRETIME k"), ":18446744073709551\r\n");
    apply(&f, "PEXPIRE k 9223300000000000000");
    CHECK_STR(apply(&f, "PEXPIRETIME k"), ":18446744073709551\r\n");
    fixture_done(&f);
}

TEST_MAIN(RUN(apply, answers_in_the_entrys_protocol), RUN(apply, takes_time_from_the_entry),
          RUN(apply, expires_at_the_very_microsecond), RUN(apply, never_lets_time_go_back),
          RUN(apply, counts_keys_and_expiring_keys), RUN(apply, removes_an_expired_key_it_meets),
          RUN(apply, tick_removes_what_has_expired_and_nothing_else),
          RUN(apply, copies_between_keys_one_of_which_expires_meanwhile),
          RUN(apply, refuses_a_command_of_too_many_steps_whole),
          RUN(apply, cuts_a_walk_off_by_steps_but_not_a_readers),
          RUN(apply, stops_at_what_it_does_not_understand),
          RUN(apply, answers_an_unknown_command_without_stopping),
          RUN(apply, keeps_values_up_to_the_documented_limit),
          RUN(apply, clamps_times_beyond_the_clock))
