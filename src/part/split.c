/* One partition becomes two (docs/design/partitions.md). The entry is applied at the same index X everywhere and cuts the state:
 * the child's first marker (at X, with X's term and members), its sessions (a copy) and its extents are made there and then, and
 * go into the next checkpoint of the parent, the one that first knows of X. So either a crash finds the parent before X,
 * which will come to X again, or the child is there. It is hosted only then: what it votes and acknowledges must be found at the
 * next start, and a start looks only for replicas that are there.
 *
 * Body: child:u64 | block_first:u32 | block_count:u32 | slot:u16 | key_len:u16 | key */
#include "part/part_internal.h"

#include <stdio.h>

enum { BLOCK_IDS_MIN = 32 };

struct split_body {
    u64 child;
    u32 block_first, block_count;
    u16 slot;
    str key;
};

static bool decode(str body, struct split_body *out)
{
    struct reader r = reader_of(body);

    out->child = reader_u64(&r);
    out->block_first = reader_u32(&r);
    out->block_count = reader_u32(&r);
    out->slot = reader_u16(&r);
    out->key = reader_str(&r, reader_u16(&r));
    return reader_end(&r) == OK && out->child && out->block_count >= BLOCK_IDS_MIN;
}

/* ---- proposing: only the log knows whether it can be done; what can never be is refused here ---- */

static const char *why_not(struct part *p, const struct part_split *s)
{
    if (!part_kv(p)) return "this partition is not split";
    if (!s->child || s->block_count < BLOCK_IDS_MIN) return "the new partition needs a number and a block of ids";
    bool by_key = kv_span(part_kv(p))->by_key;
    if (s->key.len && !by_key) return "this partition is cut by slots, not by keys";
    if (!s->key.len && by_key) return "this partition is cut by keys, not by slots";
    return NULL;
}

void part_split(struct part *p, const struct part_split *s, const struct part_waiter *from)
{
    struct buf body = {0};
    const char *why = why_not(p, s);

    if (why) {
        part_answer(p, from, PART_REFUSED, 0, str_of(why));
        return;
    }
    buf_append_u64(&body, s->child);
    buf_append_u32(&body, s->block_first);
    buf_append_u32(&body, s->block_count);
    buf_append_u16(&body, s->slot);
    buf_append_u16(&body, (u16)s->key.len);
    buf_append_str(&body, s->key);
    merge_propose(p, ENTRY_SPLIT, buf_str(&body), s->child, from);
    buf_done(&body);
}

/* ---- applying ---- */

bool split_is_ready(const struct part *p)
{
    return !p->split.child && !p->checkpoint.running && !store_checkpoint_running(p->store) &&
           !p->shipping.in.committing;
}

static void keep_row(struct part *p, u8 kind, str sub, str value)
{
    struct buf *rows = &p->split.rows;

    buf_append_u8(rows, kind);
    buf_append_u32(rows, (u32)sub.len);
    buf_append_u32(rows, (u32)value.len);
    buf_append_str(rows, sub);
    buf_append_str(rows, value);
}

static void keep_session(void *context, str id, str value)
{
    keep_row(context, ROW_SESSION, id, value);
}

/* Is a replica of the child to be here, made from this one? */
static bool is_made_here(struct part *p, u64 child, const struct raft_config *members)
{
    const struct raft_member *m = raft_config_find(members, p->options.replica);

    if (!m || m->node != p->options.self) return false;
    return !p->host.replica || !p->host.replica(p->host.context, child);
}

static err make_child(struct part *p, const struct split_body *s, struct log_pos at,
                      const struct raft_config *members)
{
    struct buf marker = {0}, config = {0}, extents = {0}, state = {0};
    struct store_extents x = {0};

    err e = kv_split(part_kv(p), s->slot, s->key, s->block_first, s->block_count, &state, &x);
    p->split.child = s->child;
    p->split.made_here = is_made_here(p, s->child, members);
    p->split.at = p->merge.at = at.index;
    p->merge.since = p->now;
    p->split.is_durable = false;
    buf_clear(&p->split.rows);
    if (p->split.made_here) {
        raft_config_encode(members, &config);
        marker_put(at, buf_str(&config), NULL, buf_str(&state), &marker);
        store_extents_encode(&x, &extents);
        keep_row(p, STORE_LOCAL_EXTENTS, (str){0}, buf_str(&extents));
        keep_row(p, ROW_MARKER, (str){0}, buf_str(&marker));
        if (!MUTANT(split_forgets_sessions)) session_each(p->sessions, keep_session, p);
        store_set_companion(p->store, s->child);
    } else {
        store_drop_slots_of(p->store, &x);
    }
    extents_done(&x);
    buf_done(&marker);
    buf_done(&config);
    buf_done(&extents);
    buf_done(&state);
    p->checkpoint.wanted = true;
    return e;
}

err split_apply(struct part *p, const struct entry *e, struct log_pos at, struct buf *reply,
                enum part_status *status)
{
    struct split_body s;
    struct raft_config members;
    struct kv *kv = part_kv(p);
    const char *why = NULL;

    if (!kv || !decode(e->body, &s)) return ERR_MALFORMED;
    raft_config_at(p->raft, at.index, &members);
    if (kv_span_ends_at(kv_span(kv), s.slot, s.key)) { /* done before */
        p->merge.split_done = s.child;
        return OK;
    }
    if (merge_is_frozen(p)) why = "this partition is being merged";
    if (raft_config_is_joint(&members)) why = "its members are changing";
    if (!kv_can_split(kv, s.slot, s.key)) why = "the place is not behind its first key or slot and up to its last";
    if (why) {
        *status = PART_REFUSED;
        buf_append_text(reply, why);
        merge_refuse(p, s.child, buf_str(reply));
        return OK;
    }
    p->merge.split_done = s.child;
    return make_child(p, &s, at, &members);
}

/* ---- until it is durable, and behind that ---- */

void split_add_rows(struct part *p, split_row_fn add, void *context)
{
    struct reader r = reader_of(buf_str(&p->split.rows));

    if (!p->split.child || MUTANT(split_child_in_another_step)) return;
    while (reader_left(&r)) {
        u8 kind = reader_u8(&r);
        u32 sub_len = reader_u32(&r), value_len = reader_u32(&r);
        str sub = reader_str(&r, sub_len);
        add(context, p->split.child, kind, sub, reader_str(&r, value_len));
    }
}

void split_on_checkpoint(struct part *p, u64 index)
{
    if (p->split.child && index >= p->split.at) p->split.is_durable = true;
}

bool split_holds_checkpoints(const struct part *p) { return p->split.child && p->split.is_durable; }

void split_forget(struct part *p)
{
    p->split.child = 0;
    buf_done(&p->split.rows);
}

/* When the checkpoint's rows are looked after, what the child has of them in memory can go to it. */
void split_turn(struct part *p)
{
    char line[96];

    if (!p->split.child) return;
    if (MUTANT(split_child_starts_early) && p->split.made_here && p->host.born) {
        p->split.made_here = false;
        p->host.born(p->host.context, p, p->split.child);
    }
    if (!p->split.is_durable) return;
    if (store_checkpoint_running(p->store)) return;
    snprintf(line, sizeof line, "split part=%llu child=%llu index=%llu%s", (unsigned long long)p->options.id,
             (unsigned long long)p->split.child, (unsigned long long)p->split.at,
             p->split.made_here ? "" : " not here");
    p->host.log(p->host.context, LOG_INFO, line);
    u64 child = p->split.child;
    bool made_here = p->split.made_here;
    split_forget(p);
    if (made_here && p->host.born) p->host.born(p->host.context, p, child);
    store_hand_over(p->store, NULL); /* what the host did not take */
}

err part_middle(struct part *p, struct buf *key) { return kv_middle(part_kv(p), key); }

const struct kv_span *part_span(const struct part *p)
{
    return kv_span(kv_machine_kv(p->machine));
}

bool part_covers(const struct part *p, const struct kv_span *span)
{
    if (!kv_machine_kv(p->machine)) return false;
    if (p->split.child) return true; /* it is about to be born here */
    if (store_was_cut(p->store) && span->by_key) return store_covers_keys(p->store, span->from, span->to);
    if (store_was_cut(p->store)) return store_covers_slots(p->store, span->slot_first, span->slot_last);
    /* A replica that joins and was sent nothing yet has nothing; a founding one has, though its first checkpoint is to come. */
    if (part_is_empty(p) && p->joins && raft_last(p->raft).index == 0) return false;
    const struct kv_span *own = part_span(p);
    return kv_spans_meet(own, span);
}
