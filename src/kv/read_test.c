#include "kv/kv_fixture.h"

static u64 digest(struct kv_fixture *f)
{
    u64 d;

    CHECK_OK(kv_digest(f->kv, &d));
    return d;
}

TEST(read, sees_what_was_applied)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v");
    CHECK_STR(read_now(&f, "GET k"), "$1\r\nv\r\n");
    CHECK_STR(read_now(&f, "MGET k nothing"), "*2\r\n$1\r\nv\r\n$-1\r\n");
    fixture_done(&f);
}

TEST(read, asks_for_a_tick_when_the_log_does_not_know_of_an_expiry_yet)
{
    struct kv_fixture f;
    bool need_tick;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    CHECK_STR(read_at(&f, "GET k", 99 * 1000, &need_tick), "$1\r\nv\r\n");
    CHECK(!need_tick);
    CHECK_EQ(read_at(&f, "GET k", 100 * 1000, &need_tick).len, 0);
    CHECK(need_tick);
    CHECK_EQ(read_at(&f, "KEYS *", 100 * 1000, &need_tick).len, 0);
    CHECK(need_tick);
    CHECK_STR(read_at(&f, "GET other", 100 * 1000, &need_tick), "$-1\r\n");
    CHECK(!need_tick);
    fixture_done(&f);
}

TEST(read, answers_once_the_tick_is_applied)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    f.now_us += 150 * 1000;
    buf_clear(&f.body);
    buf_append_u32(&f.body, 0); /* names no key: the time alone is enough */
    fixture_apply(&f, ENTRY_TICK);
    CHECK_STR(read_now(&f, "GET k"), "$-1\r\n");
    CHECK_STR(read_now(&f, "EXISTS k"), ":0\r\n");
    CHECK_STR(read_now(&f, "RANDOMKEY"), "$-1\r\n");
    CHECK_STR(read_now(&f, "SCAN 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
    fixture_done(&f);
}

TEST(read, by_a_slow_clock_does_not_bring_a_key_back)
{
    struct kv_fixture f;
    bool need_tick;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    f.now_us += 150 * 1000;
    apply(&f, "SET other v");
    CHECK_STR(read_at(&f, "GET k", -140 * 1000, &need_tick), "$-1\r\n");
    CHECK(!need_tick);
    fixture_done(&f);
}

TEST(read, shows_the_time_left_by_its_own_clock)
{
    struct kv_fixture f;
    bool need_tick;

    fixture_init(&f);
    apply(&f, "SET k v PX 10000");
    CHECK_STR(read_at(&f, "PTTL k", 4 * 1000 * 1000, &need_tick), ":6000\r\n");
    fixture_done(&f);
}

TEST(read, changes_nothing)
{
    struct kv_fixture f;
    bool need_tick;
    static const char *const lines[] = {
        "GET k",     "EXISTS k", "TTL k",         "STRLEN k", "GETRANGE k 0 -1", "LCS k l",
        "RANDOMKEY", "KEYS *",   "SCAN 0",        "DBSIZE",   "TYPE k",          "TOUCH k",
        "MGET k l",  "LCS k k",  "OBJECT FREQ l", "TTL l",
    };

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    apply(&f, "SET l w");
    f.now_us += 150 * 1000;
    apply(&f, "SET m x");
    u64 before = digest(&f);
    for (u32 i = 0; i < ARRAY_LEN(lines); i++) CHECK(read_at(&f, lines[i], 0, &need_tick).len > 0);
    CHECK_EQ(digest(&f), before);
    fixture_done(&f);
}

TEST(read, a_reply_has_a_limit)
{
    struct kv_fixture f;
    bool need_tick;

    fixture_init(&f);
    apply(&f, "SET b 1");
    apply(&f, "SETRANGE a 1500000 x");
    apply(&f, "SETRANGE big 3000000 x");
    f.kv->options.value_bytes_max = 10; /* replies: 2 MiB and 20 bytes */
    str reply = read_at(&f, "MGET a a", 0, &need_tick);
    CHECK(str_equal(reply, STR("-TOOBIG limit=command.reply-bytes these values have more than 2097172 bytes; ask for fewer at a "
                               "time\r\n")));

    buf_clear(&f.body);
    buf_append_u32(&f.body, 0);
    buf_append_u32(&f.body, 3);
    fixture_add_command(&f, STR("INCR b"));
    fixture_add_command(&f, STR("GETDEL big"));
    fixture_add_command(&f, STR("INCR b"));
    reply = fixture_apply(&f, ENTRY_EXEC); /* what was done is done, and the others are told */
    CHECK(str_equal(reply, STR("*3\r\n:2\r\n-TOOBIG limit=command.reply-bytes the replies of this transaction have more than "
                               "2097172 bytes; this command was done and its reply dropped\r\n:3\r\n")));
    fixture_done(&f);
}

TEST(read, refuses_writes)
{
    struct kv_fixture f;
    bool need_tick;

    fixture_init(&f);
    buf_clear(&f.body);
    fixture_add_command(&f, STR("SET k v"));
    CHECK_EQ(kv_read(f.kv, ENTRY_COMMAND, 0, buf_str(&f.body), f.now_us, 0, &f.out, &need_tick),
             ERR_INVALID);
    buf_clear(&f.body);
    buf_append_u32(&f.body, 0);
    buf_append_u32(&f.body, 1);
    fixture_add_command(&f, STR("SET k v"));
    CHECK_EQ(kv_read(f.kv, ENTRY_EXEC, 0, buf_str(&f.body), f.now_us, 0, &f.out, &need_tick),
             ERR_INVALID);
    CHECK_EQ(f.out.len, 0);
    fixture_done(&f);
}

TEST(read, picks_random_keys_among_the_live)
{
    struct kv_fixture f;
    bool need_tick;
    u32 seen[3] = {0};

    fixture_init(&f);
    apply(&f, "MSET a 1 b 2 c 3");
    for (u32 i = 0; i < 200; i++) {
        char line[32];
        snprintf(line, sizeof line, "SET dead%u v PX 10", i);
        apply(&f, line);
    }
    f.now_us += 20 * 1000;
    apply(&f, "SET a 1");
    for (u64 seed = 0; seed < 100; seed++) {
        buf_clear(&f.body);
        fixture_add_command(&f, STR("RANDOMKEY"));
        buf_clear(&f.out);
        CHECK_OK(kv_read(f.kv, ENTRY_COMMAND, 0, buf_str(&f.body), f.now_us, seed, &f.out, &need_tick));
        str reply = buf_str(&f.out);
        CHECK_EQ(reply.len, 7);
        CHECK(reply.at[4] >= 'a' && reply.at[4] <= 'c');
        seen[reply.at[4] - 'a']++;
    }
    CHECK(seen[0] && seen[1] && seen[2]);
    fixture_done(&f);
}

TEST(find_expired, names_them_all_in_pieces_and_goes_around)
{
    struct kv_fixture f;
    u32 found, total = 0;

    fixture_init(&f);
    for (u32 i = 0; i < 300; i++) {
        char line[40];
        f.db = (u8)(i % 3);
        snprintf(line, sizeof line, i % 2 ? "SET key%u v PX 100" : "SET key%u v", i);
        apply(&f, line);
    }
    f.now_us += 200 * 1000;
    for (u32 round = 0; round < 2; round++) {
        total = 0;
        for (u32 i = 0; i < 40; i++) {
            buf_clear(&f.body);
            CHECK_OK(kv_find_expired(f.kv, f.now_us, 20, &f.body, &found));
            if (found) fixture_apply(&f, ENTRY_TICK);
            total += found;
        }
        CHECK_EQ(total, round == 0 ? 150 : 0);
    }
    for (u8 db = 0; db < 3; db++) {
        struct kv_db_stats s;
        kv_db_stats(f.kv, db, &s);
        CHECK_EQ(s.keys, 50);
        CHECK_EQ(s.expires, 0);
    }
    fixture_done(&f);
}

TEST(find_expired, looks_at_no_more_rows_than_it_may)
{
    struct kv_fixture f;
    u32 found;

    fixture_init(&f);
    for (u32 i = 0; i < 100; i++) {
        char line[40];
        snprintf(line, sizeof line, "SET key%u v PX 100", i);
        apply(&f, line);
    }
    f.now_us += 200 * 1000;
    buf_clear(&f.body);
    CHECK_OK(kv_find_expired(f.kv, f.now_us, 10, &f.body, &found));
    CHECK_EQ(found, 10);
    fixture_done(&f);
}

TEST_MAIN(RUN(read, sees_what_was_applied),
          RUN(read, asks_for_a_tick_when_the_log_does_not_know_of_an_expiry_yet),
          RUN(read, answers_once_the_tick_is_applied),
          RUN(read, by_a_slow_clock_does_not_bring_a_key_back),
          RUN(read, shows_the_time_left_by_its_own_clock), RUN(read, changes_nothing),
          RUN(read, a_reply_has_a_limit), RUN(read, refuses_writes), RUN(read, picks_random_keys_among_the_live),
          RUN(find_expired, names_them_all_in_pieces_and_goes_around),
          RUN(find_expired, looks_at_no_more_rows_than_it_may))
