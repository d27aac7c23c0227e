#include "sim/groups_internal.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/search.h"
#include "kv/entry.h"
#include "sim/disk.h"

#include <stdarg.h>
#include <stdio.h>

#define CHECK_CORE_EVERY 32 /* turns */

struct groups *groups_new(struct world *w)
{
    struct groups *g = mem_zalloc(sizeof *g);
    g->world = w;
    return g;
}

static void group_free(struct group *g)
{
    for (u32 i = 0; i < g->seat_count; i++) {
        mem_free(g->seats[i]->votes);
        mem_free(g->seats[i]);
    }
    mem_free(g->seats);
    mem_free(g->entries);
    mem_free(g->digests);
    mem_free(g->leaders);
    buf_done(&g->bytes);
    mem_free(g);
}

void groups_free(struct groups *g)
{
    if (!g) return;
    for (u32 i = 0; i < g->count; i++) group_free(g->items[i]);
    mem_free(g->items);
    mem_free(g->kinds);
    mem_free(g);
}

void group_say(const struct seat *s, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    world_violation(s->group->world, "partition %llu, replica %u on n%u: %s", (unsigned long long)s->group->part,
                    s->replica, s->host, text);
}

/* ---- groups and seats ---- */

static u32 place_of(const struct groups *g, u64 part)
{
    u32 low;

    LOWER_BOUND(low, g->count, g->items[low]->part < part);
    return low;
}

struct group *groups_known(const struct groups *g, u64 part)
{
    u32 at = place_of(g, part);
    return at < g->count && g->items[at]->part == part ? g->items[at] : NULL;
}

struct group *groups_of(struct groups *g, u64 part)
{
    struct group *known = groups_known(g, part);
    u32 at = place_of(g, part);

    if (known) return known;
    if (g->count == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 16;
        g->items = mem_resize_array(g->items, g->cap, sizeof *g->items);
    }
    memmove(&g->items[at + 1], &g->items[at], (g->count - at) * sizeof *g->items);
    g->count++;
    g->items[at] = mem_zalloc(sizeof **g->items);
    g->items[at]->part = part;
    g->items[at]->world = g->world;
    return g->items[at];
}

struct seat *group_seat_known(const struct group *g, replica_id id)
{
    for (u32 i = 0; i < g->seat_count; i++)
        if (g->seats[i]->replica == id) return g->seats[i];
    return NULL;
}

struct seat *group_seat(struct group *g, replica_id id)
{
    struct seat *s = group_seat_known(g, id);

    if (s) return s;
    assert(g->seat_count < SEATS_MAX);
    g->seats = mem_resize_array(g->seats, g->seat_count + 1, sizeof *g->seats);
    s = g->seats[g->seat_count++] = mem_zalloc(sizeof *s);
    s->group = g;
    s->replica = id;
    return s;
}

struct part *groups_part(const struct host *h, u64 part)
{
    if (!h->up || !h->node || node_is_joining(h->node)) return NULL;
    struct hosted *p = parts_find(node_parts(h->node), part);
    return p ? p->part : NULL;
}

/* ---- entries ---- */

err group_digest(struct part *p, u64 *out)
{
    struct core *core = core_machine_core(part_machine(p));
    return core ? core_digest(core, out) : kv_digest(part_kv(p), out);
}

static void note_digest(struct seat *s, u64 index)
{
    struct group *g = s->group;
    u64 place = index / GROUP_DIGEST_EVERY, digest;

    if (place >= g->digest_cap) {
        u64 cap = (place + 1) * 2;
        g->digests = mem_resize_array(g->digests, cap, sizeof *g->digests);
        memset(g->digests + g->digest_cap, 0, (cap - g->digest_cap) * sizeof *g->digests);
        g->digest_cap = cap;
    }
    if (group_digest(s->part, &digest)) return; /* the node stops by itself */
    struct seen_digest *d = &g->digests[place];
    if (d->by && d->value != digest)
        group_say(s, "differs from replica %u in its state at applied index %llu", d->by, (unsigned long long)index);
    *d = (struct seen_digest){.value = digest, .by = s->replica};
    world_trace(g->world, digest);
}

static void compare_entry(struct seat *s, const struct logged *mine, u64 index)
{
    const struct logged *c = &s->group->entries[index - 1];

    if (index <= s->group->inherited) {
        group_say(s, "applies index %llu, which came with its part of another log", (unsigned long long)index);
        return;
    }
    if (c->term != mine->term || c->entry_hash != mine->entry_hash)
        group_say(s, "applied another entry than replica %u at index %llu (terms %llu, %llu)", c->by,
                  (unsigned long long)index, (unsigned long long)mine->term, (unsigned long long)c->term);
    else if (c->reply_hash != mine->reply_hash)
        group_say(s, "answered the entry at index %llu otherwise than replica %u", (unsigned long long)index, c->by);
}

static void make_room(struct group *g, u64 count)
{
    if (count <= g->cap) return;
    g->cap = count * 2;
    g->entries = mem_resize_array(g->entries, g->cap, sizeof *g->entries);
}

static u32 entry_op_of(str bytes)
{
    struct entry e;
    return bytes.len && !entry_decode(bytes, &e) ? e.op : 0;
}

/* The first replica of a split's upper half: what came before was applied as the whole's. */
static void note_birth(struct group *g, u64 applied)
{
    if (g->count || applied == 0) return;
    make_room(g, applied);
    memset(g->entries, 0, applied * sizeof *g->entries);
    g->count = g->inherited = g->commit_seen = applied;
}

static void on_apply(void *context, u64 index, u64 term, str entry, str reply)
{
    struct seat *s = context;
    struct group *g = s->group;
    struct logged mine = {.term = term,
                              .entry_hash = hash64(entry.at, entry.len),
                              .reply_hash = hash64(reply.at, reply.len),
                              .by = s->replica,
                              .at = g->bytes.len,
                              .bytes = entry.len};

    u32 op = entry_op_of(entry);
    g->reshaped |= op >= ENTRY_SPLIT && op <= ENTRY_MERGE_CANCEL;
    if (op == ENTRY_FREEZE) g->is_frozen = true;
    if (op == ENTRY_UNFREEZE) g->is_frozen = false;
    if (s->applied && index <= s->applied) group_say(s, "applies index %llu again", (unsigned long long)index);
    s->applied = index;
    if (index > g->count + 1) {
        group_say(s, "applies index %llu, but nobody applied %llu", (unsigned long long)index,
                  (unsigned long long)g->count + 1);
        return;
    }
    if (index == g->count + 1) {
        make_room(g, g->count + 1);
        buf_append_str(&g->bytes, entry);
        g->entries[g->count++] = mine;
        if (g->part == PART_CORE) groups_on_core_command(g->world->groups, entry, reply);
    } else {
        compare_entry(s, &mine, index);
    }
    if (index % GROUP_DIGEST_EVERY == 0) note_digest(s, index);
}

/* ---- promises ---- */

static void forget_promises(struct seat *s)
{
    mem_free(s->votes);
    s->votes = NULL;
    s->vote_cap = 0;
    if (s->durable_term > s->lost_term || (s->durable_term == s->lost_term && s->durable > s->lost)) {
        s->lost = s->durable;
        s->lost_term = s->durable_term;
    }
    s->durable = s->durable_term = s->term = s->seen_term = s->said_term = s->acked_term = s->acked = 0;
    s->vote = s->seen_vote = 0;
    s->whole = false;
}

static bool has_promised(const struct seat *s) { return s->durable || s->term || s->said_term; }

static void check_promises(struct seat *s, struct host *h)
{
    struct raft *r = seat_raft(s);
    const struct raft_hard_state *hs = raft_hard_state(r);
    bool known = s->durable > raft_first(r).index; /* else: in the store, behind the marker */

    if (part_is_damaged(s->part)) { /* it says itself that it does not know what it lost, and votes no more */
        bool taken_in = s->group->is_frozen && part_marker(s->part) == 0; /* and the node died before it heard of it */
        if (part_durability(s->part).recovering) taken_in = true; /* as it says: nothing is lost that was durable */
        if (s->whole && !taken_in && (s->durable || s->term) && !disk_is_doubtful(h->disk))
            group_say(s, "finds its log damaged after a crash, though its disk has kept everything");
        forget_promises(s);
        return;
    }
    if (known && raft_term_at(r, s->durable) != s->durable_term)
        group_say(s, "lost entry %llu of term %llu in a crash, though it was durable (now: term %llu)",
                  (unsigned long long)s->durable, (unsigned long long)s->durable_term,
                  (unsigned long long)raft_term_at(r, s->durable));
    if (hs->term < s->term || (hs->term == s->term && s->vote && hs->vote != s->vote))
        group_say(s, "forgot in a crash its term %llu and vote for %u: now %llu and %u", (unsigned long long)s->term,
                  s->vote, (unsigned long long)hs->term, hs->vote);
    if (hs->term < s->said_term)
        group_say(s, "spoke in term %llu and after a crash is in term %llu", (unsigned long long)s->said_term,
                  (unsigned long long)hs->term);
    if (hs->term == s->acked_term && raft_last(r).index < s->acked)
        group_say(s, "acknowledged entry %llu in term %llu, and after a crash its log ends at %llu",
                  (unsigned long long)s->acked, (unsigned long long)s->acked_term,
                  (unsigned long long)raft_last(r).index);
    s->seen_term = 0;
}

static void note_promises(struct seat *s, struct host *h)
{
    const struct raft *r = seat_raft(s);
    const struct raft_hard_state *hs = raft_hard_state(r);
    const struct wal *wal = node_wal(h->node);

    bool is_replaced = s->durable > raft_first(r).index && raft_term_at(r, s->durable) != s->durable_term;

    if (raft_durable(r) > raft_first(r).index) {
        s->durable = raft_durable(r);
        s->durable_term = raft_term_at(r, s->durable);
    } else if (is_replaced) { /* by a later leader's, which is not durable yet */
        s->durable = s->durable_term = 0;
    }
    if (s->seen_term && wal_durable(wal) >= s->seen_lsn) {
        s->term = s->seen_term;
        s->vote = s->seen_vote;
        s->seen_term = 0;
    }
    if (!s->seen_term && (hs->term != s->term || hs->vote != s->vote)) {
        s->seen_term = hs->term;
        s->seen_vote = hs->vote;
        s->seen_lsn = wal_staged(wal);
    }
}

/* ---- replicas come and go ---- */

static void forget_life(struct seat *s)
{
    if (s->memory_term > s->lost_term || (s->memory_term == s->lost_term && s->memory > s->lost)) {
        s->lost = s->memory;
        s->lost_term = s->memory_term;
    }
    s->memory = s->memory_term = 0;
    s->on = false;
    s->part = NULL;
    s->now_term = s->commit = s->applied = s->led_term = s->config_index = 0;
    memset(s->believed, 0, sizeof s->believed);
}

static void note_gone(struct seat *s)
{
    s->gone = true;
    s->gone_life = seat_host(s)->boot;
    s->gone_term = s->now_term;
    s->lost = u64_max(s->lost, s->durable);
    s->lost_term = u64_max(s->lost_term, s->durable_term);
    forget_life(s);
}

static void note_name(struct seat *s)
{
    const struct raft_config *c = raft_config(seat_raft(s));
    const struct raft_member *m = raft_config_find(c, s->replica);

    s->config_index = raft_config_index(seat_raft(s));
    if (m) s->nameless = raft_member_is_nameless(m);
    for (u32 i = 0; m && i < c->count; i++) {
        const struct raft_member *other = &c->members[i];
        if (other == m || other->node != m->node || (other->roles & m->roles & RAFT_VOTER) == 0) continue;
        if (mem_equal(other->incarnation, m->incarnation, sizeof m->incarnation))
            group_say(s, "votes beside replica %u of the same group on the same node", other->id);
    }
}

/* Also in the middle of a life: a replica was started. */
static void seat_comes(struct seat *s, struct host *h, struct part *p)
{
    if (s->gone && s->group->is_frozen) { /* taken in by its neighbour; a crash came before the catalog said so */
        s->gone = false;
        forget_promises(s);
    }
    if (s->on && s->host != h->id) group_say(s, "runs on n%u too", h->id);
    if (s->gone && !part_is_damaged(p)) group_say(s, "was gone, and is back as if nothing had happened");
    if (!s->gone && s->host && s->host != h->id) group_say(s, "has moved to n%u", h->id);
    s->host = h->id;
    s->on = true;
    s->part = p;
    note_birth(s->group, part_applied(p));
    part_observe(p, on_apply, s);
    note_name(s);
    if (s->gone) return;
    if (s->emptied && !part_is_damaged(p)) group_say(s, "has lost its disk and would vote as if it had not");
    s->emptied = false;
    check_promises(s, h);
}

static void look(struct world *w, struct host *h)
{
    struct node *n = h->node;

    for (u32 i = 0; i < parts_count(node_parts(n)); i++) {
        struct hosted *p = parts_at(node_parts(n), i);
        const struct replica_row *row = p->part ? replicas_find(&n->replicas, p->id) : NULL;
        if (!p->part) continue;
        if (!row) {
            world_violation(w, "n%u runs a replica of partition %llu that its catalog does not know", h->id,
                            (unsigned long long)p->id);
            return;
        }
        struct seat *s = group_seat(groups_of(w->groups, p->id), row->replica);
        if (!s->on || s->host != h->id || s->part != p->part) seat_comes(s, h, p->part);
    }
}

/* Replicas that ran here and do not run any more. */
static void look_for_gone(struct world *w, struct host *h)
{
    for (u32 i = 0; i < w->groups->count; i++) {
        struct group *g = w->groups->items[i];
        struct part *p = groups_part(h, g->part);
        for (u32 k = 0; k < g->seat_count; k++) {
            struct seat *s = g->seats[k];
            if (s->host != h->id || (s->gone && !s->on) || (p && s->part == p)) continue;
            note_gone(s);
        }
    }
}

void groups_start(struct world *w, struct host *h)
{
    if (node_is_joining(h->node)) return;
    look(w, h);
    look_for_gone(w, h);
}

/* ---- turns ---- */

static void check_first_commit(struct seat *s, u64 commit)
{
    struct group *g = s->group;
    const struct raft *r = seat_raft(s);

    if (commit <= g->commit_seen) return;
    g->commit_seen = commit;
    g->commit_seen_term = raft_term_at(r, commit);
    if (g->commit_seen_term == 0) return;
    if (!group_quorum_holds(g, r, commit, g->commit_seen_term))
        group_say(s, "takes index %llu of term %llu for committed, but no majority of disks holds it",
                  (unsigned long long)commit, (unsigned long long)g->commit_seen_term);
}

static void seat_turn(struct seat *s, struct host *h)
{
    struct raft *r = seat_raft(s);
    u64 term = raft_term(r), commit = raft_commit(r), applied = part_applied(s->part);

    if (raft_is_leader(r)) group_leading(s);
    if (term < s->now_term)
        group_say(s, "its term goes back from %llu to %llu", (unsigned long long)s->now_term, (unsigned long long)term);
    if (commit < s->commit)
        group_say(s, "its commit index goes back from %llu to %llu", (unsigned long long)s->commit,
                  (unsigned long long)commit);
    /* A partition that its left neighbour takes in is brought to its end by that one's log. */
    bool ahead = applied > commit && !s->group->is_frozen;
    if (raft_is_volatile(r)) s->memory = raft_last(r).index, s->memory_term = raft_last(r).term;
    if (ahead || (applied > raft_durable(r) && !raft_is_volatile(r)))
        group_say(s, "applied %llu, but commit is %llu and durable %llu", (unsigned long long)applied,
                  (unsigned long long)commit, (unsigned long long)raft_durable(r));
    if (part_marker(s->part) > applied)
        group_say(s, "its marker %llu is beyond applied %llu", (unsigned long long)part_marker(s->part),
                  (unsigned long long)applied);
    s->now_term = term;
    s->commit = commit;
    s->applied = u64_max(s->applied, applied);
    s->led_term = raft_is_leader(r) ? term : 0;
    if (s->gone) {
        if (!part_is_damaged(s->part)) group_say(s, "was gone, and is healed");
        return;
    }
    note_promises(s, h);
    bool of_before = s->group->all_lost_power && part_is_damaged(s->part); /* its commit index may be that of what was given up */
    if (!of_before) check_first_commit(s, commit);
    s->whole = !part_is_damaged(s->part);
    if (s->config_index != raft_config_index(r)) note_name(s);
    if (++s->turns % CHECK_CORE_EVERY == 0) raft_check(r);
}

/* A node that knows that it was removed serves no more. */
static void check_removed(struct world *w, struct host *h)
{
    const struct core_node *me = core_node(cluster_map(node_cluster(h->node)), node_config_of(h->node)->self);
    nanos *since = &w->groups->removed_at[h->id];

    if (!me || me->state != CORE_REMOVED) *since = 0;
    else if (!*since) *since = w->now;
    else if (w->now > *since + NANOS_SEC) world_violation(w, "n%u was removed, knows it, and goes on", h->id);
}

void groups_turn(struct world *w, struct host *h)
{
    bool whole = true;

    if (node_is_joining(h->node) || node_failure(h->node)) return; /* half of what it was about to do is done */
    check_removed(w, h);
    look(w, h);
    look_for_gone(w, h);
    for (u32 i = 0; i < w->groups->count && !w->stopped; i++) {
        struct group *g = w->groups->items[i];
        for (u32 k = 0; k < g->seat_count && !w->stopped; k++) {
            struct seat *s = g->seats[k];
            if (!s->on || s->host != h->id) continue;
            seat_turn(s, h);
            whole &= s->whole;
        }
    }
    if (whole) disk_trust(h->disk);
}

void groups_end_of_life(struct world *w, struct host *h)
{
    for (u32 i = 0; i < w->groups->count; i++)
        for (u32 k = 0; k < w->groups->items[i]->seat_count; k++) {
            struct seat *s = w->groups->items[i]->seats[k];
            if (s->host == h->id && s->on) forget_life(s);
        }
    w->groups->removed_at[h->id] = 0;
}

void groups_wiped(struct world *w, struct host *h)
{
    for (u32 i = 0; i < w->groups->count; i++)
        for (u32 k = 0; k < w->groups->items[i]->seat_count; k++) {
            struct seat *s = w->groups->items[i]->seats[k];
            if (s->host != h->id || s->gone) continue;
            s->emptied |= has_promised(s);
            if (!s->nameless || h->config.seed_count) note_gone(s);
            forget_promises(s);
        }
}
