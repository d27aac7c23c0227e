/* The map at a node that is no replica of the core. Whoever has a newer one says so in every STATUS; the copy asks it
 * for the changes since its own, and reads it by pages if those are not known any more. */
#include "server/cluster_internal.h"

#define PULL_TIMEOUT NANOS_SEC
#define OWN_LOG_TIME NANOS_SEC

void map_copy_free(struct cluster *c)
{
    core_free(c->copy.core);
    core_free(c->copy.next);
}

static u64 epoch_of(const struct core *core)
{
    const struct core_cluster *k = core_cluster(core);
    return k ? k->epoch : 0;
}

static void pull(struct cluster *c, node_id from)
{
    struct frame f = {.type = FRAME_MAP_PULL};
    struct map_pull p = {.since = epoch_of(c->copy.next ? c->copy.next : c->copy.core)};

    if (c->copy.next && c->copy.page_kind != CORE_PART + 1) {
        p.pages = true;
        p.kind = c->copy.page_kind;
        p.id = c->copy.page_id;
    }
    struct buf *out = peers_begin(c->peers, from, &f, true);
    if (!out) return;
    map_pull_encode(&p, out);
    peers_end(c->peers);
    c->copy.busy = true;
    c->copy.from = from;
    c->copy.asked_at = c->now;
}

static void begin_pages(struct cluster *c)
{
    core_free(c->copy.next);
    c->copy.next = core_new(NULL);
    c->copy.page_kind = 0;
    c->copy.page_id = 0;
}

/* The copy is of no use until it is read anew: a half of it may be newer than the other. */
static void start_over(struct cluster *c)
{
    core_free(c->copy.core);
    c->copy.core = core_new(NULL);
    c->residents.map = NULL;
    begin_pages(c);
}

static void finish(struct cluster *c)
{
    if (!c->copy.next) {
        if (core_copy_done(c->copy.core)) start_over(c);
        return;
    }
    if (core_copy_done(c->copy.next)) {
        begin_pages(c);
        return;
    }
    core_free(c->copy.core);
    c->copy.core = c->copy.next;
    c->copy.next = NULL;
}

/* The last object of a page is where the next one begins. */
static void note_place(struct cluster *c, struct core_map m)
{
    struct core_object o = {0};

    while (core_map_next(&m, &o)) continue;
    c->copy.page_kind = (m.flags & CORE_MAP_MORE) ? o.kind : CORE_PART + 1;
    c->copy.page_id = o.id;
}

void map_copy_keep(struct cluster *c)
{
    struct core *own = cluster_own_core(c);

    if (!own || epoch_of(own) <= epoch_of(c->copy.core)) return;
    core_free(c->copy.core);
    core_free(c->copy.next);
    c->copy.core = core_copy_of(own);
    c->copy.next = NULL;
    c->copy.busy = false; /* what was asked for is about an older one */
}

void map_copy_take(struct cluster *c, node_id from, str body)
{
    struct core_map m;

    if (!c->copy.busy || from != c->copy.from || core_map_decode(body, &m)) return;
    c->copy.busy = false;
    if (m.flags & CORE_MAP_PAGES) {
        begin_pages(c);
        pull(c, from);
        return;
    }
    if (((m.flags & CORE_MAP_PAGE) != 0) != (c->copy.next && c->copy.page_kind != CORE_PART + 1)) return;
    if (!c->copy.next && m.from != epoch_of(c->copy.core)) return; /* it has become another since it was asked */
    if (!c->copy.next && (m.flags & CORE_MAP_MORE) && !MUTANT(half_a_map_read)) { /* half of it would not be a map */
        begin_pages(c);
        pull(c, from);
        return;
    }
    if (core_copy_take(c->copy.next ? c->copy.next : c->copy.core, body)) {
        start_over(c);
        return;
    }
    if (m.flags & CORE_MAP_PAGE) note_place(c, m);
    bool more = (m.flags & CORE_MAP_MORE) || (m.flags & CORE_MAP_PAGE); /* deltas follow the last page */
    if (more)
        pull(c, from);
    else
        finish(c);
}

void map_copy_serve(struct cluster *c, node_id to, str body)
{
    const struct core *map = cluster_map(c);
    struct frame f = {.type = FRAME_MAP};
    size_t bytes = node_config_of(c->node)->snapshot_chunk_bytes; /* of one answer */
    struct map_pull p;

    if (map_pull_decode(body, &p)) return;
    struct buf *out = peers_begin(c->peers, to, &f, true);
    if (!out) return;
    if (p.pages)
        core_page(map, 0, p.kind, p.id, bytes, out);
    else
        core_delta(map, p.since, bytes, out);
    peers_end(c->peers);
}

static const struct peer_view *who_is_ahead(const struct peer_view *peers, u32 count, u32 epoch)
{
    for (u32 i = 0; i < count; i++)
        if (peers[i].alive && (i32)(peers[i].map_epoch - epoch) > 0) return &peers[i];
    return NULL;
}

void map_copy_turn(struct cluster *c)
{
    struct peer_view peers[NODE_MEMBERS_MAX];
    u32 epoch = (u32)cluster_epoch(c);

    if (c->copy.busy && c->now < c->copy.asked_at + PULL_TIMEOUT) return;
    c->copy.busy = false;
    const struct peer_view *ahead = who_is_ahead(peers, peers_view(c->peers, peers, NODE_MEMBERS_MAX), epoch);
    if (!ahead) {
        c->copy.behind_since = 0;
        return;
    }
    /* To a replica of the core the log brings it, unless it was taken out, or cut off. */
    if (!c->copy.behind_since) c->copy.behind_since = c->now;
    struct core *own = cluster_own_core(c);
    if (own && core_cluster(own) && c->now < c->copy.behind_since + OWN_LOG_TIME) return;
    if (epoch_of(c->copy.core) == 0 && !c->copy.next) begin_pages(c);
    pull(c, ahead->id);
}
