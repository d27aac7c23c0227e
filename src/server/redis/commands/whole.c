/* Commands about a whole database, in a keyspace of several partitions. DBSIZE, KEYS and the
 * FLUSHes ask all of them. SCAN needs no memory of where it is: a cursor is a position in the
 * keyspace's order (docs/formats/keys.md), whose slot says which partition has it, today or after a
 * split. RANDOMKEY tries one partition after the other. Partitions of key ranges say themselves which cursors are
 * theirs (kv/pieces.c), so SCAN tries one after the other, from the one that gave this connection its cursor on. */
#include "server/redis/redis_internal.h"

#include "base/mutant.h"

bool redis_is_whole(const struct kv_command *cmd)
{
    return cmd->first_key == 0 && !(cmd->flags & KV_MOVABLE);
}

/* --- sums and lists --- */

static bool add_number(struct gather_result *g, u64 part, str reply)
{
    i64 number;
    str rest;

    (void)part;
    if (redis_take_number(reply, ':', &number, &rest)) g->sum += number;
    return true;
}

static void give_sum(struct gather_result *g, struct resp_writer *w)
{
    resp_integer(w, g->sum);
}

static bool add_items(struct gather_result *g, u64 part, str reply)
{
    i64 count;
    str items;

    (void)part;
    if (!redis_take_number(reply, '*', &count, &items)) return true;
    g->too_big = g->items.len + items.len > g->bytes_max;
    if (g->too_big) return false;
    g->count += (u64)count;
    buf_append_str(&g->items, items);
    return true;
}

static void give_items(struct gather_result *g, struct resp_writer *w)
{
    if (g->too_big) {
        resp_errorf(w, "TOOBIG limit=command.reply-bytes the names of these keys have more than %zu bytes; use SCAN",
                    g->bytes_max);
        return;
    }
    resp_array(w, g->count);
    buf_append_str(w->out, buf_str(&g->items));
}

static bool take_ok(struct gather_result *g, u64 part, str reply)
{
    (void)g, (void)part, (void)reply;
    return true;
}

static void give_ok(struct gather_result *g, struct resp_writer *w)
{
    (void)g;
    resp_simple(w, "OK");
}

/* --- over key ranges --- */

bool redis_take_scan(str reply, u64 *cursor, str *keys)
{
    i64 number;
    str whole, value, rest;

    return redis_take_number(reply, '*', &number, &rest) && number == 2 &&
           redis_take_bulk(&rest, &whole, &value) && kv_scan_cursor(value, cursor) &&
           redis_take_number(rest, '*', &number, keys);
}

/* One of the partitions' keys, each with the same chance. */
static bool draw_key(struct gather_result *g, u64 part, str reply)
{
    (void)part;
    if (reply.at[0] != '$' || reply.at[1] == '-') return true;
    if (env_random(g->slot->client->door->env) % ++g->count) return true;
    buf_clear(&g->items);
    buf_append_str(&g->items, reply);
    return true;
}

static void give_drawn(struct gather_result *g, struct resp_writer *w)
{
    if (g->count)
        buf_append_str(w->out, buf_str(&g->items));
    else
        resp_null(w);
}

static const struct gather_rule range_rules[] = {
    {"randomkey", GATEWAY_READ, draw_key, give_drawn, NULL},
};

static const struct gather_rule rules[] = {
    {"dbsize", GATEWAY_READ, add_number, give_sum, NULL},
    {"keys", GATEWAY_READ, add_items, give_items, NULL},
    {"flushdb", GATEWAY_WRITE, take_ok, give_ok, NULL},
    {"flushall", GATEWAY_WRITE, take_ok, give_ok, NULL},
};

/* --- one partition after the other --- */

/* Ask this partition; the entry is in s->bytes. */
static void ask(struct slot *s, struct hosted *h)
{
    struct buf text = {0};

    if (h) {
        redis_slot_ask(s, h, GATEWAY_READ, redis_entry_for(s->client->door, buf_str(&s->bytes), h->id));
        return;
    }
    buf_printf(&text, "-%s\r\n", redis_absent_text);
    redis_slot_answer(s, buf_str(&text));
    buf_done(&text);
}

static void ask_at_slot(struct slot *s, u16 slot)
{
    struct client *c = s->client;
    struct routes *r = c->door->routes;
    struct hosted *h = NULL;
    u64 part;

    if (routes_count(r, c->keyspace))
        h = routes_at(r, c->keyspace, routes_place_of_slot(r, c->keyspace, slot), &part);
    ask(s, h);
}

/* This partition has nothing, perhaps the next one has. */
static void finish_random_key(struct slot *s, const struct gateway_reply *reply)
{
    struct client *c = s->client;
    struct routes *r = c->door->routes;
    if (reply->moved && !c->gone) { /* split or merged meanwhile */
        ask_at_slot(s, s->walk_slot);
        return;
    }
    bool is_nil = reply->bytes.len == 5 || (reply->bytes.len == 3 && reply->bytes.at[0] == '_');

    if (reply->failed || !is_nil || !s->walk_left || c->gone || routes_count(r, c->keyspace) == 0) {
        redis_slot_answer(s, reply->bytes);
        return;
    }
    u32 next = routes_slot_after(r, c->keyspace, s->walk_slot);
    s->walk_left--;
    s->walk_slot = (u16)(next % CORE_SLOTS);
    ask_at_slot(s, s->walk_slot);
}

/* A partition that is at its end hands over to the next one. */
static void finish_scan(struct slot *s, const struct gateway_reply *reply)
{
    static const char ended[] = "*2\r\n$1\r\n0\r\n";
    struct client *c = s->client;
    struct routes *r = c->door->routes;
    size_t head = sizeof ended - 1;
    bool at_end = !reply->failed && reply->bytes.len > head &&
                  mem_equal(reply->bytes.at, ended, head);
    u32 next = CORE_SLOTS;

    if (reply->moved && !c->gone) {
        ask_at_slot(s, s->walk_slot);
        return;
    }
    if (at_end && routes_count(r, c->keyspace) && !MUTANT(scan_ends_with_its_partition))
        next = routes_slot_after(r, c->keyspace, s->walk_slot);
    if (next == CORE_SLOTS) {
        redis_slot_answer(s, reply->bytes);
        return;
    }
    struct buf *out = &c->door->exec;
    struct resp_writer w = {out, c->proto};
    buf_clear(out);
    resp_array(&w, 2);
    resp_bulk_integer(&w, (i64)((u64)next << 48));
    buf_append(out, reply->bytes.at + head, reply->bytes.len - head);
    redis_slot_answer(s, buf_str(out));
}

/* Of key ranges: a partition that answers with a cursor not behind the one it was asked for has none of these keys, those to
 * its right may. Which partition is next is looked up by its number, so that none is passed by when they split or merge:
 * one keeps its number and where it begins as long as it is there. */
static u32 place_of_part(struct routes *r, struct keyspace_routes *k, u64 part)
{
    u64 id = 0;

    for (u32 at = 0; at < routes_count(r, k); at++) {
        routes_at(r, k, at, &id);
        if (id == part) return at;
    }
    return 0;
}

static void ask_at_place(struct slot *s, u32 at)
{
    struct client *c = s->client;
    struct hosted *h = NULL;

    if (at < routes_count(c->door->routes, c->keyspace))
        h = routes_at(c->door->routes, c->keyspace, at, &s->walk_part);
    ask(s, h);
}

static void finish_range_scan(struct slot *s, const struct gateway_reply *reply)
{
    struct client *c = s->client;
    u64 next;
    str keys;

    if (reply->moved && !c->gone) {
        ask_at_place(s, place_of_part(c->door->routes, c->keyspace, s->walk_part));
        return;
    }
    if (!reply->failed && !c->gone && redis_take_scan(reply->bytes, &next, &keys)) {
        u32 at = place_of_part(c->door->routes, c->keyspace, s->walk_part);
        bool is_behind = next && next <= s->walk_cursor;
        if (is_behind && at + 1 < routes_count(c->door->routes, c->keyspace)) {
            ask_at_place(s, at + 1);
            return;
        }
        c->scan.cursor = next;
        c->scan.part = s->walk_part;
    }
    redis_slot_answer(s, reply->bytes);
}

static bool is_cursor(str text, u64 *out)
{
    return kv_scan_cursor(text, out) && *out >> 48 < CORE_SLOTS;
}

/* --- */

static struct rcbuf *entry_of(struct client *c, const struct kv_command *cmd,
                              const struct entry *header, const str *argv, u32 argc)
{
    return redis_command_entry(c->door, cmd->flags & KV_WRITE, header, c->db, argv, argc);
}

static void walk_from(struct client *c, slot_finish_fn finish, u16 slot, struct rcbuf *entry,
                      size_t request_bytes)
{
    struct slot *s = redis_slot_push(c, request_bytes);

    s->finish = finish;
    s->walk_slot = slot;
    s->walk_left = routes_count(c->door->routes, c->keyspace) - 1;
    buf_append_str(&s->bytes, rcbuf_str(entry));
    rcbuf_unref(entry);
    c->barrier = s; /* what is asked later must not see what comes behind */
    ask_at_slot(s, slot);
}

static void walk_from_cursor(struct client *c, u64 cursor, struct rcbuf *entry, size_t request_bytes)
{
    struct slot *s = redis_slot_push(c, request_bytes);
    bool is_known = cursor && c->scan.cursor == cursor;

    s->finish = finish_range_scan;
    s->walk_cursor = cursor;
    buf_append_str(&s->bytes, rcbuf_str(entry));
    rcbuf_unref(entry);
    c->barrier = s;
    ask_at_place(s, is_known ? place_of_part(c->door->routes, c->keyspace, c->scan.part) : 0);
}

static const struct gather_rule *rule_of(const struct gather_rule *of, size_t count,
                                         const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(of[i].name, name) == 0) return &of[i];
    return NULL;
}

bool redis_submit_whole(struct client *c, const struct kv_command *cmd, const struct entry *header,
                        const str *argv, u32 argc, size_t request_bytes)
{
    const struct gather_rule *rule = rule_of(rules, ARRAY_LEN(rules), cmd->name);
    u64 cursor = 0;

    if (!rule && c->keyspace->is_range)
        rule = rule_of(range_rules, ARRAY_LEN(range_rules), cmd->name);
    if (rule) {
        redis_gather(redis_slot_push(c, request_bytes), rule, entry_of(c, cmd, header, argv, argc));
        return true;
    }
    if (c->keyspace->is_range && strcmp(cmd->name, "scan") == 0) {
        if (!kv_scan_cursor(argv[1], &cursor)) cursor = 0; /* any partition says what is wrong with it */
        walk_from_cursor(c, cursor, entry_of(c, cmd, header, argv, argc), request_bytes);
        return true;
    }
    if (c->keyspace->is_range) return false;
    if (strcmp(cmd->name, "randomkey") == 0) {
        u16 slot = (u16)(env_random(c->door->env) % CORE_SLOTS);
        walk_from(c, finish_random_key, slot, entry_of(c, cmd, header, argv, argc), request_bytes);
        return true;
    }
    if (strcmp(cmd->name, "scan")) return false;
    if (!is_cursor(argv[1], &cursor)) cursor = 0; /* any partition says what is wrong with it */
    walk_from(c, finish_scan, (u16)(cursor >> 48), entry_of(c, cmd, header, argv, argc),
              request_bytes);
    return true;
}
