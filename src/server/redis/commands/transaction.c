/* MULTI, EXEC, DISCARD, WATCH, UNWATCH. A transaction is gathered here and travels as one EXEC
 * entry, which every node runs without a break. WATCH asks the leader for the versions of its keys;
 * EXEC carries them along, and the entry itself is void if one has changed, so no state is kept
 * between the two anywhere but in this connection. Commands about the connection that were queued
 * run here when the EXEC is answered, and their replies go to their places in its array. */
#include "server/redis/redis_internal.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/mutant.h"

struct transaction {
    bool open;  /* between MULTI and EXEC; otherwise only keys are watched */
    bool dirty; /* a command was refused: EXEC will be refused */
    bool writes;
    u8 db; /* of the next queued command: SELECT may be queued */
    u32 watch_count, command_count, local_count;
    struct buf watches;  /* as in docs/formats/entry.md */
    struct buf commands; /* likewise */
    struct buf steps;    /* per queued command a STEP_ byte */
    struct buf locals;   /* the door's own among them, in the form of commands */
    size_t bytes;        /* of those four; part of the door's transaction_bytes */
};

enum { STEP_DATA = 'd', STEP_LOCAL = 'l', WATCHES_COMPARED_MAX = 256 };

static struct transaction *transaction_of(struct client *c)
{
    if (!c->tx) {
        c->tx = mem_zalloc(sizeof *c->tx);
        buf_init(&c->tx->watches, 0);
        buf_init(&c->tx->commands, 0);
        buf_init(&c->tx->steps, 0);
        buf_init(&c->tx->locals, 0);
    }
    return c->tx;
}

/* Gives back all it holds; what t points to, too. */
static void transaction_done(struct redis_door *d, struct transaction *t)
{
    assert(d->transaction_bytes >= t->bytes);
    d->transaction_bytes -= t->bytes;
    buf_done(&t->watches);
    buf_done(&t->commands);
    buf_done(&t->steps);
    buf_done(&t->locals);
    mem_free(t);
}

void redis_transaction_drop(struct client *c)
{
    if (c->tx) transaction_done(c->door, c->tx);
    c->tx = NULL;
}

bool redis_transaction_is_open(const struct client *c)
{
    return c->tx && c->tx->open;
}

u32 redis_transaction_length(const struct client *c)
{
    return redis_transaction_is_open(c) ? (u32)c->tx->steps.len : 0;
}
u32 redis_transaction_watches(const struct client *c)
{
    return c->tx ? c->tx->watch_count : 0;
}

void redis_transaction_flag(struct client *c)
{
    if (redis_transaction_is_open(c)) c->tx->dirty = true;
}

static void recount(struct redis_door *d, struct transaction *t)
{
    size_t bytes = t->watches.len + t->commands.len + t->steps.len + t->locals.len;

    d->transaction_bytes += bytes - t->bytes;
    t->bytes = bytes;
}

/* Is there room for `more` bytes in this transaction, and in all of them? Replies with the error if
 * not. */
static bool has_room(struct client *c, size_t more, struct resp_writer *w)
{
    struct redis_door *d = c->door;
    size_t limit = d->config->value_bytes_max + REQUEST_ROOM_BYTES;
    size_t bytes = c->tx ? c->tx->bytes : 0;

    if (bytes + more > limit) {
        resp_errorf(
            w,
            "TOOBIG limit=client.transaction-bytes transaction is over the limit of %zu bytes (--value-max and 1 MiB); nothing "
            "was done",
            limit);
        d->stats.too_big++;
        return false;
    }
    /* the first request of a transaction is always taken, so that a large one can be run at all */
    if (bytes && d->transaction_bytes + more > d->transaction_budget) {
        resp_error(w,
                   "OVERLOADED retry=100 limit=memory.transactions the transactions of all connections hold too much memory; "
                   "nothing was done");
        d->stats.transactions_refused++;
        return false;
    }
    return true;
}

/* A queued SELECT moves the commands behind it. */
static void follow_select(struct transaction *t, const struct call *call)
{
    i64 db;

    if (strcmp(call->command->name, "select") || !str_to_i64(call->argv[1], &db)) return;
    if (db >= 0 && db < KV_DATABASES) t->db = (u8)db;
}

void redis_transaction_queue(struct call *call, const struct command_ref *ref)
{
    struct client *c = call->client;
    struct transaction *t = c->tx;
    struct resp_writer w = redis_reply_begin(c);

    struct place p = {.verdict = PLACE_HERE};
    if (ref->data) p = redis_place(c, ref->data, call->argv, call->argc);
    if (p.verdict != PLACE_HERE) {
        redis_place_refuse(c, &p, &w);
        t->dirty = true;
    } else if (!has_room(c, call->request_bytes, &w)) {
        t->dirty = true;
    } else {
        if (ref->data) {
            entry_encode_command(t->db, call->argv, call->argc, &t->commands);
            t->command_count++;
            t->writes |= (ref->data->flags & KV_WRITE) != 0;
        } else {
            follow_select(t, call);
            entry_encode_command(0, call->argv, call->argc, &t->locals);
            t->local_count++;
        }
        buf_append_u8(&t->steps, ref->data ? STEP_DATA : STEP_LOCAL);
        recount(c->door, t);
        resp_simple(&w, "QUEUED");
    }
    redis_reply_end(c, &w, call->request_bytes);
}

/* --- EXEC --- */

/* Run the next queued command of the door; its reply goes to w. */
static void run_local(struct client *c, struct reader *locals, struct resp_writer *w)
{
    struct entry_command args;

    err e = entry_decode_command(locals, &args);
    assert(e == OK); /* we wrote it */
    struct command_ref ref = redis_command_find(c->door, args.argv[0]);
    assert(ref.door);
    const struct door_command *row = ref.door;
    if (row->subcommands && args.argc > 1)
        row = redis_subcommand_find(row->subcommands, args.argv[1]);
    assert(row);
    struct call call = {.door = c->door,
                        .client = c,
                        .command = row,
                        .argv = args.argv,
                        .argc = args.argc,
                        .w = *w,
                        .in_exec = true};
    row->handler(&call);
    assert(!call.later);
    w->proto = call.w.proto; /* HELLO may have changed it */
    entry_command_done(&args);
}

/* What an EXEC with commands of the door needs when its entry is answered: steps:u32, the steps,
 * the locals. */
static void keep_plan(struct slot *s, const struct transaction *t)
{
    buf_append_u32(&s->bytes, (u32)t->steps.len);
    buf_append_str(&s->bytes, buf_str(&t->steps));
    buf_append_str(&s->bytes, buf_str(&t->locals));
}

/* Where the elements of this array begin; NULL if it is not one of `count`. */
static const u8 *array_of(str reply, size_t count)
{
    const u8 *line_end = reply.len ? memchr(reply.at, '\n', reply.len) : NULL;
    i64 number;

    if (!line_end || line_end < reply.at + 3 || reply.at[0] != '*') return NULL;
    if (!str_to_i64(str_from(reply.at + 1, (size_t)(line_end - reply.at) - 2), &number))
        return NULL;
    return number >= 0 && (u64)number == count ? line_end + 1 : NULL;
}

/* The array of the entry's replies, one element per data command, becomes the array of all. Returns
 * false if `reply` is no such array. */
static bool merge(struct client *c, str plan, str reply, struct resp_writer *w)
{
    struct reader r = reader_of(plan);
    str steps = reader_str(&r, reader_u32(&r));
    size_t asked = 0;

    for (size_t i = 0; i < steps.len; i++) asked += steps.at[i] == STEP_DATA;
    const u8 *at = array_of(reply, asked), *end = reply.at + reply.len;
    if (!at) return false;
    resp_array(w, steps.len);
    for (size_t i = 0; i < steps.len; i++) {
        if (steps.at[i] == STEP_LOCAL) {
            run_local(c, &r, w);
            continue;
        }
        size_t bytes = redis_value_length(str_from(at, (size_t)(end - at)));
        if (bytes == 0) return false;
        buf_append(w->out, at, bytes);
        at += bytes;
    }
    return at == end;
}

static void finish_exec(struct slot *s, const struct gateway_reply *reply)
{
    struct client *c = s->client;
    struct buf *out = &c->door->exec;
    struct resp_writer w = {out, c->proto};
    str bytes = reply->bytes;
    bool ran = !reply->failed && bytes.len > 1 && bytes.at[0] == '*' && bytes.at[1] != '-';

    if (!ran || c->gone) { /* an error, or a null for a watched key that changed */
        redis_slot_answer(s, bytes);
        return;
    }
    buf_clear(out);
    if (!merge(c, buf_str(&s->bytes), bytes, &w)) {
        buf_clear(out);
        resp_error(&w, "UNKNOWN the transaction ran, but its replies can not be read");
    }
    redis_slot_answer(s, buf_str(out));
    if (out->cap > MIB) buf_done(out);
}

static struct rcbuf *exec_entry(const struct client *c, const struct transaction *t)
{
    size_t body = 4 + t->watches.len + 4 + t->commands.len;
    struct entry header = {
        .op = ENTRY_EXEC, .flags = redis_client_entry_flags(c), .body = str_from(NULL, body)};
    struct rcbuf *entry = rcbuf_new(ENTRY_HEADER_BYTES + body);
    struct buf out = {.data = entry->data, .cap = entry->len, .limit = entry->len};

    entry_encode_header(&header, &out);
    buf_append_u32(&out, t->watch_count);
    buf_append_str(&out, buf_str(&t->watches));
    buf_append_u32(&out, t->command_count);
    buf_append_str(&out, buf_str(&t->commands));
    assert(out.data == entry->data);
    assert(out.len == entry->len);
    return entry;
}

/* Nothing for the keyspace in it. */
static void exec_here(struct call *call, const struct transaction *t)
{
    struct reader r = reader_of(buf_str(&t->locals));

    resp_array(&call->w, t->steps.len);
    for (size_t i = 0; i < t->steps.len; i++) run_local(call->client, &r, &call->w);
}

/* --- where it runs --- */

struct tx_place {
    struct client *client;
    struct place place;
    bool any; /* a key was seen */
};

/* false: this key lies elsewhere than those before. */
static bool take_key(struct tx_place *t, str key)
{
    struct client *c = t->client;
    u64 part;
    struct hosted *h = routes_find(c->door->routes, c->keyspace, key, &part);

    if (!t->any) {
        t->place.hosted = h;
        t->place.part = part;
        t->place.one = key;
        t->any = true;
        return true;
    }
    if (part == t->place.part) return true;
    t->place.verdict = PLACE_APART;
    t->place.other = key;
    return false;
}

static bool take_watches(struct tx_place *p, const struct transaction *t)
{
    struct reader r = reader_of(buf_str(&t->watches));

    for (u32 i = 0; i < t->watch_count; i++) {
        reader_take(&r, 1 + 1 + 8);
        if (!take_key(p, reader_str(&r, reader_u32(&r)))) return false;
    }
    return true;
}

static bool take_command(struct tx_place *p, struct reader *r)
{
    struct entry_command args;
    struct key_walk k;
    bool same = true;

    err e = entry_decode_command(r, &args);
    assert(e == OK); /* we wrote it */
    redis_keys_begin(&k, kv_command_find(args.argv[0]), args.argv, args.argc);
    for (; same && k.at && k.at <= k.last; k.at += k.step) same = take_key(p, args.argv[k.at]);
    entry_command_done(&args);
    return same;
}

/* Its partition; a verdict other than PLACE_HERE is why it cannot run. Keys are borrowed from t. */
static struct place place_of(struct client *c, const struct transaction *t)
{
    struct tx_place p = {.client = c, .place = {.verdict = PLACE_HERE}};
    struct routes *r = c->door->routes;
    u32 count = routes_count(r, c->keyspace);
    struct reader commands = reader_of(buf_str(&t->commands));

    if (count == 0) return (struct place){.verdict = PLACE_GONE};
    if (count > 1 && !MUTANT(keys_apart_sent_together)) {
        if (!take_watches(&p, t)) return p.place;
        for (u32 i = 0; i < t->command_count; i++)
            if (!take_command(&p, &commands)) return p.place;
    }
    if (!p.any) p.place.hosted = routes_at(r, c->keyspace, 0, &p.place.part);
    if (!p.place.hosted) p.place.verdict = PLACE_ABSENT;
    return p.place;
}

static void exec_submit(struct call *call, struct transaction *t)
{
    struct client *c = call->client;
    bool is_read = !t->writes && t->watch_count == 0;
    struct place p = place_of(c, t);

    if (p.verdict != PLACE_HERE) {
        redis_place_refuse(c, &p, &call->w);
        return;
    }

    if (MUTANT(exec_forgets_what_was_watched)) {
        t->watch_count = 0;
        buf_clear(&t->watches);
    }
    struct slot *s = redis_slot_push(c, t->commands.len + t->watches.len);
    s->req.level = (struct level){0}; /* what it watched was the leader's word, so is this */
    if (t->local_count) {
        keep_plan(s, t);
        s->finish = finish_exec;
        c->barrier = s; /* its SELECT and the like decide how what follows is understood */
    }
    redis_slot_ask(s, p.hosted, is_read ? GATEWAY_READ : GATEWAY_WRITE, exec_entry(c, t));
    call->later = true;
}

static void cmd_exec(struct call *call)
{
    struct client *c = call->client;

    if (!redis_transaction_is_open(c)) {
        resp_error(&call->w, "ERR EXEC without MULTI");
        return;
    }
    struct transaction *t = c->tx;
    c->tx = NULL; /* what was queued may begin a new one */
    if (t->dirty)
        resp_error(&call->w, "EXECABORT Transaction discarded because of previous errors.");
    else if (t->command_count == 0 && t->watch_count == 0)
        exec_here(call, t);
    else
        exec_submit(call, t);
    transaction_done(call->door, t);
}

static void cmd_multi(struct call *call)
{
    if (redis_transaction_is_open(call->client)) {
        resp_error(&call->w, "ERR MULTI calls can not be nested");
        return;
    }
    struct transaction *t = transaction_of(call->client);
    t->open = true;
    t->db = call->client->db;
    resp_simple(&call->w, "OK");
}

static void cmd_discard(struct call *call)
{
    if (!redis_transaction_is_open(call->client)) {
        resp_error(&call->w, "ERR DISCARD without MULTI");
        return;
    }
    redis_transaction_drop(call->client);
    resp_simple(&call->w, "OK");
}

/* --- WATCH --- */

/* The first sight of a key is what counts: watching it again changes nothing. */
static bool is_watched(const struct transaction *t, u8 db, str key)
{
    struct reader r = reader_of(buf_str(&t->watches));

    for (u32 i = 0; i < t->watch_count && i < WATCHES_COMPARED_MAX; i++) {
        u8 watched_db = reader_u8(&r);
        reader_u8(&r);
        reader_u64(&r);
        str watched = reader_str(&r, reader_u32(&r));
        if (watched_db == db && str_equal(watched, key)) return true;
    }
    return false;
}

static void add_watch(struct transaction *t, u8 db, bool exists, u64 ver, str key)
{
    if (is_watched(t, db, key)) return;
    buf_append_u8(&t->watches, db);
    buf_append_u8(&t->watches, exists);
    buf_append_u64(&t->watches, ver);
    buf_append_u32(&t->watches, (u32)key.len);
    buf_append_str(&t->watches, key);
    t->watch_count++;
}

static void finish_watch(struct slot *s, const struct gateway_reply *reply)
{
    struct client *c = s->client;
    struct reader asked = reader_of(buf_str(&s->bytes)), seen = reader_of(reply->bytes);
    struct entry_command keys;

    if (reply->failed || (reply->bytes.len && reply->bytes.at[0] == '-')) {
        redis_slot_answer(s, reply->bytes);
        return;
    }
    err e = entry_decode_command(&asked, &keys);
    assert(e == OK);
    if (reply->bytes.len == (size_t)keys.argc * 9) {
        struct transaction *t = transaction_of(c);
        for (u32 i = 0; i < keys.argc; i++) {
            bool exists = reader_u8(&seen);
            u64 ver = reader_u64(&seen);
            add_watch(t, keys.db, exists, ver, keys.argv[i]);
        }
        recount(c->door, t);
        redis_slot_answer(s, STR("+OK\r\n"));
    } else {
        redis_slot_answer(
            s, STR("-NOQUORUM the answer to WATCH can not be read; nothing is watched\r\n"));
    }
    entry_command_done(&keys);
}

static void cmd_watch(struct call *call)
{
    struct client *c = call->client;
    struct entry header = {.op = ENTRY_COMMAND, .flags = redis_client_entry_flags(c)};

    if (redis_transaction_is_open(c)) {
        resp_error(&call->w, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    if (!has_room(c, call->request_bytes, &call->w)) return;
    static const struct kv_command keys_only = {.name = "watch", .flags = KV_READ, .first_key = 1,
                                                .last_key = -1, .key_step = 1};
    struct place p = redis_place(c, &keys_only, call->argv, call->argc);
    if (p.verdict != PLACE_HERE) {
        redis_place_refuse(c, &p, &call->w);
        return;
    }
    call->later = true;
    struct slot *s = redis_slot_push(c, call->request_bytes);
    entry_encode_command(c->db, call->argv + 1, call->argc - 1, &s->bytes);
    s->finish = finish_watch;
    c->barrier = s; /* EXEC must know what was seen */
    redis_slot_ask(s, p.hosted, GATEWAY_WATCH,
                   redis_command_entry(call->door, false, &header, c->db, call->argv + 1,
                                       call->argc - 1));
}

static void cmd_unwatch(struct call *call)
{
    if (call->client->tx && !call->client->tx->open) redis_transaction_drop(call->client);
    resp_simple(&call->w, "OK");
}

#define AT_ONCE_FLAGS                                                                              \
    (DOOR_AT_ONCE | DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE | DOOR_FAST | DOOR_ALLOW_BUSY)

const struct door_command redis_transaction_commands[] = {
    {"multi", 1, AT_ONCE_FLAGS, cmd_multi, NULL, 0, 0, 0},
    {"exec", 1, DOOR_AT_ONCE | DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE | DOOR_SKIP_SLOWLOG,
     cmd_exec, NULL, 0, 0, 0},
    {"discard", 1, AT_ONCE_FLAGS, cmd_discard, NULL, 0, 0, 0},
    {"watch", -2, AT_ONCE_FLAGS, cmd_watch, NULL, 1, -1, 1},
    {"unwatch", 1, DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE | DOOR_FAST | DOOR_ALLOW_BUSY,
     cmd_unwatch, NULL, 0, 0, 0},
    {0},
};
