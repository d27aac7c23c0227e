/* Bulkheads: what one keyspace at overload leaves to the others. "alone" and "orders" are two keyspaces of one cluster. */
#include "server/redis/door_cluster.h"
#include "server/redis/door_fixture.h"

struct world {
    struct cluster_fixture c;
    struct fixture *f;
    struct far_end *a, *b;
};

static struct world two_keyspaces(void)
{
    struct world w = {.c = cluster_new()};

    w.f = w.c.f;
    fixture_start(w.f);
    w.a = fixture_connect(w.f);
    w.b = fixture_connect(w.f);
    fixture_send(w.f, w.a, "AUTH alone -\r\n");
    fixture_send(w.f, w.b, "AUTH orders -\r\n");
    CHECK_GOT(w.a, "+OK\r\n");
    CHECK_GOT(w.b, "+OK\r\n");
    return w;
}

static void end(struct world *w)
{
    for (u32 i = 0; i < w->f->request_count; i++)
        if (w->f->requests[i]) fixture_answer(w->f, i, "+OK\r\n");
    fixture_free(w->f);
    cluster_done(&w->c);
}

static const struct client *client_of(const struct far_end *e)
{
    return e->stream->owner;
}

static u64 reached(const struct fixture *f, enum limit_id id)
{
    struct limits_now now = {0};

    redis_door_limits(f->door, &now);
    return now.at[id].reached;
}

/* Its partitions leave as much unanswered as the door takes of it. `room` of bytes makes that little. */
static void overload(struct world *w, u32 writes)
{
    w->f->door->asked_bytes_max = 20 * (sizeof(struct gateway_request) + 20);
    for (u32 i = 0; i < writes; i++) fixture_send(w->f, w->a, "SET a 1\r\n");
}

TEST(share, a_keyspace_at_its_share_waits_and_another_does_not)
{
    struct world w = two_keyspaces();

    overload(&w, 30);
    u32 taken = w.f->request_count;
    CHECK(taken > 10 && taken < 20); /* four fifths of the room */
    CHECK(reached(w.f, LIMIT_KEYSPACE_SHARE) > 0);
    CHECK_EQ(reached(w.f, LIMIT_NODE_BYTES), 0);
    fixture_send(w.f, w.b, "SET b 1\r\nGET b\r\n");
    CHECK_EQ(w.f->request_count, taken + 2);
    fixture_answer(w.f, 0, "+OK\r\n"); /* room comes back to who waits */
    fixture_answer(w.f, 1, "+OK\r\n");
    fixture_answer(w.f, 2, "+OK\r\n");
    fixture_turn(w.f);
    CHECK(w.f->request_count > taken + 2);
    end(&w);
}

TEST(share, counts_all_partitions_of_a_keyspace_together)
{
    struct world w = two_keyspaces();
    char set[32];

    w.f->door->asked_bytes_max = 20 * (sizeof(struct gateway_request) + 20);
    for (u32 i = 0; i < 30; i++) { /* over four partitions */
        snprintf(set, sizeof set, "SET %u 1\r\n", i);
        fixture_send(w.f, w.b, set);
    }
    CHECK(w.f->request_count > 10 && w.f->request_count < 20);
    CHECK(client_of(w.b)->share->writes == w.f->request_count);
    u32 taken = w.f->request_count;
    fixture_send(w.f, w.a, "GET a\r\n");
    CHECK_EQ(w.f->request_count, taken + 1);
    end(&w);
}

TEST(share, what_is_answered_gives_its_room_back)
{
    struct world w = two_keyspaces();

    overload(&w, 8);
    CHECK_EQ(client_of(w.a)->share->writes, 8);
    for (u32 i = 0; i < 8; i++) fixture_answer(w.f, i, "+OK\r\n");
    CHECK_EQ(client_of(w.a)->share->writes, 0);
    CHECK_EQ(client_of(w.a)->share->bytes, 0);
    CHECK_EQ(w.f->door->asked_writes, 0);
    end(&w);
}

/* With long input on one keyspace, the other's request is parsed in the same turn. */
TEST(share, keyspaces_take_turns_and_turns_are_short_while_several_work)
{
    struct world w = two_keyspaces();
    struct buf pings = {0};

    for (u32 i = 0; i < 2000; i++) buf_append_text(&pings, "PING\r\n");
    fixture_deliver(w.f, w.a, buf_str(&pings));
    fixture_deliver(w.f, w.b, STR("PING\r\n"));
    u64 before = redis_door_stats(w.f->door)->commands;
    CHECK(redis_door_turn(w.f->door));
    CHECK(w.b->stream->out.len == 7); /* +PONG */
    CHECK(redis_door_stats(w.f->door)->commands - before <= TURN_SHARED_MAX + QUANTUM);
    fixture_turn(w.f);
    CHECK_EQ(client_of(w.a)->stream.in.len, 0);

    w.f->now += 2 * NANOS_SEC; /* alone again: long turns */
    fixture_deliver(w.f, w.a, buf_str(&pings));
    before = redis_door_stats(w.f->door)->commands;
    redis_door_turn(w.f->door);
    CHECK_EQ(redis_door_stats(w.f->door)->commands - before, 2000);
    buf_done(&pings);
    end(&w);
}

TEST(share, who_waits_for_room_for_long_is_refused_by_name_and_the_first_in_line_is_not)
{
    struct world w = two_keyspaces();
    struct far_end *late = fixture_connect(w.f);

    fixture_send(w.f, late, "AUTH alone -\r\n");
    overload(&w, 30);
    u32 taken = w.f->request_count;
    fixture_send(w.f, late, "SET late 1\r\nSET late 2\r\n");
    CHECK_GOT(late, "+OK\r\n");
    for (u32 ms = 0; ms < 100; ms += 5) {
        CHECK_GOT(late, "");
        w.f->now += 5 * NANOS_MS;
        fixture_turn(w.f);
    }
    for (u32 i = 0; i < 4; i++) {
        w.f->now += 5 * NANOS_MS;
        fixture_turn(w.f);
    }
    buf_append_u8(&late->got, 0);
    const char *said = (const char *)buf_bytes(&late->got);
    CHECK(strstr(said, "-OVERLOADED retry=1") == said);
    CHECK(strstr(said, " limit=keyspace.share "));
    CHECK_EQ(w.f->request_count, taken); /* nothing of it was done */
    CHECK_EQ(client_of(w.a)->refused_bytes, 0);
    fixture_send(w.f, w.b, "SET b 1\r\n");
    CHECK_EQ(w.f->request_count, taken + 1);
    end(&w);
}

/* A does 20 writes of about 350 bytes each millisecond for a second; its partition needs 5 ms for one. */
static void work(struct world *w)
{
    w->f->least_delay = 5 * NANOS_MS;
    for (u32 ms = 0; ms < 1000; ms++) {
        for (u32 i = 0; i < 20; i++) fixture_send(w->f, w->a, "SET a 1\r\n");
        w->f->now += NANOS_MS;
        for (u32 i = 0; i < 20; i++) fixture_answer(w->f, i, "+OK\r\n");
        w->f->request_count = 0;
    }
}

TEST(share, beside_others_only_what_keeps_its_partitions_busy_is_under_way)
{
    struct world w = two_keyspaces();
    struct buf sets = {0};

    work(&w);
    for (u32 i = 0; i < 500; i++) buf_append_text(&sets, "SET a 1\r\n");
    fixture_deliver(w.f, w.a, buf_str(&sets));
    fixture_turn(w.f);
    CHECK_EQ(w.f->request_count, 500); /* alone: all of it */
    for (u32 i = 0; i < 500; i++) fixture_answer(w.f, i, "+OK\r\n");
    w.f->request_count = 0;

    fixture_send(w.f, w.b, "SET b 1\r\n");
    fixture_deliver(w.f, w.a, buf_str(&sets));
    fixture_turn(w.f);
    u32 taken = w.f->request_count - 1;
    CHECK(taken > 150 && taken < 250); /* twice 20 a millisecond for 5 of them */
    CHECK(reached(w.f, LIMIT_KEYSPACE_WINDOW) > 0);
    CHECK_EQ(reached(w.f, LIMIT_KEYSPACE_SHARE), 0);
    fixture_send(w.f, w.b, "SET b 2\r\n");
    CHECK_EQ(w.f->request_count, taken + 2);
    struct far_end *reader = fixture_connect(w.f); /* of A, and not held up by its writers */
    fixture_send(w.f, reader, "AUTH alone -\r\nGET a\r\nGET a\r\n");
    CHECK_EQ(w.f->request_count, taken + 4);
    for (u32 i = 1; i <= 50; i++) fixture_answer(w.f, i, "+OK\r\n"); /* as many come in as are answered */
    fixture_turn(w.f);
    CHECK(w.f->request_count > taken + 40 && w.f->request_count < taken + 62);

    w.f->now += 2 * NANOS_SEC; /* B rests */
    fixture_turn(w.f);
    CHECK_EQ(w.f->request_count, 504);
    buf_done(&sets);
    end(&w);
}

TEST(share, who_waits_for_the_window_is_refused_much_later)
{
    struct world w = two_keyspaces();
    struct buf sets = {0};

    work(&w);
    fixture_send(w.f, w.b, "SET b 1\r\n");
    for (u32 i = 0; i < 500; i++) buf_append_text(&sets, "SET a 1\r\n");
    fixture_deliver(w.f, w.a, buf_str(&sets));
    for (u32 ms = 0; ms < 700; ms += 5) {
        fixture_turn(w.f);
        CHECK_EQ(client_of(w.a)->share->refusals > 0, ms >= 600); /* over 500 ms, for 100 ms */
        fixture_send(w.f, w.b, "PING\r\n");
        w.f->now += 5 * NANOS_MS;
    }
    buf_done(&sets);
    end(&w);
}

TEST(share, a_short_wait_refuses_nobody)
{
    struct world w = two_keyspaces();

    overload(&w, 30);
    for (u32 i = 0; i < 60; i++) { /* 300 ms, and every few of them there is room again */
        w.f->now += 4 * NANOS_MS;
        fixture_answer(w.f, i, "+OK\r\n");
        fixture_turn(w.f);
        if (list_is_empty(&client_of(w.a)->share->starved)) break;
    }
    CHECK_EQ(reached(w.f, LIMIT_KEYSPACE_SHARE) > 0, true);
    CHECK_EQ(client_of(w.a)->share->refusals, 0);
    end(&w);
}

TEST_MAIN(RUN(share, a_keyspace_at_its_share_waits_and_another_does_not),
          RUN(share, counts_all_partitions_of_a_keyspace_together), RUN(share, what_is_answered_gives_its_room_back),
          RUN(share, keyspaces_take_turns_and_turns_are_short_while_several_work),
          RUN(share, who_waits_for_room_for_long_is_refused_by_name_and_the_first_in_line_is_not),
          RUN(share, beside_others_only_what_keeps_its_partitions_busy_is_under_way),
          RUN(share, who_waits_for_the_window_is_refused_much_later), RUN(share, a_short_wait_refuses_nobody))
