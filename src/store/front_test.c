/* Point reads and writes, and the memory they take. */
#include "store/store_fixture.h"

TEST(front, a_value_is_the_concatenation_of_head_and_body)
{
    struct fixture f = fixture(MIB);
    store_put(f.store, KS, STR("k"), STR("head,"), STR("body"));
    CHECK(is(&f, "k", "head,body"));
    store_put(f.store, KS, STR("k"), (str){0}, (str){0});
    CHECK(is(&f, "k", ""));
    CHECK(is(&f, "other", NULL));
    done(&f);
}

TEST(front, a_prefetch_is_only_a_hint)
{
    struct fixture f = fixture(MIB);
    store_prefetch(f.store, KS, STR("k")); /* neither the keyspace nor the key exists */
    CHECK_EQ(f.store->keyspace_count, 0);
    put(&f, "k", "v");
    store_prefetch(f.store, KS, STR("k"));
    store_prefetch(f.store, KS, STR("other"));
    CHECK_EQ(store_stats(f.store)->hits + store_stats(f.store)->misses, 0);
    CHECK(is(&f, "k", "v"));
    done(&f);
}

TEST(front, keyspaces_do_not_see_each_other)
{
    struct fixture f = fixture(MIB);
    str value;
    bool found;
    put(&f, "k", "v");
    CHECK_OK(store_get(f.store, KS + 1, STR("k"), &value, &found));
    CHECK(!found);
    done(&f);
}

TEST(front, a_body_borrowed_from_the_row_itself_is_copied_before_the_row_changes)
{
    struct fixture f = fixture(MIB);
    put(&f, "k", "aaaabbbbcccc");
    str value;
    bool found;
    CHECK_OK(store_get(f.store, KS, STR("k"), &value, &found));
    store_put(f.store, KS, STR("k"), STR("X"), str_from(value.at + 4, 8));
    CHECK(is(&f, "k", "Xbbbbcccc"));
    CHECK_OK(store_get(f.store, KS, STR("k"), &value, &found));
    store_put(f.store, KS, STR("k"), str_from(value.at + 5, 4), str_from(value.at, 5));
    CHECK(is(&f, "k", "ccccXbbbb"));
    done(&f);
}

TEST(front, what_a_get_returned_outlives_other_reads_even_over_budget)
{
    struct fixture f = fixture(1);
    for (u32 i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        put(&f, key, key);
    }
    checkpoint(&f);
    while (store_tidy(f.store, 10)) {
    }
    str values[100];
    for (u32 i = 0; i < 100; i++) {
        char key[8];
        bool found;
        snprintf(key, sizeof key, "k%u", i);
        CHECK_OK(store_get(f.store, KS, str_of(key), &values[i], &found));
        CHECK(found);
    }
    for (u32 i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        CHECK(str_equal(values[i], str_of(key)));
    }
    done(&f);
}

TEST(front, clean_rows_are_evicted_above_the_budget_and_dirty_ones_never)
{
    struct fixture f = fixture(1);
    put(&f, "clean", "1");
    checkpoint(&f);
    put(&f, "dirty", "2");
    while (store_tidy(f.store, 1)) {
    }
    CHECK_EQ(store_stats(f.store)->rows_resident, 1);
    CHECK_EQ(store_stats(f.store)->evicted, 1);
    CHECK(is(&f, "dirty", "2"));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 0);
    CHECK(is(&f, "clean", "1"));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 1);
    done(&f);
}

TEST(front, a_row_that_was_read_outlives_one_that_was_not)
{
    struct fixture f = fixture(MIB);
    put(&f, "{t}a", "1");
    put(&f, "{t}b", "2");
    checkpoint(&f);
    reopen(&f); /* nothing is resident or referenced */
    CHECK(is(&f, "{t}a", "1"));
    CHECK(is(&f, "{t}b", "2"));
    CHECK_EQ(f.store->clean_rows, 2);
    /* both came in unreferenced; now one is read again */
    CHECK(is(&f, "{t}b", "2"));
    f.store->own_budget.bytes_max = store_memory_bytes(f.store) - 1;
    while (store_tidy(f.store, 1)) {
    }
    CHECK_EQ(f.store->clean_rows, 1);
    u64 reads = store_stats(f.store)->kvs_reads;
    CHECK(is(&f, "{t}b", "2"));
    CHECK_EQ(store_stats(f.store)->kvs_reads, reads);
    done(&f);
}

TEST(front, a_keyspace_that_fits_in_memory_never_asks_the_kvs)
{
    struct fixture f = fixture(MIB);
    put(&f, "a", "1");
    checkpoint(&f);
    CHECK(is(&f, "absent", NULL));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 0);
    reopen(&f); /* now the kvs knows more than the memory */
    CHECK(is(&f, "absent", NULL));
    CHECK_EQ(store_stats(f.store)->kvs_reads, 1);
    CHECK(is(&f, "a", "1"));
    done(&f);
}

TEST(front, memory_is_accounted_for_to_the_byte)
{
    struct fixture f = fixture(64 * MIB);
    size_t empty = store_memory_bytes(f.store);
    for (u32 i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, i % 2 ? "k%u" : "{t}k%u", i);
        put(&f, key, "some value");
        if (i % 3 == 0) store_delete(f.store, KS, str_of(key));
    }
    CHECK(store_dirty_bytes(f.store) > 5000 * 40);
    CHECK(store_memory_bytes(f.store) > store_dirty_bytes(f.store));
    checkpoint(&f);
    CHECK_EQ(store_dirty_bytes(f.store), 0);
    store_check(f.store);
    store_drop_keyspace(f.store, KS);
    while (store_tidy(f.store, 7)) {
    }
    CHECK_EQ(store_memory_bytes(f.store), empty);
    done(&f);
}

TEST_MAIN(RUN(front, a_value_is_the_concatenation_of_head_and_body),
          RUN(front, a_prefetch_is_only_a_hint),
          RUN(front, keyspaces_do_not_see_each_other),
          RUN(front, a_body_borrowed_from_the_row_itself_is_copied_before_the_row_changes),
          RUN(front, what_a_get_returned_outlives_other_reads_even_over_budget),
          RUN(front, clean_rows_are_evicted_above_the_budget_and_dirty_ones_never),
          RUN(front, a_row_that_was_read_outlives_one_that_was_not),
          RUN(front, a_keyspace_that_fits_in_memory_never_asks_the_kvs),
          RUN(front, memory_is_accounted_for_to_the_byte))
