/* DEBUG, where the configuration allows it: what test suites of clients call. */
#include "server/redis/redis_internal.h"

static void reply_unknown(struct call *call)
{
    resp_errorf(&call->w,
                "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                (int)size_min(call->argv[1].len, 128), (const char *)call->argv[1].at);
}

/* Seconds with a fraction, as Redis takes them; what is no number is 0. */
static nanos read_seconds(str text)
{
    nanos whole = 0, fraction = 0, unit = NANOS_SEC;
    size_t i = 0;

    for (; i < text.len && text.at[i] >= '0' && text.at[i] <= '9' && whole < 1000000; i++)
        whole = whole * 10 + (nanos)(text.at[i] - '0');
    if (i < text.len && text.at[i] == '.') {
        for (i++; i < text.len && text.at[i] >= '0' && text.at[i] <= '9' && unit > 1; i++) {
            unit /= 10;
            fraction += (nanos)(text.at[i] - '0') * unit;
        }
    }
    return whole * NANOS_SEC + fraction;
}

/* Only this connection sleeps: its next requests wait behind this one. */
static void debug_sleep(struct call *call)
{
    struct redis_door *d = call->door;

    if (call->in_exec) {
        resp_simple(&call->w, "OK");
        return;
    }
    call->later = true;
    struct slot *s = redis_slot_push(call->client, call->request_bytes);
    s->wake_at = node_now(d->node) + read_seconds(call->argv[2]);
    call->client->barrier = s;
    d->sleep_until = u64_min(d->sleep_until, s->wake_at);
}

/* Expiry is decided in the log whether or not the leader looks for expired keys by itself. */
static void debug_accept(struct call *call)
{
    resp_simple(&call->w, "OK");
}

static void debug_error(struct call *call)
{
    resp_errorf(&call->w, "%.*s", STR_ARG(call->argv[2]));
}

/* From now on this node answers GETs of the key with what the first of them got: what `quorate check --online` is to find.
 * An empty key ends it. */
static void debug_stale_read(struct call *call)
{
    redis_sample_read_stale(call->door, call->argv[2]);
    resp_simple(&call->w, "OK");
}

/* --- DEBUG PROTOCOL: one value of each RESP type --- */

static void say_string(struct resp_writer *w)
{
    resp_bulk_text(w, "Hello World");
}
static void say_integer(struct resp_writer *w)
{
    resp_integer(w, 12345);
}
static void say_null(struct resp_writer *w)
{
    resp_null(w);
}
static void say_true(struct resp_writer *w)
{
    resp_bool(w, true);
}
static void say_false(struct resp_writer *w)
{
    resp_bool(w, false);
}

static void say_double(struct resp_writer *w)
{
    if (w->proto >= 3)
        buf_append_text(w->out, ",3.141\r\n");
    else
        resp_bulk_text(w, "3.141");
}

static void say_bignum(struct resp_writer *w)
{
    if (w->proto >= 3)
        buf_append_text(w->out, "(1234567999999999999999999999999999999\r\n");
    else
        resp_bulk_text(w, "1234567999999999999999999999999999999");
}

static void say_array(struct resp_writer *w)
{
    resp_array(w, 3);
    for (i64 i = 0; i < 3; i++) resp_integer(w, i);
}

static void say_set(struct resp_writer *w)
{
    resp_set(w, 3);
    for (i64 i = 0; i < 3; i++) resp_integer(w, i);
}

static void say_map(struct resp_writer *w)
{
    resp_map(w, 3);
    for (i64 i = 0; i < 3; i++) {
        resp_integer(w, i);
        resp_bool(w, i == 1);
    }
}

static void say_attribute(struct resp_writer *w)
{
    if (w->proto >= 3) {
        buf_append_text(w->out, "|1\r\n");
        resp_bulk_text(w, "key-popularity");
        resp_array(w, 2);
        resp_bulk_text(w, "key:123");
        resp_integer(w, 90);
    }
    resp_bulk_text(w, "Some real reply following the attribute");
}

static void say_push(struct resp_writer *w)
{
    if (w->proto < 3) {
        resp_error(w, "ERR RESP2 is not supported by this command");
        return;
    }
    resp_push(w, 2);
    resp_bulk_text(w, "server-cpu-usage");
    resp_integer(w, 42);
    resp_bulk_text(w, "Some real reply following the push reply");
}

static void say_verbatim(struct resp_writer *w)
{
    resp_verbatim_txt(w, STR("This is a verbatim\nstring"));
}

static const struct {
    const char *name;
    void (*say)(struct resp_writer *w);
} values[] = {
    {"string", say_string}, {"integer", say_integer},   {"double", say_double},
    {"bignum", say_bignum}, {"null", say_null},         {"array", say_array},
    {"set", say_set},       {"map", say_map},           {"attrib", say_attribute},
    {"push", say_push},     {"verbatim", say_verbatim}, {"true", say_true},
    {"false", say_false},
};

static void debug_protocol(struct call *call)
{
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        if (!str_is_word(call->argv[2], values[i].name)) continue;
        values[i].say(&call->w);
        return;
    }
    resp_error(&call->w,
               "ERR Wrong protocol type name. Please use one of the following: "
               "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}

/* Redis does not know DEBUG's subcommands as commands, so neither does COMMAND INFO here. */
static const struct {
    const char *name;
    u32 argc;
    door_handler handler;
} rows[] = {
    {"change-repl-id", 2, debug_accept},    {"error", 3, debug_error},
    {"protocol", 3, debug_protocol},        {"quicklist-packed-threshold", 3, debug_accept},
    {"set-active-expire", 3, debug_accept}, {"sleep", 3, debug_sleep},
    {"stale-read", 3, debug_stale_read},
};

static void debug_help(struct call *call)
{
    resp_array(&call->w, ARRAY_LEN(rows) + 2);
    resp_simple(&call->w, "DEBUG <subcommand> [<arg> ...]. Subcommands are:");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) resp_simple(&call->w, rows[i].name);
    resp_simple(&call->w, "help");
}

static void cmd_debug(struct call *call)
{
    if (call->argc == 2 && str_is_word(call->argv[1], "help")) {
        debug_help(call);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (call->argc != rows[i].argc || !str_is_word(call->argv[1], rows[i].name)) continue;
        rows[i].handler(call);
        return;
    }
    reply_unknown(call);
}

const struct door_command redis_debug_commands[] = {
    {"debug", -2, DOOR_DEBUG | DOOR_ADMIN | DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE, cmd_debug,
     NULL, 0, 0, 0},
    {0},
};
