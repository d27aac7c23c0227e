/* The cluster's metadata as a partition's state machine. Its commands are entries like any other, so sessions, retries
 * and answers are those of every partition; their bodies are docs/formats/core.md's. */
#include "base/assert.h"
#include "base/mem.h"
#include "core/core.h"
#include "part/machine.h"

struct core_machine {
    struct machine base;
    struct core *core;
    u64 clock; /* highest applied hlc */
};

static struct core_machine *mine(const struct machine *m)
{
    return CONTAINER_OF(m, struct core_machine, base);
}

static void machine_free(struct machine *m)
{
    core_free(mine(m)->core);
    mem_free(mine(m));
}

static void state_encode(const struct machine *m, struct buf *out)
{
    buf_append_u64(out, mine(m)->clock);
}

static err state_decode(struct machine *m, str bytes)
{
    struct reader r = reader_of(bytes);

    mine(m)->clock = bytes.len ? reader_u64(&r) : 0;
    err e = reader_end(&r);
    return e ? e : core_load(mine(m)->core);
}

static err apply(struct machine *m, const struct entry *e, u64 ver, struct buf *out)
{
    (void)ver;
    mine(m)->clock = u64_max(mine(m)->clock, e->hlc);
    if (e->op == ENTRY_TICK) return OK;
    if (e->op != ENTRY_COMMAND) return ERR_UNSUPPORTED;
    return core_apply(mine(m)->core, e->body, out);
}

/* Whoever reads wants to know how new the map is; the map itself is read where it lies. */
static err read(struct machine *m, const struct entry *e, u64 now_us, u64 seed, struct buf *out,
                bool *need_tick)
{
    const struct core_cluster *c = core_cluster(mine(m)->core);

    (void)e, (void)now_us, (void)seed;
    *need_tick = false;
    buf_append_u64(out, c ? c->epoch : 0);
    return OK;
}

static bool read_goes_on(const struct machine *m)
{
    (void)m;
    return false;
}

static void read_forget(struct machine *m)
{
    (void)m;
}

static err watch(struct machine *m, const struct entry *e, u64 now_us, struct buf *out)
{
    (void)m, (void)e, (void)now_us, (void)out;
    return ERR_UNSUPPORTED;
}

static u64 clock_hlc(const struct machine *m)
{
    return mine(m)->clock;
}

static void tick_body(struct machine *m, const struct entry *e, struct buf *out)
{
    (void)m, (void)e, (void)out;
}

static err find_expired(struct machine *m, u64 now_us, u32 rows, struct buf *body, u32 *found)
{
    (void)m, (void)now_us, (void)rows, (void)body;
    *found = 0;
    return OK;
}

static const struct machine_ops core_ops = {
    .free = machine_free,
    .state_encode = state_encode,
    .state_decode = state_decode,
    .apply = apply,
    .read = read,
    .read_goes_on = read_goes_on,
    .read_forget = read_forget,
    .watch = watch,
    .clock_hlc = clock_hlc,
    .tick_body = tick_body,
    .find_expired = find_expired,
};

struct machine *core_machine_new(struct core *core)
{
    struct core_machine *m = mem_zalloc(sizeof *m);

    m->base.ops = &core_ops;
    m->core = core;
    return &m->base;
}

struct core *core_machine_core(struct machine *m)
{
    return m->ops == &core_ops ? mine(m)->core : NULL;
}
