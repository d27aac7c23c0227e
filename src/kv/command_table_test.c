#include "kv/kv_fixture.h"

TEST(command_table, is_in_alphabetical_order)
{
    u32 count;
    const struct kv_command *rows = kv_commands(&count);

    for (u32 i = 1; i < count; i++) CHECK(strcmp(rows[i - 1].name, rows[i].name) < 0);
}

TEST(command_table, finds_every_row_in_any_case)
{
    u32 count;
    const struct kv_command *rows = kv_commands(&count);

    CHECK_EQ(count, 49);
    for (u32 i = 0; i < count; i++) {
        char upper[32] = {0};
        for (u32 j = 0; rows[i].name[j]; j++) upper[j] = (char)(rows[i].name[j] == '.' ? '.' : rows[i].name[j] - 32);
        CHECK(kv_command_find(str_of(rows[i].name)) == &rows[i]);
        CHECK(kv_command_find(str_of(upper)) == &rows[i]);
        CHECK(rows[i].handler != NULL);
        CHECK(!(rows[i].flags & KV_READ) != !(rows[i].flags & KV_WRITE));
    }
}

TEST(command_table, finds_nothing_else)
{
    CHECK(!kv_command_find(STR("")));
    CHECK(!kv_command_find(STR("ge")));
    CHECK(!kv_command_find(STR("gett")));
    CHECK(!kv_command_find(STR("select")));
    CHECK(!kv_command_find(STR("G\x05t"))); /* only a bit away */
    CHECK(!kv_command_find(STR("SE\x14")));
    CHECK(!kv_command_find(STR("\x00\x00\x00")));
    CHECK(!kv_command_find(STR("an_exceedingly_long_name_of_a_command")));
}

static u32 keys_of(const char *line, u32 *indexes, u32 max)
{
    struct resp_parser p;
    size_t consumed;
    struct buf text = {0};

    resp_parser_init(&p, 1000, 0);
    buf_printf(&text, "%s\n", line);
    CHECK_EQ(resp_parse(&p, buf_str(&text), &consumed), RESP_REQUEST);
    const struct kv_command *c = kv_command_find(p.args[0]);
    CHECK(c != NULL);
    u32 count = kv_command_keys(c, p.args, p.argc, indexes, max);
    resp_parser_done(&p);
    buf_done(&text);
    return count;
}

TEST(command_table, knows_where_keys_are)
{
    u32 at[4] = {0};

    CHECK_EQ(keys_of("GET k", at, 4), 1);
    CHECK_EQ(at[0], 1);
    CHECK_EQ(keys_of("MSET a 1 b 2 c 3", at, 4), 3);
    CHECK_EQ(at[2], 5);
    CHECK_EQ(keys_of("DEL a b c d e f", at, 2), 6);
    CHECK_EQ(at[1], 2);
    CHECK_EQ(keys_of("RENAME a b", at, 4), 2);
    CHECK_EQ(keys_of("COPY a b DB 1", at, 4), 2);
    CHECK_EQ(keys_of("LCS a b LEN", at, 4), 2);
    CHECK_EQ(keys_of("KEYS *", at, 4), 0);
    CHECK_EQ(keys_of("DBSIZE", at, 4), 0);
    CHECK_EQ(keys_of("OBJECT ENCODING k", at, 4), 1);
    CHECK_EQ(at[0], 2);
    CHECK_EQ(keys_of("OBJECT HELP", at, 4), 0);
    CHECK_EQ(keys_of("GET", at, 4), 0);
}

TEST_MAIN(RUN(command_table, is_in_alphabetical_order),
          RUN(command_table, finds_every_row_in_any_case), RUN(command_table, finds_nothing_else),
          RUN(command_table, knows_where_keys_are))
