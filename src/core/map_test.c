#include "core/core_fixture.h"

/* A follower of the map: what a node keeps of it, from pages and deltas alone. */
struct copy {
    struct {
        u8 kind;
        u64 id;
        u64 hash;
    } rows[4096];
    u32 count;
    u64 epoch;
};

static u64 hash_of(str s)
{
    u64 h = 1;

    for (size_t i = 0; i < s.len; i++) h = h * 1099511628211u + s.at[i];
    return h;
}

static void copy_take(struct copy *c, const struct core_object *o)
{
    u32 at = 0;

    while (at < c->count && (c->rows[at].kind != o->kind || c->rows[at].id != o->id)) at++;
    if (o->gone) {
        if (at < c->count) c->rows[at] = c->rows[--c->count];
        return;
    }
    CHECK(at < ARRAY_LEN(c->rows));
    if (at == c->count) c->count++;
    c->rows[at].kind = o->kind;
    c->rows[at].id = o->id;
    c->rows[at].hash = hash_of(o->row);
}

static void copy_pages(struct copy *c, const struct core *core, size_t bytes)
{
    struct buf out = {0};
    struct core_map map;
    struct core_object o = {0};
    u64 first = 0;

    c->count = 0;
    do {
        buf_clear(&out);
        core_page(core, 0, o.kind, o.id, bytes, &out);
        CHECK_OK(core_map_decode(buf_str(&out), &map));
        CHECK(map.flags & CORE_MAP_PAGE);
        if (!first) first = map.to;
        while (core_map_next(&map, &o)) copy_take(c, &o);
        CHECK(!map.objects.bad);
    } while (map.flags & CORE_MAP_MORE);
    c->epoch = first;
    buf_done(&out);
}

/* Deltas until there is no more; false: pages are needed. */
static bool copy_follow(struct copy *c, const struct core *core, size_t bytes)
{
    struct buf out = {0};
    struct core_map map;
    struct core_object o;
    bool known = true;

    do {
        u32 count = 0;
        buf_clear(&out);
        core_delta(core, c->epoch, bytes, &out);
        CHECK_OK(core_map_decode(buf_str(&out), &map));
        known = !(map.flags & CORE_MAP_PAGES);
        if (!known) break;
        while (core_map_next(&map, &o)) {
            copy_take(c, &o);
            count++;
        }
        CHECK_EQ(count, map.count);
        CHECK(map.to > c->epoch || !(map.flags & CORE_MAP_MORE));
        c->epoch = map.to;
    } while (map.flags & CORE_MAP_MORE);
    buf_done(&out);
    return known;
}

static bool copies_are_equal(const struct copy *a, const struct copy *b)
{
    if (a->count != b->count) return false;
    for (u32 i = 0; i < a->count; i++) {
        u32 j = 0;
        while (j < b->count &&
               (a->rows[i].kind != b->rows[j].kind || a->rows[i].id != b->rows[j].id))
            j++;
        if (j == b->count) return false;
        /* The cluster's row also holds what is no part of the map: the ids given out. */
        if (a->rows[i].kind != CORE_CLUSTER && a->rows[i].hash != b->rows[j].hash) return false;
    }
    return true;
}

TEST(map, deltas_keep_a_copy_equal)
{
    struct core_fixture f;
    static struct copy followed, slow, whole;
    u64 before;

    fixture_init(&f);
    found(&f, 3);
    copy_pages(&followed, f.core, 100);
    slow = followed;
    join(&f, 4, "d");
    u32 id = create(&f, "orders", "hash:7", "3");
    CHECK(copy_follow(&followed, f.core, 200));
    u64 p = core_lookup_slot(f.core, id, 0)->id;
    CHECK_EQ(DO(&f, .op = CORE_PART_LEADER, .part = p, .term = 3, .replica = 1), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_SETTINGS, .row_count = 1, .rows = {{STR("paused"), STR("yes")}}),
             CORE_OK);
    CHECK(copy_follow(&followed, f.core, 1));
    create(&f, "carts", "hash:3", "1");
    CHECK_EQ(DO(&f, .op = CORE_KS_DROP, .keyspace = id, .name = STR("orders")), CORE_OK);
    CHECK(copy_follow(&followed, f.core, 100));
    CHECK(copy_follow(&slow, f.core, 1));
    copy_pages(&whole, f.core, 64);
    CHECK(copies_are_equal(&followed, &whole));
    CHECK(copies_are_equal(&slow, &whole));
    before = followed.epoch;
    CHECK(copy_follow(&followed, f.core, 100));
    CHECK_EQ(followed.epoch, before);
    fixture_done(&f);
}

/* The product's own copy, over a random history: equal to the map, page by page, whenever it is
 * brought up to date. */
static void copy_up_to(struct core *copy, struct core *core, size_t bytes)
{
    struct buf out = {0};
    struct core_map map;

    do {
        buf_clear(&out);
        core_delta(core, core_cluster(copy)->epoch, bytes, &out);
        CHECK_OK(core_map_decode(buf_str(&out), &map));
        CHECK(!(map.flags & CORE_MAP_PAGES));
        CHECK_OK(core_copy_take(copy, buf_str(&out)));
    } while (map.flags & CORE_MAP_MORE);
    CHECK_OK(core_copy_done(copy));
    core_check(copy);
    buf_done(&out);
}

static struct core *copy_by_pages(struct core *core, size_t bytes)
{
    struct core *copy = core_new(NULL);
    struct core_object last = {0};
    struct buf out = {0};
    struct core_map map;

    do {
        buf_clear(&out);
        core_page(core, 0, last.kind, last.id, bytes, &out);
        CHECK_OK(core_map_decode(buf_str(&out), &map));
        for (struct core_map rest = map; core_map_next(&rest, &last);) continue;
        CHECK_OK(core_copy_take(copy, buf_str(&out)));
    } while (map.flags & CORE_MAP_MORE);
    copy_up_to(copy, core, bytes);
    buf_done(&out);
    return copy;
}

static void check_same(struct core *a, struct core *b)
{
    struct buf one = {0}, other = {0};

    core_page(a, 0, 0, 0, 64 * MIB, &one);
    core_page(b, 0, 0, 0, 64 * MIB, &other);
    CHECK(str_equal(buf_str(&one), buf_str(&other)));
    buf_done(&one);
    buf_done(&other);
}

TEST(map, a_copy_follows_by_deltas_and_by_pages)
{
    struct core_fixture f;
    struct buf page = {0};

    fixture_init(&f);
    found(&f, 3);
    struct core *copy = copy_by_pages(f.core, 64);
    check_same(copy, f.core);
    create(&f, "orders", "hash:16", "3");
    struct core_command join = {.op = CORE_NODE_JOIN, .node_count = 1, .nodes = {spec(9, "z")}};
    CHECK_EQ(fixture_do(&f, &join), CORE_OK);
    CHECK_EQ(DO(&f, .op = CORE_NODE_UPDATE, .node = 4, .mask = CORE_UPDATE_READY, .node_count = 1,
                .nodes = {spec(9, "z")}),
             CORE_OK);
    copy_up_to(copy, f.core, MIB);
    check_same(copy, f.core);
    CHECK_EQ(DO(&f, .op = CORE_KS_DROP, .keyspace = CORE_KEYSPACE_FIRST, .name = STR("orders")),
             CORE_OK);
    copy_up_to(copy, f.core, 200); /* in pieces: nothing is read in between */
    check_same(copy, f.core);
    core_page(f.core, 0, 0, 0, MIB, &page);
    struct core *late = copy_by_pages(f.core, 100);
    check_same(late, f.core);
    core_free(late);
    core_free(copy);
    buf_done(&page);
    fixture_done(&f);
}

TEST(map, who_is_too_far_behind_or_ahead_reads_pages)
{
    struct core_fixture f;
    static struct copy old, now;

    fixture_init(&f);
    found(&f, 3);
    copy_pages(&old, f.core, MIB);
    now = old;
    for (u32 i = 0; i < CORE_CHANGES_KEPT + 5; i++)
        CHECK_EQ(DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = i + 1, .replica = 1 + i % 3),
                 CORE_OK);
    CHECK(!copy_follow(&old, f.core, MIB));
    now.epoch = map_epoch(&f) + 1;
    CHECK(!copy_follow(&now, f.core, MIB));
    copy_pages(&now, f.core, MIB);
    fixture_restart(&f); /* changes before a start are not known after it */
    CHECK(copy_follow(&now, f.core, MIB));
    now.epoch--;
    CHECK(!copy_follow(&now, f.core, MIB));
    fixture_done(&f);
}

TEST(map, each_change_of_the_map_has_an_epoch_of_its_own)
{
    struct core_fixture f;

    fixture_init(&f);
    found(&f, 3);
    u64 epoch = map_epoch(&f);
    CHECK_EQ(DO(&f, .op = CORE_PART_LEADER, .part = 2, .term = 1, .replica = 1), CORE_OK);
    CHECK_EQ(map_epoch(&f), epoch + 1);
    CHECK_EQ(f.reply.epoch, epoch + 1);
    create(&f, "orders", "hash:9", "3");
    CHECK_EQ(map_epoch(&f), epoch + 2);
    CHECK_EQ(DO(&f, .op = CORE_NODE_DRAIN, .node = 1), CORE_UNSAFE);
    CHECK_EQ(map_epoch(&f), epoch + 2);
    fixture_done(&f);
}

TEST(map, a_stale_caller_is_told_the_fresh_entry)
{
    struct core_fixture f;
    struct buf out = {0};
    struct core_part p;

    fixture_init(&f);
    found(&f, 3);
    join(&f, 4, "d");
    u64 known = map_epoch(&f);
    CHECK(core_lookup(f.core, 2, 77, STR(""), known, &out));
    CHECK_EQ(out.len, 1);
    CHECK_EQ(buf_bytes(&out)[0], 0);
    CHECK_EQ(move(&f, 2, 4, 1), CORE_OK);
    buf_clear(&out);
    CHECK(core_lookup(f.core, 2, 77, STR(""), known, &out));
    struct reader r = reader_of(buf_str(&out));
    CHECK_EQ(reader_u8(&r), 1);
    CHECK_EQ(reader_u8(&r), CORE_PART);
    CHECK_EQ(reader_u64(&r), 2);
    CHECK_OK(core_part_decode(reader_str(&r, reader_u32(&r)), &p));
    CHECK_EQ(p.members[2].node, 4);
    core_part_done(&p);
    CHECK(!core_lookup(f.core, 9, 77, STR(""), known, &out));
    buf_done(&out);
    fixture_done(&f);
}

TEST(map, one_kind_is_listed_alone)
{
    struct core_fixture f;
    struct buf out = {0};
    struct core_map map;
    struct core_object o;
    struct core_node n;

    fixture_init(&f);
    found(&f, 3);
    core_page(f.core, CORE_NODE, 0, 0, MIB, &out);
    CHECK_OK(core_map_decode(buf_str(&out), &map));
    CHECK_EQ(map.count, 3);
    for (u32 i = 1; i <= 3; i++) {
        CHECK(core_map_next(&map, &o));
        CHECK_EQ(o.kind, CORE_NODE);
        CHECK_OK(core_node_decode(o.row, &n));
        CHECK_EQ(n.id, i);
        CHECK_STR(core_str(&n.peer), "10.0.0.1:7379");
    }
    CHECK(!core_map_next(&map, &o));
    buf_done(&out);
    fixture_done(&f);
}

TEST(map, a_copy_takes_commands_and_leaves_the_original_alone)
{
    struct core_fixture f;
    struct buf before = {0}, after = {0}, there = {0}, payload = {0}, reply = {0};
    struct core_command cmd = {
        .op = CORE_SETTINGS, .rows = {{STR("paused"), STR("yes")}}, .row_count = 1};

    fixture_init(&f);
    CHECK(!core_copy_of(f.core)); /* not founded */
    found(&f, 3);
    core_page(f.core, 0, 0, 0, SIZE_MAX, &before);
    struct core *copy = core_copy_of(f.core);
    core_page(copy, 0, 0, 0, SIZE_MAX, &there);
    CHECK(str_equal(buf_str(&there), buf_str(&before)));
    core_command_encode(&cmd, &payload);
    CHECK_OK(core_apply(copy, buf_str(&payload), &reply));
    CHECK_EQ(core_cluster(copy)->settings[CORE_PAUSED], 1);
    core_check(copy);
    core_free(copy);
    core_page(f.core, 0, 0, 0, SIZE_MAX, &after);
    CHECK(str_equal(buf_str(&after), buf_str(&before)));
    buf_done(&before);
    buf_done(&after);
    buf_done(&there);
    buf_done(&payload);
    buf_done(&reply);
    fixture_done(&f);
}

TEST_MAIN(RUN(map, a_copy_takes_commands_and_leaves_the_original_alone),
          RUN(map, deltas_keep_a_copy_equal), RUN(map, who_is_too_far_behind_or_ahead_reads_pages),
          RUN(map, each_change_of_the_map_has_an_epoch_of_its_own),
          RUN(map, a_copy_follows_by_deltas_and_by_pages),
          RUN(map, a_stale_caller_is_told_the_fresh_entry), RUN(map, one_kind_is_listed_alone))
