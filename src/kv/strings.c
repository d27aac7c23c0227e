/* GET, SET and those around them. */
#include "kv/kv_internal.h"

enum set_flags {
    SET_NX = BIT(0),
    SET_XX = BIT(1),
    SET_GET = BIT(2),
    SET_KEEPTTL = BIT(3),
    SET_PERSIST = BIT(4),
    SET_EX = BIT(5),
    SET_PX = BIT(6),
    SET_EXAT = BIT(7),
    SET_PXAT = BIT(8),
};

#define SET_TIMES (SET_EX | SET_PX | SET_EXAT | SET_PXAT)

struct set_options {
    u32 flags;
    str time; /* of a SET_TIMES flag; the last one counts */
};

/* One row per option: which command knows it, and which others it does not go with. Giving an option
 * twice is allowed, as in Redis. */
struct set_option {
    const char *word;
    u32 flag, excludes;
    bool for_set, for_getex;
};

static const struct set_option set_option_table[] = {
    {"nx", SET_NX, SET_XX, true, false},
    {"xx", SET_XX, SET_NX, true, false},
    {"get", SET_GET, 0, true, false},
    {"keepttl", SET_KEEPTTL, SET_PERSIST | SET_TIMES, true, false},
    {"persist", SET_PERSIST, SET_KEEPTTL | SET_TIMES, false, true},
    {"ex", SET_EX, SET_KEEPTTL | SET_PERSIST | SET_PX | SET_EXAT | SET_PXAT, true, true},
    {"px", SET_PX, SET_KEEPTTL | SET_PERSIST | SET_EX | SET_EXAT | SET_PXAT, true, true},
    {"exat", SET_EXAT, SET_KEEPTTL | SET_PERSIST | SET_EX | SET_PX | SET_PXAT, true, true},
    {"pxat", SET_PXAT, SET_KEEPTTL | SET_PERSIST | SET_EX | SET_PX | SET_EXAT, true, true},
};

static const struct set_option *find_option(str word, bool getex)
{
    for (u32 i = 0; i < ARRAY_LEN(set_option_table); i++) {
        const struct set_option *o = &set_option_table[i];
        if (str_is_word(word, o->word)) return (getex ? o->for_getex : o->for_set) ? o : NULL;
    }
    return NULL;
}

/* Options from argv[at] on. False: a syntax error was replied. */
static bool get_options(struct kv_call *c, u32 at, bool getex, struct set_options *out)
{
    *out = (struct set_options){0};
    for (; at < c->argc; at++) {
        const struct set_option *o = find_option(c->argv[at], getex);
        bool timed = o && (o->flag & SET_TIMES);
        if (!o || (out->flags & o->excludes) || (timed && at + 1 == c->argc)) {
            kv_reply_syntax_error(c);
            return false;
        }
        out->flags |= o->flag;
        if (timed) out->time = c->argv[++at];
    }
    return true;
}

static bool get_time(struct kv_call *c, const struct set_options *o, u64 *expire_us)
{
    enum kv_time_unit unit = o->flags & (SET_EX | SET_EXAT) ? KV_SECONDS : KV_MILLISECONDS;

    *expire_us = 0;
    if (!(o->flags & SET_TIMES)) return true;
    return kv_get_expiry(c, o->time, unit, o->flags & (SET_EX | SET_PX), expire_us);
}

static void reply_value(struct kv_call *c, bool found, const struct kv_row *row)
{
    if (found)
        resp_bulk(&c->w, row->value);
    else
        resp_null(&c->w);
}

void cmd_get(struct kv_call *c)
{
    struct kv_row row;
    bool found;

    if (kv_find_string(c, 1, &row, &found)) reply_value(c, found, &row);
}

void cmd_set(struct kv_call *c)
{
    struct set_options o = {0};
    struct kv_row row;
    u64 expire_us = 0;
    bool found;

    if (c->argc > 3 && (!get_options(c, 3, false, &o) || !get_time(c, &o, &expire_us))) return;
    if (o.flags & SET_GET) {
        if (!kv_find_string(c, 1, &row, &found)) return;
        reply_value(c, found, &row);
    } else {
        found = kv_find(c, c->db, c->argv[1], &row);
    }
    if ((o.flags & SET_NX && found) || (o.flags & SET_XX && !found)) {
        if (!(o.flags & SET_GET)) resp_null(&c->w);
        return;
    }
    if (o.flags & SET_KEEPTTL && found) expire_us = row.head.expire_us;
    kv_put(c, c->db, c->argv[1], found ? &row : NULL, c->argv[2], head_flags_of(c->argv[2]),
           expire_us);
    if (!(o.flags & SET_GET)) kv_reply_ok(c);
}

void cmd_setnx(struct kv_call *c)
{
    struct kv_row row;
    bool found = kv_find(c, c->db, c->argv[1], &row);

    if (!found) kv_put(c, c->db, c->argv[1], NULL, c->argv[2], head_flags_of(c->argv[2]), 0);
    resp_integer(&c->w, !found);
}

static void set_with_time(struct kv_call *c, enum kv_time_unit unit)
{
    struct kv_row row;
    u64 expire_us;

    if (!kv_get_expiry(c, c->argv[2], unit, true, &expire_us)) return;
    bool found = kv_find(c, c->db, c->argv[1], &row);
    kv_put(c, c->db, c->argv[1], found ? &row : NULL, c->argv[3], head_flags_of(c->argv[3]),
           expire_us);
    kv_reply_ok(c);
}

void cmd_setex(struct kv_call *c) { set_with_time(c, KV_SECONDS); }

void cmd_psetex(struct kv_call *c) { set_with_time(c, KV_MILLISECONDS); }

void cmd_mget(struct kv_call *c)
{
    struct kv_row row;
    size_t before = c->w.out->len, max = kv_reply_bytes_max(c->kv);

    resp_array(&c->w, c->argc - 1);
    for (u32 i = 1; i < c->argc; i++) {
        bool found = kv_find(c, c->db, c->argv[i], &row);
        reply_value(c, found && row.head.type == HEAD_TYPE_STRING, &row);
        if (c->w.out->len - before <= max) continue;
        buf_truncate(c->w.out, before);
        resp_errorf(&c->w, "TOOBIG limit=command.reply-bytes these values have more than %zu bytes; ask for fewer at a time", max);
        return;
    }
}

static void set_pairs(struct kv_call *c)
{
    struct kv_row row;

    for (u32 i = 1; i + 1 < c->argc; i += 2) {
        bool found = kv_find(c, c->db, c->argv[i], &row);
        kv_put(c, c->db, c->argv[i], found ? &row : NULL, c->argv[i + 1],
               head_flags_of(c->argv[i + 1]), 0);
    }
}

void cmd_mset(struct kv_call *c)
{
    if (c->argc % 2 == 0) {
        kv_reply_wrong_arity(&c->w, c->command->name);
        return;
    }
    set_pairs(c);
    kv_reply_ok(c);
}

void cmd_msetnx(struct kv_call *c)
{
    struct kv_row row;

    if (c->argc % 2 == 0) {
        kv_reply_wrong_arity(&c->w, c->command->name);
        return;
    }
    for (u32 i = 1; i < c->argc; i += 2) {
        if (kv_find(c, c->db, c->argv[i], &row)) {
            resp_integer(&c->w, 0);
            return;
        }
    }
    set_pairs(c);
    resp_integer(&c->w, 1);
}

void cmd_getex(struct kv_call *c)
{
    struct set_options o;
    struct kv_row row;
    u64 expire_us;
    bool found;

    if (!get_options(c, 2, true, &o)) return;
    if (!kv_find_string(c, 1, &row, &found)) return;
    if (!found) {
        resp_null(&c->w);
        return;
    }
    if (!get_time(c, &o, &expire_us)) return;
    resp_bulk(&c->w, row.value);
    if (o.flags & SET_TIMES && expire_us <= c->now_us)
        kv_remove(c, c->db, c->argv[1], &row);
    else if (o.flags & SET_TIMES || (o.flags & SET_PERSIST && row.head.expire_us))
        kv_put_expiry(c, c->db, c->argv[1], &row, expire_us);
}

void cmd_getdel(struct kv_call *c)
{
    struct kv_row row;
    bool found;

    if (!kv_find_string(c, 1, &row, &found)) return;
    reply_value(c, found, &row);
    if (found) kv_remove(c, c->db, c->argv[1], &row);
}

void cmd_getset(struct kv_call *c)
{
    struct kv_row row;
    bool found;

    if (!kv_find_string(c, 1, &row, &found)) return;
    reply_value(c, found, &row);
    kv_put(c, c->db, c->argv[1], found ? &row : NULL, c->argv[2], head_flags_of(c->argv[2]), 0);
}
