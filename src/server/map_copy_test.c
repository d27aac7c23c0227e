/* How a node that holds no replica of the core comes to a newer map. */
#include "server/lone_cluster.h"

#define ANSWER_BYTES 64 /* one object in each answer */

/* A copy of the map as it is, and an answer that has been asked for. */
static struct cluster *copy_that_asked(void)
{
    struct cluster *c = lone_open();

    c->copy.core = core_copy_of(lone.map);
    c->copy.busy = true;
    c->copy.from = 2;
    return c;
}

static u64 copied_epoch(const struct cluster *c) { return core_cluster(c->copy.core)->epoch; }

/* Node 2 answers the latest question, as map_copy_serve does. */
static void answer(struct cluster *c, size_t bytes)
{
    struct map_pull p;
    struct buf out = {0};

    CHECK_EQ(lone.sent_type, FRAME_MAP_PULL);
    CHECK_OK(map_pull_decode(buf_str(&lone.sent), &p));
    if (p.pages) core_page(lone.map, 0, p.kind, p.id, bytes, &out);
    else core_delta(lone.map, p.since, bytes, &out);
    map_copy_take(c, 2, buf_str(&out));
    buf_done(&out);
}

/* Its partitions change once more, so an answer that ends between the two has the keyspace and not them. */
static void make_more_and_lead_it(void)
{
    lone_create("more", "hash:4");
    const struct core_keyspace *k = core_keyspace_named(lone.map, STR("more"));
    for (u32 i = 0; i < k->part_count; i++)
        LONE_DO(.op = CORE_PART_LEADER, .part = k->parts[i]->id, .term = 1, .replica = k->parts[i]->members[0].replica);
}

TEST(map_copy, changes_in_one_answer_are_read)
{
    struct cluster *c = copy_that_asked();
    struct buf out = {0};
    u64 since = copied_epoch(c);

    lone_create("more", "hash:4");
    core_delta(lone.map, since, 64 * KIB, &out);
    map_copy_take(c, 2, buf_str(&out));
    CHECK_EQ(copied_epoch(c), core_cluster(lone.map)->epoch);
    CHECK(core_keyspace_named(c->copy.core, STR("more")));
    buf_done(&out);
    lone_close();
}

TEST(map_copy, changes_in_several_answers_are_read_beside_the_map_that_is_in_use)
{
    struct cluster *c = copy_that_asked();
    struct buf out = {0};
    u64 since = copied_epoch(c);
    u32 parts, parts_then;

    make_more_and_lead_it();
    (void)core_parts(c->copy.core, &parts);
    core_delta(lone.map, since, ANSWER_BYTES, &out);
    map_copy_take(c, 2, buf_str(&out));
    CHECK_EQ(copied_epoch(c), since); /* half of the changes is no map */
    for (u32 i = 0; i < 100 && copied_epoch(c) == since; i++) {
        (void)core_parts(c->copy.core, &parts_then);
        CHECK_EQ(parts_then, parts);
        answer(c, ANSWER_BYTES);
    }
    CHECK_EQ(copied_epoch(c), core_cluster(lone.map)->epoch);
    CHECK_EQ(core_keyspace_named(c->copy.core, STR("more"))->part_count, 4);
    buf_done(&out);
    lone_close();
}

TEST(map_copy, an_answer_to_nothing_is_not_read)
{
    struct cluster *c = copy_that_asked();
    struct buf out = {0};
    u64 since = copied_epoch(c);

    lone_create("more", "hash:4");
    core_delta(lone.map, since, 64 * KIB, &out);
    map_copy_take(c, 3, buf_str(&out)); /* which was not asked */
    CHECK_EQ(copied_epoch(c), since);
    buf_done(&out);
    lone_close();
}

TEST_MAIN(RUN(map_copy, changes_in_one_answer_are_read),
          RUN(map_copy, changes_in_several_answers_are_read_beside_the_map_that_is_in_use),
          RUN(map_copy, an_answer_to_nothing_is_not_read))
