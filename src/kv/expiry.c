/* The time a key has left. */
#include "kv/kv_internal.h"

static void reply_time(struct kv_call *c, bool in_seconds, bool relative)
{
    struct kv_row row;

    if (!kv_find(c, c->db, c->argv[1], &row)) {
        resp_integer(&c->w, -2);
        return;
    }
    if (row.head.expire_us == 0) {
        resp_integer(&c->w, -1);
        return;
    }
    i64 ms = expire_to_ms(row.head.expire_us) - (relative ? kv_now_ms(c) : 0);
    if (ms < 0) ms = 0;
    resp_integer(&c->w, in_seconds ? (ms + 500) / 1000 : ms);
}

void cmd_ttl(struct kv_call *c) { reply_time(c, true, true); }

void cmd_pttl(struct kv_call *c) { reply_time(c, false, true); }

void cmd_expiretime(struct kv_call *c) { reply_time(c, true, false); }

void cmd_pexpiretime(struct kv_call *c) { reply_time(c, false, false); }

enum expire_flags {
    EXPIRE_NX = BIT(0),
    EXPIRE_XX = BIT(1),
    EXPIRE_GT = BIT(2),
    EXPIRE_LT = BIT(3),
};

static bool get_expire_flags(struct kv_call *c, u32 *flags)
{
    static const char *const words[] = {"nx", "xx", "gt", "lt"};

    *flags = 0;
    for (u32 i = 3; i < c->argc; i++) {
        u32 known = 0;
        while (known < ARRAY_LEN(words) && !str_is_word(c->argv[i], words[known])) known++;
        if (known == ARRAY_LEN(words)) {
            resp_errorf(&c->w, "ERR Unsupported option %.*s", STR_ARG(c->argv[i]));
            return false;
        }
        *flags |= BIT(known);
    }
    if (*flags & EXPIRE_NX && *flags & (EXPIRE_XX | EXPIRE_GT | EXPIRE_LT)) {
        resp_error(&c->w, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (*flags & EXPIRE_GT && *flags & EXPIRE_LT) {
        resp_error(&c->w, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* An end without a time is later than any. */
static bool condition_holds(u32 flags, const struct kv_head *head, i64 end_ms)
{
    bool has = head->expire_us != 0;
    i64 current_ms = expire_to_ms(head->expire_us);

    if (flags & EXPIRE_NX && has) return false;
    if (flags & EXPIRE_XX && !has) return false;
    if (flags & EXPIRE_GT && (!has || end_ms <= current_ms)) return false;
    if (flags & EXPIRE_LT && has && end_ms >= current_ms) return false;
    return true;
}

/* Milliseconds as given and as an end, or an error reply. Negative ones are good: long past. */
static bool get_end(struct kv_call *c, enum kv_time_unit unit, bool relative, i64 *ms, i64 *end_ms)
{
    if (!kv_get_i64(c, c->argv[2], ms)) return false;
    if ((unit == KV_SECONDS && __builtin_mul_overflow(*ms, (i64)1000, ms)) ||
        __builtin_add_overflow(*ms, relative ? kv_now_ms(c) : 0, end_ms)) {
        kv_reply_invalid_expire(c);
        return false;
    }
    return true;
}

static void expire(struct kv_call *c, enum kv_time_unit unit, bool relative)
{
    struct kv_row row;
    u32 flags;
    i64 ms, end_ms;

    if (!get_expire_flags(c, &flags) || !get_end(c, unit, relative, &ms, &end_ms)) return;
    if (!kv_find(c, c->db, c->argv[1], &row) || !condition_holds(flags, &row.head, end_ms)) {
        resp_integer(&c->w, 0);
        return;
    }
    if (end_ms <= kv_now_ms(c)) {
        kv_remove(c, c->db, c->argv[1], &row);
    } else {
        u64 expire_us = expire_from_ms(relative ? ms : end_ms);
        if (relative && __builtin_add_overflow(expire_us, c->now_us, &expire_us))
            expire_us = UINT64_MAX;
        kv_put_expiry(c, c->db, c->argv[1], &row, expire_us);
    }
    resp_integer(&c->w, 1);
}

void cmd_expire(struct kv_call *c) { expire(c, KV_SECONDS, true); }

void cmd_pexpire(struct kv_call *c) { expire(c, KV_MILLISECONDS, true); }

void cmd_expireat(struct kv_call *c) { expire(c, KV_SECONDS, false); }

void cmd_pexpireat(struct kv_call *c) { expire(c, KV_MILLISECONDS, false); }

void cmd_persist(struct kv_call *c)
{
    struct kv_row row;
    bool timed = kv_find(c, c->db, c->argv[1], &row) && row.head.expire_us;

    if (timed) kv_put_expiry(c, c->db, c->argv[1], &row, 0);
    resp_integer(&c->w, timed);
}
