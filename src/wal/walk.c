/* The order of reading, and the decision torn tail or damage (docs/formats/wal.md has the rule and
 * why). Used by recovery and by inspection alike. */
#include "wal/wal_internal.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/mutant.h"

enum step { GO_ON, NEXT_FILE, LOG_ENDS };

/* Where the walk is. */
struct at {
    u32 file_at;
    const struct wal_scan_file *file;
    const struct wal_image *image;
    u64 offset;
};

static u64 lsn_at(const struct wal_scan_file *f, u64 offset)
{
    return f->header.start_lsn + offset - WAL_BLOCK;
}

static u64 limit_of(const struct wal_scan_file *f)
{
    return lsn_at(f, f->header.bytes);
}

static const char *check_at(const struct at *a, u64 offset, struct wal_unit_header *out)
{
    struct wal_place place = {lsn_at(a->file, offset), a->file->header.salt};

    return wal_unit_check(a->image->bytes + offset, a->image->len - offset, place, out);
}

/* Does a unit valid by itself also follow the one accepted before it? */
static const char *check_chain(const struct wal_walk *k, const struct wal_unit_header *h)
{
    if (!k->any || MUTANT(wal_old_units_accepted)) return NULL;
    if (h->epoch < k->last_epoch) return "epoch below the unit before";
    if (k->gap || MUTANT(wal_chain_not_checked)) return NULL;
    return h->prev_crc == k->last_crc ? NULL : "does not continue the unit before";
}

static void report(const struct wal_walk *k, const struct at *a, u64 span,
                   const struct wal_unit_header *h, const char *problem)
{
    struct wal_walk_unit u = {
        .file_at = a->file_at, .offset = a->offset, .span = span, .problem = problem};

    if (k->looking_ahead) return;
    if (h) {
        u.header = *h;
        u.bytes = a->image->bytes + a->offset;
    }
    k->on_unit(k->context, &u);
}

/* --- accepted damage --- */

bool wal_accept_decode(const struct wal_frame *f, str payload, struct wal_damage *out)
{
    if (f->type != WAL_PAD || f->part != 0 || payload.len != WAL_ACCEPT_BYTES) return false;
    *out = (struct wal_damage){.lsn_from = get_u64(payload.at), .lsn_to = get_u64(payload.at + 8)};
    return true;
}

static void collect_accepted(struct wal_walk *k, const u8 *unit, u32 len)
{
    struct wal_frame f;
    struct wal_damage d;
    str payload;

    for (u32 at = WAL_UNIT_HEADER; wal_frame_next(unit, len, &at, &f, &payload);) {
        if (!wal_accept_decode(&f, payload, &d)) continue;
        k->accepted = mem_resize_array(k->accepted, k->accepted_count + 1, sizeof *k->accepted);
        k->accepted[k->accepted_count++] = d;
    }
}

static err walk_from(struct wal_walk *k, u32 file_at, u64 offset);

/* Damage is rare: only then is the rest of the log read twice, to know what was accepted before. */
static err look_ahead(struct wal_walk *k, const struct at *a, u64 lsn_to)
{
    struct wal_walk ahead = *k;

    if (k->accepted_known) return OK;
    ahead.looking_ahead = true;
    ahead.gap = true;
    u32 file_at = a->file_at;
    u64 offset = lsn_to - a->file->header.start_lsn + WAL_BLOCK;
    if (lsn_to >= limit_of(a->file)) {
        file_at++;
        offset = WAL_BLOCK;
    }
    err e = walk_from(&ahead, file_at, offset);
    k->accepted = ahead.accepted;
    k->accepted_count = ahead.accepted_count;
    k->accepted_known = true;
    return e;
}

static err report_damage(struct wal_walk *k, const struct at *a, u64 lsn_to)
{
    struct wal_damage d = {
        .lsn_from = lsn_at(a->file, a->offset), .lsn_to = lsn_to, .file_seq = a->file->header.seq};

    if (k->looking_ahead) return OK;
    err e = look_ahead(k, a, lsn_to);
    if (e) return e;
    for (u32 i = 0; i < k->accepted_count; i++)
        d.accepted |= k->accepted[i].lsn_from <= d.lsn_from && d.lsn_to <= k->accepted[i].lsn_to;
    k->on_damage(k->context, &d);
    return OK;
}

/* --- decisions --- */

static void accept(struct wal_walk *k, struct at *a, const struct wal_unit_header *h)
{
    u64 span = round_up(h->len, WAL_BLOCK);

    report(k, a, span, h, NULL);
    if (k->looking_ahead) collect_accepted(k, a->image->bytes + a->offset, h->len);
    k->last_crc = h->crc;
    k->last_epoch = h->epoch;
    k->any = true;
    k->gap = false;
    a->offset += span;
}

static bool has_bad_blocks(const struct wal_image *i) { return i->bad_from < i->bad_to; }

/* Does the first unit of the next file continue the chain, so that nothing is missing in between?
 * *unsure: it cannot be read, so nobody can say. */
static err next_file_continues(struct wal_walk *k, const struct at *a, bool *out, bool *unsure)
{
    struct wal_scan *s = k->scan;
    struct wal_image image;
    struct wal_unit_header h;

    *out = *unsure = false;
    if (a->file_at + 1 == s->count || !k->any || k->gap) return OK;
    const struct wal_scan_file *next = &s->files[a->file_at + 1];
    struct wal_place place = {next->header.start_lsn, next->header.salt};

    /* The header first: most often there is nothing, and the whole file is much to read for that.
     */
    err e = wal_image_read(s->env, next->file, 2 * WAL_BLOCK, &image);
    if (e) return e;
    bool trace = wal_unit_is_trace(image.bytes + WAL_BLOCK, WAL_BLOCK, place);
    u64 bytes = WAL_BLOCK + round_up(get_u32(image.bytes + WAL_BLOCK + 36), WAL_BLOCK);
    *unsure = has_bad_blocks(&image);
    wal_image_done(&image);
    if (!trace || bytes > next->header.bytes) return OK;

    e = wal_image_read(s->env, next->file, bytes, &image);
    if (e) return e;
    *out = !wal_unit_check(image.bytes + WAL_BLOCK, bytes - WAL_BLOCK, place, &h) &&
           !check_chain(k, &h);
    *unsure |= has_bad_blocks(&image);
    wal_image_done(&image);
    return OK;
}

/* The log ends here. Traces of units from here on are shown, as cut. */
static void end_log(struct wal_walk *k, struct at *a, const char *why)
{
    k->tail_at = a->file_at;
    k->tail_offset = a->offset;
    k->tail_lsn = lsn_at(a->file, a->offset);
    for (; a->offset < a->image->len; a->offset += WAL_BLOCK) {
        struct wal_place place = {lsn_at(a->file, a->offset), a->file->header.salt};
        if (wal_unit_is_trace(a->image->bytes + a->offset, a->image->len - a->offset, place))
            report(k, a, WAL_BLOCK, NULL,
                   lsn_at(a->file, a->offset) == k->tail_lsn ? why : "behind the torn tail");
    }
}

/* Units that were acknowledged are missing at a->offset. Go on behind them. */
static err skip_damage(struct wal_walk *k, struct at *a, const char *why)
{
    u64 proven = k->scan->proven;
    u64 stop = u64_min(proven, limit_of(a->file));
    u64 to = a->offset + WAL_BLOCK;
    struct wal_unit_header h;

    for (; lsn_at(a->file, to) < stop; to += WAL_BLOCK)
        if (!check_at(a, to, &h) && h.epoch >= k->last_epoch) break;
    err e = report_damage(k, a, lsn_at(a->file, to));
    if (e) return e;
    report(k, a, to - a->offset, NULL, why);
    a->offset = to;
    k->gap = true;
    return OK;
}

/* Is part of the unit at a->offset, as far as its length can be told, in a block the device
 * refused? */
static bool is_unreadable(const struct at *a)
{
    const struct wal_image *i = a->image;
    struct wal_place place = {lsn_at(a->file, a->offset), a->file->header.salt};
    u64 room = i->len - a->offset, bytes = WAL_BLOCK;

    if (wal_unit_is_trace(i->bytes + a->offset, room, place))
        bytes = u64_min(room, u64_max(bytes, get_u32(i->bytes + a->offset + 36)));
    return i->bad_from < a->offset + bytes && a->offset < i->bad_to;
}

static err step(struct wal_walk *k, struct at *a, enum step *out)
{
    struct wal_unit_header h;
    bool hop, unsure;

    *out = GO_ON;
    const char *problem = check_at(a, a->offset, &h);
    if (!problem) problem = check_chain(k, &h);
    if (!problem) {
        accept(k, a, &h);
        return OK;
    }
    err e = next_file_continues(k, a, &hop, &unsure);
    if (e) return e;
    if (hop) {
        *out = NEXT_FILE;
        return OK;
    }
    u64 lsn = lsn_at(a->file, a->offset);
    bool torn = lsn >= k->scan->proven;
    if (MUTANT(wal_damage_taken_for_torn_tail)) torn = true;
    if (MUTANT(wal_torn_tail_taken_for_damage)) torn = get_u32(a->image->bytes + a->offset) == 0;
    if (!torn) return skip_damage(k, a, problem);

    if (MUTANT(wal_reads_on_behind_torn_tail)) {
        struct wal_unit_header next;
        for (u64 to = a->offset + WAL_BLOCK; to < a->image->len; to += WAL_BLOCK) {
            if (check_at(a, to, &next)) continue;
            a->offset = to;
            k->gap = true;
            return OK;
        }
    }
    if (is_unreadable(a)) {
        /* Nobody can say that this was never acknowledged. */
        e = report_damage(k, a, lsn + a->image->bad_to - a->offset);
        if (e) return e;
        problem = "unreadable";
    } else if (unsure) { /* nor of the first unit of the next file */
        e = report_damage(k, a, limit_of(a->file) + WAL_BLOCK);
        if (e) return e;
        problem = "the next file is unreadable";
    }
    end_log(k, a, problem);
    *out = LOG_ENDS;
    return OK;
}

/* --- the walk --- */

static err walk_file(struct wal_walk *k, struct at *a, enum step *out)
{
    struct wal_image image;

    err e = wal_image_read(k->scan->env, a->file->file, a->file->header.bytes, &image);
    if (e) return e;
    a->image = &image;
    *out = GO_ON;
    while (!e && *out == GO_ON && a->offset < image.len) e = step(k, a, out);
    wal_image_done(&image);
    return e;
}

static err walk_from(struct wal_walk *k, u32 file_at, u64 offset)
{
    struct wal_scan *s = k->scan;

    for (u32 i = file_at; i < s->count; i++) {
        struct at a = {.file_at = i, .file = &s->files[i], .offset = offset};
        enum step what;
        err e = walk_file(k, &a, &what);
        if (e || what == LOG_ENDS) return e;
        offset = WAL_BLOCK;
    }
    k->tail_at = s->count;
    k->tail_offset = WAL_BLOCK;
    k->tail_lsn = s->count ? limit_of(&s->files[s->count - 1]) : 0;
    return OK;
}

err wal_walk_run(struct wal_walk *k)
{
    return walk_from(k, 0, WAL_BLOCK);
}

void wal_walk_done(struct wal_walk *k)
{
    mem_free(k->accepted);
    k->accepted = NULL;
}
