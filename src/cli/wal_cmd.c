/* `quorate wal verify|inspect DIR`: read a node's log without changing it. */
#include "cli/commands.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/search.h"
#include "env/env_real.h"
#include "wal/wal.h"

#include <stdio.h>
#include <string.h>

enum { ACCEPTED_SHOWN = 64 };

struct part_state {
    u64 part;
    bool impaired; /* as its newest hard state says */
};

struct report {
    bool show; /* inspect: every unit and frame */
    u64 units, invalid, frames, damaged, bytes;
    u64 accepted;  /* damage that a start of the node has reported and acted on */
    struct part_state *parts; /* by number */
    u32 part_count, part_cap;
    bool impaired; /* one of them has not been refilled since */
    struct wal_damage ranges[ACCEPTED_SHOWN];
    u64 file_seq, files, durable;
};

static void print_help(void)
{
    printf("Usage: quorate wal verify DIR\n"
           "       quorate wal inspect DIR\n\n"
           "Read the write-ahead log under a node's directory, without changing anything.\n\n"
           "  verify     check every unit; name each damaged range. Exit status 1 if any has not\n"
           "             been repaired from other nodes since.\n"
           "  inspect    also print each unit and frame, in order\n\n"
           "A torn tail (writes that were never acknowledged) is no damage.\n\n"
           "Examples:\n"
           "  quorate wal verify ./quorate-data\n"
           "  quorate wal inspect ./data/node1 | less\n");
}

static const char *frame_name(u8 type)
{
    switch ((enum wal_frame_type)type) {
    case WAL_ENTRY: return "entry";
    case WAL_HARD_STATE: return "hard-state";
    case WAL_TRUNC_SUFFIX: return "truncate-suffix";
    case WAL_TRUNC_PREFIX: return "truncate-prefix";
    case WAL_CKPT: return "checkpoint";
    case WAL_SNAP_BEGIN: return "snapshot-begin";
    case WAL_SNAP_DONE: return "snapshot-done";
    case WAL_PAD: return "pad";
    }
    return "unknown";
}

static void on_unit(void *context, const struct wal_unit_info *u)
{
    struct report *r = context;

    if (u->file_seq != r->file_seq) r->files++;
    r->file_seq = u->file_seq;
    if (r->show)
        printf("unit file=%016lx offset=%lu lsn=%lu bytes=%u frames=%u epoch=%u durable=%lu%s%s\n",
               u->file_seq, u->offset, u->lsn, u->bytes, u->frames, u->epoch, u->durable,
               u->problem ? " problem=" : "", u->problem ? u->problem : "");
    if (!u->valid) {
        r->invalid++;
        return;
    }
    r->units++;
    r->bytes += u->bytes;
    r->durable = u64_max(r->durable, u->durable);
}

static void note_hard_state(struct report *r, u64 part, bool impaired)
{
    u32 at;

    LOWER_BOUND(at, r->part_count, r->parts[at].part < part);
    if (at == r->part_count || r->parts[at].part != part) {
        if (r->part_count == r->part_cap) {
            r->part_cap = r->part_cap ? 2 * r->part_cap : 16;
            r->parts = mem_resize_array(r->parts, r->part_cap, sizeof *r->parts);
        }
        memmove(&r->parts[at + 1], &r->parts[at], (r->part_count - at) * sizeof *r->parts);
        r->part_count++;
    }
    r->parts[at] = (struct part_state){part, impaired};
}

static void on_frame(void *context, const struct wal_replayed *f)
{
    struct report *r = context;

    r->frames++;
    if (f->frame.type == WAL_HARD_STATE && f->payload.len == 16) note_hard_state(r, f->frame.part, f->payload.at[12] & 1);
    if (r->show)
        printf("  %s part=%lu index=%lu term=%u bytes=%zu\n", frame_name(f->frame.type),
               f->frame.part, f->frame.index, f->frame.term, f->payload.len);
}

static void on_damage(void *context, const struct wal_damage *d)
{
    struct report *r = context;

    if (d->accepted) {
        if (r->accepted < ACCEPTED_SHOWN) r->ranges[r->accepted] = *d;
        r->accepted++;
        return;
    }
    r->damaged++;
    printf("DAMAGED file=%016lx lsn=%lu-%lu: acknowledged bytes that cannot be read; with other "
           "nodes alive, "
           "the node repairs itself from them\n",
           d->file_seq, d->lsn_from, d->lsn_to);
}

static err inspect_all(struct env *env, struct report *r)
{
    struct buf names = {0};
    err e = env->ops->dir_list(env, "wal", &names);

    for (size_t at = 0; !e && at < names.len;) { /* one log per reactor: wal/r0, wal/r1 ... */
        const char *name = (const char *)buf_bytes(&names) + at;
        char path[300];
        at += strlen(name) + 1;
        snprintf(path, sizeof path, "wal/%s", name);
        e = wal_inspect(env, path, on_unit, on_frame, on_damage, r);
    }
    buf_done(&names);
    return e;
}

/* Damage stays in a file until it is used again, long after the node has been refilled from the others. */
static void print_accepted(const struct report *r)
{
    for (u64 i = 0; i < u64_min(r->accepted, ACCEPTED_SHOWN); i++)
        printf("%s file=%016lx lsn=%lu-%lu: %s\n", r->impaired ? "DAMAGED" : "REPAIRED", r->ranges[i].file_seq,
               r->ranges[i].lsn_from, r->ranges[i].lsn_to,
               r->impaired ? "the node knows, and waits to be refilled from the others"
                           : "bytes that cannot be read; the node has been refilled from the others since");
}

static int inspect(const char *dir, bool show)
{
    struct env_real_options options = {.dir = dir, .read_only = true, .log_level = LOG_ERROR};
    struct report r = {.show = show};
    struct env *env;
    char problem[512];

    if (env_real_new(&options, &env, problem, sizeof problem)) {
        fprintf(stderr, "quorate wal: %s\n", problem);
        return 2;
    }
    err e = inspect_all(env, &r);
    env_real_free(env);
    for (u32 i = 0; i < r.part_count; i++) r.impaired |= r.parts[i].impaired;
    mem_free(r.parts);
    if (e) {
        fprintf(stderr, "quorate wal: %s: %s; DIR is the --dir of a node\n", dir,
                e == ERR_NOT_FOUND ? "there is no log in it" : err_text(e));
        return e == ERR_NOT_FOUND ? 2 : 1;
    }
    print_accepted(&r);
    printf("%lu files, %lu units, %lu frames, %lu bytes, durable to lsn %lu, %lu torn at the end, "
           "%lu damaged, %lu repaired\n",
           r.files, r.units, r.frames, r.bytes, r.durable,
           r.invalid - u64_min(r.invalid, r.damaged + r.accepted), r.damaged + (r.impaired ? r.accepted : 0),
           r.impaired ? 0 : r.accepted);
    return r.damaged || (r.accepted && r.impaired) ? 1 : 0;
}

int wal_main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        print_help();
        return 0;
    }
    bool show = argc == 3 && strcmp(argv[1], "inspect") == 0;
    if (show || (argc == 3 && strcmp(argv[1], "verify") == 0)) return inspect(argv[2], show);
    fprintf(stderr, "quorate wal: want verify DIR or inspect DIR; see quorate wal --help\n");
    return 2;
}
