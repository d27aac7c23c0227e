/* Two neighbours become one (docs/design/partitions.md). The right freezes at an index F of its own log: behind it nothing
 * of its state changes. The left's log decides: where its MERGE entry is applied, on each replica, the local right is brought to F,
 * its rows are in the store, and the left takes them over in place. The left's log also decides to give up (CANCEL), so that no
 * two replicas see it differently.
 *
 * Bodies: FREEZE left:u64; UNFREEZE nothing; MERGE and MERGE_CANCEL right:u64 | index:u64 | term:u64 */
#include "part/part_internal.h"

#include <stdio.h>

#define CUT_WAITS (10 * NANOS_SEC)

bool merge_is_frozen(const struct part *p) { return p->merge.frozen_at.index != 0; }

bool part_is_frozen(const struct part *p) { return merge_is_frozen(p) || p->merge.absorbed; }

struct log_pos part_frozen_at(const struct part *p) { return p->merge.frozen_at; }

bool part_waits_for_right(const struct part *p) { return p->merge.waits; }

/* ---- proposing: a state that is behind refuses nothing, the log decides ---- */

/* Whoever asked before has been replaced by a later controller. */
static void wait_for(struct part *p, const struct part_waiter *from)
{
    struct part_waiter before = p->merge.waiter;

    p->merge.waiter = *from;
    part_answer(p, &before, PART_LOST, 0, str_from("", 0));
}

static void settle(struct part *p, enum part_status status, u64 index, str reply)
{
    struct part_waiter to = p->merge.waiter;

    p->merge.waiter = (struct part_waiter){0};
    part_answer(p, &to, status, index, reply);
}

void merge_propose(struct part *p, u8 op, str body, u64 asked, const struct part_waiter *from)
{
    static const struct part_waiter nobody;

    if (!part_kv(p)) {
        part_answer(p, from, PART_REFUSED, 0, STR("this partition is not merged"));
    } else if (!submit_operation_ok(p, op, body, &nobody)) {
        part_answer(p, from, raft_is_leader(p->raft) ? PART_OVERLOADED : PART_NOT_LEADER, 0, str_from("", 0));
    } else {
        wait_for(p, from);
        p->merge.asked = asked;
        p->merge.asked_split = op == ENTRY_SPLIT;
    }
}

void merge_refuse(struct part *p, u64 asked, str why)
{
    if (p->merge.asked == asked) settle(p, PART_REFUSED, 0, why);
}

void part_freeze(struct part *right, u64 left, const struct part_waiter *from)
{
    struct buf body = {0};

    buf_append_u64(&body, left);
    merge_propose(right, ENTRY_FREEZE, buf_str(&body), 0, from);
    buf_done(&body);
}

err part_final_decode(str reply, struct log_pos *out)
{
    struct reader r = reader_of(reply);

    out->index = reader_u64(&r);
    out->term = reader_u64(&r);
    return reader_end(&r);
}

void part_unfreeze(struct part *right, const struct part_waiter *from)
{
    submit_operation(right, ENTRY_UNFREEZE, str_from("", 0), from);
}

static void put_body(const struct part_merge *m, struct buf *out)
{
    buf_append_u64(out, m->right);
    buf_append_u64(out, m->final.index);
    buf_append_u64(out, m->final.term);
}

static bool get_body(str body, struct part_merge *m)
{
    struct reader r = reader_of(body);

    m->right = reader_u64(&r);
    m->final.index = reader_u64(&r);
    m->final.term = reader_u64(&r);
    return reader_end(&r) == OK && m->right && m->final.index;
}

static bool is_merged(const struct part *p, const struct part_merge *m)
{
    return p->merge.merged == m->right && p->merge.merged_final >= m->final.index;
}

static bool is_cancelled(const struct part *p, const struct part_merge *m)
{
    return p->merge.cancelled == m->right && p->merge.cancelled_final >= m->final.index;
}

void part_merge(struct part *left, const struct part_merge *m, const struct part_waiter *from)
{
    struct buf body = {0};

    put_body(m, &body);
    merge_propose(left, ENTRY_MERGE, buf_str(&body), m->right, from);
    buf_done(&body);
}

void part_merge_cancel(struct part *left, const struct part_merge *m, const struct part_waiter *from)
{
    struct buf body = {0};

    put_body(m, &body);
    submit_operation(left, ENTRY_MERGE_CANCEL, buf_str(&body), from);
    buf_done(&body);
}

/* ---- applying: the right's side ---- */

err merge_apply_freeze(struct part *p, const struct entry *e, struct log_pos at, struct buf *reply,
                       enum part_status *status)
{
    struct reader r = reader_of(e->body);
    u64 left = reader_u64(&r);
    struct raft_config members;

    if (reader_end(&r) || !left) return ERR_MALFORMED;
    if (merge_is_frozen(p) && p->merge.left == left) return OK; /* asked again */
    raft_config_at(p->raft, at.index, &members);
    if (merge_is_frozen(p) || raft_config_is_joint(&members)) {
        *status = PART_REFUSED;
        buf_append_text(reply, merge_is_frozen(p) ? "it is merged into another" : "its members are changing");
        settle(p, PART_REFUSED, 0, buf_str(reply));
        return OK;
    }
    p->merge.frozen_at = at;
    p->merge.left = left;
    p->checkpoint.wanted = true; /* the left needs its rows in the store */
    return OK;
}

err merge_apply_unfreeze(struct part *p, struct buf *reply, enum part_status *status)
{
    if (p->merge.absorbed) {
        *status = PART_REFUSED;
        buf_append_text(reply, "it was merged");
        return OK;
    }
    settle(p, PART_LOST, 0, str_from("", 0));
    p->merge.frozen_at = (struct log_pos){0, 0};
    p->merge.left = 0;
    return OK;
}

/* ---- applying: the left's side ---- */

/* The local right, at exactly its end and with all of its rows in the store. The merge was decided, so what the right's log holds
 * up to F is committed, whether its own leader has said so or not. */
static bool is_at_its_end(struct part *right, struct log_pos final)
{
    if (right->merge.absorbed || right->shipping.in.committing) return false;
    if (right->apply.applied < final.index) {
        bool has = raft_durable(right->raft) >= final.index && raft_term_at(right->raft, final.index) == final.term;
        if (has) right->apply.target = u64_max(right->apply.target, final.index);
        return false;
    }
    if (right->merge.frozen_at.index != final.index || right->merge.frozen_at.term != final.term) return false;
    if (right->checkpoint.running || !store_is_quiet(right->store) ||
        right->checkpoint.marker.index < final.index) {
        right->checkpoint.wanted = true;
        return false;
    }
    return true;
}

static struct part *local_right(struct part *p, u64 id)
{
    return p->host.replica ? p->host.replica(p->host.context, id) : NULL;
}

static bool can_take_rows(struct part *p)
{
    if (store_can_take_rows(p->store) && !p->checkpoint.running && !p->split.child) return true;
    p->checkpoint.wanted = true;
    return false;
}

bool merge_is_ready(struct part *p, const struct entry *e)
{
    struct part_merge m;

    p->merge.waits = false;
    if (!get_body(e->body, &m) || is_merged(p, &m) || is_cancelled(p, &m) || merge_is_frozen(p)) return true;
    struct part *right = local_right(p, m.right);
    if (right && can_take_rows(p) && is_at_its_end(right, m.final)) return true;
    if (right && p->host.wake && !MUTANT(merge_leaves_the_right_asleep)) p->host.wake(p->host.context, m.right);
    if (right && MUTANT(merge_before_the_right_has_ended)) return can_take_rows(p) && !right->checkpoint.running;
    p->merge.waits = true;
    return false;
}

err merge_apply(struct part *p, const struct entry *e, struct log_pos at, struct buf *reply,
                enum part_status *status)
{
    struct part_merge m;
    struct part *right;

    if (!get_body(e->body, &m)) return ERR_MALFORMED;
    if (is_merged(p, &m)) return OK;
    bool refused = is_cancelled(p, &m) || merge_is_frozen(p);
    if (!refused) {
        right = local_right(p, m.right);
        refused = !kv_can_merge(part_kv(p), part_kv(right));
    }
    if (refused) {
        *status = PART_REFUSED;
        buf_append_text(reply, "it is not the right neighbour, the merge was given up, or their databases were swapped apart");
        merge_refuse(p, m.right, buf_str(reply));
        return OK;
    }
    kv_merge(part_kv(p), part_kv(right), at.index);
    if (!MUTANT(merge_forgets_sessions)) session_unite(p->sessions, right->sessions);
    right->merge.absorbed = true;
    store_drop_local(p->store, m.right);
    p->merge.merged = m.right;
    p->merge.merged_final = m.final.index;
    p->merge.at = at.index;
    p->merge.since = p->now;
    p->merge.right = m.right;
    p->checkpoint.wanted = true;
    return OK;
}

err merge_apply_cancel(struct part *p, const struct entry *e, struct buf *reply, enum part_status *status)
{
    struct part_merge m;

    if (!get_body(e->body, &m)) return ERR_MALFORMED;
    if (is_merged(p, &m)) {
        *status = PART_REFUSED;
        buf_append_text(reply, "it is merged already");
        return OK;
    }
    p->merge.cancelled = m.right;
    p->merge.cancelled_final = m.final.index;
    return OK;
}

/* ---- until it is durable, and behind that ---- */

void merge_release(struct part *p, u64 right)
{
    struct part *r = local_right(p, right);

    if (r) store_give_up(r->store);
    if (p->host.gone) p->host.gone(p->host.context, right);
}

void merge_on_checkpoint(struct part *p, u64 index)
{
    u64 right = p->merge.right;
    char line[96];

    if (!right || index < p->merge.at) return;
    p->merge.right = 0;
    snprintf(line, sizeof line, "merged part=%llu right=%llu index=%llu", (unsigned long long)p->options.id,
             (unsigned long long)right, (unsigned long long)p->merge.at);
    p->host.log(p->host.context, LOG_INFO, line);
    merge_release(p, right);
}

/* Behind a split or a merge the log must not begin before it: who joins later has no right neighbour to take in, and may have the
 * child beside it, whose rows the entries of before would read and write. Members that have not come so far are given
 * time to take the entry rather than a snapshot. */
u64 merge_log_floor(const struct part *p)
{
    const struct raft_config *c = raft_config(p->raft);
    struct raft_peer_status s;

    if (p->merge.at == 0 || p->checkpoint.marker.index < p->merge.at) return 0;
    if (!raft_is_leader(p->raft) || p->now >= p->merge.since + CUT_WAITS) return p->merge.at;
    for (u32 i = 0; i < c->count; i++)
        if (c->members[i].id != p->options.replica &&
            (!raft_peer_status(p->raft, c->members[i].id, &s) || s.match < p->merge.at))
            return 0;
    return p->merge.at;
}

/* Who joined now would be sent it, and has no right neighbour to take in: it would wait for ever, as a voter and even as the leader.
 * Another leader than the one that carried it out may not have cut its log yet. */
bool merge_is_in_log(const struct part *p)
{
    return p->merge.at && raft_first(p->raft).index < p->merge.at && !MUTANT(joins_before_the_log_is_cut);
}

bool merge_holds_snapshots(const struct part *p)
{
    return p->merge.waits || p->checkpoint.marker.index < p->merge.at;
}

static bool all_have(const struct part *p, u64 index)
{
    const struct raft_config *c = raft_config(p->raft);
    struct raft_peer_status s;

    for (u32 i = 0; i < c->count; i++)
        if (c->members[i].id != p->options.replica &&
            (!raft_peer_status(p->raft, c->members[i].id, &s) || s.match < index))
            return false;
    return raft_durable(p->raft) >= index;
}

/* Has what was asked for been applied? The right of a merge may be the child of a split before. */
static bool was_done(const struct part *p)
{
    if (p->merge.asked_split) return p->merge.split_done == p->merge.asked;
    return p->merge.merged == p->merge.asked || (MUTANT(merge_done_by_its_split) && p->merge.split_done == p->merge.asked);
}

/* What freeze and merge are answered for. */
void merge_turn(struct part *p)
{
    if (p->merge.looks_back) { /* the node died between the checkpoint and `gone` */
        p->merge.looks_back = false;
        struct part *right = p->merge.merged && !p->merge.right ? local_right(p, p->merge.merged) : NULL;
        if (right && part_is_empty(right)) merge_release(p, p->merge.merged);
    }
    if (p->merge.at && raft_first(p->raft).index < p->merge.at && merge_log_floor(p)) checkpoint_compact(p);
    if (!p->merge.waiter.number) return;
    if (!raft_is_leader(p->raft)) {
        settle(p, PART_LOST, 0, str_from("", 0));
    } else if (!p->merge.asked && merge_is_frozen(p)) {
        struct log_pos at = p->merge.frozen_at;
        struct buf reply = {0};
        if (p->checkpoint.marker.index < at.index || !store_is_quiet(p->store) || !all_have(p, at.index)) return;
        buf_append_u64(&reply, at.index);
        buf_append_u64(&reply, at.term);
        settle(p, PART_DONE, at.index, buf_str(&reply));
        buf_done(&reply);
    } else if (p->merge.asked && was_done(p) && raft_first(p->raft).index >= p->merge.at && !p->merge.right && !p->split.child) {
        settle(p, PART_DONE, p->merge.at, str_from("", 0));
    }
}

/* ---- in the marker ---- */

bool merge_has_state(const struct part *p)
{
    return p->merge.frozen_at.index || p->merge.cancelled || p->merge.merged || p->merge.at;
}

void merge_encode(const struct part *p, struct buf *out)
{
    buf_append_u64(out, p->merge.frozen_at.index);
    buf_append_u64(out, p->merge.frozen_at.term);
    buf_append_u64(out, p->merge.left);
    buf_append_u64(out, p->merge.cancelled);
    buf_append_u64(out, p->merge.cancelled_final);
    buf_append_u64(out, p->merge.merged);
    buf_append_u64(out, p->merge.merged_final);
    buf_append_u64(out, p->merge.at);
}

void merge_decode(struct part *p, struct reader *r)
{
    struct part_waiter waiter = p->merge.waiter;

    memset(&p->merge, 0, sizeof p->merge);
    p->merge.waiter = waiter;
    p->merge.looks_back = true;
    if (!r) return;
    p->merge.frozen_at.index = reader_u64(r);
    p->merge.frozen_at.term = reader_u64(r);
    p->merge.left = reader_u64(r);
    p->merge.cancelled = reader_u64(r);
    p->merge.cancelled_final = reader_u64(r);
    p->merge.merged = reader_u64(r);
    p->merge.merged_final = reader_u64(r);
    p->merge.at = reader_u64(r);
}
