#include "sim/churn.h"

#include "base/assert.h"
#include "base/mem.h"
#include "server/cluster.h"
#include "sim/disk.h"
#include "sim/engine.h"
#include "sim/faults.h"
#include "sim/groups.h"
#include "sim/host.h"
#include "sim/observe.h"

#include <stdio.h>

#define STEP_MEAN      (1200 * NANOS_MS)
#define STEP_CALM      (200 * NANOS_MS)
#define ASK_PATIENCE   (5 * NANOS_SEC)
#define ROLL_EVERY     (2 * NANOS_SEC)
#define KEYSPACES_KEPT 3
#define KEYSPACES_MAX  256
#define LOST_MAX       64
#define MERGE_TRIES    16

struct station {
    node_id node;   /* that lives on it, as far as was seen; 0: none yet */
    bool returning; /* a founder with an empty disk, that the map does not know to be so yet */
    nanos retires_at; /* removed: when somebody switches it off; 0: not */
};

struct churn {
    struct world *world;
    struct station stations[WORLD_NODES_MAX];
    node_id lost[LOST_MAX]; /* nodes whose disk is gone for ever: to be removed by force */
    u32 lost_count;
    bool drops[KEYSPACES_MAX]; /* by id: a drop was asked */
    u32 made; /* names given so far */
    bool tuned;
    u32 told; /* of the lines of --config */

    struct cluster_request request; /* one at a time */
    u32 asked, asked_boot;          /* the host it is under way at, in that life; 0: none */
    nanos asked_at;
    u8 op;
    bool tells; /* it is a line of --config */
};

/* ---- what the operator sees ---- */

static bool is_member(const struct host *h)
{
    return h->up && h->node && !node_is_joining(h->node) && !node_failure(h->node) && node_cluster(h->node);
}

static const struct core *map_of(const struct host *h)
{
    const struct core *map = is_member(h) ? cluster_map(node_cluster(h->node)) : NULL;
    return map && core_cluster(map) ? map : NULL;
}

static const struct core *newest_map(const struct world *w)
{
    const struct core *newest = NULL;

    for (u32 i = 0; i < w->nodes; i++) {
        const struct core *map = map_of(w->hosts[i]);
        if (map && (!newest || core_cluster(map)->epoch > core_cluster(newest)->epoch)) newest = map;
    }
    return newest;
}

static bool is_removed(const struct core *map, node_id id)
{
    const struct core_node *n = core_node(map, id);
    return id && id < core_cluster(map)->next_node && (!n || n->state == CORE_REMOVED);
}

static bool is_paused(const struct core *map) { return core_cluster(map)->settings[CORE_PAUSED]; }

static struct host *any_member(struct world *w)
{
    struct host *up[WORLD_NODES_MAX];
    u32 count = 0;

    for (u32 i = 0; i < w->nodes; i++)
        if (map_of(w->hosts[i]) && w->hosts[i]->busy_until <= w->now) up[count++] = w->hosts[i];
    return count ? up[prng_below(world_chance(w, CHANCE_MEMBERS), count)] : NULL;
}

static struct host *any_spare(struct world *w)
{
    for (u32 i = 0; i < w->nodes; i++)
        if (w->hosts[i]->parked) return w->hosts[i];
    return NULL;
}

static const struct core_node *any_node_in(struct world *w, const struct core *map, u8 state)
{
    struct prng *p = world_chance(w, CHANCE_MEMBERS);
    const struct core_node *found[64];
    u32 count, fit = 0;
    const struct core_node *const *nodes = core_nodes(map, &count);

    for (u32 i = 0; i < count && fit < ARRAY_LEN(found); i++)
        if (nodes[i]->state == state) found[fit++] = nodes[i];
    return fit ? found[prng_below(p, fit)] : NULL;
}

/* ---- commands ---- */

/* What the user's file asks for: waits until it can be done, but is not wrong. */
static void note_told(struct churn *c, const struct core_reply *reply)
{
    if (reply->status == CORE_OK || reply->status == CORE_EXISTS) c->told++;
    if (reply->status == CORE_INVALID || reply->status == CORE_NO_SUCH || reply->status == CORE_LIMIT)
        world_violation(c->world, "--config: %.*s", STR_ARG(reply->reason));
}

static void on_reply(struct cluster_request *r, const struct core_reply *reply, str failed)
{
    struct churn *c = CONTAINER_OF(r, struct churn, request);
    struct host *h = c->world->hosts[c->asked - 1];

    if (!reply)
        world_say(c->world, h, "operator: no answer: %.*s", STR_ARG(failed));
    else
        world_say(c->world, h, "operator: %s %.*s", core_status_name((enum core_status)reply->status),
                  STR_ARG(reply->reason));
    if (reply && reply->status == CORE_OK && c->op == CORE_SETTINGS) c->tuned = true;
    if (reply && c->tells) note_told(c, reply);
    c->tells = false;
    c->asked = 0;
}

static bool is_asking(struct churn *c)
{
    if (!c->asked) return false;
    const struct host *h = c->world->hosts[c->asked - 1];
    if (h->up && h->boot == c->asked_boot) return true;
    c->asked = 0; /* the node died with it */
    return false;
}

static void ask(struct churn *c, const struct core_command *cmd, const char *what, u64 number)
{
    struct world *w = c->world;
    struct host *h = any_member(w);

    if (!h) return;
    world_say(w, h, "operator: %s %llu", what, (unsigned long long)number);
    c->request.done = on_reply;
    c->asked = h->id;
    c->asked_boot = h->boot;
    c->asked_at = w->now;
    c->op = cmd->op;
    h->in_turn = true; /* as a command that its node takes at the beginning of a turn */
    h->ahead = 0;
    cluster_ask(node_cluster(h->node), &c->request, cmd, 0);
    h->in_turn = false;
    h->busy_until = u64_max(h->busy_until, w->now + h->ahead);
    h->ahead = 0;
    host_turn_by(h, h->busy_until);
}

static void ask_node(struct churn *c, u8 op, u8 flags, node_id node, const char *what)
{
    struct core_command cmd = {.op = op, .flags = flags, .node = node};
    ask(c, &cmd, what, node);
}

static void ask_setting(struct churn *c, const char *name, u64 value)
{
    char text[24];
    struct core_command cmd = {.op = CORE_SETTINGS, .row_count = 1};

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    cmd.rows[0] = (struct core_setting_row){.name = str_of(name), .value = str_of(text)};
    ask(c, &cmd, name, value);
}

static void ask_paused(struct churn *c, bool paused)
{
    struct core_command cmd = {
        .op = CORE_SETTINGS, .row_count = 1, .rows = {{.name = STR("paused"), .value = paused ? STR("yes") : STR("no")}}};
    ask(c, &cmd, "paused", paused);
}

/* ---- machines ---- */

/* Who joins names some members to ask. */
static void configure_joiner(struct world *w, struct host *h)
{
    struct node_config *n = &h->config;

    n->self = n->member_count = 0;
    n->has_cluster_id = false;
    n->seed_count = 0;
    for (u32 i = 0; i < w->nodes && n->seed_count < NODE_SEEDS_MAX; i++) {
        const struct host *other = w->hosts[i];
        if (other == h || other->parked) continue;
        struct node_member *m = &n->seeds[n->seed_count++];
        *m = (struct node_member){.peer_port = other->config.peer_port};
        snprintf(m->host, sizeof m->host, "%s", other->config.host);
    }
}

static void empty(struct world *w, struct host *h)
{
    disk_wipe(h->disk);
    engine_wipe(h->engine);
    observe_wiped(w, h);
}

static void join(struct churn *c, struct host *h)
{
    configure_joiner(c->world, h);
    world_say(c->world, h, "operator: a machine joins");
    c->stations[h->id - 1] = (struct station){0};
    h->parked = false;
    host_start_at(h, c->world->now);
}

static void park(struct churn *c, struct host *h, const char *why)
{
    h->parked = true;
    host_keep_down(h);
    world_say(c->world, h, "operator: switched off, and its disk emptied: %s", why);
    configure_joiner(c->world, h); /* whoever it was, it is nobody now */
    empty(c->world, h);
    c->stations[h->id - 1] = (struct station){0};
}

static bool founders_are_there(const struct churn *c)
{
    for (u32 i = 0; i < c->world->founders; i++)
        if (c->stations[i].node != i + 1 || c->stations[i].retires_at) return false;
    return true;
}

static void give_up(struct churn *c, struct station *m)
{
    assert(c->lost_count < LOST_MAX);
    if (m->node) c->lost[c->lost_count++] = m->node;
    *m = (struct station){0};
}

/* A founder comes back under its number while those it was told of at the start are there; else as a new node. */
void churn_on_wiped(struct world *w, struct host *h)
{
    struct churn *c = w->churn;
    struct station *m = &c->stations[h->id - 1];

    if (h->config.self && founders_are_there(c) && !chance_one_in(world_chance(w, CHANCE_MEMBERS), 3)) {
        m->returning = true;
        world_say(w, h, "operator: the founder starts with an empty disk");
        return;
    }
    give_up(c, m);
    configure_joiner(w, h);
    world_say(w, h, "operator: the machine starts as a new node");
}

bool churn_on_removed(struct world *w, struct host *h)
{
    struct station *m = &w->churn->stations[h->id - 1];
    const struct core *map = newest_map(w);

    if (!strstr(node_failure(h->node), "was removed")) return false;
    if (!m->retires_at && !(map && is_removed(map, node_config_of(h->node)->self))) return false;
    m->retires_at = w->now;
    return true;
}

/* What the map, and the machines themselves, say by now. */
static void look_at_stations(struct churn *c, const struct core *map)
{
    struct world *w = c->world;
    struct prng *p = world_chance(w, CHANCE_MEMBERS);

    for (u32 i = 0; i < w->nodes; i++) {
        struct host *h = w->hosts[i];
        struct station *m = &c->stations[i];
        if (h->parked) continue;
        if (is_member(h)) m->node = node_config_of(h->node)->self;
        const struct core_node *n = core_node(map, m->node);
        if (m->returning && is_member(h) && n && mem_equal(n->incarnation.bytes, node_identity(h->node)->incarnation, 16))
            m->returning = false;
        if (!m->retires_at && is_removed(map, m->node)) m->retires_at = w->now + chance_exponential(p, 3 * NANOS_SEC);
        if (!m->retires_at) continue;
        if (w->now >= m->retires_at || faults_are_over(w)) park(c, h, "it was removed");
    }
    for (u32 i = 0; i < c->lost_count; i++)
        if (is_removed(map, c->lost[i])) c->lost[i--] = c->lost[--c->lost_count];
}

/* A founder that waits with an empty disk for others that are not there any more. */
static bool rescue_founder(struct churn *c)
{
    for (u32 i = 0; i < c->world->founders; i++) {
        struct host *h = c->world->hosts[i];
        if (!c->stations[i].returning || founders_are_there(c)) continue;
        node_id node = i + 1;
        park(c, h, "the other founders are gone");
        c->lost[c->lost_count++] = node;
        return true;
    }
    return false;
}

/* ---- keyspaces ---- */

bool churn_drops(const struct world *w, u32 keyspace) { return keyspace < KEYSPACES_MAX && w->churn->drops[keyspace]; }

u32 churn_keyspace(const struct world *w, struct prng *p)
{
    const struct core *map = newest_map(w);
    u32 count = 0, made[KEYSPACES_MAX], fit = 0;
    const struct core_keyspace *const *all = map ? core_keyspaces(map, &count) : NULL;

    for (u32 i = 0; i < count && fit < KEYSPACES_MAX; i++)
        if (all[i]->id >= CORE_KEYSPACE_FIRST && !churn_drops(w, all[i]->id)) made[fit++] = all[i]->id;
    return fit ? made[prng_below(p, fit)] : 0;
}

static u32 keyspaces_made(const struct core *map)
{
    u32 count;
    (void)core_keyspaces(map, &count);
    return count - 2; /* the core's and the default one */
}

/* count 0: cut by key ranges. */
static void make_keyspace(struct churn *c, u32 count)
{
    struct core_command cmd = {.op = CORE_KS_CREATE, .row_count = c->world->options->memory ? 2 : 1};
    char name[16], partitions[16];

    snprintf(name, sizeof name, "k%u", c->made++);
    snprintf(partitions, sizeof partitions, count ? "hash:%u" : "range", count);
    cmd.name = str_of(name);
    cmd.rows[0] = (struct core_setting_row){.name = STR("partitions"), .value = str_of(partitions)};
    cmd.rows[1] = (struct core_setting_row){.name = STR("durability"), .value = STR("memory")};
    ask(c, &cmd, "make a keyspace", c->made - 1);
}

static void drop_keyspace(struct churn *c, const struct core *map)
{
    u32 id = churn_keyspace(c->world, world_chance(c->world, CHANCE_MEMBERS));
    const struct core_keyspace *k = id ? core_keyspace(map, id) : NULL;

    if (!k) return;
    struct core_command cmd = {.op = CORE_KS_DROP, .keyspace = id, .name = core_str(&k->name)};
    if (id < KEYSPACES_MAX) c->drops[id] = true;
    ask(c, &cmd, "drop keyspace", id);
}

static const struct core_part *any_made_part(struct churn *c, const struct core *map)
{
    struct prng *p = world_chance(c->world, CHANCE_MEMBERS);
    u32 id = churn_keyspace(c->world, p);
    const struct core_keyspace *k = id ? core_keyspace(map, id) : NULL;

    return k && k->part_count ? k->parts[prng_below(p, k->part_count)] : NULL;
}

static void split_at(struct churn *c, const struct core_part *p, u16 slot, str key)
{
    struct core_command cmd = {
        .op = CORE_PART_BEGIN, .kind = CORE_OP_SPLIT, .part = p->id, .epoch = p->epoch, .slot = slot, .key = key};
    ask(c, &cmd, "split partition", p->id);
}

static const struct core_part *right_of(const struct core *map, const struct core_part *p)
{
    const struct core_keyspace *k = core_keyspace(map, p->keyspace);

    for (u32 i = 0; k && i + 1 < k->part_count; i++)
        if (k->parts[i] == p) return k->parts[i + 1];
    return NULL;
}

static void merge_from(struct churn *c, const struct core *map, const struct core_part *p)
{
    const struct core_part *right = right_of(map, p);

    if (!right) return;
    struct core_command cmd = {
        .op = CORE_PART_BEGIN, .kind = CORE_OP_MERGE, .part = p->id, .epoch = p->epoch, .other = right->id};
    ask(c, &cmd, "merge partition", p->id);
}

static void split(struct churn *c, const struct core *map)
{
    const struct core_part *p = any_made_part(c, map);

    if (!p || (!p->is_range && p->slot_first == p->slot_last)) return;
    struct prng *chance = world_chance(c->world, CHANCE_MEMBERS);
    if (!p->is_range) {
        split_at(c, p, (u16)prng_between(chance, p->slot_first + 1u, p->slot_last), STR(""));
        return;
    }
    char key[24]; /* as workload/spread.c names them */
    snprintf(key, sizeof key, "k%u:%u", p->keyspace, (u32)prng_below(chance, 24));
    bool is_inside = str_compare(p->from, str_of(key)) < 0 && (!p->to.len || str_compare(str_of(key), p->to) < 0);
    if (is_inside) split_at(c, p, 0, str_of(key));
}

static bool is_on(const struct core_part *p, u32 node)
{
    bool found = false;
    for (u32 i = 0; i < p->member_count; i++) found |= p->members[i].node == node;
    return found;
}

static bool may_be_merged(const struct core *map, const struct core_part *left)
{
    const struct core_part *right = right_of(map, left);
    bool well = right && right->member_count == left->member_count;

    for (u32 i = 0; well && i < left->member_count; i++) well = is_on(right, left->members[i].node);
    return well;
}

/* Mostly two that are on the same nodes; others are refused. */
static void merge(struct churn *c, const struct core *map)
{
    const struct core_part *p = any_made_part(c, map);

    for (u32 i = 0; i < MERGE_TRIES && p && !may_be_merged(map, p); i++) p = any_made_part(c, map);
    if (p) merge_from(c, map, p);
}

/* ---- steps ---- */

static void fire_stop(struct world *w, void *context, u64 arg)
{
    struct host *h = context;
    (void)arg;
    if (!h->up || h->parked || faults_are_over(w)) return;
    world_say(w, h, "operator: rolling restart");
    host_push(h, &(struct env_event){.kind = ENV_STOP});
}

static void roll(struct world *w)
{
    for (u32 i = 0; i < w->nodes; i++)
        world_at(w, w->now + i * ROLL_EVERY, EVENT_MEMBERS, i + 1, fire_stop, w->hosts[i], 0);
}

static void tune(struct churn *c)
{
    struct prng *p = world_chance(c->world, CHANCE_MEMBERS);

    switch (c->tuned ? prng_below(p, 3) : 0) {
    case 0: ask_setting(c, "replace-after", 10); break;
    case 1: ask_setting(c, "moves-per-node", prng_between(p, 1, 4)); break;
    default: ask_paused(c, !is_paused(newest_map(c->world)));
    }
}

static void trouble(struct churn *c, const struct core *map)
{
    struct world *w = c->world;
    struct prng *p = world_chance(w, CHANCE_MEMBERS);
    const struct core_node *up = any_node_in(w, map, CORE_UP), *drained = any_node_in(w, map, CORE_DRAINED),
                           *leaving = any_node_in(w, map, chance_one_in(p, 2) ? CORE_DRAINING : CORE_DRAINED);
    struct host *spare = any_spare(w);
    u64 kind = prng_below(p, 100);

    if (!c->tuned) tune(c);
    else if (kind < 25 && spare) join(c, spare);
    else if (kind < 40 && up) ask_node(c, CORE_NODE_DRAIN, 0, up->id, "drain node");
    else if (kind < 55 && drained) ask_node(c, CORE_NODE_REMOVE, 0, drained->id, "remove node");
    else if (kind < 62 && leaving) ask_node(c, CORE_NODE_UNDRAIN, 0, leaving->id, "undrain node");
    else if (kind < 72 && keyspaces_made(map) < KEYSPACES_KEPT) make_keyspace(c, chance_one_in(p, 3) ? 0 : (u32)prng_between(p, 4, 16));
    else if (kind < 75) drop_keyspace(c, map);
    else if (kind < 79) tune(c);
    else if (kind < 81) roll(w);
    else if (kind < 91) split(c, map);
    else if (kind < 97) merge(c, map);
    else if (c->lost_count) ask_node(c, CORE_NODE_REMOVE, CORE_FORCE, c->lost[0], "remove lost node");
}

/* A node of the map that lives on no machine: its disk was lost before anybody had seen it. 0: none, or not known yet. */
static node_id forgotten_node(const struct churn *c, const struct core *map)
{
    const struct world *w = c->world;
    u32 count;
    const struct core_node *const *nodes = core_nodes(map, &count);

    for (u32 i = 0; i < w->nodes; i++)
        if (!w->hosts[i]->parked && !is_member(w->hosts[i])) return 0;
    for (u32 i = 0; i < count; i++) {
        bool lives = nodes[i]->state == CORE_REMOVED;
        for (u32 k = 0; k < w->nodes; k++) lives |= c->stations[k].node == nodes[i]->id;
        if (!lives) return nodes[i]->id;
    }
    return 0;
}

/* One that was or is being emptied although some partition has more voters than there are other nodes: nodes were lost
 * since, and the planner asks for one more (`no spare node with room`). NULL: there are enough. */
static const struct core_node *drained_in_vain(struct world *w, const struct core *map)
{
    u32 count, parts, up = 0, most = 0;
    const struct core_node *const *nodes = core_nodes(map, &count);
    const struct core_part *const *all = core_parts(map, &parts);

    for (u32 i = 0; i < count; i++) up += nodes[i]->state == CORE_UP;
    for (u32 i = 0; i < parts; i++) {
        u32 voters = 0;
        for (u32 k = 0; k < all[i]->member_count; k++) voters += all[i]->members[k].role == CORE_VOTER;
        most = voters > most ? voters : most;
    }
    const struct core_node *draining = up < most ? any_node_in(w, map, CORE_DRAINING) : NULL;
    return draining || up >= most ? draining : any_node_in(w, map, CORE_DRAINED);
}

/* No more trouble: what is lost is removed, what waits may go on. */
static void calm(struct churn *c, const struct core *map)
{
    if (is_paused(map)) {
        ask_paused(c, false);
    } else if (c->lost_count) {
        ask_node(c, CORE_NODE_REMOVE, CORE_FORCE, c->lost[0], "remove lost node");
    } else if (forgotten_node(c, map)) {
        ask_node(c, CORE_NODE_REMOVE, CORE_FORCE, forgotten_node(c, map), "remove lost node");
    } else {
        const struct core_node *n = drained_in_vain(c->world, map);
        if (n) ask_node(c, CORE_NODE_UNDRAIN, 0, n->id, "undrain node");
    }
}

/* The settings and keyspaces of --config, one after another; false: all are there. */
static bool tell_config(struct churn *c)
{
    const struct sim_config *mine = c->world->options->config;
    struct core_command cmd = {.op = CORE_SETTINGS, .row_count = 1};

    if (!mine || c->told >= mine->setting_count + mine->keyspace_count) return false;
    const struct sim_row *rows = &mine->settings[c->told];
    if (c->told >= mine->setting_count) {
        const struct sim_keyspace *k = &mine->keyspaces[c->told - mine->setting_count];
        cmd = (struct core_command){.op = CORE_KS_CREATE, .name = str_of(k->name), .row_count = k->row_count};
        rows = k->rows;
    }
    for (u32 i = 0; i < cmd.row_count; i++)
        cmd.rows[i] = (struct core_setting_row){.name = str_of(rows[i].name), .value = str_of(rows[i].value)};
    c->tells = true;
    ask(c, &cmd, "line of --config", c->told);
    return true;
}

/* Nobody else brings the spare machines in. */
static void join_all(struct churn *c)
{
    struct host *spare = any_spare(c->world);
    if (c->world->options->config && c->world->options->calm && spare) join(c, spare);
}

static void fire_step(struct world *w, void *context, u64 arg)
{
    struct churn *c = context;
    const struct core *map = newest_map(w);
    bool over = faults_are_over(w) || w->options->calm;

    (void)arg;
    if (map) look_at_stations(c, map);
    if (map && !rescue_founder(c) && !is_asking(c)) {
        map = newest_map(w);
        join_all(c);
        if (map && tell_config(c)) map = NULL;
        if (map && over) calm(c, map);
        else if (map) trouble(c, map);
    }
    nanos wait = over ? STEP_CALM : chance_exponential(world_chance(w, CHANCE_MEMBERS), STEP_MEAN);
    world_at(w, w->now + wait, EVENT_MEMBERS, 0, fire_step, c, 0);
}

/* ---- for scripts ---- */

static bool may_ask(const struct world *w)
{
    struct churn *c = w->churn;
    return newest_map(w) && !is_asking(c);
}

bool churn_join(struct world *w)
{
    struct host *h = any_spare(w);
    if (h && newest_map(w)) join(w->churn, h);
    return h && !h->parked;
}

bool churn_drain(struct world *w, u32 node)
{
    if (may_ask(w)) ask_node(w->churn, CORE_NODE_DRAIN, 0, node, "drain node");
    return is_asking(w->churn);
}

/* The first partition of the first keyspace made. */
static const struct core_part *first_made(const struct world *w)
{
    return may_ask(w) ? core_lookup_slot(newest_map(w), CORE_KEYSPACE_FIRST, 0) : NULL;
}

bool churn_split(struct world *w)
{
    const struct core_part *p = first_made(w);
    if (p) split_at(w->churn, p, (u16)((p->slot_first + p->slot_last + 1) / 2), STR(""));
    return is_asking(w->churn);
}

bool churn_merge(struct world *w)
{
    const struct core_part *p = first_made(w);
    if (p) merge_from(w->churn, newest_map(w), p);
    return is_asking(w->churn);
}

bool churn_make_keyspace(struct world *w, u32 partitions)
{
    if (may_ask(w)) make_keyspace(w->churn, partitions);
    return is_asking(w->churn);
}

void churn_lose_disk(struct world *w, struct host *h)
{
    host_crash(h, true, "disk lost");
    empty(w, h);
    churn_on_wiped(w, h);
}

bool churn_is_done(const struct world *w)
{
    struct churn *c = w->churn;
    const struct core *map = newest_map(w);

    const struct sim_config *mine = w->options->config;
    if (mine && c->told < mine->setting_count + mine->keyspace_count) return false;
    if (!map || c->lost_count || is_paused(map) || is_asking(c)) return false;
    for (u32 i = 0; i < w->nodes; i++)
        if (c->stations[i].returning || c->stations[i].retires_at || is_removed(map, c->stations[i].node)) return false;
    return true;
}

struct churn *churn_new(struct world *w)
{
    struct churn *c = mem_zalloc(sizeof *c);

    c->world = w;
    for (u32 i = 0; i < w->founders; i++) c->stations[i].node = i + 1;
    for (u32 i = w->founders; i < w->nodes; i++) w->hosts[i]->parked = true;
    return c;
}

void churn_free(struct churn *c) { mem_free(c); }

void churn_start(struct world *w) { world_at(w, w->now + NANOS_SEC, EVENT_MEMBERS, 0, fire_step, w->churn, 0); }
