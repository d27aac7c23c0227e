/* Group commit. Frames gather in one open unit while up to units_in_flight_max others are on their
 * way to the disk; when one lands the open one leaves. Units complete in any order, durability
 * advances over the contiguous prefix only. */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/mutant.h"

/* --- buffers --- */

static struct wal_unit *unit_new(struct wal *w, size_t bytes)
{
    struct wal_units *u = &w->units;
    struct list *l = list_first(&u->idle);
    struct wal_unit *unit;

    if (bytes <= w->config.unit_bytes_max && l) {
        list_remove(l);
        u->idle_count--;
        unit = CONTAINER_OF(l, struct wal_unit, link);
    } else {
        unit = mem_zalloc(sizeof *unit);
        unit->cap = (size_t)round_up(size_max(bytes, w->config.unit_bytes_max), WAL_BLOCK);
        unit->data = mem_alloc_aligned(WAL_BLOCK, unit->cap);
        list_init(&unit->link);
    }
    unit->used = WAL_UNIT_HEADER;
    unit->frames = 0;
    unit->done = false;
    return unit;
}

static void unit_free(struct wal_unit *unit)
{
    mem_free(unit->data);
    mem_free(unit);
}

/* Keep as many buffers as a busy log turns over; a burst's and a large frame's go back. */
static void unit_retire(struct wal *w, struct wal_unit *unit)
{
    struct wal_units *u = &w->units;

    if (unit->cap > w->config.unit_bytes_max || u->idle_count > w->config.units_in_flight_max) {
        unit_free(unit);
        return;
    }
    list_push(&u->idle, &unit->link);
    u->idle_count++;
}

static u64 unit_end(const struct wal_unit *unit)
{
    return unit->lsn + round_up(unit->used, WAL_BLOCK);
}

/* --- placing --- */

/* Give the unit its place in the log: at the cursor, or in the next file if this one has no room.
 */
static void place(struct wal *w, struct wal_unit *unit, u64 bytes)
{
    struct wal_segment *s = w->segments.at[w->segments.head];

    if (w->units.cursor + round_up(bytes, WAL_BLOCK) > wal_segment_limit(s)) {
        s = wal_segments_advance(w);
        w->units.cursor = s->start_lsn;
    }
    unit->segment = s;
    unit->lsn = w->units.cursor;
    assert(unit->lsn + round_up(bytes, WAL_BLOCK) <= wal_segment_limit(s));
}

static void close_open(struct wal *w)
{
    struct wal_units *u = &w->units;

    assert(u->open);
    u->cursor = unit_end(u->open);
    u->open->segment->end_lsn = u->cursor;
    list_push(&u->closed, &u->open->link);
    u->open = NULL;
}

static struct wal_unit *unit_with_room(struct wal *w, size_t bytes)
{
    struct wal_units *u = &w->units;

    if (u->open) {
        u64 to_limit = wal_segment_limit(u->open->segment) - u->open->lsn;
        if (u->open->used + bytes <= u64_min(u->open->cap, to_limit)) return u->open;
        close_open(w);
    }
    struct wal_unit *unit = unit_new(w, WAL_UNIT_HEADER + bytes);
    place(w, unit, WAL_UNIT_HEADER + bytes);
    u->backlog += WAL_UNIT_HEADER;
    u->open = unit;
    return unit;
}

u64 wal_stage_frame(struct wal *w, const struct wal_frame *f, const str *parts, u32 count)
{
    struct wal_units *u = &w->units;
    size_t payload = 0;

    for (u32 i = 0; i < count; i++) payload += parts[i].len;
    assert(payload <= w->config.frame_bytes_max);

    size_t bytes = wal_frame_bytes(payload);
    struct wal_unit *unit = unit_with_room(w, bytes);
    u64 start = unit->lsn;
    str copy = wal_frame_encode(unit->data + unit->used, f, parts, count, payload);
    unit->used += bytes;
    unit->frames++;
    u->backlog += bytes;
    u->staged = unit->lsn + unit->used;
    w->stats.frames++;
    wal_reclaim_note(w, unit->segment, f, copy, u->staged);
    return MUTANT(wal_frame_waits_for_the_unit_before) ? start : u->staged;
}

u64 wal_units_end(const struct wal *w)
{
    return w->units.open ? unit_end(w->units.open) : w->units.cursor;
}

/* --- submitting --- */

/* Write the header, now that the chain and the durable end are known. */
static void seal(struct wal *w, struct wal_unit *unit)
{
    struct wal_units *u = &w->units;
    size_t padded = (size_t)round_up(unit->used, WAL_BLOCK);

    memset(unit->data + unit->used, 0, padded - unit->used);
    u->last_crc = wal_unit_encode(unit->data, &(struct wal_unit_header){
                                                  .lsn = unit->lsn,
                                                  .salt = unit->segment->salt,
                                                  .durable = u->durable,
                                                  .epoch = w->config.boot_epoch,
                                                  .len = (u32)unit->used,
                                                  .nframes = unit->frames,
                                                  .prev_crc = u->last_crc,
                                              });
    u->proved = u->durable;
    w->stats.units++;
    w->stats.bytes += padded;
}

static void launch(struct wal *w, struct wal_unit *unit, nanos now)
{
    struct wal_units *u = &w->units;

    assert(unit->segment->file);
    seal(w, unit);
    u->backlog -= unit->used;
    unit->submitted = now;
    unit->op = (struct disk_op){
        .file = unit->segment->file,
        .offset = wal_segment_offset(unit->segment, unit->lsn),
        .data = unit->data,
        .bytes = (size_t)round_up(unit->used, WAL_BLOCK),
        .owner = w,
    };
    list_init(&unit->op.link);
    list_push(&u->flying, &unit->link);
    u->flying_count++;
    env_disk_submit(w->env, &unit->op);
    if (MUTANT(wal_wakes_at_submit)) u->durable = unit_end(unit);
}

static bool submit_next(struct wal *w, nanos now)
{
    struct wal_units *u = &w->units;

    if (list_is_empty(&u->closed)) {
        if (!u->open || !u->open->segment->file) return false;
        close_open(w);
    }
    struct wal_unit *unit = CONTAINER_OF(list_first(&u->closed), struct wal_unit, link);
    if (!unit->segment->file) return false; /* the backlog waits until the file is made */
    list_remove(&unit->link);
    launch(w, unit, now);
    return true;
}

nanos wal_units_proof_at(const struct wal *w)
{
    const struct wal_units *u = &w->units;
    const struct wal_segment *head = w->segments.at[w->segments.head];

    if (u->flying_count || u->open || !list_is_empty(&u->closed)) return NANOS_NEVER;
    if (u->proved >= u->worth_proving) return NANOS_NEVER;
    /* Not worth opening the next file for: it may not be there. */
    if (u->cursor + WAL_BLOCK > wal_segment_limit(head) || !head->file) return NANOS_NEVER;
    return u->quiet_since + WAL_QUIET;
}

/* An empty unit: it only carries `durable`. */
static struct wal_unit *empty_unit(struct wal *w)
{
    struct wal_unit *unit = unit_new(w, WAL_UNIT_HEADER);

    place(w, unit, WAL_UNIT_HEADER);
    w->units.cursor = unit->segment->end_lsn = unit_end(unit);
    return unit;
}

void wal_units_submit(struct wal *w, nanos now)
{
    struct wal_units *u = &w->units;

    if (now >= wal_units_proof_at(w)) {
        u->backlog += WAL_UNIT_HEADER; /* launch takes it off again */
        launch(w, empty_unit(w), now);
    }
    while (u->flying_count < w->config.units_in_flight_max)
        if (!submit_next(w, now)) break;
}

err wal_units_prove_now(struct wal *w)
{
    struct wal_units *u = &w->units;
    struct wal_unit *unit = empty_unit(w);
    const struct env_ops *ops = w->env->ops;
    struct file *f = unit->segment->file;

    seal(w, unit);
    err e = ops->file_pwrite(w->env, f, wal_segment_offset(unit->segment, unit->lsn), unit->data,
                             (size_t)WAL_BLOCK);
    if (!e) e = ops->file_sync(w->env, f);
    if (!e) u->durable = u->cursor;
    unit_retire(w, unit);
    return e;
}

/* --- completing --- */

static void land(struct wal *w, struct wal_unit *unit)
{
    struct wal_units *u = &w->units;

    assert(unit->lsn >= u->durable || MUTANT(wal_wakes_at_submit) ||
           MUTANT(wal_durable_ignores_order));
    u->durable = u64_max(u->durable, unit_end(unit));
    if (unit->frames) u->worth_proving = unit_end(unit);
    list_remove(&unit->link);
    u->flying_count--;
    unit_retire(w, unit);
}

void wal_units_done(struct wal *w, struct wal_unit *unit, nanos now)
{
    struct wal_units *u = &w->units;
    nanos took = now > unit->submitted ? now - unit->submitted : 0;
    struct list *l;

    assert(!unit->done);
    unit->done = true;
    w->stats.last_write_ns = took;
    w->stats.last_write_at = now;
    w->stats.max_write_ns = u64_max(w->stats.max_write_ns, took);
    if (MUTANT(wal_durable_ignores_order)) u->durable = u64_max(u->durable, unit_end(unit));
    while ((l = list_first(&u->flying))) {
        struct wal_unit *first = CONTAINER_OF(l, struct wal_unit, link);
        if (!first->done) break;
        land(w, first);
    }
    u->quiet_since = now;
}

/* --- life --- */

void wal_units_init(struct wal *w)
{
    list_init(&w->units.closed);
    list_init(&w->units.flying);
    list_init(&w->units.idle);
}

void wal_units_resume(struct wal *w, u64 cursor, u32 last_crc, nanos now)
{
    struct wal_units *u = &w->units;

    u->cursor = u->staged = u->durable = cursor;
    u->last_crc = last_crc;
    u->quiet_since = now;
}

static void units_free(struct list *units)
{
    LIST_EACH_SAFE(l, units) unit_free(CONTAINER_OF(l, struct wal_unit, link));
}

void wal_units_free(struct wal *w)
{
    struct wal_units *u = &w->units;

    if (u->open) unit_free(u->open);
    units_free(&u->closed);
    units_free(&u->flying);
    units_free(&u->idle);
}
