#include "kv/kv_fixture.h"

#define NULL_ARRAY "*-1\r\n"
#define DONE "*1\r\n+OK\r\n"

static const char *const set_done[] = {"SET done 1"};

/* Whether EXEC runs under this watch. */
static bool runs(struct kv_fixture *f, struct watch w)
{
    str reply = exec(f, &w, 1, set_done, 1);

    if (str_equal(reply, STR(NULL_ARRAY))) return false;
    CHECK_STR(reply, DONE);
    return true;
}

TEST(exec, runs_commands_and_replies_with_an_array)
{
    struct kv_fixture f;
    static const char *const lines[] = {"SET n 1", "INCR n", "SET s x", "INCR s", "GET n"};

    fixture_init(&f);
    CHECK_STR(exec(&f, NULL, 0, lines, 5),
              "*5\r\n+OK\r\n:2\r\n+OK\r\n-ERR value is not an integer or out of range\r\n$1\r\n2\r\n");
    CHECK_STR(exec(&f, NULL, 0, NULL, 0), "*0\r\n");
    fixture_done(&f);
}

TEST(exec, answers_aborted_in_the_entrys_protocol)
{
    struct kv_fixture f;

    fixture_init(&f);
    struct watch w = watch_key(&f, "k");
    apply(&f, "SET k v");
    f.proto = 3;
    CHECK_STR(exec(&f, &w, 1, set_done, 1), "_\r\n");
    fixture_done(&f);
}

TEST(watch, holds_when_nothing_happens)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v");
    CHECK(runs(&f, watch_key(&f, "k")));
    CHECK(runs(&f, watch_key(&f, "absent")));
    struct watch w = watch_key(&f, "k");
    apply(&f, "SET other v");
    apply(&f, "GET k");
    apply(&f, "TOUCH k");
    apply(&f, "SETRANGE k 0 \"\"");
    CHECK(runs(&f, w));
    fixture_done(&f);
}

TEST(watch, fails_when_the_key_changed)
{
    static const char *const changes[] = {
        "SET k w",    "APPEND k x",   "DEL k",       "EXPIRE k 100", "RENAME k l",
        "SET k v",    "GETDEL k",     "MOVE k 3",    "FLUSHALL",     "COPY other k REPLACE",
        "FLUSHDB",    "SETRANGE k 0 x", "SWAPDB 0 3", "GETEX k EX 5", "EXPIREAT k 1",
    };

    for (u32 i = 0; i < ARRAY_LEN(changes); i++) {
        struct kv_fixture f;
        fixture_init(&f);
        apply(&f, "SET other o");
        apply(&f, "SET k v");
        struct watch w = watch_key(&f, "k");
        apply(&f, changes[i]);
        if (runs(&f, w)) fail_msg("a watch missed %s", changes[i]);
        fixture_done(&f);
    }
}

TEST(watch, of_an_absent_key_fails_when_it_came)
{
    struct kv_fixture f;

    fixture_init(&f);
    struct watch w = watch_key(&f, "k");
    apply(&f, "SET k v");
    CHECK(!runs(&f, w));
    fixture_done(&f);
}

TEST(watch, of_an_absent_key_fails_when_it_came_and_went)
{
    static const char *const ends[][2] = {
        {"SET k v", "DEL k"},          {"SET k v", "RENAME k l"}, {"SET k v", "FLUSHDB"},
        {"SET k v", "SWAPDB 0 1"},     {"SET k v", "MOVE k 1"},   {"SET k v", "EXPIRE k -1"},
        {"SET k v", "GETEX k PXAT 1"},
    };

    for (u32 i = 0; i < ARRAY_LEN(ends); i++) {
        struct kv_fixture f;
        fixture_init(&f);
        struct watch w = watch_key(&f, "k");
        apply(&f, ends[i][0]);
        apply(&f, ends[i][1]);
        if (runs(&f, w)) fail_msg("a watch missed %s, %s", ends[i][0], ends[i][1]);
        fixture_done(&f);
    }
}

TEST(watch, of_an_absent_key_fails_when_it_came_and_expired)
{
    struct kv_fixture f;

    fixture_init(&f);
    struct watch w = watch_key(&f, "k");
    apply(&f, "SET k v PX 10");
    f.now_us += 20 * 1000;
    CHECK(!runs(&f, w));
    fixture_done(&f);
}

TEST(watch, of_a_live_key_fails_when_it_expires)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "SET k v PX 10");
    struct watch w = watch_key(&f, "k");
    f.now_us += 20 * 1000;
    CHECK(!runs(&f, w));
    fixture_done(&f);
}

TEST(watch, of_an_expired_key_holds_while_its_row_is_removed)
{
    static const char *const removals[] = {"GET k", "FLUSHDB", "DEL k", "SWAPDB 0 1", "SET x 1"};

    for (u32 i = 0; i < ARRAY_LEN(removals); i++) {
        struct kv_fixture f;
        fixture_init(&f);
        apply(&f, "SET k v PX 10");
        f.now_us += 20 * 1000;
        struct watch w = watch_key(&f, "k");
        CHECK(!w.exists);
        apply(&f, removals[i]);
        if (!runs(&f, w)) fail_msg("a watch fell to %s", removals[i]);
        fixture_done(&f);
    }
}

TEST(watch, of_an_absent_key_holds_while_others_go)
{
    struct kv_fixture f;

    fixture_init(&f);
    apply(&f, "MSET a 1 b 2 c 3");
    struct watch w = watch_key(&f, "k");
    apply(&f, "FLUSHALL");
    CHECK(runs(&f, w));
    fixture_done(&f);
}

TEST(watch, tells_keys_apart_that_one_exec_made_and_swapdb_exchanged)
{
    struct kv_fixture f;

    fixture_init(&f);
    buf_clear(&f.body);
    buf_append_u32(&f.body, 0);
    buf_append_u32(&f.body, 2);
    fixture_add_command(&f, STR("SET k zero"));
    f.db = 1;
    fixture_add_command(&f, STR("SET k one"));
    fixture_apply(&f, ENTRY_EXEC);
    f.db = 0;
    struct watch w = watch_key(&f, "k");
    apply(&f, "SWAPDB 0 1");
    CHECK(!runs(&f, w));
    fixture_done(&f);
}

TEST(exec, checks_a_watch_in_the_database_it_was_made_in)
{
    struct kv_fixture f;

    fixture_init(&f);
    f.db = 2;
    apply(&f, "SET k v");
    struct watch w = watch_key(&f, "k");
    f.db = 0;
    apply(&f, "SET k other");
    CHECK(runs(&f, w));
    f.db = 2;
    apply(&f, "SET k w");
    f.db = 0;
    CHECK(!runs(&f, w));
    fixture_done(&f);
}

TEST(exec, of_too_many_steps_does_nothing)
{
    struct kv_fixture f;
    static const char *const lines[] = {"SET a 1", "MSET b 1 c 1 d 1 e 1 f 1"};

    fixture_init(&f);
    f.kv->options.step_budget = 10;
    CHECK_STR(exec(&f, NULL, 0, lines, 2),
              "-TOOBIG limit=command.steps this takes more than 10 steps, the limit of one request; split it\r\n");
    CHECK_STR(apply(&f, "EXISTS a"), ":0\r\n");
    fixture_done(&f);
}

TEST(exec, that_is_malformed_changes_nothing)
{
    struct kv_fixture f;
    u64 before, after;

    fixture_init(&f);
    buf_clear(&f.body);
    buf_append_u32(&f.body, 0);
    buf_append_u32(&f.body, 2);
    fixture_add_command(&f, STR("SET a 1"));
    buf_append_text(&f.body, "rubbish");
    struct entry e = {.apply_ver = 1, .op = ENTRY_EXEC, .body = buf_str(&f.body)};
    CHECK_OK(kv_digest(f.kv, &before));
    CHECK_EQ(kv_apply(f.kv, &e, 1, &f.out), ERR_MALFORMED);
    f.kv->applied_ver = 0;
    CHECK_OK(kv_digest(f.kv, &after));
    CHECK_EQ(before, after);
    fixture_done(&f);
}

TEST(exec, of_reads_can_be_read)
{
    struct kv_fixture f;
    bool need_tick;

    fixture_init(&f);
    apply(&f, "SET k v PX 100");
    buf_clear(&f.body);
    buf_append_u32(&f.body, 0);
    buf_append_u32(&f.body, 2);
    fixture_add_command(&f, STR("GET k"));
    fixture_add_command(&f, STR("EXISTS k l"));
    buf_clear(&f.out);
    CHECK_OK(kv_read(f.kv, ENTRY_EXEC, 0, buf_str(&f.body), f.now_us, 0, &f.out, &need_tick));
    CHECK(!need_tick);
    CHECK_STR(buf_str(&f.out), "*2\r\n$1\r\nv\r\n:1\r\n");
    buf_clear(&f.out);
    CHECK_OK(kv_read(f.kv, ENTRY_EXEC, 0, buf_str(&f.body), f.now_us + 200 * 1000, 0, &f.out,
                     &need_tick));
    CHECK(need_tick);
    CHECK_EQ(f.out.len, 0);
    fixture_done(&f);
}

TEST_MAIN(RUN(exec, runs_commands_and_replies_with_an_array),
          RUN(exec, answers_aborted_in_the_entrys_protocol), RUN(watch, holds_when_nothing_happens),
          RUN(watch, fails_when_the_key_changed), RUN(watch, of_an_absent_key_fails_when_it_came),
          RUN(watch, of_an_absent_key_fails_when_it_came_and_went),
          RUN(watch, of_an_absent_key_fails_when_it_came_and_expired),
          RUN(watch, of_a_live_key_fails_when_it_expires),
          RUN(watch, of_an_expired_key_holds_while_its_row_is_removed),
          RUN(watch, of_an_absent_key_holds_while_others_go),
          RUN(watch, tells_keys_apart_that_one_exec_made_and_swapdb_exchanged),
          RUN(exec, checks_a_watch_in_the_database_it_was_made_in),
          RUN(exec, of_too_many_steps_does_nothing), RUN(exec, that_is_malformed_changes_nothing),
          RUN(exec, of_reads_can_be_read))
