/* Commands about the connection itself: HELLO, AUTH, PING, ECHO, SELECT, QUIT, RESET. */
#include "server/redis/redis_internal.h"

static const char bad_password[] = "WRONGPASS invalid username-password pair or user is disabled.";

/* Each keyspace has a user of its name, and no password: any of theirs is right. 0: no such user. */
static u32 keyspace_of_user(const struct call *call, str user)
{
    return routes_named(call->door->routes, user);
}

/* What is not known may only not be known yet. */
static bool reply_map_awaited(struct call *call)
{
    if (!routes_map_is_awaited(call->door->routes)) return false;
    resp_error(&call->w, "NOQUORUM this node has no map of the keyspaces yet; nothing was done, try again");
    return true;
}

/* Make this keyspace the connection's. Replies with the error if it cannot be now. */
static bool enter(struct call *call, u32 keyspace)
{
    struct client *c = call->client;

    if (keyspace == c->keyspace->id) return true;
    if (call->in_exec) {
        resp_error(&call->w, "ERR a transaction stays in its keyspace");
        return false;
    }
    if (redis_transaction_watches(c)) {
        resp_error(&call->w, "ERR keys of this keyspace are watched; UNWATCH before you leave it");
        return false;
    }
    redis_client_enter(c, keyspace);
    c->db = 0;
    return true;
}

static void refuse_user(struct call *call)
{
    if (!reply_map_awaited(call)) resp_error(&call->w, bad_password);
}

static void cmd_ping(struct call *call)
{
    if (call->argc > 2)
        resp_error(&call->w, "ERR wrong number of arguments for 'ping' command");
    else if (call->argc == 2)
        resp_bulk(&call->w, call->argv[1]);
    else
        resp_simple(&call->w, "PONG");
}

static void cmd_echo(struct call *call)
{
    resp_bulk(&call->w, call->argv[1]);
}

static void cmd_select(struct call *call)
{
    struct routes *r = call->door->routes;
    u32 keyspace = 0;
    i64 db;

    /* A number from 16 on, or a name, is a keyspace. */
    bool is_number = str_to_i64(call->argv[1], &db);
    if (!is_number)
        keyspace = routes_named(r, call->argv[1]);
    else if (db >= CORE_KEYSPACE_FIRST && db <= INT32_MAX)
        keyspace = routes_numbered(r, (u32)db);
    if (keyspace) {
        if (!enter(call, keyspace)) return;
        call->client->db = 0;
        resp_simple(&call->w, "OK");
    } else if ((!is_number || db >= CORE_KEYSPACE_FIRST) && reply_map_awaited(call)) {
        return;
    } else if (!is_number) {
        resp_error(&call->w, "ERR value is not an integer or out of range");
    } else if (db < INT32_MIN || db > INT32_MAX) {
        resp_errorf(&call->w, "ERR value is out of range, value must between %d and %d", INT32_MIN,
                    INT32_MAX);
    } else if (db < 0 || db >= KV_DATABASES) {
        resp_error(&call->w, "ERR DB index is out of range");
    } else {
        call->client->db = (u8)db;
        resp_simple(&call->w, "OK");
    }
}

static void cmd_quit(struct call *call)
{
    resp_simple(&call->w, "OK");
    call->client->closing = true;
}

static void cmd_reset(struct call *call)
{
    redis_client_reset(call->client);
    call->w.proto = 2;
    resp_simple(&call->w, "RESET");
}

static void cmd_auth(struct call *call)
{
    if (call->argc > 3)
        resp_error(&call->w, "ERR syntax error");
    else if (call->argc == 2)
        resp_error(&call->w,
                   "ERR AUTH <password> called without any password configured for the default "
                   "user. Are you sure your configuration is correct?");
    else if (!keyspace_of_user(call, call->argv[1]))
        refuse_user(call);
    else if (enter(call, keyspace_of_user(call, call->argv[1])))
        resp_simple(&call->w, "OK");
}

/* --- HELLO --- */

struct hello_options {
    u8 proto; /* 0: as it is */
    bool has_name;
    str name;
    u32 keyspace; /* of the user; 0: none was named */
};

/* Returns false after replying with the error. */
static bool read_hello(struct call *call, struct hello_options *out)
{
    i64 proto;

    *out = (struct hello_options){0};
    if (call->argc == 1) return true;
    if (!str_to_i64(call->argv[1], &proto)) {
        resp_error(&call->w, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (proto < 2 || proto > 3) {
        resp_error(&call->w, "NOPROTO unsupported protocol version");
        return false;
    }
    out->proto = (u8)proto;
    for (u32 i = 2; i < call->argc;) {
        u32 more = call->argc - 1 - i;
        if (str_is_word(call->argv[i], "auth") && more >= 2) {
            out->keyspace = keyspace_of_user(call, call->argv[i + 1]);
            if (!out->keyspace) {
                refuse_user(call);
                return false;
            }
            i += 3;
        } else if (str_is_word(call->argv[i], "setname") && more >= 1) {
            out->has_name = true;
            out->name = call->argv[i + 1];
            i += 2;
        } else {
            resp_errorf(&call->w, "ERR Syntax error in HELLO option '%.*s'",
                        (int)size_min(call->argv[i].len, 128), (const char *)call->argv[i].at);
            return false;
        }
    }
    return true;
}

static void cmd_hello(struct call *call)
{
    struct client *c = call->client;
    struct hello_options hello;

    if (!read_hello(call, &hello)) return;
    if (hello.keyspace && !enter(call, hello.keyspace)) return;
    if (hello.has_name && !redis_client_set_name(&c->name, hello.name)) {
        resp_error(&call->w,
                   "ERR Client names cannot contain spaces, newlines or special characters.");
        return;
    }
    if (hello.proto) c->proto = hello.proto;
    call->w.proto = c->proto;
    struct resp_writer *w = &call->w;
    resp_map(w, 7);
    resp_bulk_text(w, "server");
    resp_bulk_text(w, "redis");
    resp_bulk_text(w, "version");
    resp_bulk_text(w, REDIS_VERSION);
    resp_bulk_text(w, "proto");
    resp_integer(w, c->proto);
    resp_bulk_text(w, "id");
    resp_integer(w, (i64)c->id);
    resp_bulk_text(w, "mode");
    resp_bulk_text(w, "standalone");
    resp_bulk_text(w, "role");
    resp_bulk_text(w, "master");
    resp_bulk_text(w, "modules");
    resp_array(w, 0);
}

#define ANYTIME     (DOOR_LOADING | DOOR_STALE | DOOR_FAST)
#define BEFORE_AUTH (DOOR_NOSCRIPT | ANYTIME | DOOR_NO_AUTH | DOOR_ALLOW_BUSY)

const struct door_command redis_connection_commands[] = {
    {"auth", -2, BEFORE_AUTH, cmd_auth, NULL, 0, 0, 0},
    {"echo", 2, ANYTIME, cmd_echo, NULL, 0, 0, 0},
    {"hello", -1, BEFORE_AUTH, cmd_hello, NULL, 0, 0, 0},
    {"ping", -1, DOOR_FAST, cmd_ping, NULL, 0, 0, 0},
    {"quit", -1, DOOR_AT_ONCE | BEFORE_AUTH, cmd_quit, NULL, 0, 0, 0},
    {"reset", 1, DOOR_AT_ONCE | BEFORE_AUTH, cmd_reset, NULL, 0, 0, 0},
    {"select", 2, ANYTIME, cmd_select, NULL, 0, 0, 0},
    {0},
};
