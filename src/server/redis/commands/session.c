/* Q.SESSION: exactly-once calls for clients that retry (Fowler's Idempotent Receiver; Ongaro 2014
 * §6.3). A session is a row of the replicated state, so it lives on through another connection,
 * another node and another leader. What tells a call from others is (session, seq) as the client
 * gave them, nothing about this connection. The lifetime of a call is counted anew from each time
 * it is sent: only this client knows when it first tried. */
#include "server/redis/redis_internal.h"

#include "base/bytes.h"
#include "base/hex.h"
#include "base/mutant.h"

enum {
    SESSION_TTL_SECONDS = 3600,
    SESSION_TTL_SECONDS_MAX = 30 * 24 * 3600,
    SESSION_WINDOW = 1024, /* unanswered calls one session may have */
};

/* Clients may name only sessions of clients: the top bit of the last byte tells them from the
 * nodes'. */
static bool read_id(str text, struct session_id *out)
{
    return hex_read(text, out->bytes, sizeof out->bytes) && (out->bytes[15] & 0x80);
}

static void reply_bad_id(struct call *call)
{
    resp_error(
        &call->w,
        "ERR invalid session id: give the 32 hexadecimal digits that Q.SESSION OPEN replied");
}

static u64 wall_hlc(const struct call *call)
{
    return hlc_from_us(env_wall_us(call->door->env));
}

static bool take_ok(struct gather_result *g, u64 part, str reply)
{
    (void)g, (void)part, (void)reply;
    return true;
}

static void give_id(struct gather_result *g, struct resp_writer *w)
{
    const struct session_id *id = &g->slot->session;
    char text[2 * sizeof id->bytes];

    hex_write(id->bytes, sizeof id->bytes, text);
    resp_bulk(w, str_from(text, sizeof text));
}

static void give_ok(struct gather_result *g, struct resp_writer *w)
{
    (void)g;
    resp_simple(w, "OK");
}

static const char closed_already[] = "-SESSION unknown";

/* A session is in every partition of its keyspace, so that a call with any key finds it. */
static const struct gather_rule open_rule = {"Q.SESSION OPEN", GATEWAY_WRITE, take_ok, give_id,
                                             NULL};
static const struct gather_rule close_rule = {"Q.SESSION CLOSE", GATEWAY_WRITE, take_ok, give_ok,
                                              closed_already};

static void finish_open(struct slot *s, const struct gateway_reply *reply)
{
    struct gather_result g = {.slot = s};
    struct buf out = {0};
    struct resp_writer w = {&out, 2};

    if (reply->failed || reply->bytes.len == 0 || reply->bytes.at[0] == '-') {
        redis_slot_answer(s, reply->bytes);
        return;
    }
    give_id(&g, &w);
    redis_slot_answer(s, buf_str(&out));
    buf_done(&out);
}

/* In the only partition of the keyspace, or in all. */
static void ask_all(struct slot *s, const struct gather_rule *rule, slot_finish_fn finish,
                    struct rcbuf *entry)
{
    struct client *c = s->client;
    struct routes *r = c->door->routes;
    u64 part;
    bool in_one = routes_count(r, c->keyspace) == 1 || MUTANT(session_opened_in_one_partition);
    struct hosted *h = in_one ? routes_at(r, c->keyspace, 0, &part) : NULL;

    s->finish = finish;
    if (h)
        redis_slot_ask(s, h, GATEWAY_WRITE, entry);
    else
        redis_gather(s, rule, entry);
}

/* An entry of the session itself: no command in it. */
static struct rcbuf *session_entry(const struct call *call, u8 op, const struct session_id *id,
                                   str body)
{
    struct entry header = {.op = op,
                           .flags = redis_client_entry_flags(call->client),
                           .session = *id,
                           .first_hlc = wall_hlc(call),
                           .body = body};
    struct rcbuf *entry = rcbuf_new(ENTRY_HEADER_BYTES + body.len);
    struct buf out = {.data = entry->data, .cap = entry->len, .limit = entry->len};

    entry_encode_header(&header, &out);
    buf_append_str(&out, body);
    assert(out.data == entry->data);
    return entry;
}

static void cmd_open(struct call *call)
{
    i64 seconds = SESSION_TTL_SECONDS;
    u8 ttl_ms[8];

    if (call->argc != 2 && (call->argc != 4 || !str_is_word(call->argv[2], "ttl"))) {
        resp_error(&call->w, "ERR syntax error");
        return;
    }
    if (call->argc == 4 && !str_to_i64(call->argv[3], &seconds)) {
        resp_error(&call->w, "ERR value is not an integer or out of range");
        return;
    }
    if (seconds < 1 || seconds > SESSION_TTL_SECONDS_MAX) {
        resp_errorf(&call->w,
                    "ERR invalid TTL: a session lives 1 to %d seconds after its last call",
                    SESSION_TTL_SECONDS_MAX);
        return;
    }
    call->later = true;
    struct slot *s = redis_slot_push(call->client, call->request_bytes);
    put_u64(s->session.bytes, env_random(call->door->env));
    put_u64(s->session.bytes + 8, env_random(call->door->env) | (u64)1 << 63);
    put_u64(ttl_ms, (u64)seconds * 1000);
    ask_all(s, &open_rule, finish_open,
            session_entry(call, ENTRY_SESSION_OPEN, &s->session, str_from(ttl_ms, sizeof ttl_ms)));
}

/* A close sent again, by this client or by the gateway, finds nothing any more: it is closed. */
static void finish_close(struct slot *s, const struct gateway_reply *reply)
{
    str unknown = str_of(closed_already);
    bool gone = reply->bytes.len >= unknown.len &&
                mem_equal(reply->bytes.at, unknown.at, unknown.len);

    redis_slot_answer(s, gone ? STR("+OK\r\n") : reply->bytes);
}

static void cmd_close(struct call *call)
{
    struct session_id id;

    if (!read_id(call->argv[2], &id)) {
        reply_bad_id(call);
        return;
    }
    call->later = true;
    struct slot *s = redis_slot_push(call->client, call->request_bytes);
    ask_all(s, &close_rule, finish_close,
            session_entry(call, ENTRY_SESSION_CLOSE, &id, str_from("", 0)));
}

/* The command to be called must be one that could be sent alone. */
static const struct kv_command *called_command(struct call *call)
{
    struct call inner = *call;

    inner.argv += 4;
    inner.argc -= 4;
    const struct kv_command *cmd = kv_command_find(inner.argv[0]);
    if (!cmd) {
        resp_errorf(&call->w, "ERR Q.SESSION CALL runs commands on keys only, not '%.*s'",
                    (int)size_min(inner.argv[0].len, 64), (const char *)inner.argv[0].at);
        return NULL;
    }
    if (!redis_arity_is_good(cmd->arity, inner.argc)) {
        resp_errorf(&call->w, "ERR wrong number of arguments for '%s' command", cmd->name);
        return NULL;
    }
    return cmd;
}

static void cmd_call(struct call *call)
{
    struct client *c = call->client;
    struct entry header = {.op = ENTRY_COMMAND, .flags = redis_client_entry_flags(c)};
    i64 seq;

    if (!read_id(call->argv[2], &header.session)) {
        reply_bad_id(call);
        return;
    }
    if (!str_to_i64(call->argv[3], &seq) || seq < 1) {
        resp_error(&call->w, "ERR invalid seq: number a session's calls from 1 upwards");
        return;
    }
    const struct kv_command *cmd = called_command(call);
    if (!cmd) return;
    header.seq = (u64)seq;
    header.acked = header.seq > SESSION_WINDOW ? header.seq - (SESSION_WINDOW - 1) : 1;
    header.first_hlc = wall_hlc(call);
    if (MUTANT(session_call_known_by_its_place_in_the_connection)) {
        header.seq = call->door->stats.commands;
        header.acked = 1;
    }
    if (!(cmd->flags & KV_WRITE)) /* reading twice does no harm: nothing to remember */
        header = (struct entry){.op = ENTRY_COMMAND, .flags = redis_client_entry_flags(c)};
    call->later = true;
    call->door->replying = false; /* a refusal begins its own reply */
    redis_submit_data(c, cmd, &header, call->argv + 4, call->argc - 4, call->request_bytes);
}

#define SESSION_FLAGS (DOOR_NO_MULTI | DOOR_NOSCRIPT)

static const struct door_command subcommands[] = {
    {"q.session|open", -2, SESSION_FLAGS | DOOR_WRITE | DOOR_DENYOOM, cmd_open, NULL, 0, 0, 0},
    {"q.session|call", -5, SESSION_FLAGS | DOOR_WRITE | DOOR_DENYOOM | DOOR_MOVABLE, cmd_call, NULL,
     0, 0, 0},
    {"q.session|close", 3, SESSION_FLAGS | DOOR_WRITE, cmd_close, NULL, 0, 0, 0},
    {"q.session|help", 2, DOOR_LOADING | DOOR_STALE, redis_reply_help, NULL, 0, 0, 0},
    {0},
};

const struct door_command redis_session_commands[] = {
    {"q.session", -2, 0, NULL, subcommands, 0, 0, 0},
    {0},
};
