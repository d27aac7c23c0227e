/* The rows of limits.c: what users and dashboards go by. */
#include "base/test.h"
#include "server/limits.h"

#include <ctype.h>
#include <string.h>

static bool is_dotted(const char *name)
{
    for (const char *at = name; *at; at++)
        if (!islower((u8)*at) && *at != '.' && *at != '-') return false;
    const char *dot = strchr(name, '.');
    return dot && dot != name && dot[1] && !strchr(dot + 1, '.');
}

TEST(limits, each_has_a_name_a_unit_an_owner_what_it_bounds_and_where_to_change_it)
{
    for (u32 id = LIMIT_NONE + 1; id < LIMIT_COUNT; id++) {
        const struct limit_row *row = &limit_rows[id];
        CHECK(row->name && is_dotted(row->name));
        CHECK(row->unit && row->unit[0]);
        CHECK(row->owner && row->owner[0]);
        CHECK(row->change && (row->change[0] == '-' || strcmp(row->change, "fixed") == 0));
        CHECK(row->what && row->what[0]);
    }
}

TEST(limits, no_two_share_a_name)
{
    for (u32 id = LIMIT_NONE + 1; id < LIMIT_COUNT; id++) CHECK_EQ(limit_find(str_of(limit_rows[id].name)), id);
    CHECK_EQ(limit_find(STR("gateway")), LIMIT_NONE);
    CHECK_EQ(limit_find(STR("")), LIMIT_NONE);
}

TEST(limits, are_found_in_the_errors_that_name_them)
{
    CHECK_EQ(limit_of_error(STR("-OVERLOADED retry=50 limit=gateway.writes it is reached; nothing was done\r\n")),
             LIMIT_GATEWAY_WRITES);
    CHECK_EQ(limit_of_error(STR("-TOOBIG limit=command.steps this takes more than 5 steps\r\n")), LIMIT_COMMAND_STEPS);
    CHECK_EQ(limit_of_error(STR("-OVERLOADED retry=50 limit=raft.reads\r\n")), LIMIT_RAFT_READS);
    CHECK_EQ(limit_of_error(STR("-OVERLOADED retry=50 limit=gateway.writesome x\r\n")), LIMIT_NONE);
    CHECK_EQ(limit_of_error(STR("-OVERLOADED retry=50 limit=")), LIMIT_NONE);
    CHECK_EQ(limit_of_error(STR("-ERR syntax error\r\n")), LIMIT_NONE);
    CHECK_EQ(limit_of_error(STR("")), LIMIT_NONE);
}

TEST(limits, are_metrics_with_a_label_each)
{
    struct limits_now now = {0};
    struct buf out = {0};

    now.at[LIMIT_GATEWAY_WRITES] = (struct limit_now){.value = 32768, .use = 7, .reached = 2, .has_use = true};
    limits_put_metrics(&now, &out);
    buf_append_u8(&out, 0);
    const char *text = (const char *)buf_bytes(&out);
    CHECK(strstr(text, "quorate_limit_value{limit=\"gateway.writes\"} 32768\n"));
    CHECK(strstr(text, "quorate_limit_use{limit=\"gateway.writes\"} 7\n"));
    CHECK(strstr(text, "quorate_limit_reached_total{limit=\"gateway.writes\"} 2\n"));
    CHECK(strstr(text, "# TYPE quorate_limit_reached_total counter\n"));
    buf_done(&out);
}

TEST_MAIN(RUN(limits, each_has_a_name_a_unit_an_owner_what_it_bounds_and_where_to_change_it),
          RUN(limits, no_two_share_a_name), RUN(limits, are_found_in_the_errors_that_name_them),
          RUN(limits, are_metrics_with_a_label_each))
