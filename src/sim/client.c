#include "sim/client.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sim/churn.h"

#include <stdarg.h>
#include <stdio.h>

#define REPLY_TIMEOUT (4 * NANOS_SEC)
#define RETRY_MEAN (80 * NANOS_MS)
#define FIRST_REDIS_PORT 6379
#define FIRST_KEYSPACE 16
#define TAG_SELECT UINT32_MAX
#define TAG_AUDIT (UINT32_MAX - 1)
#define TAG_AUDIT_SELECT (UINT32_MAX - 2)
#define AUDIT_BATCH 20

struct history *client_history(struct client *c) { return c->host->world->history; }
nanos client_now(const struct client *c) { return host_now(c->host); }
str client_text(struct client *c, u32 id) { return history_text(client_history(c), id); }

u32 client_key(struct client *c, const char *format, ...)
{
    char text[128];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return history_intern(client_history(c), str_of(text));
}

u32 client_unique_padded(struct client *c, u64 pad)
{
    unsigned long long number = ++c->values;
    if (pad == 0) return client_key(c, "c%u.%llu", c->number, number);
    return client_key(c, "c%u.%llu:%llu:", c->number, number, (unsigned long long)pad);
}

/* One value in ten is a large one: logs and snapshots must move bytes too. */
u32 client_unique(struct client *c)
{
    u64 kind = prng_below(&c->chance, 100);
    u64 pad = kind < 90 ? 0 : kind < 99 ? prng_between(&c->chance, 100, 3000) : prng_between(&c->chance, 3000, 30000);
    return client_unique_padded(c, pad);
}

static u64 pad_of(str value)
{
    u64 pad = 0;
    if (value.len == 0 || value.at[value.len - 1] != ':') return 0;
    for (size_t i = value.len - 1, unit = 1; i > 0 && value.at[i - 1] != ':'; i--, unit *= 10)
        pad += (u64)(value.at[i - 1] - '0') * unit;
    return pad;
}

str client_pad(struct client *c, u32 value, struct buf *scratch)
{
    str text = client_text(c, value);
    size_t pad = (size_t)pad_of(text);

    buf_clear(scratch);
    buf_append_str(scratch, text);
    if (pad == 0) return buf_str(scratch);
    memset(buf_reserve(scratch, pad), 'x', pad);
    buf_extend(scratch, pad);
    return buf_str(scratch);
}

/* The value's text without its padding, which must be complete. */
static str unpad(struct client *c, str value)
{
    const u8 *x = value.len ? memchr(value.at, 'x', value.len) : NULL;
    size_t bytes = x ? (size_t)(x - value.at) : value.len;
    str text = str_from(value.at, bytes);

    if (bytes == 0 || text.at[bytes - 1] != ':') return value;
    bool well = pad_of(text) == value.len - bytes;
    for (size_t i = bytes; i < value.len && well; i++) well = value.at[i] == 'x';
    if (!well) world_violation(c->host->world, "the value %.*s came back damaged", STR_ARG(text));
    return text;
}

/* ---- operations ---- */

u32 client_op(struct client *c, enum history_op op, u32 key, u32 value, u32 expect)
{
    return history_open(client_history(c), c->number, op, key, value, expect, client_now(c));
}

void client_send(struct client *c, u32 tag, u32 place, u32 argc, const str *argv)
{
    struct buf *out = &c->stream.out;

    assert(c->count < CLIENT_CALLS_MAX);
    buf_printf(out, "*%u\r\n", argc);
    for (u32 i = 0; i < argc; i++) {
        buf_printf(out, "$%zu\r\n", argv[i].len);
        buf_append_str(out, argv[i]);
        buf_append_text(out, "\r\n");
    }
    c->calls[(c->head + c->count++) % CLIENT_CALLS_MAX] =
        (struct call){.tag = tag, .place = place, .sent_at = client_now(c)};
}

enum history_outcome client_outcome(struct client *c, const struct reply *r)
{
    static const char *const refusals[] = {"NOQUORUM", "OVERLOADED", "DISKFULL", "NOTREADY", "EXECABORT", "TRYAGAIN", "STALE"};

    if (r->kind != REPLY_ERROR) return HISTORY_OK;
    world_say(c->host->world, c->host, "n%u answers -%.*s", c->node, STR_ARG(r->text));
    if (reply_is_error(r, "UNKNOWN")) return HISTORY_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        if (reply_is_error(r, refusals[i])) return HISTORY_FAILED;
    world_violation(c->host->world, "client %u (%s) got an error that nothing explains: -%.*s", c->number,
                    c->workload->name, STR_ARG(r->text));
    return HISTORY_UNKNOWN;
}

u32 client_result(struct client *c, const struct reply *r)
{
    char number[24];

    switch (r->kind) {
    case REPLY_SIMPLE:
    case REPLY_BULK: return history_intern(client_history(c), unpad(c, r->text));
    case REPLY_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)r->integer);
        return history_intern(client_history(c), str_of(number));
    case REPLY_NULL:
    case REPLY_ERROR:
    case REPLY_ARRAY: break;
    }
    return HISTORY_NULL;
}

void client_close_op(struct client *c, u32 place, const struct reply *r)
{
    enum history_outcome outcome = client_outcome(c, r);
    history_close(client_history(c), place, outcome, outcome == HISTORY_OK ? client_result(c, r) : HISTORY_NULL,
                  client_now(c));
}

/* ---- the audit: read every key of the history once more ---- */

/* Keys of a made keyspace say which it is: k17:... */
u32 client_db_of_key(str key)
{
    u32 db = 0;

    if (key.len < 2 || key.at[0] != 'k') return 0;
    for (size_t i = 1; i < key.len && key.at[i] >= '0' && key.at[i] <= '9'; i++) db = 10 * db + (u32)(key.at[i] - '0');
    return db;
}

static void select_db(struct client *c, u32 tag, u32 db)
{
    char number[12];

    /* A number below 16 is a database of the keyspace that the connection is in. */
    if (c->db >= FIRST_KEYSPACE && db < FIRST_KEYSPACE) CLIENT_SEND(c, tag, NO_PLACE, STR("SELECT"), STR("default"));
    snprintf(number, sizeof number, "%u", db);
    CLIENT_SEND(c, tag, NO_PLACE, STR("SELECT"), str_of(number));
    c->db = db;
}

static void audit_turn(struct client *c)
{
    const struct world *w = c->host->world;

    for (u32 sent = 0; sent < AUDIT_BATCH && c->audit_next < w->text_count; c->audit_next++) {
        if (!w->keys_seen[c->audit_next]) continue;
        u32 db = client_db_of_key(client_text(c, c->audit_next));
        if (db && churn_drops(w, db)) continue;
        if (db != c->db) select_db(c, TAG_AUDIT_SELECT, db);
        u32 place = client_op(c, HISTORY_GET, c->audit_next, HISTORY_NULL, HISTORY_NULL);
        CLIENT_SEND(c, TAG_AUDIT, place, STR("GET"), client_text(c, c->audit_next));
        sent++;
    }
}

/* ---- the connection ---- */

static void dial(struct client *c)
{
    struct world *w = c->host->world;

    do {
        c->node = 1 + (u32)prng_below(&c->chance, w->nodes);
    } while (c->node == w->avoided);
    c->link = CLIENT_DIALLING;
    buf_clear(&c->stream.in);
    buf_clear(&c->stream.out);
    c->host->env.ops->dial(&c->host->env, "", (u16)(FIRST_REDIS_PORT + c->node - 1), &c->stream);
}

void client_hang_up(struct client *c)
{
    if (c->link == CLIENT_DOWN || c->link == CLIENT_CLOSING) return;
    c->link = CLIENT_CLOSING;
    env_close(&c->host->env, &c->stream, false);
}

static void on_connected(struct client *c)
{
    const struct workload *k = c->workload;

    if (c->link != CLIENT_DIALLING) return;
    c->link = CLIENT_UP;
    c->next_at = client_now(c);
    c->db = 0;
    u32 db = c->auditing ? 0 : k->choose_db ? k->choose_db(c) : k->db;
    if (db) select_db(c, TAG_SELECT, db);
}

static void on_closed(struct client *c)
{
    c->link = CLIENT_DOWN;
    c->count = 0; /* their operations stay open: unknown */
    c->retry_at = client_now(c) + chance_exponential(&c->chance, RETRY_MEAN);
    if (c->workload->lost) c->workload->lost(c);
}

static void on_reply(struct client *c, const struct reply *r)
{
    if (c->count == 0) {
        world_violation(c->host->world, "client %u got a reply to nothing", c->number);
        return;
    }
    struct call call = c->calls[c->head];
    c->head = (c->head + 1) % CLIENT_CALLS_MAX;
    c->count--;
    if (call.tag == TAG_AUDIT)
        client_close_op(c, call.place, r);
    else if (call.tag == TAG_SELECT && r->kind == REPLY_ERROR)
        client_hang_up(c); /* this node has not heard of that keyspace yet, or not any more */
    else if (call.tag != TAG_SELECT && call.tag != TAG_AUDIT_SELECT)
        c->workload->reply(c, call.tag, call.place, r);
    if (c->count == 0)
        c->next_at = client_now(c) + (c->auditing ? 0 : chance_exponential(&c->chance, c->think_mean));
}

static void read_replies(struct client *c)
{
    struct reply r;
    size_t consumed;

    while (c->link == CLIENT_UP && !c->host->world->stopped) {
        enum reply_status s = reply_read(&c->reader, buf_str(&c->stream.in), &r, &consumed);
        if (s == REPLY_INCOMPLETE) return;
        if (s == REPLY_BAD) {
            world_violation(c->host->world, "client %u got bytes that are not RESP", c->number);
            return;
        }
        on_reply(c, &r);
        buf_consume(&c->stream.in, consumed);
    }
}

static bool client_program(struct host *h)
{
    struct client *c = h->program;
    struct env_event ev;
    nanos now = client_now(c), wake = NANOS_NEVER;

    while (env_next_event(&h->env, &ev)) {
        if (ev.kind == ENV_CONNECTED) on_connected(c);
        if (ev.kind == ENV_RECEIVED) read_replies(c);
        if (ev.kind == ENV_ENDED) client_hang_up(c);
        if (ev.kind == ENV_CLOSED) on_closed(c);
    }
    if (c->link == CLIENT_UP && c->count > 0 && now >= c->calls[c->head].sent_at + REPLY_TIMEOUT) client_hang_up(c);
    if (c->link != CLIENT_DOWN && c->node == h->world->avoided) client_hang_up(c);
    if (c->link == CLIENT_DOWN && now >= c->retry_at) dial(c);
    if (c->link == CLIENT_UP && c->count == 0 && now >= c->next_at && !c->stopping) {
        if (c->auditing)
            audit_turn(c);
        else
            c->workload->turn(c);
    }
    if (c->link == CLIENT_UP) env_flush(&h->env, &c->stream);

    if (c->link == CLIENT_DOWN) wake = c->retry_at;
    if (c->link == CLIENT_UP && c->count > 0) wake = c->calls[c->head].sent_at + REPLY_TIMEOUT;
    if (c->link == CLIENT_UP && c->count == 0 && !c->stopping) wake = u64_max(c->next_at, now + 1);
    env_wake_at(&h->env, wake);
    return false;
}

void client_audit(struct client *c)
{
    assert(c->count == 0);
    c->auditing = true;
    c->audit_next = 1;
    c->stopping = false;
    c->next_at = client_now(c);
    client_hang_up(c); /* it may be in another database */
    host_turn_by(c->host, c->host->world->now);
}

bool client_is_idle(const struct client *c)
{
    return c->count == 0 && (!c->auditing || c->audit_next >= c->host->world->text_count);
}

void client_start(struct client *c)
{
    c->host->up = true;
    host_turn_by(c->host, c->host->world->now);
}

struct client *client_new(struct world *w, u32 number, const struct workload *workload, nanos think_mean)
{
    struct client *c = mem_zalloc(sizeof *c);

    c->host = host_new(w, w->nodes + number, false);
    c->host->program = c;
    c->host->turn = client_program;
    c->number = number;
    c->workload = workload;
    c->state = mem_zalloc(workload->state_bytes + 1);
    c->think_mean = think_mean;
    prng_init(&c->chance, w->seed, 1000 + number);
    buf_init(&c->stream.in, 0);
    buf_init(&c->stream.out, 0);
    w->hosts[w->host_count++] = c->host;
    return c;
}

void client_free(struct client *c)
{
    if (!c) return;
    buf_done(&c->stream.in);
    buf_done(&c->stream.out);
    mem_free(c->state);
    mem_free(c);
}
