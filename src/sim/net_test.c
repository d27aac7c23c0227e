#include "sim/fixture.h"

#define PORT 7000

struct link {
    struct fixture f;
    struct listener listener;
    struct stream a, b; /* host 1 dialled host 2 */
};

static void link_up(struct link *l, u64 seed)
{
    struct env_event ev;

    fixture_init(&l->f, seed);
    l->listener = (struct listener){0};
    l->a = l->b = (struct stream){0};
    CHECK_OK(net_listen(l->f.hosts[2], PORT, &l->listener));
    net_dial(l->f.hosts[1], PORT, &l->a);
    fixture_run(&l->f, 10 * NANOS_MS);
    CHECK(fixture_take(l->f.hosts[2], ENV_ACCEPTED, &ev));
    net_accept(l->f.hosts[2], ev.pending, &l->b);
    CHECK(fixture_take(l->f.hosts[1], ENV_CONNECTED, &ev));
    CHECK(ev.stream == &l->a);
}

static void link_done(struct link *l)
{
    fixture_done(&l->f);
    buf_done(&l->a.in);
    buf_done(&l->a.out);
    buf_done(&l->b.in);
    buf_done(&l->b.out);
}

static void send_numbers(struct link *l, u32 from, u32 to)
{
    for (u32 i = from; i < to; i++) buf_append_u32(&l->a.out, i);
    net_flush(l->f.hosts[1], &l->a);
}

static void check_numbers(struct link *l, u32 count)
{
    CHECK_EQ(l->b.in.len, (size_t)count * 4);
    struct reader r = reader_of(buf_str(&l->b.in));
    for (u32 i = 0; i < count; i++) CHECK_EQ(reader_u32(&r), i);
}

TEST(net, delivers_bytes_in_order_whatever_their_pieces_and_delays)
{
    for (u64 seed = 1; seed <= 20; seed++) {
        struct link l;
        link_up(&l, seed);
        struct net_character *c = net_character(l.f.w->net);
        c->split_ppm = 500000;
        c->slow_ppm = 100000;
        c->slow_factor = 100;
        for (u32 i = 0; i < 50; i++) {
            send_numbers(&l, i * 20, i * 20 + 20);
            fixture_run(&l.f, 100000);
        }
        fixture_run(&l.f, NANOS_SEC);
        check_numbers(&l, 1000);
        link_done(&l);
    }
}

TEST(net, holds_back_what_the_receiver_has_no_room_for)
{
    struct link l;
    struct env_event ev;

    link_up(&l, 1);
    l.b.in.limit = 1000;
    net_character(l.f.w->net)->window_bytes = 2000;
    send_numbers(&l, 0, 2000); /* 8000 bytes */
    fixture_run(&l.f, NANOS_SEC);
    CHECK_EQ(l.b.in.len, 1000);
    CHECK(l.a.out.len > 0);
    CHECK(!fixture_take(l.f.hosts[1], ENV_DRAINED, &ev));
    l.b.in.limit = 100000;
    net_flush(l.f.hosts[2], &l.b);
    fixture_run(&l.f, NANOS_SEC);
    check_numbers(&l, 2000);
    CHECK(fixture_take(l.f.hosts[1], ENV_DRAINED, &ev));
    link_done(&l);
}

TEST(net, does_not_read_while_paused)
{
    struct link l;
    link_up(&l, 1);
    net_pause(l.f.hosts[2], &l.b, true);
    send_numbers(&l, 0, 10);
    fixture_run(&l.f, NANOS_SEC);
    CHECK_EQ(l.b.in.len, 0);
    net_pause(l.f.hosts[2], &l.b, false);
    check_numbers(&l, 10);
    link_done(&l);
}

TEST(net, keeps_bytes_of_a_cut_link_until_it_heals_and_lets_the_other_way_pass)
{
    struct link l;
    link_up(&l, 1);
    net_cut(l.f.w->net, 1, 2, true);
    send_numbers(&l, 0, 10);
    buf_append_text(&l.b.out, "back");
    net_flush(l.f.hosts[2], &l.b);
    fixture_run(&l.f, NANOS_SEC);
    CHECK_EQ(l.b.in.len, 0);
    CHECK_EQ(l.a.in.len, 4);
    net_heal(l.f.w->net);
    fixture_run(&l.f, 10 * NANOS_SEC);
    check_numbers(&l, 10);
    link_done(&l);
}

TEST(net, closes_after_the_last_byte_when_asked_to_flush_first)
{
    struct link l;
    struct env_event ev;

    link_up(&l, 1);
    for (u32 i = 0; i < 5; i++) buf_append_u32(&l.a.out, i);
    net_close(l.f.hosts[1], &l.a, true);
    CHECK(fixture_take(l.f.hosts[1], ENV_CLOSED, &ev));
    CHECK(l.a.impl == NULL);
    fixture_run(&l.f, NANOS_SEC);
    check_numbers(&l, 5);
    CHECK(fixture_take(l.f.hosts[2], ENV_ENDED, &ev));
    CHECK(!fixture_take(l.f.hosts[2], ENV_CLOSED, &ev));
    net_close(l.f.hosts[2], &l.b, false);
    CHECK(fixture_take(l.f.hosts[2], ENV_CLOSED, &ev));
    CHECK(l.b.impl == NULL);
    link_done(&l);
}

TEST(net, refuses_a_dial_to_a_port_where_nobody_listens)
{
    struct link l;
    struct env_event ev;
    struct stream other = {0};

    link_up(&l, 1);
    net_dial(l.f.hosts[3], PORT + 1, &other);
    fixture_run(&l.f, 10 * NANOS_SEC);
    CHECK(fixture_take(l.f.hosts[3], ENV_CLOSED, &ev));
    CHECK(ev.stream == &other);
    CHECK(other.impl == NULL);
    link_done(&l);
}

TEST(net, tells_the_other_end_of_a_killed_process_but_not_of_a_power_cut)
{
    struct env_event ev;

    for (u32 power = 0; power < 2; power++) {
        struct link l;
        link_up(&l, 1);
        net_host_down(l.f.hosts[2], power);
        CHECK(l.b.impl == NULL);
        fixture_run(&l.f, 5 * NANOS_SEC);
        bool told = fixture_take(l.f.hosts[1], ENV_ENDED, &ev);
        if (told) net_close(l.f.hosts[1], &l.a, false);
        told |= fixture_take(l.f.hosts[1], ENV_CLOSED, &ev);
        CHECK_EQ(told, !power);
        if (power) { /* the machine is back, and knows nothing of this connection */
            send_numbers(&l, 0, 1);
            fixture_run(&l.f, NANOS_SEC);
            CHECK(fixture_take(l.f.hosts[1], ENV_CLOSED, &ev));
        }
        link_done(&l);
    }
}

TEST(net, resets_both_ends)
{
    struct link l;
    struct env_event ev;

    link_up(&l, 1);
    CHECK(net_reset_any(l.f.w->net));
    fixture_run(&l.f, NANOS_SEC);
    CHECK(fixture_take(l.f.hosts[1], ENV_CLOSED, &ev));
    CHECK(fixture_take(l.f.hosts[2], ENV_CLOSED, &ev));
    link_done(&l);
}

/* A machine that joins as a new node dials the node that it was before, at its own address. */
TEST(net, forgets_both_ends_of_a_process_that_dialled_itself)
{
    struct fixture f;
    struct listener listener = {0};
    struct env_event ev;

    for (u32 silent = 0; silent < 2; silent++) {
        struct stream dialled = {0}, accepted = {0};
        fixture_init(&f, 1);
        CHECK_OK(net_listen(f.hosts[2], PORT, &listener));
        net_dial(f.hosts[2], PORT, &dialled);
        fixture_run(&f, 10 * NANOS_MS);
        CHECK(fixture_take(f.hosts[2], ENV_ACCEPTED, &ev));
        net_accept(f.hosts[2], ev.pending, &accepted);
        buf_append_u32(&dialled.out, 7);
        net_flush(f.hosts[2], &dialled);
        net_host_down(f.hosts[2], silent);
        CHECK(!dialled.impl);
        CHECK(!accepted.impl);
        fixture_run(&f, NANOS_SEC);
        CHECK_EQ(accepted.in.len, 0);
        fixture_done(&f);
        buf_done(&dialled.out);
    }
}

TEST(net, sends_nothing_that_a_paused_process_would_have_sent_after_its_death)
{
    struct link l;

    link_up(&l, 1);
    l.f.hosts[1]->in_turn = true;
    l.f.hosts[1]->ahead = NANOS_SEC; /* paused in the middle of its turn */
    send_numbers(&l, 0, 10);
    l.f.hosts[1]->in_turn = false;
    net_host_down(l.f.hosts[1], false);
    fixture_run(&l.f, 5 * NANOS_SEC);
    CHECK_EQ(l.b.in.len, 0);
    link_done(&l);
}

TEST_MAIN(RUN(net, delivers_bytes_in_order_whatever_their_pieces_and_delays),
          RUN(net, holds_back_what_the_receiver_has_no_room_for), RUN(net, does_not_read_while_paused),
          RUN(net, keeps_bytes_of_a_cut_link_until_it_heals_and_lets_the_other_way_pass),
          RUN(net, closes_after_the_last_byte_when_asked_to_flush_first),
          RUN(net, refuses_a_dial_to_a_port_where_nobody_listens),
          RUN(net, tells_the_other_end_of_a_killed_process_but_not_of_a_power_cut), RUN(net, resets_both_ends),
          RUN(net, forgets_both_ends_of_a_process_that_dialled_itself),
          RUN(net, sends_nothing_that_a_paused_process_would_have_sent_after_its_death))
