/* What the map wants on this node, and what is here: replicas are started and deleted, ways to the other partitions are
 * kept, and the connections are those to its nodes.
 *
 * The map may be old, so nothing is deleted because the map does not know it yet: numbers of replicas and partitions
 * are given out in order and never again, and only what was given out and is not there any more is gone for ever. Nor
 * is anything started because an old map still knows it: a map older than the one before is not carried out, also after
 * a restart, as the catalog keeps its epoch. */
#include "server/cluster_internal.h"
#include "server/routes.h"

#include <stdio.h>

#define PASS_EVERY (20 * NANOS_MS) /* while the map keeps changing */
#define SAVE_AFTER (500 * NANOS_MS)
#define ANSWERS_WAIT (2 * NANOS_SEC)
#define ANSWERS_LOOK (100 * NANOS_MS)
#define GONE_WAITS (15 * NANOS_SEC)
#define LOOK_AGAIN (200 * NANOS_MS) /* at what waits for another replica here */

static const struct core_member *member_here(const struct cluster *c, const struct core_part *p)
{
    static const struct core_uuid nil;
    node_id self = node_config_of(c->node)->self;

    for (u32 i = 0; i < p->member_count; i++) {
        const struct core_member *m = &p->members[i];
        if (m->node != self) continue;
        if (mem_equal(m->incarnation.bytes, nil.bytes, 16) || MUTANT(any_disk_is_the_member) ||
            mem_equal(m->incarnation.bytes, cluster_incarnation(c), 16))
            return m;
    }
    return NULL;
}

static bool has_replica(const struct core_part *p, replica_id id)
{
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].replica == id) return true;
    return false;
}

/* ---- replicas that come ---- */

/* The members as they were when the partition was made: every number that was ever given out is there. They are the
 * beginning of the log, also for a founder that comes late: no entry says them. Those who made the first entries durable
 * do not start anew (see above), so that a majority of founders with empty logs cannot come together again. Once
 * members have changed a late one comes as others do, and learns them from the log. */
static bool is_as_founded(const struct core_part *p)
{
    if (p->leader_term && MUTANT(late_founder_without_members)) return false;
    if (p->next_replica != p->member_count + 1 && !MUTANT(founders_from_changed_members)) return false;
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].role != CORE_VOTER) return false;
    return true;
}

static void note_replica(struct cluster *c, const struct core_part *p, const struct core_member *m)
{
    struct replica_row row = {
        .part = p->id, .replica = m->replica, .machine = REPLICA_REDIS, .keyspace = p->keyspace};
    struct raft_config founders = {0};
    struct buf encoded = {0};

    node_place_of(p->id, &row.keyspace_first, &row.keyspace_count);
    if (p->id == PART_CORE) row.machine = REPLICA_CORE;
    row.by_key = p->is_range && p->id != PART_CORE;
    if (!p->is_range) {
        row.slot_first = p->slot_first;
        row.slot_last = p->slot_last;
    }
    if (is_as_founded(p)) {
        for (u32 i = 0; i < p->member_count; i++) {
            struct raft_member r = {
                .id = p->members[i].replica, .node = p->members[i].node, .roles = RAFT_VOTER};
            mem_copy(r.incarnation, p->members[i].incarnation.bytes, 16);
            raft_config_put(&founders, &r);
        }
        founders.next = p->next_replica;
        raft_config_encode(&founders, &encoded);
        row.founders = buf_str(&encoded);
    }
    replicas_add(c->replicas, &row);
    buf_done(&encoded);
    c->residents.has_noted = true;
}

static void start_noted(struct cluster *c)
{
    if (!c->residents.has_noted) return; /* the catalog may have been saved since, for one that goes */
    if (!c->replicas->dirty && MUTANT(noted_replica_forgotten)) return;
    c->residents.has_noted = false;
    err e = MUTANT(replica_starts_before_its_row) ? OK : replicas_save(c->replicas);
    if (e) {
        node_fail(c->node, "the catalog of replicas cannot be written", e);
        return;
    }
    for (u32 i = 0; i < c->replicas->count; i++) {
        const struct replica_row *row = &c->replicas->rows[i];
        struct hosted *h = parts_find(c->parts, row->part);
        if (row->deleting || (h && h->part)) continue;
        e = node_start_replica(c->node, row);
        if (e) {
            node_fail(c->node, "a replica cannot be started", e);
            return;
        }
        c->residents.starts_unsaved = true;
    }
    c->residents.started_lsn = wal_staged(node_wal(c->node));
    c->residents.save_at = c->now + SAVE_AFTER;
}

/* A replica whose first hard state is durable may have promised something: the catalog says so from now on. */
static void note_started(struct cluster *c)
{
    if (!c->residents.starts_unsaved || c->now < c->residents.save_at) return;
    if (wal_durable(node_wal(c->node)) < c->residents.started_lsn) return;
    for (u32 i = 0; i < c->replicas->count; i++) {
        c->replicas->dirty |= !c->replicas->rows[i].started;
        c->replicas->rows[i].started = true;
    }
    c->residents.starts_unsaved = false;
    err e = replicas_save(c->replicas);
    if (e) node_fail(c->node, "the catalog of replicas cannot be written", e);
}

/* ---- replicas that go ---- */

static void retire(struct cluster *c, struct hosted *h)
{
    struct replica_row *row = replicas_find(c->replicas, h->id);

    if (h->retiring) return;
    env_log(c->env, LOG_INFO, "partition %llu: replica %u is no member any more and is deleted",
            (unsigned long long)h->id, row ? row->replica : 0);
    if (h->id == PART_CORE) map_copy_keep(c);
    if (row && !row->deleting) {
        row->deleting = !MUTANT(deletion_not_noted);
        c->replicas->dirty = true;
        err e = replicas_save(c->replicas);
        if (e) {
            node_fail(c->node, "the catalog of replicas cannot be written", e);
            return;
        }
    }
    parts_retire(c->parts, h);
}

static void forget_erased(struct cluster *c)
{
    u32 count = parts_take_erased(c->parts) ? parts_count(c->parts) : 0; /* mostly none */

    for (u32 i = 0; i < count; i++) {
        struct hosted *h = parts_at(c->parts, i);
        if (!h->erased) continue;
        h->erased = false;
        replicas_remove(c->replicas, h->id);
        c->residents.map = NULL; /* it may be wanted here again: look anew */
    }
    err e = replicas_save(c->replicas);
    if (e) node_fail(c->node, "the catalog of replicas cannot be written", e);
}

/* ---- one partition of the map ---- */

static void note_op(struct cluster *c, u64 part)
{
    if (c->residents.op_count == c->residents.op_cap) {
        c->residents.op_cap = c->residents.op_cap ? 2 * c->residents.op_cap : 16;
        c->residents.ops = mem_resize_array(c->residents.ops, c->residents.op_cap, sizeof(u64));
    }
    c->residents.ops[c->residents.op_count++] = part;
}

static node_id leader_of(const struct core_part *p)
{
    for (u32 i = 0; i < p->member_count; i++)
        if (p->members[i].replica == p->leader) return p->members[i].node;
    return 0;
}

/* A replica here still has these rows: it is behind its split, which will make this one of itself. */
static bool comes_by_split(struct cluster *c, const struct core_part *p)
{
    struct kv_span span = routes_span(p);

    for (u32 i = 0; i < c->replicas->count; i++) {
        const struct replica_row *row = &c->replicas->rows[i];
        const struct hosted *h = row->keyspace == p->keyspace ? parts_find(c->parts, row->part) : NULL;
        if (h && h->part && h->id != p->id && part_covers(h->part, &span)) return true;
    }
    return false;
}

static void carry_out_part(struct cluster *c, const struct core_part *p)
{
    const struct core_member *m = member_here(c, p);
    struct hosted *h = parts_find(c->parts, p->id);

    if (!h) h = parts_add_remote(c->parts, p->id);
    if (!h->gateway) node_open_gateway(c->node, h);
    if (!h->part && p->leader) h->leader_hint = leader_of(p);
    if (h->part) {
        const struct replica_row *row = replicas_find(c->replicas, p->id);
        bool gone = row && row->replica < p->next_replica && !has_replica(p, row->replica);
        if (MUTANT(old_map_carried_out)) gone = row && !has_replica(p, row->replica);
        if (gone) retire(c, h);
    } else if (m && !h->store && !replicas_find(c->replicas, p->id)) {
        if (comes_by_split(c, p))
            c->residents.look_again_at = c->now + LOOK_AGAIN;
        else
            note_replica(c, p, m);
    }
    if (p->op.kind != CORE_OP_NONE && h->part) note_op(c, p->id);
}

/* ---- partitions that are gone ---- */

/* The upper half of a split has its number before it is in the map. */
static bool is_expected(const struct core *map, u64 id)
{
    u32 count;
    const struct core_part *const *parts = core_parts(map, &count);

    for (u32 i = 0; i < count; i++)
        if (parts[i]->op.kind == CORE_OP_SPLIT && parts[i]->op.other == id) return true;
    return false;
}

static bool is_waited_for(const struct cluster *c)
{
    for (u32 i = 0; i < parts_count(c->parts); i++) {
        const struct hosted *h = parts_at(c->parts, i);
        if (h->part && part_waits_for_right(h->part)) return true;
    }
    return false;
}

/* Its keyspace is still there: its left neighbour has taken it in, or will on this node, and then says so. Its rows are
 * not to be deleted. One that is blank was let go of, and the catalog had not heard of it when the node stopped.
 * But the left may be here no more, or have come by a snapshot: after some time nobody wants it. */
static bool was_merged_away(struct cluster *c, const struct core *map, struct hosted *h)
{
    const struct replica_row *row = replicas_find(c->replicas, h->id);

    if (!row || !row->keyspace || !core_keyspace(map, row->keyspace)) return false;
    if (part_is_blank(h->part)) {
        h->was_merged = true;
        parts_touch(c->parts, h);
        return true;
    }
    if (!h->gone_at) h->gone_at = c->now;
    c->residents.look_again_at = u64_min(c->residents.look_again_at, c->now + GONE_WAITS);
    return c->now < h->gone_at + GONE_WAITS || is_waited_for(c);
}

/* Requests are on their way to it: most are refused for certain, and go where the map says by now. */
static bool awaits_answers(struct cluster *c, struct hosted *h)
{
    if (!h->gateway || gateway_is_idle(h->gateway)) return false;
    if (!h->gone_at) h->gone_at = c->now;
    c->residents.look_again_at = u64_min(c->residents.look_again_at, c->now + ANSWERS_LOOK);
    return c->now < h->gone_at + ANSWERS_WAIT;
}

static void forget_gone(struct cluster *c, const struct core *map)
{
    u64 next = core_cluster(map)->next_part;

    for (u32 i = 0; i < parts_count(c->parts); i++) {
        struct hosted *h = parts_at(c->parts, i);
        if (h->id >= next || core_part(map, h->id) || is_expected(map, h->id)) continue;
        if (h->part && was_merged_away(c, map, h)) {
            continue;
        } else if (h->part) {
            retire(c, h);
        } else if (!h->store && !replicas_find(c->replicas, h->id) && !awaits_answers(c, h)) {
            parts_forget(c->parts, h);
            i--;
        }
    }
}

/* ---- nodes ---- */

/* What acknowledgements wait for, as the keyspace has it now. Never memory for the map itself. */
static void carry_out_durability(struct cluster *c, const struct core *map)
{
    for (u32 i = 0; i < parts_count(c->parts); i++) {
        struct hosted *h = parts_at(c->parts, i);
        const struct core_part *p = h->part && h->id != PART_CORE ? core_part(map, h->id) : NULL;
        const struct core_keyspace *k = p ? core_keyspace(map, p->keyspace) : NULL;
        if (!k) continue;
        part_set_memory(h->part, k->settings[CORE_DURABILITY] != 0);
        parts_touch(c->parts, h);
    }
}

static void carry_out_nodes(struct cluster *c, const struct core *map)
{
    struct node_member members[NODE_MEMBERS_MAX];
    u32 count, kept = 0;
    const struct core_node *const *nodes = core_nodes(map, &count);

    for (u32 i = 0; i < count && kept < NODE_MEMBERS_MAX; i++) {
        const struct core_node *n = nodes[i];
        struct node_member *m = &members[kept];
        if (n->state == CORE_REMOVED) continue;
        *m = (struct node_member){.id = n->id};
        if (address_parse(core_str(&n->peer), m->host, &m->peer_port)) kept++;
    }
    identity_use_named(node_config_of(c->node), members, kept);
    err e = node_set_members(c->node, members, kept);
    if (e) node_fail(c->node, "the list of members cannot be written", e);
}

static void watch_own_row(struct cluster *c, const struct core *map)
{
    const struct core_node *me = core_node(map, node_config_of(c->node)->self);
    u32 level = core_cluster(map)->version;

    if (me && me->state == CORE_REMOVED && !MUTANT(removed_node_goes_on))
        node_fail(c->node, NODE_REMOVED_TEXT, OK);
    else if (level < QUORATE_LEVEL_MIN || level > QUORATE_LEVEL_MAX)
        node_fail(c->node, "the cluster uses a level of formats that this program does not serve; install a newer one",
                  OK);
}

static void carry_out(struct cluster *c, const struct core *map)
{
    u32 count;
    const struct core_part *const *parts = core_parts(map, &count);

    c->residents.op_count = 0;
    c->replicas->epoch = u64_max(c->replicas->epoch, core_cluster(map)->epoch); /* saved with the rows it makes */
    watch_own_row(c, map);
    carry_out_nodes(c, map);
    for (u32 i = 0; i < count; i++) carry_out_part(c, parts[i]);
    forget_gone(c, map);
    start_noted(c);
    carry_out_durability(c, map);
}

static bool is_old(const struct cluster *c, u64 epoch)
{
    return epoch < u64_max(c->residents.epoch, c->replicas->epoch) && !MUTANT(old_map_carried_out);
}

/* ---- upper halves of splits ---- */

void cluster_on_born(struct cluster *c, u64 parent, u64 child)
{
    if (c->residents.birth_count == c->residents.birth_cap) {
        c->residents.birth_cap = c->residents.birth_cap ? 2 * c->residents.birth_cap : 4;
        c->residents.births = mem_resize_array(c->residents.births, c->residents.birth_cap,
                                               sizeof *c->residents.births);
    }
    c->residents.births[c->residents.birth_count].parent = parent;
    c->residents.births[c->residents.birth_count++].child = child;
}

/* Durable here, with a marker that says all of it; the catalog and the table do not know it yet. If the node stops before
 * they do, the map names it, and the marker is found. */
static void take_births(struct cluster *c)
{
    for (u32 i = 0; i < c->residents.birth_count; i++) {
        const struct replica_row *parent = replicas_find(c->replicas, c->residents.births[i].parent);
        u64 child = c->residents.births[i].child;
        struct hosted *h = parts_find(c->parts, child);
        if (!parent || replicas_find(c->replicas, child) || (h && h->store)) continue;
        struct replica_row row = {.part = child,
                                  .replica = parent->replica,
                                  .machine = REPLICA_REDIS,
                                  .started = true,
                                  .by_key = parent->by_key,
                                  .keyspace = parent->keyspace};
        node_place_of(child, &row.keyspace_first, &row.keyspace_count);
        replicas_add(c->replicas, &row);
    }
    c->residents.has_noted |= c->residents.birth_count > 0;
    if (c->residents.birth_count) start_noted(c);
    c->residents.birth_count = 0;
}

void residents_turn(struct cluster *c)
{
    const struct core *map = cluster_map(c);
    u64 epoch = cluster_epoch(c);

    take_births(c);
    note_started(c);
    forget_erased(c);
    if (c->now >= c->residents.look_again_at) {
        c->residents.look_again_at = NANOS_NEVER;
        c->residents.map = NULL;
    }
    if (!epoch || c->now < c->residents.next_at) return;
    if (map == c->residents.map && epoch == c->residents.epoch) return;
    if (is_old(c, epoch)) return;
    c->residents.map = map;
    c->residents.epoch = epoch;
    c->residents.next_at = c->now + PASS_EVERY;
    carry_out(c, map);
}

nanos residents_deadline(const struct cluster *c)
{
    nanos at = c->residents.starts_unsaved ? c->residents.save_at : NANOS_NEVER;

    if (c->residents.birth_count) return c->now;
    at = u64_min(at, c->residents.look_again_at);

    bool is_new = cluster_epoch(c) != c->residents.epoch || cluster_map(c) != c->residents.map;
    return cluster_is_founded(c) && is_new && !is_old(c, cluster_epoch(c)) ? u64_min(at, c->residents.next_at) : at;
}
