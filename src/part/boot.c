/* Boot: the store's marker, then what the write-ahead log says, then the core. "The marker wins":
 * entries that do not connect to it are dropped; hard state never is. docs/formats/marker.md,
 * docs/formats/wal.md. */
#include "part/part_internal.h"

#include "base/bytes.h"

#include <stdio.h>

#define MARKER_FMT       1
#define MARKER_FMT_MERGE 2 /* the same, of a partition that was frozen or merged */

void marker_put(struct log_pos pos, str config, const struct part *p, str machine_state, struct buf *out)
{
    bool merges = p && merge_has_state(p);

    buf_append_u8(out, merges ? MARKER_FMT_MERGE : MARKER_FMT);
    buf_append_u64(out, pos.index);
    buf_append_u64(out, pos.term);
    buf_append_u32(out, (u32)config.len);
    buf_append_str(out, config);
    if (merges) merge_encode(p, out);
    buf_append_str(out, machine_state);
}

void marker_encode(struct part *p, struct buf *out)
{
    struct log_pos pos = {p->apply.applied_term, p->apply.applied - (MUTANT(marker_behind_rows) ? 1 : 0)};
    struct buf config, state = {0};
    buf_init(&config, 0);
    struct raft_config members; /* of the applied entries: a change not yet committed is not state */
    raft_config_at(p->raft, p->apply.applied, &members);
    raft_config_encode(&members, &config);
    p->machine->ops->state_encode(p->machine, &state);
    marker_put(pos, buf_str(&config), p, buf_str(&state), out);
    buf_done(&config);
    buf_done(&state);
}

static err marker_decode(struct part *p, str bytes, struct log_pos *pos, struct raft_config *config)
{
    struct reader r = reader_of(bytes);

    u8 fmt = reader_u8(&r);
    pos->index = reader_u64(&r);
    pos->term = reader_u64(&r);
    u32 config_bytes = reader_u32(&r);
    str encoded = reader_str(&r, config_bytes);
    if (r.bad || (fmt != MARKER_FMT && fmt != MARKER_FMT_MERGE)) return ERR_CORRUPT;
    err e = raft_config_decode(encoded, config);
    if (e) return e;
    merge_decode(p, fmt == MARKER_FMT_MERGE ? &r : NULL);
    if (r.bad) return ERR_CORRUPT;
    return p->machine->ops->state_decode(p->machine, reader_str(&r, reader_left(&r)));
}

static void restore_row(void *context, str sub, str value)
{
    struct part *p = context;
    if (!p->failed) p->failed = session_restore(p->sessions, sub, value);
}

err boot_load_sessions(struct part *p)
{
    session_table_free(p->sessions);
    p->sessions = session_table_new();
    err e = store_local_each(p->store, ROW_SESSION, restore_row, p);
    if (!e) e = p->failed;
    session_restored(p->sessions);
    return e;
}

err boot_load_marker(struct part *p, struct raft_config *config)
{
    struct buf bytes;
    bool found;
    struct log_pos pos = {0, 0};

    buf_init(&bytes, 0);
    err e = store_local_get(p->store, ROW_MARKER, str_from("", 0), &bytes, &found);
    if (!e)
        e = found ? marker_decode(p, buf_str(&bytes), &pos, config)
                  : p->machine->ops->state_decode(p->machine, str_from("", 0));
    if (!e) e = boot_load_sessions(p);
    buf_done(&bytes);
    p->checkpoint.marker = pos;
    p->apply.applied = p->apply.target = p->apply.released = p->apply.reported = pos.index;
    p->apply.applied_term = pos.term;
    return e;
}

/* The entries found so far. Those at or below the marker are kept only to help slow followers, and
 * only up to a limit. */
static struct raft_entry *boot_at(struct boot_log *b, u64 i)
{
    return &b->entries[b->start + i];
}
static u64 boot_last(const struct boot_log *b)
{
    return b->count ? b->entries[b->start + b->count - 1].pos.index : b->before.index;
}

static void boot_pop_last(struct boot_log *b)
{
    struct raft_entry *e = boot_at(b, b->count - 1);
    b->bytes -= e->data ? e->data->len : 0;
    rcbuf_unref(e->data);
    b->count--;
}

static void boot_pop_first(struct boot_log *b)
{
    struct raft_entry *e = boot_at(b, 0);
    b->bytes -= e->data ? e->data->len : 0;
    b->before = e->pos;
    rcbuf_unref(e->data);
    b->start++;
    b->count--;
}

static void boot_clear(struct boot_log *b, struct log_pos before)
{
    while (b->count) boot_pop_last(b);
    b->start = 0;
    b->before = before;
}

static void boot_truncate(struct boot_log *b, u64 from)
{
    while (b->count && boot_last(b) >= from) boot_pop_last(b);
}

static void boot_push(struct part *p, struct boot_log *b, const struct wal_replayed *r)
{
    if (b->start + b->count == b->cap) {
        if (b->start > b->cap / 2) {
            memmove(b->entries, b->entries + b->start, b->count * sizeof *b->entries);
            b->start = 0;
        } else {
            b->cap = b->cap ? b->cap * 2 : 1024;
            b->entries = mem_resize_array(b->entries, b->cap, sizeof *b->entries);
        }
    }
    b->entries[b->start + b->count++] = (struct raft_entry){
        .pos = {r->frame.term, r->frame.index},
        .kind = r->frame.flags,
        .data = r->payload.len ? rcbuf_from(r->payload) : NULL,
    };
    b->bytes += r->payload.len;
    while (b->count > 1 && b->bytes > p->options.log_bytes_keep &&
           boot_at(b, 0)->pos.index <= p->checkpoint.marker.index)
        boot_pop_first(b);
}

static void replay_entry(struct part *p, struct boot_log *b, const struct wal_replayed *r)
{
    u64 index = r->frame.index;

    if (b->damaged) return; /* what lies behind a hole cannot be trusted to continue this log */
    if (b->count || b->before.index) {
        if (index <= boot_last(b)) boot_truncate(b, index);
        if (index != boot_last(b) + 1)
            boot_clear(b, (struct log_pos){0, 0}); /* a snapshot came between */
    }
    boot_push(p, b, r);
}

static void replay_hard_state(struct boot_log *b, str payload)
{
    if (payload.len != 16) return;
    struct raft_hard_state hs = {
        .term = get_u64(payload.at),
        .vote = get_u32(payload.at + 8),
        .impaired = get_u32(payload.at + 12) & HARD_IMPAIRED,
        .memory = get_u32(payload.at + 12) & HARD_MEMORY,
        .votes_kept = get_u32(payload.at + 12) & HARD_VOTES_KEPT,
        .accepts = get_u32(payload.at + 12) & HARD_ACCEPTS,
    };
    b->saw_hard = true;
    if (hs.term >= b->hard.term) {
        b->hard = hs;
        return;
    }
    b->hard.impaired = hs.impaired; /* written when newer ones could not be read; now they can */
    b->hard.memory = hs.memory;
    b->hard.votes_kept = b->hard.accepts = false;
}

/* Does this log hold the entry at `pos`, or go on behind it? Of its beginning, what a checkpoint has may be gone from the files, or not
 * have been kept above. Entries behind another one at that place are of earlier terms: whoever led in this term or later had
 * the one of the snapshot, and wrote nothing behind any other. */
static bool goes_on_from(struct boot_log *b, struct log_pos pos)
{
    if (b->damaged || !b->count || boot_last(b) < pos.index) return false;
    struct log_pos first = boot_at(b, 0)->pos;
    if (first.index > pos.index) return first.term >= pos.term && !MUTANT(log_behind_a_snapshot_dropped);
    return boot_at(b, pos.index - first.index)->pos.term == pos.term;
}

/* A snapshot was installed: the log starts behind it, unless it was part of the log. */
static void replay_restart(struct boot_log *b, struct log_pos pos)
{
    bool goes_on = goes_on_from(b, pos);

    b->damaged = false;
    if (!goes_on) boot_clear(b, pos);
}

void part_on_replay(void *context, const struct wal_replayed *r)
{
    struct part *p = context;
    struct boot_log *b = &p->boot;

    if (r->frame.part != p->options.id) return;
    /* What an earlier replica of the group on this node wrote is not this one's. 0: a founding one's. */
    replica_id wrote = r->frame.repl ? r->frame.repl : p->options.self;
    if (wrote != p->options.replica) return;
    b->saw_anything = true;
    switch (r->frame.type) {
    case WAL_ENTRY: replay_entry(p, b, r); break;
    case WAL_HARD_STATE: replay_hard_state(b, r->payload); break;
    case WAL_TRUNC_SUFFIX:
        if (r->frame.flags & TRUNC_REPAIR) {
            boot_truncate(b, r->frame.index);
            b->damaged = false;
        } else if (!b->damaged) {
            boot_truncate(b, r->frame.index);
        }
        break;
    case WAL_SNAP_DONE: replay_restart(b, (struct log_pos){r->frame.term, r->frame.index}); break;
    default: break; /* CKPT and TRUNC_PREFIX repeat what the marker says */
    }
}

void part_on_damage(void *context, const struct wal_damage *d)
{
    struct part *p = context;
    char line[256];

    p->boot.saw_anything = true;
    if (!MUTANT(damage_taken_for_torn_tail)) p->boot.damaged = true;
    if (d->accepted) return; /* an earlier start dealt with it: its TRUNC_REPAIR follows */
    if (!MUTANT(damage_taken_for_torn_tail)) p->boot.suspect = true;
    snprintf(line, sizeof line,
             "log damaged: acknowledged bytes cannot be read; this replica will not vote until it "
             "is refilled "
             "lsn_from=%llu lsn_to=%llu file=%llu",
             (unsigned long long)d->lsn_from, (unsigned long long)d->lsn_to,
             (unsigned long long)d->file_seq);
    p->host.log(p->host.context, LOG_ERROR, line);
}

/* Votes may be lost, too. */
static void impair(struct boot_log *b)
{
    b->hard.impaired = true;
    b->hard.votes_kept = b->hard.accepts = false;
}

/* Drop entries that do not connect to the marker. True if it dropped any: the log must then say so,
 * or a later replay would join the dropped entries to new ones. */
static bool connect_to_marker(struct part *p, struct boot_log *b)
{
    struct log_pos marker = p->checkpoint.marker;
    bool had = b->count > 0;

    if (marker.index == 0) {
        if (had ? boot_at(b, 0)->pos.index == 1 : b->before.index == 0) return false;
        /* The log goes on from rows that are not there: lost, or those of one that its neighbour has taken in and that the
         * owner had not struck off its list yet. It must not vote. */
        impair(b);
        boot_clear(b, (struct log_pos){0, 0});
        return true;
    }
    if (had && b->before.index == 0 && boot_at(b, 0)->pos.index == marker.index + 1)
        b->before = marker;
    /* An older log whose beginning is gone starts behind its own oldest entry. */
    if (b->count && b->before.index == 0 && boot_at(b, 0)->pos.index <= marker.index &&
        boot_at(b, 0)->pos.index > 1)
        boot_pop_first(b);
    bool reaches = boot_last(b) >= marker.index;
    u64 term = 0;
    if (reaches && b->before.index == marker.index) term = b->before.term;
    if (reaches && b->count && boot_at(b, 0)->pos.index <= marker.index)
        term = boot_at(b, marker.index - boot_at(b, 0)->pos.index)->pos.term;
    if (reaches && (term == marker.term || MUTANT(log_beside_its_marker_kept))) return false;
    boot_clear(b, marker);
    return had;
}

static void cut_damaged(struct part *p, struct boot_log *b)
{
    struct wal_frame cut = {.type = WAL_TRUNC_SUFFIX,
                            .repl = p->options.replica,
                            .flags = TRUNC_REPAIR,
                            .part = p->options.id,
                            .index = boot_last(b) + 1};

    wal_stage(p->wal, &cut, NULL, 0);
}

err part_boot(struct part *p, struct wal *wal)
{
    struct boot_log *b = &p->boot;

    p->wal = wal;
    p->now = env_mono(p->env);
    if (connect_to_marker(p, b)) {
        struct wal_frame restart = {.type = WAL_SNAP_DONE,
                                    .repl = p->options.replica,
                                    .part = p->options.id,
                                    .index = p->checkpoint.marker.index,
                                    .term = (u32)p->checkpoint.marker.term};
        wal_stage(wal, &restart, NULL, 0);
    }
    /* An empty log may have had a past that voted and acknowledged, also when it was not this start that found
     * the directory empty: a crash may have come before anything was written. */
    bool empty = !b->saw_anything && p->checkpoint.marker.index == 0;
    bool fresh = p->joins || p->options.fresh; /* who joins has a new number: it never promised anything */
    if (empty && !fresh && !MUTANT(blank_disk_votes)) impair(b);
    if (b->suspect) impair(b); /* votes and entries it gave may be among what is lost */
    /* A replica that begins behind an old damage has nothing in it: it says so before all else. */
    if (b->damaged || (!b->saw_hard && !MUTANT(begins_within_old_damage))) cut_damaged(p, b);
    if (b->suspect || !b->saw_hard) log_stage_hard_state(p, &b->hard);
    if (b->suspect) wal_accept_damage(wal);
    u64 term = u64_max(b->hard.term, p->checkpoint.marker.term);
    if (b->count) term = u64_max(term, boot_at(b, b->count - 1)->pos.term);
    if (term > b->hard.term) b->hard.vote = 0, b->hard.accepts = false;
    b->hard.term = term;

    raft_boot_config(p->raft, b->config, p->checkpoint.marker.index);
    raft_boot_hard_state(p->raft, &b->hard);
    raft_boot_snapshot(p->raft, b->before);
    for (u64 i = 0; i < b->count; i++) raft_boot_entry(p->raft, boot_at(b, i));
    raft_boot_done(p->raft, p->apply.applied, p->now);
    members_boot(p);
    memory_booted(p);
    boot_clear(b, (struct log_pos){0, 0});
    mem_free(b->entries);
    mem_free(b->config);
    *b = (struct boot_log){0};
    p->log.durable_seen = wal_durable(wal);
    p->checkpoint.last_at = p->now;
    return OK;
}
