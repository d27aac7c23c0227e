/* The Redis keyspace as a partition's state machine. */
#include "base/mem.h"
#include "kv/kv.h"
#include "part/machine.h"

#define TICK_KEYS_MAX 64

struct kv_machine {
    struct machine base;
    struct kv *kv;
};

static struct kv *kv_of(const struct machine *m)
{
    return CONTAINER_OF(m, struct kv_machine, base)->kv;
}

static void machine_free(struct machine *m)
{
    kv_free(kv_of(m));
    mem_free(m);
}

static void state_encode(const struct machine *m, struct buf *out) { kv_state_encode(kv_of(m), out); }

static err state_decode(struct machine *m, str bytes) { return kv_state_decode(kv_of(m), bytes); }

static err apply(struct machine *m, const struct entry *e, u64 ver, struct buf *out)
{
    return kv_apply(kv_of(m), e, ver, out);
}

static bool covers(const struct machine *m, const struct entry *e)
{
    return kv_covers(kv_of(m), e->op, e->body);
}

static void prefetch(struct machine *m, const struct entry *e) { kv_prefetch(kv_of(m), e); }

static err read(struct machine *m, const struct entry *e, u64 now_us, u64 seed, struct buf *out,
                bool *need_tick)
{
    return kv_read(kv_of(m), e->op, e->flags, e->body, now_us, seed, out, need_tick);
}

static bool read_goes_on(const struct machine *m) { return kv_read_goes_on(kv_of(m)); }
static void read_forget(struct machine *m) { kv_read_forget(kv_of(m)); }

static err watch(struct machine *m, const struct entry *e, u64 now_us, struct buf *out)
{
    struct reader r = reader_of(e->body);
    struct entry_command c;

    err failed = entry_decode_command(&r, &c);
    if (failed) return failed;
    for (u32 i = 0; i < c.argc && !failed; i++) {
        bool exists;
        u64 ver;
        failed = kv_watch(kv_of(m), c.db, c.argv[i], now_us, &exists, &ver);
        buf_append_u8(out, exists);
        buf_append_u64(out, ver);
    }
    entry_command_done(&c);
    return failed;
}

static u64 clock_hlc(const struct machine *m) { return kv_clock_hlc(kv_of(m)); }

/* The keys the command read, those that have expired (as Redis removes an expired key that is asked for). */
static void tick_body(struct machine *m, const struct entry *e, struct buf *out)
{
    struct reader r = reader_of(e->body);
    struct entry_command c;
    u32 keys[TICK_KEYS_MAX], count = 0;

    (void)m;
    if (e->op != ENTRY_COMMAND || entry_decode_command(&r, &c)) return;
    const struct kv_command *command = kv_command_find(c.argv[0]);
    if (command) count = kv_command_keys(command, c.argv, c.argc, keys, TICK_KEYS_MAX);
    if (count > TICK_KEYS_MAX) count = TICK_KEYS_MAX;
    buf_append_u32(out, count);
    for (u32 i = 0; i < count; i++) {
        buf_append_u8(out, c.db);
        buf_append_u32(out, (u32)c.argv[keys[i]].len);
        buf_append_str(out, c.argv[keys[i]]);
    }
    entry_command_done(&c);
}

static bool may_expire(const struct machine *m)
{
    return kv_may_expire(kv_of(m));
}

static err find_expired(struct machine *m, u64 now_us, u32 rows, struct buf *body, u32 *found)
{
    return kv_find_expired(kv_of(m), now_us, rows, body, found);
}

static const struct machine_ops kv_ops = {
    .free = machine_free,
    .state_encode = state_encode,
    .state_decode = state_decode,
    .apply = apply,
    .covers = covers,
    .prefetch = prefetch,
    .read = read,
    .read_goes_on = read_goes_on,
    .read_forget = read_forget,
    .watch = watch,
    .clock_hlc = clock_hlc,
    .tick_body = tick_body,
    .may_expire = may_expire,
    .find_expired = find_expired,
};

struct machine *kv_machine_new(struct kv *kv)
{
    struct kv_machine *m = mem_zalloc(sizeof *m);
    m->base.ops = &kv_ops;
    m->kv = kv;
    return &m->base;
}

struct kv *kv_machine_kv(const struct machine *m) { return m->ops == &kv_ops ? kv_of(m) : NULL; }
