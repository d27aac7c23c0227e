/* What this node tells the leader of the core about the groups it leads: only what changed since it was told, so groups at
 * rest cost nothing on the wire. And only those are looked at that took a turn since the last look, so they cost nothing
 * here: whatever there is to tell of a group comes of a turn of it. */
#include "server/cluster_internal.h"

#include "base/search.h"

#define LOOK_EVERY   (250 * NANOS_MS)
#define MIDDLE_EVERY NANOS_SEC
#define IN_REACH     1024   /* entries: a replica so little behind may vote or lead without holding writes up */
#define BODY_BYTES   (256 * KIB)
#define LOAD_LEAST   100 /* requests per second that are worth a word */

/* Requests per second, evened over a few looks. All that came since it was looked at came since the latest look. */
static void see_load(struct cluster *c, struct hosted *h)
{
    const struct part_stats *s = part_stats(h->part);
    u64 requests = s->proposed + s->reads_lease + s->reads_index, more = requests - h->requests;
    nanos since = c->now - c->reports.looked_at;

    if (h->is_counted && since && requests >= h->requests)
        h->load = (3 * h->load + more * NANOS_SEC / since) / 4;
    h->requests = requests;
    h->is_counted = true;
}

static void see_caught_up(struct part *p, struct group_report *g)
{
    struct raft *r = part_raft(p);
    const struct raft_config *config = raft_config(r);
    u64 last = raft_last(r).index;

    for (u32 i = 0; i < config->count && g->caught_up_count < REPORT_CAUGHT_UP_MAX; i++) {
        struct raft_peer_status s;
        replica_id id = config->members[i].id;
        bool near = id == g->leader;
        if (!near && raft_peer_status(r, id, &s))
            near = !s.impaired && s.state != 2 && (s.caught_up || s.match + IN_REACH >= last) && s.match > 0;
        if (near) g->caught_up[g->caught_up_count++] = id;
    }
}

static struct group_report look(const struct hosted *h)
{
    struct raft *r = part_raft(h->part);
    struct group_report g = {.part = h->id,
                             .term = raft_term(r),
                             .leader = raft_leader(r),
                             .bytes = part_bytes(h->part),
                             .load = h->load};
    see_caught_up(h->part, &g);
    return g;
}

static bool differs(u64 a, u64 b, u64 least)
{
    u64 gap = a > b ? a - b : b - a;
    return gap > least && gap > a / 16;
}

static bool is_news(const struct group_report *g, const struct group_report *told)
{
    if (g->term != told->term || g->leader != told->leader || g->caught_up_count != told->caught_up_count)
        return true;
    if (memcmp(g->caught_up, told->caught_up, sizeof g->caught_up)) return true;
    return differs(g->bytes, told->bytes, MIB) || differs(g->load, told->load, LOAD_LEAST);
}

static struct group_report *told_of(struct cluster *c, u64 part)
{
    u32 low;

    LOWER_BOUND(low, c->reports.told_count, c->reports.told[low].part < part);
    if (low < c->reports.told_count && c->reports.told[low].part == part) return &c->reports.told[low];
    if (c->reports.told_count == c->reports.told_cap) {
        c->reports.told_cap = c->reports.told_cap ? 2 * c->reports.told_cap : 16;
        c->reports.told = mem_resize_array(c->reports.told, c->reports.told_cap, sizeof *c->reports.told);
    }
    memmove(&c->reports.told[low + 1], &c->reports.told[low],
            (c->reports.told_count - low) * sizeof *c->reports.told);
    c->reports.told_count++;
    c->reports.told[low] = (struct group_report){.part = part};
    return &c->reports.told[low];
}

static bool send(struct cluster *c, node_id to)
{
    struct frame f = {.type = FRAME_REPORT};
    struct buf *out = peers_begin(c->peers, to, &f, true);

    if (!out) return false;
    buf_append_str(out, buf_str(&c->reports.body));
    peers_end(c->peers);
    return true;
}

/* In which the core is led: who has no replica of it learns that from the map, where each leader writes itself. */
static u64 core_term(const struct cluster *c)
{
    const struct hosted *own = cluster_core_hosted(c);
    const struct core_part *told = core_part(cluster_map(c), PART_CORE);

    if (own && own->part) return raft_term(part_raft(own->part));
    return told && !MUTANT(new_core_leader_not_told) ? told->leader_term : 0;
}

/* Is it a range that is too large or too busy? Then where it would be halved is told, now and then. */
static bool tell_middle(struct cluster *c, struct hosted *h, const struct group_report *g)
{
    const u64 *settings = core_cluster(cluster_map(c))->settings;
    struct frame f = {.type = FRAME_MIDDLE, .part = h->id};
    node_id to = c->reports.to;
    struct buf key = {0};
    u64 load = settings[CORE_SPLIT_LOAD];

    if (!part_kv(h->part) || !part_span(h->part)->by_key) return false;
    if (g->bytes <= settings[CORE_SPLIT_BYTES] && (!load || g->load <= load)) return false;
    if (c->now < h->middle_at) return true;
    h->middle_at = c->now + MIDDLE_EVERY;
    err e = part_middle(h->part, &key);
    if (!e && key.len && to == node_config_of(c->node)->self) {
        controller_see_middle(c, h->id, buf_str(&key));
    } else if (!e && key.len) {
        struct buf *out = peers_begin(c->peers, to, &f, true);
        if (out) buf_append_str(out, buf_str(&key));
        if (out) peers_end(c->peers);
    }
    buf_done(&key);
    return true;
}

void reports_forget(struct cluster *c)
{
    c->reports.told_count = 0;
    for (u32 i = 0; i < parts_count(c->parts); i++) parts_note_worked(c->parts, parts_at(c->parts, i));
}

static void tell(struct cluster *c, struct hosted *h)
{
    node_id self = node_config_of(c->node)->self;

    if (!h->part || !raft_is_leader(part_raft(h->part))) {
        h->load = 0;
        h->is_counted = h->is_large = false;
        return;
    }
    struct group_report *told = told_of(c, h->id);
    see_load(c, h);
    struct group_report now = look(h);
    h->is_large = tell_middle(c, h, &now);
    if (!is_news(&now, told)) return;
    *told = now;
    if (c->reports.to == self)
        controller_see(c, self, &now);
    else
        group_report_encode(&now, &c->reports.body);
}

void reports_turn(struct cluster *c)
{
    struct list batch;

    if (c->now < c->reports.next_at) return;
    c->reports.next_at = c->now + LOOK_EVERY;
    node_id to = cluster_core_leader(c);
    u64 term = core_term(c);
    if (!to || !cluster_is_founded(c)) return;
    if (to != c->reports.to || term != c->reports.to_term) reports_forget(c); /* it knows nothing */
    c->reports.to = to;
    c->reports.to_term = term;
    buf_clear(&c->reports.body);
    list_init(&batch);
    list_splice(&batch, parts_worked(c->parts));
    for (struct list *l; c->reports.body.len < BODY_BYTES && (l = list_first(&batch));) {
        struct hosted *h = CONTAINER_OF(l, struct hosted, worked);
        list_remove(l);
        tell(c, h);
        if (h->load || h->is_large) parts_note_worked(c->parts, h); /* until it has faded, or was split */
    }
    list_splice(parts_worked(c->parts), &batch);
    c->reports.looked_at = c->now;
    if (c->reports.body.len && !send(c, to)) reports_forget(c);
}
