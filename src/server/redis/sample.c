/* Sampling requests of some keys. A request that writes or reads a sampled key gets a number and two events: what it
 * asks, when it is sent to its partition, and what it was answered. Both carry this node's monotonic clock, taken so
 * that the interval surely contains the moment of the effect. Off, all this is one branch for each request. */
#include "server/redis/redis_internal.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "consistency/level.h"

/* ---- the ring ---- */

static void ring_put(struct sample *s, const void *data, size_t bytes)
{
    size_t at = s->head % SAMPLE_BYTES_MAX, first = size_min(bytes, SAMPLE_BYTES_MAX - at);

    mem_copy(s->ring + at, data, first);
    mem_copy(s->ring, (const u8 *)data + first, bytes - first);
    s->head += bytes;
}

static void ring_get(const struct sample *s, u64 from, void *out, size_t bytes)
{
    size_t at = from % SAMPLE_BYTES_MAX, first = size_min(bytes, SAMPLE_BYTES_MAX - at);

    mem_copy(out, s->ring + at, first);
    mem_copy((u8 *)out + first, s->ring, bytes - first);
}

static u32 ring_length(const struct sample *s, u64 at)
{
    u8 head[4];
    ring_get(s, at, head, sizeof head);
    return get_u32(head);
}

/* The event in `scratch` goes in, the oldest ones out. */
static void put_event(struct sample *s)
{
    u8 head[4];
    size_t bytes = sizeof head + s->scratch.len;

    put_u32(head, (u32)s->scratch.len);
    while (s->head + bytes - s->tail > SAMPLE_BYTES_MAX) {
        s->tail += 4 + ring_length(s, s->tail);
        if (!MUTANT(sample_hides_a_gap)) s->first_seq++;
    }
    ring_put(s, head, sizeof head);
    ring_put(s, buf_bytes(&s->scratch), s->scratch.len);
    s->next_seq++;
}

/* ---- what is told ---- */

static void put_text(struct buf *out, str text)
{
    buf_append_u8(out, '"');
    if (text.len > SAMPLE_TEXT_MAX) {
        buf_printf(out, "#%zu:%016llx", text.len, (unsigned long long)hash64(text.at, text.len));
        text.len = 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        u8 c = text.at[i];
        if (c == '"' || c == '\\' || c < 0x20 || c >= 0x7f) {
            buf_append_text(out, "\\u00");
            hex_append(out, &c, 1);
        } else {
            buf_append_u8(out, c);
        }
    }
    buf_append_u8(out, '"');
}

struct sampled { /* what a request does, as far as the checker knows such */
    const char *op;
    bool has_value;
    str value;
};

static u64 us_of(nanos t) { return t / 1000; }

static void tell_begin(struct slot *s, u8 db, const str *key, const struct sampled *what)
{
    struct sample *sample = &s->client->door->sample;
    struct buf *out = &sample->scratch;

    buf_clear(out);
    buf_printf(out, "{\"id\":%llu,\"op\":\"%s\",\"space\":\"%u/%u\"", (unsigned long long)s->sample, what->op,
               s->client->keyspace->id, db);
    if (key) {
        buf_append_text(out, ",\"key\":");
        put_text(out, *key);
    }
    if (what->has_value) {
        buf_append_text(out, ",\"value\":");
        put_text(out, what->value);
    }
    struct level level = s->req.level;
    if (!level_is_linearizable(level)) {
        buf_append_text(out, ",\"level\":\"");
        level_print(level, out);
        buf_append_u8(out, '"');
    }
    buf_printf(out, ",\"client\":%llu,\"invoke\":%llu}", (unsigned long long)s->client->id,
               (unsigned long long)us_of(node_now(s->client->door->node)));
    put_event(sample);
}

/* A command on one key that the checker can follow; everything else that writes is "other". */
static struct sampled describe(const str *argv, u32 argc)
{
    static const struct {
        const char *name, *op;
        u32 argc;
    } rows[] = {{"get", "get", 2},       {"set", "set", 3},       {"setnx", "setnx", 3}, {"getset", "getset", 3},
                {"getdel", "getdel", 2}, {"del", "del", 2},       {"unlink", "del", 2},  {"incr", "incr", 2},
                {"incrby", "incr", 3}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (argc != rows[i].argc || !str_is_word(argv[0], rows[i].name)) continue;
        bool counts = strcmp(rows[i].op, "incr") == 0;
        str value = argc == 3 ? argv[2] : counts ? STR("1") : (str){0};
        return (struct sampled){rows[i].op, value.at != NULL, value};
    }
    return (struct sampled){.op = "other"};
}

/* ---- requests ---- */

static bool is_sampled(const struct sample *sample, str key)
{
    return sample->until && hash64(key.at, key.len) % sample->rate == 0;
}

static void note_number(struct slot *s)
{
    if (!s->sample) s->sample = ++s->client->door->sample.last_id;
}

static void look_at_command(struct slot *s, const struct entry_command *c, bool is_alone)
{
    struct sample *sample = &s->client->door->sample;
    const struct kv_command *cmd = c->argc ? kv_command_find(c->argv[0]) : NULL;
    struct sampled what = is_alone ? describe(c->argv, c->argc) : (struct sampled){.op = "other"};
    struct sampled other = {.op = "other"};
    struct key_walk k = {0};
    bool writes = s->req.kind == GATEWAY_WRITE && !(cmd && !(cmd->flags & KV_WRITE));

    bool is_get = str_equal(str_of(what.op), STR("get"));
    if (is_get && sample->stale_key.len && str_equal(buf_str(&sample->stale_key), c->argv[1])) s->stale = true;
    if (!sample->until || !(writes || is_get)) return;
    if (cmd && kv_command_takes(cmd, c->argc)) redis_keys_begin(&k, cmd, c->argv, c->argc);
    if (!k.at) { /* about the whole database */
        note_number(s);
        tell_begin(s, c->db, NULL, &other);
        return;
    }
    bool is_one = k.at + k.step > k.last;
    for (u32 at = k.at; at <= k.last; at += k.step) {
        if (!is_sampled(sample, c->argv[at])) continue;
        note_number(s);
        s->sample_follows = is_one && !str_equal(str_of(what.op), STR("other"));
        tell_begin(s, c->db, &c->argv[at], s->sample_follows ? &what : &other);
    }
}

static void look_at_exec(struct slot *s, struct reader *r)
{
    for (u32 watches = reader_u32(r); watches && !r->bad; watches--) {
        reader_take(r, 1 + 1 + 8);
        reader_str(r, reader_u32(r));
    }
    for (u32 count = reader_u32(r); count && !r->bad; count--) {
        struct entry_command c;
        if (entry_decode_command(r, &c)) return;
        look_at_command(s, &c, false);
        entry_command_done(&c);
    }
}

static bool is_clients_session(const struct session_id *id)
{
    for (size_t i = 0; i < sizeof id->bytes; i++)
        if (id->bytes[i]) return true;
    return false;
}

void redis_sample_begin(struct slot *s, str entry)
{
    struct sample *sample = &s->client->door->sample;
    struct entry_command c;
    struct entry e;

    if (sample->until && node_now(s->client->door->node) > sample->until) redis_sample_stop(s->client->door);
    if (s->sample || s->req.kind > GATEWAY_READ || entry_decode(entry, &e)) return;
    struct reader r = reader_of(e.body);
    if (e.op == ENTRY_EXEC) {
        look_at_exec(s, &r);
    } else if (e.op == ENTRY_COMMAND && !entry_decode_command(&r, &c)) {
        /* A call of a client's session may have run before: what it does here is not known. */
        look_at_command(s, &c, !is_clients_session(&e.session) || MUTANT(sample_follows_session_calls));
        entry_command_done(&c);
    }
}

/* ---- answers ---- */

static bool promises_not_done(str reply)
{
    static const char *const names[] = {"-NOQUORUM ", "-OVERLOADED ", "-DISKFULL ", "-NOTREADY ", "-MOVED ", "-CROSSSLOT ",
                                        "-WRONGTYPE ", "-ERR "};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t len = strlen(names[i]);
        if (reply.len >= len && mem_equal(reply.at, names[i], len)) return true;
    }
    return false;
}

/* The text of a simple reply, if it is one of those that our commands give. */
static bool take_result(str reply, bool *is_null, str *text)
{
    str whole;
    i64 number;

    *is_null = false;
    *text = STR("");
    if (reply.len == 0) return false;
    if (str_equal(reply, STR("$-1\r\n")) || str_equal(reply, STR("_\r\n"))) {
        *is_null = true;
        return true;
    }
    if (reply.at[0] == '+') return true;
    if (reply.at[0] == ':') {
        str rest;
        bool good = redis_take_number(reply, ':', &number, &rest);
        *text = str_from(reply.at + 1, reply.len - 3);
        return good;
    }
    return redis_take_bulk(&reply, &whole, text);
}

/* Of a request that the checker does not follow it matters only whether it may still happen. */
static const char *outcome_of(const struct slot *s, str reply, bool known)
{
    bool is_unknown = reply.len >= 8 && mem_equal(reply.at, "-UNKNOWN", 8);

    if (!s->sample_follows) return is_unknown ? "unknown" : "ok";
    return known ? "ok" : promises_not_done(reply) ? "failed" : "unknown";
}

static void tell_end(struct slot *s, str reply)
{
    struct sample *sample = &s->client->door->sample;
    struct buf *out = &sample->scratch;
    bool is_null;
    str text;

    if (!sample->until) return;
    bool known = take_result(reply, &is_null, &text);
    buf_clear(out);
    buf_printf(out, "{\"id\":%llu", (unsigned long long)s->sample);
    if (known && !is_null) {
        buf_append_text(out, ",\"result\":");
        put_text(out, text);
    }
    /* The clock is read here: the turn may have begun long before. */
    buf_printf(out, ",\"outcome\":\"%s\",\"return\":%llu}",
               outcome_of(s, reply, known), (unsigned long long)us_of(env_mono(s->client->door->env)) + 1);
    put_event(sample);
}

str redis_sample_end(struct slot *s, str reply)
{
    struct sample *sample = &s->client->door->sample;

    if (s->stale && sample->stale_key.len) {
        if (!sample->has_stale_reply) buf_append_str(&sample->stale_reply, reply);
        sample->has_stale_reply = true;
        reply = buf_str(&sample->stale_reply);
    }
    if (s->sample) tell_end(s, reply);
    s->sample = 0;
    s->stale = false;
    return reply;
}

/* ---- turning it on and off ---- */

static void note_active(struct redis_door *d) { d->sample.active = d->sample.until || d->sample.stale_key.len; }

void redis_sample_stop(struct redis_door *d)
{
    struct sample *s = &d->sample;

    mem_free(s->ring);
    s->ring = NULL;
    s->until = 0;
    s->head = s->tail = 0;
    s->first_seq = s->next_seq; /* what was kept is lost to whoever asks later */
    note_active(d);
}

void redis_sample_done(struct redis_door *d)
{
    redis_sample_stop(d);
    buf_done(&d->sample.scratch);
    buf_done(&d->sample.stale_key);
    buf_done(&d->sample.stale_reply);
}

void redis_door_sample(struct redis_door *d, u32 rate, u32 seconds)
{
    struct sample *s = &d->sample;

    if (s->until && (s->rate != rate || seconds == 0)) redis_sample_stop(d);
    if (seconds == 0) return;
    if (!s->ring) {
        s->ring = mem_alloc(SAMPLE_BYTES_MAX);
        s->started++;
    }
    s->rate = rate;
    s->until = node_now(d->node) + seconds * NANOS_SEC;
    note_active(d);
}

void redis_sample_read_stale(struct redis_door *d, str key)
{
    buf_clear(&d->sample.stale_key);
    buf_clear(&d->sample.stale_reply);
    d->sample.has_stale_reply = false;
    buf_append_str(&d->sample.stale_key, key);
    note_active(d);
}

void redis_door_sampled(struct redis_door *d, u64 since, struct buf *out)
{
    struct sample *s = &d->sample;
    u64 seq = s->first_seq, at = s->tail;
    size_t from = out->len;
    bool first = true;

    if (s->until && node_now(d->node) > s->until) redis_sample_stop(d);
    buf_printf(out, "\"on\":%s,\"started\":%llu,\"rate\":%u,\"oldest\":%llu,\"events\":[", s->until ? "true" : "false",
               (unsigned long long)s->started, s->rate, (unsigned long long)s->first_seq);
    for (; s->ring && seq < s->next_seq; seq++) {
        u32 bytes = ring_length(s, at);
        if (seq >= since && out->len - from > SAMPLE_REPLY_BYTES) break;
        if (seq >= since) {
            if (!first) buf_append_u8(out, ',');
            first = false;
            ring_get(s, at + 4, buf_reserve(out, bytes), bytes);
            buf_extend(out, bytes);
        }
        at += 4 + bytes;
    }
    /* Everything that began or ended here before this moment is among the events, unless there are more. */
    buf_printf(out, "],\"next\":%llu,\"more\":%s,\"now\":%llu", (unsigned long long)seq,
               s->ring && seq < s->next_seq ? "true" : "false", (unsigned long long)us_of(env_mono(d->env)));
}
