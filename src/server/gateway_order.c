/* A connection's requests in the order they were sent: a read sees its earlier writes and none of its later ones, also where
 * leaders change, sessions differ and replicas answer at different times (docs/design/connection-order.md, reads.md). */
#include "server/gateway_internal.h"

void gateway_order_leave(struct gateway_request *r)
{
    if (!r->order) return;
    r->order->flying++;
    if (r->at && !level_is_orderless(r->level)) {
        r->counted = true;
        r->order->near++;
    }
}

void gateway_order_return(struct gateway_request *r)
{
    if (r->state == REQUEST_SENT && r->order) {
        r->order->flying--;
        r->order->near -= r->counted;
    }
    r->counted = false;
    r->at = 0;
}

u64 gateway_order_pending(struct gateway *g, const struct gateway_request *r)
{
    return r->after && gateway_slot_of(g, r->after) ? r->after : 0;
}

u64 gateway_order_after(struct gateway *g, const struct gateway_request *r)
{
    return gateway_is_write(r) || r->at ? 0 : gateway_order_pending(g, r);
}

/* Two calls in one client session: the later one's entry can name the earlier one's seq, and is not run
 * before it (docs/design/connection-order.md). 0: they are not, or the seqs do not say so. */
static u64 seq_before(const struct gateway_request *first, const struct gateway_request *r)
{
    struct entry a, b;

    if (entry_decode(rcbuf_str(first->entry), &a) || entry_decode(rcbuf_str(r->entry), &b)) return 0;
    if (a.op != ENTRY_COMMAND || b.op != ENTRY_COMMAND) return 0;
    if (!mem_equal(a.session.bytes, b.session.bytes, sizeof a.session.bytes)) return 0;
    return a.seq < b.seq && a.seq >= b.acked ? a.seq : 0; /* below acked everything counts as run */
}

/* A replica that need not lead may be asked: not while the connection's own write is under way, which only
 * the leader can put before the read. */
bool gateway_may_go_near(struct gateway *g, const struct gateway_request *r)
{
    if (r->kind != GATEWAY_READ || level_is_leaders(r->level) || r->to_leader) return false;
    if (level_has_memory(r->level) && r->order && r->order->lost && !MUTANT(lost_order_trusted)) return false;
    return level_is_orderless(r->level) || !gateway_order_pending(g, r);
}

/* What different replicas answer comes in no order: a connection's requests do not overlap there, but for `follower` reads
 * of this node's own replica, which keeps theirs. */
static bool overlaps(struct gateway *g, const struct gateway_request *r)
{
    const struct gateway_order *o = r->order;

    if (!o || r->kind == GATEWAY_WAIT || MUTANT(near_reads_overlap)) return false;
    if (!gateway_may_go_near(g, r)) return o->near > 0;
    if (!level_is_orderless(r->level) && o->waits_in == g->pass) return true;
    if (level_has_memory(r->level)) return o->flying > 0;
    if (r->level.kind != LEVEL_FOLLOWER) return false;
    return o->flying != o->near || (o->near && !(o->near_here && g->hosted->part));
}

/* A connection's write that no entry can name as the one before, because the two are of different
 * sessions, must be answered before the next request is sent; and what is behind a request held back
 * stays behind it. */
bool gateway_must_hold(struct gateway *g, struct gateway_request *r)
{
    struct gateway_slot *s = r->after && r->kind != GATEWAY_WAIT ? gateway_slot_of(g, r->after) : NULL;
    const struct gateway_request *first = s ? s->req : NULL;
    bool hold = (r->order && r->order->held_in == g->pass) || overlaps(g, r);

    if (first && !hold) {
        if (gateway_is_write(r) && !r->owned_session)
            hold = first->owned_session || !seq_before(first, r);
        else
            hold = !first->owned_session;
    }
    if (hold && r->order) r->order->held_in = g->pass;
    return hold;
}

/* Its session is the client's: seq and the rest are as the client gave them. */
void gateway_order_name_call(struct gateway *g, struct gateway_request *r)
{
    struct gateway_slot *s = r->after ? gateway_slot_of(g, r->after) : NULL;
    u64 after = s && s->req && !s->req->owned_session ? seq_before(s->req, r) : 0;
    struct entry e;

    err bad = entry_decode(rcbuf_str(r->entry), &e);
    assert(!bad);
    if (e.after != after)
        entry_set_session(r->entry->data, &e.session, e.seq, e.first_hlc, e.acked, after);
}

/* A pipelined read whose connection's later writes went out could see them when it is asked again.
 */
bool gateway_order_is_broken(const struct gateway_request *r)
{
    return r->sent && !gateway_is_write(r) && r->kind != GATEWAY_WAIT && r->order &&
           r->order->last_write != r->after;
}

bool gateway_order_is_ahead(const struct gateway_request *r, u64 hlc)
{
    return r->order && level_has_memory(r->level) && !r->at && hlc < r->order->seen_hlc;
}

void gateway_order_note_seen(struct gateway_request *r, u64 hlc)
{
    if (!r->order) return;
    r->order->seen_hlc = u64_max(r->order->seen_hlc, hlc);
    r->order->lost = false;
}
