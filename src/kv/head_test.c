#include "kv/kv_fixture.h"

TEST(head, has_the_layout_of_the_format_page)
{
    struct kv_head h = {
        .type = 1,
        .flags = 0x0203,
        .count = 4,
        .create_ver = 5,
        .mod_ver = 6,
        .version = 7,
        .lease = 8,
        .expire_us = 9,
    };
    static const u8 expected[HEAD_BYTES] = {
        1, 1, 3, 2, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0,
        7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
    };
    u8 bytes[HEAD_BYTES];
    struct kv_row row;

    head_encode(&h, bytes);
    assert_memory_equal(bytes, expected, HEAD_BYTES);
    CHECK(head_decode(str_from(bytes, HEAD_BYTES), &row));
    CHECK_EQ(row.head.flags, 0x0203);
    CHECK_EQ(row.head.count, 4);
    CHECK_EQ(row.head.create_ver, 5);
    CHECK_EQ(row.head.mod_ver, 6);
    CHECK_EQ(row.head.version, 7);
    CHECK_EQ(row.head.lease, 8);
    CHECK_EQ(row.head.expire_us, 9);
    CHECK_EQ(row.value.len, 0);
}

TEST(head, is_refused_when_short_or_of_another_format)
{
    u8 bytes[HEAD_BYTES] = {1, 1};
    struct kv_row row;

    CHECK(!head_decode(str_from(bytes, HEAD_BYTES - 1), &row));
    bytes[0] = 2;
    CHECK(!head_decode(str_from(bytes, HEAD_BYTES), &row));
}

TEST(head, tells_integers_from_other_values)
{
    CHECK_EQ(head_flags_of(STR("0")), HEAD_INTEGER);
    CHECK_EQ(head_flags_of(STR("-12")), HEAD_INTEGER);
    CHECK_EQ(head_flags_of(STR("9223372036854775807")), HEAD_INTEGER);
    CHECK_EQ(head_flags_of(STR("-9223372036854775808")), HEAD_INTEGER);
    CHECK_EQ(head_flags_of(STR("9223372036854775808")), 0);
    CHECK_EQ(head_flags_of(STR("007")), 0);
    CHECK_EQ(head_flags_of(STR("-")), 0);
    CHECK_EQ(head_flags_of(STR("")), 0);
    CHECK_EQ(head_flags_of(STR("x")), 0);
}

/* The row as it lies in the store. */
static struct kv_row row_of(struct kv_fixture *f, const char *key)
{
    struct kv_row row;
    str bytes;
    bool found;

    CHECK_OK(store_get(f->store, f->kv->dbs[0].segments[0].keyspace, str_of(key), &bytes, &found));
    CHECK(found);
    CHECK(head_decode(bytes, &row));
    return row;
}

TEST(head, counts_versions_from_creation)
{
    struct kv_fixture f;
    struct kv_row row;

    fixture_init(&f);
    apply(&f, "SET k v");
    u64 created = f.ver;
    apply(&f, "SET k w");
    apply(&f, "APPEND k x");
    apply(&f, "EXPIRE k 100");
    row = row_of(&f, "k");
    CHECK_EQ(row.head.create_ver, created);
    CHECK_EQ(row.head.mod_ver, f.ver);
    CHECK_EQ(row.head.version, 4);
    apply(&f, "DEL k");
    apply(&f, "SET k v");
    row = row_of(&f, "k");
    CHECK_EQ(row.head.create_ver, f.ver);
    CHECK_EQ(row.head.version, 1);
    apply(&f, "RENAME k l");
    row = row_of(&f, "l");
    CHECK_EQ(row.head.create_ver, f.ver);
    CHECK_EQ(row.head.version, 1);
    fixture_done(&f);
}

TEST_MAIN(RUN(head, has_the_layout_of_the_format_page),
          RUN(head, is_refused_when_short_or_of_another_format),
          RUN(head, tells_integers_from_other_values), RUN(head, counts_versions_from_creation))
