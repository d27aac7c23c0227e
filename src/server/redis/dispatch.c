/* From a request's arguments to what it does: an entry for the gateway, a place in the open MULTI,
 * or a handler of the door. The order of checks and the error sentences are those of Redis 7.0. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"

enum { ENTRY_BLOCK_BYTES = 64 * 1024 };
enum { ERROR_TEXT_MAX = 128 }; /* of a client's own bytes that Redis repeats in an error */

/* C strings in Redis's formats end at a NUL. */
static int shown(str s, size_t max)
{
    return (int)strnlen((const char *)s.at, size_min(s.len, max));
}

static int compare_word(str name, const char *word)
{
    size_t i = 0;

    for (; i < name.len; i++) {
        u8 c = name.at[i];
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        if (c != (u8)word[i] || word[i] == 0) return word[i] == 0 ? 1 : (int)c - (int)(u8)word[i];
    }
    return word[i] ? -1 : 0;
}

static const struct door_command *door_command_find(const struct redis_door *d, str name)
{
    u32 low = 0, high = d->command_count;

    while (low < high) {
        u32 middle = low + (high - low) / 2;
        int order = compare_word(name, d->commands[middle]->name);
        if (order == 0) return d->commands[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct command_ref redis_command_find(const struct redis_door *d, str name)
{
    struct command_ref ref = {.data = kv_command_find(name)};

    if (!ref.data) ref.door = door_command_find(d, name);
    return ref;
}

const struct door_command *redis_subcommand_find(const struct door_command *rows, str name)
{
    for (const struct door_command *row = rows; row && row->name; row++)
        if (str_is_word(name, strchr(row->name, '|') + 1)) return row;
    return NULL;
}

bool redis_arity_is_good(i32 arity, u32 argc)
{
    return arity < 0 ? argc >= (u32)-arity : argc == (u32)arity;
}

/* --- refusing --- */

/* A refused EXEC ends its transaction, any other refused command spoils it. */
static void refuse(struct call *call, const char *exec_text)
{
    if (exec_text)
        redis_transaction_drop(call->client);
    else
        redis_transaction_flag(call->client);
}

static void refuse_unknown(struct call *call)
{
    struct resp_writer w = redis_reply_begin(call->client);

    kv_reply_unknown_command(&w, call->argv, call->argc);
    redis_reply_end(call->client, &w, call->request_bytes);
    refuse(call, NULL);
}

static void refuse_subcommand(struct call *call, const char *container)
{
    char upper[32];
    size_t i = 0;

    for (; container[i] && i + 1 < sizeof upper; i++)
        upper[i] = (char)(container[i] >= 'a' && container[i] <= 'z' ? container[i] - 32
                                                                     : container[i]);
    upper[i] = 0;
    struct resp_writer w = redis_reply_begin(call->client);
    resp_errorf(&w, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                shown(call->argv[1], ERROR_TEXT_MAX), (const char *)call->argv[1].at, upper);
    redis_reply_end(call->client, &w, call->request_bytes);
    refuse(call, NULL);
}

static void refuse_arity(struct call *call, const char *name)
{
    bool is_exec = strcmp(name, "exec") == 0;
    struct resp_writer w = redis_reply_begin(call->client);

    resp_errorf(&w, "%swrong number of arguments for '%s' command",
                is_exec ? "EXECABORT Transaction discarded because of: " : "ERR ", name);
    redis_reply_end(call->client, &w, call->request_bytes);
    refuse(call, is_exec ? name : NULL);
}

static bool refuse_with(struct call *call, const char *text)
{
    struct resp_writer w = redis_reply_begin(call->client);

    resp_error(&w, text);
    redis_reply_end(call->client, &w, call->request_bytes);
    refuse(call, NULL);
    return false;
}

static bool check_data(struct call *call, const struct kv_command *cmd)
{
    const char *name = cmd->name;
    i32 arity = cmd->arity;

    if (UNLIKELY(cmd->flags & KV_MOVABLE && call->argc > 1)) { /* OBJECT alone has subcommands */
        const struct door_command *row = redis_subcommand_find(redis_object_subcommands,
                                                               call->argv[1]);
        if (!row) {
            refuse_subcommand(call, name);
            return false;
        }
        name = row->name;
        arity = row->arity;
    }
    if (LIKELY(redis_arity_is_good(arity, call->argc))) return true;
    refuse_arity(call, name);
    return false;
}

bool redis_command_check(struct call *call, struct command_ref *ref)
{
    if (LIKELY(ref->data)) return check_data(call, ref->data);
    if (!ref->door) {
        refuse_unknown(call);
        return false;
    }
    if (ref->door->subcommands && call->argc > 1) {
        const struct door_command *row = redis_subcommand_find(ref->door->subcommands,
                                                               call->argv[1]);
        if (!row) {
            refuse_subcommand(call, ref->door->name);
            return false;
        }
        ref->door = row;
    }
    call->command = ref->door;
    if (!redis_arity_is_good(ref->door->arity, call->argc)) {
        refuse_arity(call, ref->door->name);
        return false;
    }
    if (ref->door->flags & DOOR_DEBUG && !call->door->config->debug_commands)
        return refuse_with(call,
                           "ERR DEBUG command not allowed. Start the node with debug commands "
                           "enabled to use it.");
    if (ref->door->flags & DOOR_NO_MULTI && redis_transaction_is_open(call->client))
        return refuse_with(call, "ERR Command not allowed inside a transaction");
    return true;
}

/* --- running --- */

void redis_command_run(struct call *call)
{
    struct client *c = call->client;

    call->w = redis_reply_begin(c);
    call->command->handler(call);
    if (!call->later) {
        redis_reply_end(c, &call->w, call->request_bytes);
        return;
    }
    call->door->replying = false;
}

u8 redis_client_entry_flags(const struct client *c)
{
    return c->proto >= 3 ? ENTRY_RESP3 : 0;
}

/* Small writes share blocks: they stay in the log's tail one after the other, and leave it so. */
static struct rcbuf *write_entry_new(struct redis_door *d, size_t bytes)
{
    if (bytes > ENTRY_BLOCK_BYTES / 16) return rcbuf_new(bytes);
    struct rcbuf *r = d->entries ? rcblock_take(d->entries, bytes) : NULL;
    if (r) return r;
    rcblock_unref(d->entries);
    d->entries = rcblock_new(ENTRY_BLOCK_BYTES);
    return rcblock_take(d->entries, bytes);
}

struct rcbuf *redis_command_entry(struct redis_door *d, bool is_write, const struct entry *header,
                                  u8 db, const str *argv, u32 argc)
{
    struct entry h = *header;
    size_t body = 1 + 4;

    for (u32 i = 0; i < argc; i++) body += 4 + argv[i].len;
    h.body = str_from(NULL, body);
    struct rcbuf *entry = is_write ? write_entry_new(d, ENTRY_HEADER_BYTES + body)
                                   : rcbuf_new(ENTRY_HEADER_BYTES + body);
    struct buf out = {.data = entry->data, .cap = entry->len, .limit = entry->len};
    entry_encode_header(&h, &out);
    entry_encode_command(db, argv, argc, &out);
    assert(out.data == entry->data); /* it fitted exactly */
    assert(out.len == entry->len);
    return entry;
}

/* Most writes answer +OK or a number; GETSET, GETDEL, GETEX and SET ... GET answer a value. */
static bool answers_briefly(const struct kv_command *cmd, const str *argv, u32 argc)
{
    if (!(cmd->flags & KV_WRITE) || strncmp(cmd->name, "get", 3) == 0) return false;
    if (strcmp(cmd->name, "set")) return true;
    for (u32 i = 3; i < argc; i++)
        if (str_is_word(argv[i], "get")) return false;
    return true;
}

static void submit_elsewhere(struct client *c, const struct kv_command *cmd, const struct place *p,
                             const struct entry *header, const str *argv, u32 argc,
                             size_t request_bytes)
{
    if (p->verdict == PLACE_EVERYWHERE &&
        redis_submit_whole(c, cmd, header, argv, argc, request_bytes))
        return;
    struct resp_writer w = redis_reply_begin(c);
    redis_place_refuse(c, p, &w);
    redis_reply_end(c, &w, request_bytes);
}

void redis_submit_data(struct client *c, const struct kv_command *cmd, const struct entry *header,
                       const str *argv, u32 argc, size_t request_bytes)
{
    bool is_write = cmd->flags & KV_WRITE;

    if (c->gone && !is_write) return; /* nobody would see the answer */
    if (UNLIKELY(c->refused_bytes)) {
        redis_share_refuse(c, request_bytes);
        return;
    }
    struct hosted *h = c->asked_map ? NULL : routes_only(c->door->routes, c->keyspace);
    if (UNLIKELY(!h)) {
        struct place p = redis_place(c, cmd, argv, argc);
        if (p.verdict != PLACE_HERE) {
            submit_elsewhere(c, cmd, &p, header, argv, argc, request_bytes);
            return;
        }
        h = p.hosted;
    }
    struct slot *s = redis_slot_push(c, request_bytes);
    s->is_lookup = !is_write && cmd->first_key == 1 && cmd->last_key == 1;
    if (answers_briefly(cmd, argv, argc)) redis_slot_expect_short(s);
    if (UNLIKELY(c->explains || c->price)) redis_price_want(s);
    struct rcbuf *entry = redis_command_entry(c->door, is_write, header, c->db, argv, argc);
    if (UNLIKELY(redis_is_whole(cmd)) && routes_map(c->door->routes)) {
        struct rcbuf *whole = redis_entry_for(c->door, rcbuf_str(entry), h->id);
        rcbuf_unref(entry);
        entry = whole;
    }
    redis_slot_ask(s, h, is_write ? GATEWAY_WRITE : GATEWAY_READ, entry);
}

bool redis_dispatch(struct client *c, const str *argv, u32 argc, size_t request_bytes)
{
    struct redis_door *d = c->door;
    struct call call = {
        .door = d, .client = c, .argv = argv, .argc = argc, .request_bytes = request_bytes};
    struct command_ref ref = redis_command_find(d, argv[0]);
    bool queues = redis_transaction_is_open(c);

    if (ref.door && ref.door->flags & DOOR_WHEN_IDLE && c->queued && !queues) return false;
    c->reply_skip = c->reply_skip_next;
    c->reply_skip_next = false;
    d->stats.commands++;
    if (!redis_command_check(&call, &ref)) return true;
    c->last_command = ref.data ? ref.data->name : ref.door->name;
    if (queues && !(ref.door && ref.door->flags & DOOR_AT_ONCE)) {
        redis_transaction_queue(&call, &ref);
    } else if (ref.data) {
        struct entry header = {.op = ENTRY_COMMAND, .flags = redis_client_entry_flags(c)};
        redis_submit_data(c, ref.data, &header, argv, argc, request_bytes);
        c->asking = false;
    } else {
        redis_command_run(&call);
    }
    return true;
}
