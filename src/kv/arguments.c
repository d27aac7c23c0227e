/* Arguments to numbers, and the replies many commands share. Sentences are Redis's. */
#include "kv/kv_internal.h"

#include "base/assert.h"

void kv_reply_ok(struct kv_call *c) { resp_simple(&c->w, "OK"); }

void kv_reply_syntax_error(struct kv_call *c) { resp_error(&c->w, "ERR syntax error"); }

void kv_reply_invalid_expire(struct kv_call *c)
{
    resp_errorf(&c->w, "ERR invalid expire time in '%s' command", c->command->name);
}

void kv_reply_wrong_arity(struct resp_writer *w, const char *name)
{
    resp_errorf(w, "ERR wrong number of arguments for '%s' command", name);
}

/* Text as C's %.*s prints it: up to a NUL. */
static int printed_len(str s, size_t max)
{
    return (int)strnlen((const char *)s.at, size_min(s.len, max));
}

void kv_reply_unknown_command(struct resp_writer *w, const str *argv, u32 argc)
{
    enum { SHOWN = 128 };
    char args[SHOWN * 2];
    size_t len = 0;

    assert(argc > 0);
    for (u32 i = 1; i < argc && len < SHOWN; i++) {
        int shown = printed_len(argv[i], SHOWN - len);
        args[len++] = '\'';
        memcpy(args + len, argv[i].at, (size_t)shown);
        len += (size_t)shown;
        args[len++] = '\'';
        args[len++] = ' ';
        assert(len <= sizeof args);
    }
    resp_errorf(w, "ERR unknown command '%.*s', with args beginning with: %.*s",
                printed_len(argv[0], SHOWN), (const char *)argv[0].at, (int)len, args);
}

bool kv_charge(struct kv_call *c, u64 steps)
{
    c->steps += steps;
    if (!c->applying || c->kv->options.step_budget == 0) return true;
    if (c->steps <= c->kv->options.step_budget) return true;
    resp_errorf(&c->w, "TOOBIG limit=command.steps this takes more than %llu steps, the limit of one request; split it",
                (unsigned long long)c->kv->options.step_budget);
    return false;
}

size_t kv_reply_bytes_max(const struct kv *kv)
{
    return 2 * kv->options.value_bytes_max + 2 * MIB;
}

bool kv_get_i64(struct kv_call *c, str arg, i64 *out)
{
    if (LIKELY(str_to_i64(arg, out))) return true;
    resp_error(&c->w, "ERR value is not an integer or out of range");
    return false;
}

bool kv_get_int(struct kv_call *c, str arg, const char *problem, i32 *out)
{
    i64 wide;

    if (!str_to_i64(arg, &wide))
        resp_errorf(&c->w, "ERR %s", problem ? problem : "value is not an integer or out of range");
    else if (wide < INT32_MIN || wide > INT32_MAX)
        resp_errorf(&c->w, "ERR %s",
                    problem ? problem
                            : "value is out of range, value must between -2147483648 and 2147483647");
    else {
        *out = (i32)wide;
        return true;
    }
    return false;
}

bool kv_get_db(struct kv_call *c, str arg, u8 *out)
{
    i32 index;

    if (!kv_get_int(c, arg, NULL, &index)) return false;
    if (index < 0 || index >= KV_DATABASES) {
        resp_error(&c->w, "ERR DB index is out of range");
        return false;
    }
    *out = (u8)index;
    return true;
}

bool kv_find_string(struct kv_call *c, u32 at, struct kv_row *row, bool *found)
{
    assert(at < c->argc);
    *found = kv_find(c, c->db, c->argv[at], row);
    if (!*found || LIKELY(row->head.type == HEAD_TYPE_STRING)) return true;
    resp_error(&c->w, "WRONGTYPE Operation against a key holding the wrong kind of value");
    return false;
}

u64 expire_from_ms(i64 ms)
{
    u64 us;

    assert(ms > 0);
    return __builtin_mul_overflow((u64)ms, (u64)1000, &us) ? UINT64_MAX : us;
}

i64 expire_to_ms(u64 expire_us) { return (i64)(expire_us / 1000); }

i64 kv_now_ms(const struct kv_call *c) { return (i64)(c->now_us / 1000); }

bool kv_get_expiry(struct kv_call *c, str arg, enum kv_time_unit unit, bool relative, u64 *expire_us)
{
    i64 ms, end_ms;

    if (!kv_get_i64(c, arg, &ms)) return false;
    if (ms <= 0 || (unit == KV_SECONDS && __builtin_mul_overflow(ms, (i64)1000, &ms)) ||
        __builtin_add_overflow(ms, relative ? kv_now_ms(c) : 0, &end_ms)) {
        kv_reply_invalid_expire(c);
        return false;
    }
    *expire_us = expire_from_ms(ms);
    if (relative && __builtin_add_overflow(*expire_us, c->now_us, expire_us)) *expire_us = UINT64_MAX;
    return true;
}
