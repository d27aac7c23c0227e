/* The log for people: every unit, valid or not, in the order recovery reads it. Changes nothing. */
#include "wal/wal_internal.h"

struct inspection {
    struct wal_scan scan;
    wal_unit_fn on_unit;
    wal_replay_fn on_frame;
    wal_damage_fn on_damage;
    void *context;
};

static void show_unit(void *context, const struct wal_walk_unit *u)
{
    struct inspection *i = context;
    const struct wal_file_header *file = &i->scan.files[u->file_at].header;
    struct wal_unit_info info = {
        .file_seq = file->seq,
        .offset = u->offset,
        .lsn = file->start_lsn + u->offset - WAL_BLOCK,
        .durable = u->header.durable,
        .epoch = u->header.epoch,
        .bytes = (u32)u->span,
        .frames = u->header.nframes,
        .valid = !u->problem,
        .problem = u->problem,
    };
    struct wal_replayed frame = {.lsn = info.lsn + u->span};
    u32 at = WAL_UNIT_HEADER;

    i->on_unit(i->context, &info);
    if (u->problem || !i->on_frame) return;
    while (wal_frame_next(u->bytes, u->header.len, &at, &frame.frame, &frame.payload))
        i->on_frame(i->context, &frame);
}

static void show_damage(void *context, const struct wal_damage *d)
{
    struct inspection *i = context;

    if (i->on_damage) i->on_damage(i->context, d);
}

err wal_inspect(struct env *env, const char *dir, wal_unit_fn on_unit, wal_replay_fn on_frame,
                wal_damage_fn on_damage, void *context)
{
    struct inspection i = {
        .on_unit = on_unit, .on_frame = on_frame, .on_damage = on_damage, .context = context};
    struct wal_walk k = {
        .scan = &i.scan, .on_unit = show_unit, .on_damage = show_damage, .context = &i};

    err e = wal_scan_open(&i.scan, env, dir, FILE_READ_ONLY);
    if (e) return e;
    e = wal_scan_prove(&i.scan);
    if (!e) e = wal_walk_run(&k);
    wal_walk_done(&k);
    wal_scan_done(&i.scan);
    return e;
}
