/* Arbitrary bytes as the segments of a log: neither inspection nor recovery may crash, read beyond
 * a file, or loop; and what recovery made of them it must read again without a complaint. The input
 * is a program that lays out blocks: raw bytes, or units that are right but for what the program
 * spoils. */
#include "wal/wal_test_rig.h"

#include "base/crc.h"

#define BLOCKS    10
#define SEGMENT   (BLOCKS * 4096)
#define FILES_MAX 3

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum spoil {
    SPOIL_CRC = 1,
    SPOIL_CHAIN = 2,
    SPOIL_PLACE = 4,
    SPOIL_LENGTH = 8,
    SPOIL_FRAME = 16,
    SPOIL_COUNT = 32,
    SPOIL_EPOCH = 64,
    SPOIL_RESERVED = 128,
};

/* Frames as the program says; returns the unit's length. */
static u32 lay_frames(struct reader *in, u8 *unit, u64 room, u32 spoil, u32 *count)
{
    u32 at = WAL_UNIT_HEADER, wanted = reader_u8(in) % 5;

    for (*count = 0; *count < wanted; ++*count) {
        struct wal_frame f = {.type = (u8)(1 + reader_u8(in) % 15),
                              .part = reader_u8(in) % 3,
                              .index = reader_u8(in),
                              .term = 1};
        size_t bytes = reader_u8(in) % 4 ? reader_u8(in) : reader_u16(in);
        if (at + wal_frame_bytes(bytes) > room) break;
        str payload = reader_str(in, size_min(bytes, reader_left(in)));
        wal_frame_encode(unit + at, &f, &payload, 1, payload.len);
        if (spoil & SPOIL_FRAME) {
            u8 *frame = unit + at;
            put_u32(frame, reader_u32(in));
            put_u32(frame + 32, crc32c_more(crc32c(frame, 32), frame + 36, 4));
        }
        at += (u32)wal_frame_bytes(payload.len);
    }
    return at;
}

/* One unit at `at`; returns the bytes it claims. */
static u64 lay_unit(struct reader *in, u8 *file, u64 at, const struct wal_file_header *h,
                    u32 *chain)
{
    u8 *unit = file + at;
    u32 spoil = reader_u8(in), count;
    u32 len = lay_frames(in, unit, SEGMENT - at, spoil, &count);
    u64 lsn = h->start_lsn + at - 4096;

    struct wal_unit_header u = {
        .lsn = lsn,
        .salt = h->salt,
        .durable = lsn - u64_min(lsn, reader_u8(in) % 8 * 4096),
        .epoch = 1,
        .len = len,
        .nframes = count,
        .prev_crc = *chain,
    };
    if (spoil & SPOIL_PLACE) u.lsn += reader_u8(in) % 4 * 4096;
    if (spoil & SPOIL_CHAIN) u.prev_crc++;
    if (spoil & SPOIL_COUNT) u.nframes = reader_u32(in);
    if (spoil & SPOIL_EPOCH) u.epoch = reader_u8(in) % 3;
    *chain = wal_unit_encode(unit, &u);
    if (spoil & SPOIL_LENGTH) put_u32(unit + 36, reader_u32(in));
    if (spoil & SPOIL_RESERVED) unit[48 + reader_u8(in) % 16] = reader_u8(in);
    u32 claimed = get_u32(unit + 36);
    if (claimed >= 8 && claimed <= SEGMENT - at) put_u32(unit + 4, crc32c(unit + 8, claimed - 8));
    if (spoil & SPOIL_CRC) unit[4 + reader_u8(in) % 60] ^= reader_u8(in);
    return round_up(len, 4096);
}

static void lay_file(struct reader *in, u8 *file, u64 seq, u32 *chain)
{
    struct wal_file_header h = {
        .seq = seq, .start_lsn = (seq - 1) * (SEGMENT - 4096), .salt = seq * 77, .bytes = SEGMENT};
    u64 at = 4096;

    memset(file, 0, SEGMENT);
    wal_file_encode(&h, file);
    u8 what = reader_u8(in);
    if (what & 1) file[reader_u8(in)] ^= reader_u8(in);
    if (what & 2) file[WAL_FILE_COPY_AT + reader_u8(in)] ^= reader_u8(in);
    if (what & 4) put_u32(file + 56, reader_u32(in));
    while (at < SEGMENT && reader_left(in)) {
        u8 kind = reader_u8(in) % 8;
        if (kind == 0) break;
        if (kind == 1) {
            at += 4096;
        } else if (kind == 2) {
            str raw = reader_str(in, size_min(reader_u8(in), reader_left(in)));
            mem_copy(file + at, raw.at, raw.len);
            at += 4096;
        } else {
            at += lay_unit(in, file, at, &h, chain);
        }
    }
}

static void ignore_unit(void *context, const struct wal_unit_info *u)
{
    (void)context;
    (void)u;
}

/* Read every byte that is handed over: the sanitizer sees what is not ours. */
static void sum_frame(void *context, const struct wal_replayed *r)
{
    u64 *sum = context;

    for (size_t i = 0; i < r->payload.len; i++) *sum += r->payload.at[i];
    *sum += r->frame.index;
}

static void ignore_damage(void *context, const struct wal_damage *d)
{
    (void)context;
    assert(d->lsn_from < d->lsn_to);
}

static void put_files(struct rig *r, struct reader *in)
{
    struct env *env = &r->f->env;
    u8 *bytes = mem_alloc(SEGMENT);
    u32 files = 1 + reader_u8(in) % FILES_MAX, chain = 0;
    u8 cut = reader_u8(in);

    assert(env->ops->dir_make(env, "wal") == OK && env->ops->dir_make(env, RIG_DIR) == OK);
    for (u64 seq = 1; seq <= files; seq++) {
        char path[WAL_NAME_BYTES];
        struct file *f;
        lay_file(in, bytes, seq, &chain);
        wal_name_segment(path, RIG_DIR, seq);
        err e = env->ops->file_open(env, path, FILE_CREATE, &f);
        if (!e)
            e = env->ops->file_pwrite(env, f, 0, bytes,
                                      cut == seq ? reader_u16(in) % SEGMENT : SEGMENT);
        assert(e == OK);
        env->ops->file_close(env, f);
    }
    mem_free(bytes);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct reader in = reader_of(str_from(data, size));
    struct rig *r = rig_new(1);
    u64 sum = 0;

    r->config.segment_bytes = SEGMENT;
    r->config.frame_bytes_max = 4096;
    r->config.boot_epoch = 100;
    put_files(r, &in);
    err shown = wal_inspect(&r->f->env, RIG_DIR, ignore_unit, sum_frame, ignore_damage, &sum);

    struct wal *w;
    err e = wal_open(&r->f->env, &r->config, sum_frame, ignore_damage, &sum, &w);
    assert(!shown || e); /* what inspection refuses recovery refuses */
    if (!e) {
        u64 durable = wal_durable(w);
        wal_free(w);
        e = wal_open(&r->f->env, &r->config, sum_frame, ignore_damage, &sum, &w);
        assert(e == OK);
        assert(wal_durable(w) > durable); /* it begins behind what the first open left */
        wal_free(w);
    }
    rig_free(r);
    return 0;
}
