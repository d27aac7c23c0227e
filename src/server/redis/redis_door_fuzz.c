/* Bytes from several clients, in pieces, answered late and in any order, while the gateway fills
 * up, clients stop reading and hang up: the door must not trip, every request must be answered or
 * cancelled, and what is sent must be whole RESP values. Every second input begins in a keyspace of
 * several partitions. */
#include "server/redis/door_cluster.h"

enum { CLIENTS = 3 };

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Something the gateway could say to this kind of request. */
static str answer_for(const struct gateway_request *req, u8 chance)
{
    static const char *const replies[] = {
        "+OK\r\n",
        "$-1\r\n",
        "$5\r\nhello\r\n",
        "-NOQUORUM no leader\r\n",
        "*-1\r\n",
        "*0\r\n",
        ":7\r\n",
        "*2\r\n+OK\r\n$1\r\nx\r\n",
        "*1\r\n$3\r\nabc\r\n",
        "-ERR x\r\n",
        "_\r\n",
        "*3\r\n:1\r\n*1\r\n:2\r\n_\r\n",
    };
    static const u8 seen[9 * 16];

    if (req->kind == GATEWAY_WATCH && chance & 1) {
        struct reader r = reader_of(str_from(req->entry->data + ENTRY_HEADER_BYTES + 1, 4));
        u32 keys = reader_u32(&r);
        if (keys <= 16) return str_from(seen, keys * 9);
    }
    return str_of(replies[chance % ARRAY_LEN(replies)]);
}

static void check_output(struct far_end *e)
{
    str rest = buf_str(&e->got);

    while (rest.len) {
        size_t len = redis_value_length(rest);
        assert(len);
        rest = str_from(rest.at + len, rest.len - len);
    }
    buf_clear(&e->got);
}

static void answer_one(struct fixture *f, u8 which, u8 chance)
{
    for (u32 i = 0; i < f->request_count; i++) {
        u32 at = (which + i) % f->request_count;
        if (!f->requests[at]) continue;
        fixture_answer_index(f, at, answer_for(f->requests[at], chance), chance);
        return;
    }
    f->request_count = 0; /* none is left */
}

/* Two bytes say what happens next, the second often how much. Returns how many bytes of data it
 * took. */
static size_t step(struct fixture *f, const u8 *data, size_t size)
{
    struct far_end *e = &f->ends[f->end_count - 1 - data[0] / 16 % CLIENTS];
    u8 amount = data[1];

    switch (data[0] % 16) {
    case 0: answer_one(f, amount, amount); break;
    case 1: f->gateway_full = amount & 1; break;
    case 2: e->reads_nothing = amount & 1; break;
    case 3: f->now += amount * NANOS_SEC / 4; break;
    case 4:
        if (f->end_count + CLIENTS > FIXTURE_CONNECTIONS || amount > 16) break;
        if (e->stream) fixture_hang_up(f, e);
        fixture_connect(f);
        break;
    default: { /* bytes from a client */
        size_t bytes = size_min(size - 2, amount);
        if (!e->stream || e->asked_to_close) return 2;
        bytes = size_min(bytes, buf_room(&e->stream->in));
        fixture_deliver(f, e, str_from(data + 2, bytes));
        if (amount % 4) fixture_turn(f);
        return 2 + bytes;
    }
    }
    fixture_turn(f);
    return 2;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    char problem[256];

    if (size < 4) return 0;
    struct cluster_fixture cf = cluster_new();
    struct fixture *f = cf.f;
    bool in_many = data[0] & 0x80;
    f->config.value_bytes_max = (size_t)16 << (data[0] % 12);
    f->config.memory_bytes = 0;
    err failed = redis_door_new((struct node *)(void *)f, problem, sizeof problem, &f->door);
    assert(failed == OK);
    for (u32 i = 0; i < CLIENTS; i++) {
        struct far_end *e = fixture_connect(f);
        if (in_many) fixture_deliver(f, e, i ? STR("SELECT 16\r\n") : STR("SELECT 16\r\nCLUSTER SLOTS\r\n"));
    }
    fixture_turn(f);
    for (size_t at = 1;
         at + 2 <= size && f->request_count + 2 * PIPELINE_DEPTH_MAX < FIXTURE_REQUESTS;)
        at += step(f, data + at, size - at);
    f->gateway_full = false;
    for (u32 i = 0; i < f->end_count; i++) f->ends[i].reads_nothing = false;
    for (u32 i = 0; f->request_count; i++) answer_one(f, (u8)i, (u8)i);
    redis_door_flush(f->door);
    for (u32 i = 0; i < f->end_count; i++) {
        if (f->ends[i].stream && f->ends[i].stream->impl) fixture_flush(&f->env, f->ends[i].stream);
        check_output(&f->ends[i]);
    }
    redis_door_free(f->door);
    for (u32 i = 0; i < f->request_count; i++) assert(!f->requests[i]);
    fixture_done(f);
    cluster_done(&cf);
    return 0;
}
