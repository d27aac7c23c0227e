/* CLIENT: what this connection is called, what others there are, and ending them. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"

#include <stdio.h>

static const char bad_name[] =
    "ERR Client names cannot contain spaces, newlines or special characters.";

/* --- CLIENT LIST, CLIENT INFO --- */

/* One line about a connection. Fields of Redis that mean nothing here have the value Redis gives an
 * idle connection. */
static void describe(const struct client *c, struct buf *out)
{
    struct redis_door *d = c->door;
    nanos now = node_now(d->node);
    char address[CLIENT_ADDRESS_MAX];
    size_t unsent = c->stream.out.len + c->held_bytes;

    redis_client_address(c, address);
    buf_printf(out, "id=%llu addr=%s laddr=%s:%u fd=-1 name=%s age=%llu idle=%llu flags=%s db=%u ",
               (unsigned long long)c->id, address, d->config->host, redis_door_port(d),
               c->name ? c->name : "", (unsigned long long)((now - c->created_at) / NANOS_SEC),
               (unsigned long long)((now - c->seen_at) / NANOS_SEC),
               redis_transaction_is_open(c) ? "x" : "N", c->db);
    buf_printf(out, "sub=0 psub=0 ssub=0 multi=%d qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=0 ",
               redis_transaction_is_open(c) ? (int)redis_transaction_length(c) : -1,
               c->stream.in.len, c->stream.in.cap - c->stream.in.len);
    buf_printf(
        out,
        "rbs=0 rbp=0 obl=0 oll=%u omem=%zu tot-mem=%zu events=%s cmd=%s user=%.*s redir=-1 ",
        c->queued, unsent, sizeof *c + c->stream.in.cap + c->stream.out.cap + c->held_bytes,
        unsent ? "rw" : "r", c->last_command ? c->last_command : "NULL",
        STR_ARG(core_str(&c->keyspace->name)));
    buf_printf(out, "resp=%u lib-name=%s lib-ver=%s\n", c->proto, c->lib_name ? c->lib_name : "",
               c->lib_version ? c->lib_version : "");
}

static void cmd_info(struct call *call)
{
    struct buf text;

    buf_init(&text, 0);
    describe(call->client, &text);
    resp_verbatim_txt(&call->w, buf_str(&text));
    buf_done(&text);
}

static bool is_listed(const struct client *c)
{
    return !c->gone && !c->closed && !c->rejected;
}

static bool type_is_known(str type)
{
    return str_is_word(type, "normal") || str_is_word(type, "master") ||
           str_is_word(type, "replica") || str_is_word(type, "slave") ||
           str_is_word(type, "pubsub");
}

static void reply_bad_type(struct call *call, str type)
{
    resp_errorf(&call->w, "ERR Unknown client type '%.*s'", (int)size_min(type.len, 128),
                (const char *)type.at);
}

static void list_all(struct call *call, bool any)
{
    struct buf text;

    buf_init(&text, 0);
    LIST_EACH(at, &call->door->clients)
    {
        struct client *c = CONTAINER_OF(at, struct client, all);
        if (any && is_listed(c)) describe(c, &text);
    }
    resp_verbatim_txt(&call->w, buf_str(&text));
    buf_done(&text);
}

static struct client *client_with_id(struct redis_door *d, u64 id)
{
    LIST_EACH(at, &d->clients)
    {
        struct client *c = CONTAINER_OF(at, struct client, all);
        if (c->id == id && is_listed(c)) return c;
    }
    return NULL;
}

static void list_ids(struct call *call)
{
    struct buf text;

    buf_init(&text, 0);
    for (u32 i = 3; i < call->argc; i++) {
        i64 id;
        if (!str_to_i64(call->argv[i], &id)) {
            resp_error(&call->w, "ERR Invalid client ID");
            goto done;
        }
        const struct client *c = client_with_id(call->door, (u64)id);
        if (c) describe(c, &text);
    }
    resp_verbatim_txt(&call->w, buf_str(&text));
done:
    buf_done(&text);
}

static void cmd_list(struct call *call)
{
    if (call->argc == 2) {
        list_all(call, true);
    } else if (call->argc == 4 && str_is_word(call->argv[2], "type")) {
        if (type_is_known(call->argv[3]))
            list_all(call, str_is_word(call->argv[3], "normal"));
        else
            reply_bad_type(call, call->argv[3]);
    } else if (call->argc > 3 && str_is_word(call->argv[2], "id")) {
        list_ids(call);
    } else {
        resp_error(&call->w, "ERR syntax error");
    }
}

/* --- CLIENT KILL --- */

struct kill_filter {
    bool has_id, has_address, has_own_address, no_type, skip_me;
    u64 id;
    str address, own_address;
};

static bool is_meant(const struct client *c, const struct kill_filter *f)
{
    char text[CLIENT_ADDRESS_MAX + NODE_HOST_MAX];

    if (!is_listed(c) || f->no_type) return false;
    if (f->has_id && c->id != f->id) return false;
    if (f->has_address) {
        redis_client_address(c, text);
        if (!str_equal(str_of(text), f->address)) return false;
    }
    if (f->has_own_address) {
        snprintf(text, sizeof text, "%s:%u", c->door->config->host, redis_door_port(c->door));
        if (!str_equal(str_of(text), f->own_address)) return false;
    }
    return true;
}

static u32 kill_all(struct call *call, const struct kill_filter *f)
{
    u32 killed = 0;

    LIST_EACH(at, &call->door->clients)
    {
        struct client *c = CONTAINER_OF(at, struct client, all);
        if (!is_meant(c, f) || (c == call->client && f->skip_me)) continue;
        killed++;
        c->closing = true; /* itself after this reply */
        redis_client_touch(c);
        if (c == call->client) continue;
        c->closed = true;
        env_close(call->door->env, &c->stream, false);
    }
    return killed;
}

/* One `option value` of the filter. Returns false after replying with the error. */
static bool read_filter(struct call *call, u32 i, struct kill_filter *f)
{
    str option = call->argv[i], value = call->argv[i + 1];
    i64 id;

    if (str_is_word(option, "id")) {
        if (!str_to_i64(value, &id) || id < 1) {
            resp_error(&call->w, "ERR client-id should be greater than 0");
            return false;
        }
        f->has_id = true;
        f->id = (u64)id;
    } else if (str_is_word(option, "type")) {
        if (!type_is_known(value)) {
            reply_bad_type(call, value);
            return false;
        }
        f->no_type |= !str_is_word(value, "normal");
    } else if (str_is_word(option, "addr")) {
        f->has_address = true;
        f->address = value;
    } else if (str_is_word(option, "laddr")) {
        f->has_own_address = true;
        f->own_address = value;
    } else if (str_is_word(option, "user")) {
        if (!str_equal(value, STR("default"))) {
            resp_errorf(&call->w, "ERR No such user '%.*s'", (int)size_min(value.len, 128),
                        (const char *)value.at);
            return false;
        }
    } else if (str_is_word(option, "skipme") && str_is_word(value, "yes")) {
        f->skip_me = true;
    } else if (str_is_word(option, "skipme") && str_is_word(value, "no")) {
        f->skip_me = false;
    } else {
        resp_error(&call->w, "ERR syntax error");
        return false;
    }
    return true;
}

static void cmd_kill(struct call *call)
{
    struct kill_filter f = {.skip_me = true};

    if (call->argc == 3) {
        f = (struct kill_filter){.has_address = true, .address = call->argv[2]};
        if (kill_all(call, &f))
            resp_simple(&call->w, "OK");
        else
            resp_error(&call->w, "ERR No such client");
        return;
    }
    if (call->argc % 2) {
        resp_error(&call->w, "ERR syntax error");
        return;
    }
    for (u32 i = 2; i < call->argc; i += 2)
        if (!read_filter(call, i, &f)) return;
    resp_integer(&call->w, kill_all(call, &f));
}

/* --- the rest --- */

static void cmd_id(struct call *call)
{
    resp_integer(&call->w, (i64)call->client->id);
}

static void cmd_getname(struct call *call)
{
    if (call->client->name)
        resp_bulk_text(&call->w, call->client->name);
    else
        resp_null(&call->w);
}

static void cmd_setname(struct call *call)
{
    if (redis_client_set_name(&call->client->name, call->argv[2]))
        resp_simple(&call->w, "OK");
    else
        resp_error(&call->w, bad_name);
}

static void cmd_setinfo(struct call *call)
{
    char **field;
    const char *name;

    if (str_is_word(call->argv[2], "lib-name")) {
        field = &call->client->lib_name;
        name = "lib-name";
    } else if (str_is_word(call->argv[2], "lib-ver")) {
        field = &call->client->lib_version;
        name = "lib-ver";
    } else {
        resp_errorf(&call->w, "ERR Unrecognized option '%.*s'",
                    (int)size_min(call->argv[2].len, 128), (const char *)call->argv[2].at);
        return;
    }
    if (redis_client_set_name(field, call->argv[3]))
        resp_simple(&call->w, "OK");
    else
        resp_errorf(&call->w, "ERR %s cannot contain spaces, newlines or special characters.",
                    name);
}

static void set_switch(struct call *call, bool *flag)
{
    if (str_is_word(call->argv[2], "on"))
        *flag = true;
    else if (str_is_word(call->argv[2], "off"))
        *flag = false;
    else {
        resp_error(&call->w, "ERR syntax error");
        return;
    }
    resp_simple(&call->w, "OK");
}

/* Nothing is ever evicted, and no access time is kept: both are true whatever they are set to. */
static void cmd_no_evict(struct call *call)
{
    set_switch(call, &call->client->no_evict);
}
static void cmd_no_touch(struct call *call)
{
    set_switch(call, &call->client->no_touch);
}

static void cmd_reply(struct call *call)
{
    struct client *c = call->client;

    if (str_is_word(call->argv[2], "on")) {
        c->reply_off = c->reply_skip = false;
        resp_simple(&call->w, "OK");
    } else if (str_is_word(call->argv[2], "off")) {
        c->reply_off = true;
    } else if (str_is_word(call->argv[2], "skip")) {
        c->reply_skip_next = !c->reply_off;
        c->reply_skip = true;
    } else {
        resp_error(&call->w, "ERR syntax error");
    }
}

static void cmd_getredir(struct call *call)
{
    resp_integer(&call->w, -1);
}

static void cmd_trackinginfo(struct call *call)
{
    resp_map(&call->w, 3);
    resp_bulk_text(&call->w, "flags");
    resp_set(&call->w, 1);
    resp_bulk_text(&call->w, "off");
    resp_bulk_text(&call->w, "redirect");
    resp_integer(&call->w, -1);
    resp_bulk_text(&call->w, "prefixes");
    resp_array(&call->w, 0);
}

#define PLAIN (DOOR_NOSCRIPT | DOOR_LOADING | DOOR_STALE)

static const struct door_command subcommands[] = {
    {"client|deadline", -2, PLAIN, redis_cmd_client_deadline, NULL, 0, 0, 0},
    {"client|getname", 2, PLAIN, cmd_getname, NULL, 0, 0, 0},
    {"client|getredir", 2, PLAIN, cmd_getredir, NULL, 0, 0, 0},
    {"client|help", 2, DOOR_LOADING | DOOR_STALE, redis_reply_help, NULL, 0, 0, 0},
    {"client|id", 2, PLAIN, cmd_id, NULL, 0, 0, 0},
    {"client|info", 2, PLAIN, cmd_info, NULL, 0, 0, 0},
    {"client|kill", -3, PLAIN | DOOR_ADMIN, cmd_kill, NULL, 0, 0, 0},
    {"client|level", -2, PLAIN, redis_cmd_client_level, NULL, 0, 0, 0},
    {"client|list", -2, PLAIN | DOOR_ADMIN, cmd_list, NULL, 0, 0, 0},
    {"client|no-evict", 3, PLAIN | DOOR_ADMIN, cmd_no_evict, NULL, 0, 0, 0},
    {"client|no-touch", 3, PLAIN, cmd_no_touch, NULL, 0, 0, 0},
    {"client|price", 3, PLAIN, redis_cmd_client_price, NULL, 0, 0, 0},
    {"client|reply", 3, PLAIN, cmd_reply, NULL, 0, 0, 0},
    {"client|setinfo", 4, PLAIN, cmd_setinfo, NULL, 0, 0, 0},
    {"client|setname", 3, PLAIN, cmd_setname, NULL, 0, 0, 0},
    {"client|trackinginfo", 2, PLAIN, cmd_trackinginfo, NULL, 0, 0, 0},
    {0},
};

const struct door_command redis_client_command_rows[] = {
    {"client", -2, 0, NULL, subcommands, 0, 0, 0},
    {0},
};
