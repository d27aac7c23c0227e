/* The consistency of reads, by request and by connection: AT, CLIENT LEVEL, CLIENT PRICE, Q.EXPLAIN; how long it may take,
 * CLIENT DEADLINE; and Q.TOKEN, by which what a connection has seen goes on in another one (docs/formats/token.md). */
#include "server/redis/redis_internal.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/hex.h"
#include "base/mem.h"
#include "server/node_internal.h"

/* Levels that other systems, or other protocols of a keyspace, would have. */
static bool is_of_elsewhere(str word)
{
    static const char *const words[] = {"eventual", "causal", "any", "one", "all", "serializable", "bounded"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_is_word(word, words[i])) return true;
    return word.len > 2 && (word.at[1] == '=' || str_is_word(str_from(word.at, 3), "ts:"));
}

/* false: the error is written. */
static bool take_level(struct call *call, str word, struct level *out)
{
    int len = (int)size_min(word.len, 64);

    if (level_parse(word, out)) return true;
    if (is_of_elsewhere(word))
        resp_errorf(&call->w,
                    "LEVEL '%.*s' is not what a linearizable keyspace offers, and %.*s is one; nothing was done. Levels: " LEVEL_WORDS
                    "; the weakest is local",
                    len, (const char *)word.at, STR_ARG(core_str(&call->client->keyspace->name)));
    else
        resp_errorf(&call->w, "LEVEL there is no level '%.*s'; nothing was done. Levels: " LEVEL_WORDS, len,
                    (const char *)word.at);
    return false;
}

/* The command inside, from its name on: one on keys, as it could be sent alone. */
static const struct kv_command *take_inner(struct call *call, u32 from)
{
    call->argv += from;
    call->argc -= from;
    const struct kv_command *cmd = kv_command_find(call->argv[0]);
    if (!cmd) {
        resp_errorf(&call->w, "ERR %s is of commands on keys only, not '%.*s'", call->command->name,
                    (int)size_min(call->argv[0].len, 64), (const char *)call->argv[0].at);
        return NULL;
    }
    if (redis_arity_is_good(cmd->arity, call->argc)) return cmd;
    resp_errorf(&call->w, "ERR wrong number of arguments for '%s' command", cmd->name);
    return NULL;
}

static void submit(struct call *call, const struct kv_command *cmd)
{
    struct entry header = {.op = ENTRY_COMMAND, .flags = redis_client_entry_flags(call->client)};

    call->later = true;
    call->door->replying = false; /* a refusal begins its own reply */
    redis_submit_data(call->client, cmd, &header, call->argv, call->argc, call->request_bytes);
}

static void cmd_at(struct call *call)
{
    struct client *c = call->client;

    if (!take_level(call, call->argv[1], &c->at)) return;
    const struct kv_command *cmd = take_inner(call, 2);
    if (!cmd) return;
    c->has_at = true;
    submit(call, cmd);
    c->has_at = false;
}

static void cmd_explain(struct call *call)
{
    struct client *c = call->client;
    bool has_at = call->argc > 3 && str_is_word(call->argv[1], "at");

    if (has_at && !take_level(call, call->argv[2], &c->at)) return;
    const struct kv_command *cmd = take_inner(call, has_at ? 3 : 1);
    if (!cmd) return;
    if (redis_is_whole(cmd) && routes_count(call->door->routes, c->keyspace) > 1) {
        resp_errorf(&call->w, "ERR Q.EXPLAIN is of commands on keys of one partition, and '%s' asks all %u of keyspace %.*s",
                    cmd->name, c->keyspace->count, STR_ARG(core_str(&c->keyspace->name)));
        return;
    }
    c->has_at = has_at;
    c->explains = true;
    submit(call, cmd);
    c->has_at = c->explains = false;
}

/* ---- of a connection ---- */

void redis_cmd_client_level(struct call *call)
{
    struct client *c = call->client;
    struct level l;

    if (call->argc == 2) {
        struct buf text = {0};
        level_print(redis_client_level(c), &text);
        resp_bulk(&call->w, buf_str(&text));
        buf_done(&text);
    } else if (call->argc > 3) {
        resp_error(&call->w, "ERR syntax error: CLIENT LEVEL, CLIENT LEVEL level or CLIENT LEVEL DEFAULT");
    } else if (str_is_word(call->argv[2], "default")) {
        c->has_level = false;
        resp_simple(&call->w, "OK");
    } else if (take_level(call, call->argv[2], &l)) {
        c->level = l;
        c->has_level = true;
        resp_simple(&call->w, "OK");
    }
}

void redis_cmd_client_price(struct call *call)
{
    struct client *c = call->client;

    if (str_is_word(call->argv[2], "off")) {
        c->price = false;
    } else if (!str_is_word(call->argv[2], "on")) {
        resp_error(&call->w, "ERR syntax error: CLIENT PRICE ON or CLIENT PRICE OFF");
        return;
    } else if (c->proto < 3) {
        resp_error(&call->w, "ERR the price is a RESP3 attribute of each reply: say HELLO 3 first, or use Q.EXPLAIN command");
        return;
    } else {
        c->price = true;
    }
    resp_simple(&call->w, "OK");
}

enum { DEADLINE_MS_MAX = 3600000 };

void redis_cmd_client_deadline(struct call *call)
{
    struct client *c = call->client;
    nanos usual = call->door->config->request_timeout;
    i64 ms;

    if (call->argc == 2) {
        resp_integer(&call->w, (i64)((c->patience ? c->patience : usual) / NANOS_MS));
    } else if (call->argc == 3 && str_is_word(call->argv[2], "default")) {
        c->patience = 0;
        resp_simple(&call->w, "OK");
    } else if (call->argc == 3 && str_to_i64(call->argv[2], &ms) && ms > 0 && ms <= DEADLINE_MS_MAX) {
        c->patience = (nanos)ms * NANOS_MS;
        resp_simple(&call->w, "OK");
    } else {
        resp_errorf(&call->w, "ERR syntax error: CLIENT DEADLINE, CLIENT DEADLINE DEFAULT, or CLIENT DEADLINE ms, 1 to %d", DEADLINE_MS_MAX);
    }
}

/* ---- tokens ---- */

enum { TOKEN_PARTS_MAX = ORDERS_KEPT + 1, TOKEN_HEAD = 1 + 4 + 1, TOKEN_ROW = 8 + 8, TOKEN_CRC = 4 };
enum { TOKEN_FORMAT = 1 };
enum { TOKEN_BYTES_MAX = TOKEN_HEAD + TOKEN_PARTS_MAX * TOKEN_ROW + TOKEN_CRC };

static const u8 *cluster_of(const struct call *call)
{
    return node_identity(call->door->node)->cluster_id;
}

static void put_hex(const struct buf *bytes, struct resp_writer *w)
{
    char text[2 * TOKEN_BYTES_MAX];

    assert(bytes->len <= TOKEN_BYTES_MAX);
    hex_write(buf_bytes(bytes), bytes->len, text);
    resp_bulk(w, str_from(text, 2 * bytes->len));
}

static void give_token(struct call *call)
{
    struct client_order *seen[TOKEN_PARTS_MAX];
    u32 count = redis_orders_seen(call->client, seen, TOKEN_PARTS_MAX);
    struct buf token = {0};

    buf_append_u8(&token, TOKEN_FORMAT);
    buf_append(&token, cluster_of(call), 4);
    buf_append_u8(&token, (u8)count);
    for (u32 i = 0; i < count; i++) {
        buf_append_u64(&token, seen[i]->part);
        buf_append_u64(&token, seen[i]->order.seen_hlc);
    }
    buf_append_u32(&token, crc32c(buf_bytes(&token), token.len));
    put_hex(&token, &call->w);
    buf_done(&token);
}

static bool read_hex(str text, u8 *out, size_t *len)
{
    *len = text.len / 2;
    return *len <= TOKEN_BYTES_MAX && *len >= TOKEN_HEAD + TOKEN_CRC && hex_read(text, out, *len);
}

static void take_token(struct call *call)
{
    u8 bytes[TOKEN_BYTES_MAX];
    size_t len;

    bool good = read_hex(call->argv[1], bytes, &len) && bytes[0] == TOKEN_FORMAT &&
                get_u32(bytes + len - TOKEN_CRC) == crc32c(bytes, len - TOKEN_CRC) &&
                len == (size_t)(TOKEN_HEAD + bytes[5] * TOKEN_ROW + TOKEN_CRC);
    if (!good) {
        resp_error(&call->w, "ERR this is no token: give what Q.TOKEN replied, whole");
        return;
    }
    if (!mem_equal(bytes + 1, cluster_of(call), 4)) {
        resp_error(&call->w, "SESSION the token is another cluster's; nothing was changed");
        return;
    }
    for (u32 i = 0; i < bytes[5]; i++) {
        const u8 *row = bytes + TOKEN_HEAD + (size_t)i * TOKEN_ROW;
        redis_order_note_seen(call->client, get_u64(row), get_u64(row + 8));
    }
    call->client->has_seen = true; /* and of what the token does not name it knows nothing */
    resp_simple(&call->w, "OK");
}

static void cmd_token(struct call *call)
{
    if (call->argc > 2)
        resp_error(&call->w, "ERR syntax error: Q.TOKEN gives this connection's token, Q.TOKEN token takes one over");
    else if (call->argc == 2)
        take_token(call);
    else
        give_token(call);
}

const struct door_command redis_level_commands[] = {
    {"at", -3, DOOR_NO_MULTI | DOOR_NOSCRIPT | DOOR_MOVABLE, cmd_at, NULL, 0, 0, 0},
    {"q.explain", -2, DOOR_NO_MULTI | DOOR_NOSCRIPT | DOOR_MOVABLE, cmd_explain, NULL, 0, 0, 0},
    {"q.token", -1, DOOR_NO_MULTI | DOOR_NOSCRIPT | DOOR_WHEN_IDLE | DOOR_FAST, cmd_token, NULL, 0, 0, 0},
    {0},
};
