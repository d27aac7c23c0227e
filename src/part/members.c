/* Who the replicas of this group are to the rest of the node: which node each lives on, which
 * frames are meant for this one, and the change of members that somebody waits for. The core knows
 * replica numbers only; a node that lost its disk is another incarnation, and so another replica.
 *
 * Frames without replica numbers are of a node that knows founding members only, whose numbers are
 * their nodes'. */
#include "part/part_internal.h"

#include <stdio.h>

static struct raft_support support_from(void *context, replica_id id)
{
    const struct part *p = context;
    node_id node = members_node(p, id);
    if (!node || node == p->options.self) return (struct raft_support){0};
    struct live_support s = p->host.support_from(p->host.context, node);
    return (struct raft_support){.epoch = s.epoch, .until = s.until, .asked = s.asked};
}

static u64 support_given(void *context, replica_id id)
{
    const struct part *p = context;
    node_id node = members_node(p, id);
    return node && node != p->options.self ? p->host.support_given(p->host.context, node) : 0;
}

void members_init(struct part *p)
{
    struct part_options *o = &p->options;
    if (!o->replica) o->replica = o->self;
    o->raft.self = o->replica;
    if (p->host.support_from)
        o->raft.liveness = (struct raft_liveness){.context = p, .from = support_from, .given = support_given};
}

static bool is_known(const u8 incarnation[16])
{
    static const u8 unknown[16];
    return !mem_equal(incarnation, unknown, sizeof unknown);
}

/* The members say that this number belongs to another life of this node, or to another node: what
 * this replica promised then is lost, so it must not speak. */
static bool is_of_another_life(const struct part *p)
{
    const struct raft_member *m = raft_config_find(raft_config(p->raft), p->options.replica);
    if (!m || MUTANT(incarnation_not_checked)) return false;
    if (m->node != p->options.self) return true;
    return is_known(m->incarnation) &&
           !mem_equal(m->incarnation, p->options.incarnation, sizeof m->incarnation);
}

bool members_is_silent(const struct part *p)
{
    return p->members.silent;
}

/* ---- replicas and nodes */

node_id members_node(const struct part *p, replica_id id)
{
    const struct raft_member *m = raft_config_find(raft_config(p->raft), id);
    if (m) return m->node;
    for (u32 i = 0; i < ARRAY_LEN(p->members.contacts); i++)
        if (p->members.contacts[i].id == id) return p->members.contacts[i].node;
    return 0;
}

/* Somebody this replica's log does not name yet, or no more: where to answer. */
static void remember(struct part *p, replica_id id, node_id node)
{
    u32 at = p->members.next_contact;
    for (u32 i = 0; i < ARRAY_LEN(p->members.contacts); i++)
        if (p->members.contacts[i].id == id) at = i;
    if (at == p->members.next_contact)
        p->members.next_contact = (at + 1) % (u32)ARRAY_LEN(p->members.contacts);
    p->members.contacts[at].id = id;
    p->members.contacts[at].node = node;
}

struct buf *members_begin(struct part *p, replica_id to, struct frame *f)
{
    node_id node = members_node(p, to);
    if (!node || node == p->options.self || p->members.silent) return NULL;
    f->part = p->options.id;
    f->src_repl = p->options.replica;
    f->dst_repl = to;
    return p->host.peer_begin(p->host.context, node, f);
}

/* Is the sender who the members say it is? */
static bool is_sender(struct part *p, replica_id id, node_id node)
{
    const struct raft_member *m = raft_config_find(raft_config(p->raft), id);
    if (!m) {
        remember(p, id, node);
        return true;
    }
    if (m->node != node) return false;
    if (!is_known(m->incarnation) || !p->host.incarnation) return true;
    const u8 *its = p->host.incarnation(p->host.context, node);
    return !its || mem_equal(its, m->incarnation, sizeof m->incarnation) ||
           MUTANT(incarnation_not_checked);
}

bool members_accept(struct part *p, node_id from, const struct frame *f, replica_id *sender)
{
    replica_id to = f->dst_repl ? f->dst_repl : p->options.self;

    *sender = f->src_repl ? f->src_repl : from;
    bool mine = to == p->options.replica || MUTANT(frame_for_another_replica_taken);
    if (mine && !p->members.silent && is_sender(p, *sender, from)) return true;
    p->stats.frames_not_ours++;
    return false;
}

void members_on_peer_lost(struct part *p, node_id node, bool restarted)
{
    struct raft_config c = *raft_config(p->raft);
    for (u32 i = 0; i < c.count; i++) {
        replica_id id = c.members[i].id;
        if (c.members[i].node != node || id == p->options.replica) continue;
        struct raft_event ev = {.kind = RAFT_UNREACHABLE, .peer = id, .rejected = restarted};
        log_step_or_fail(p, &ev);
        shipping_on_peer_lost(p, id);
    }
}

bool part_on_support(struct part *p, node_id node)
{
    struct raft_config c = *raft_config(p->raft);
    bool told = false;

    p->now = env_mono(p->env);
    for (u32 i = 0; i < c.count + ARRAY_LEN(p->members.contacts); i++) {
        bool is_member = i < c.count;
        node_id its = is_member ? c.members[i].node : p->members.contacts[i - c.count].node;
        replica_id id = is_member ? c.members[i].id : p->members.contacts[i - c.count].id;
        if (its != node || id == p->options.replica || node == p->options.self) continue;
        struct raft_event ev = {.kind = RAFT_SUPPORT, .peer = id};
        log_step_or_fail(p, &ev);
        told = true;
    }
    return told;
}

node_id part_leader(const struct part *p)
{
    replica_id leader = raft_leader(p->raft);
    return leader == p->options.replica ? p->options.self : members_node(p, leader);
}

bool part_is_removed(const struct part *p)
{
    return raft_is_removed(p->raft) || p->members.silent;
}

/* ---- changes */

static void settle(struct part *p, enum part_status status, u64 index, const char *text)
{
    struct part_waiter to = p->members.waiter;
    p->members.waiting = false;
    part_answer(p, &to, status, index, str_from(text, strlen(text)));
}

void part_change_members(struct part *p, const struct raft_config *target,
                         const struct part_waiter *from)
{
    struct raft_change_plan plan;
    char text[PART_CHANGE_TEXT_MAX];

    p->now = env_mono(p->env);
    raft_change_check(p->raft, target, p->now, &plan);
    raft_change_text(&plan, text, sizeof text);
    if (plan.reason == RAFT_CHANGE_NOT_LEADER || plan.reason == RAFT_CHANGE_HANDING_OVER) {
        part_answer(p, from, PART_NOT_LEADER, 0, str_from("", 0));
        return;
    }
    if (plan.reason != RAFT_CHANGE_POSSIBLE) {
        bool same = plan.reason == RAFT_CHANGE_SAME;
        part_answer(p, from, same ? PART_DONE : PART_REFUSED, raft_config_index(p->raft),
                    str_from(text, strlen(text)));
        return;
    }
    if (merge_is_in_log(p)) {
        str why = STR("its log still begins before a split or merge; ask again");
        part_answer(p, from, PART_REFUSED, 0, why);
        return;
    }
    if (p->members.waiting)
        settle(p, PART_LOST, 0, ""); /* it was cut off: another leader came between */
    p->members.waiter = *from;
    p->members.waiting = true;
    struct raft_event ev = {.kind = RAFT_CHANGE, .config = target};
    log_step_or_fail(p, &ev);
}

/* Who left may have to be told so, and the members do not say any more where it lives. */
static void remember_who_left(struct part *p)
{
    struct raft_config before;

    if (!raft_config_before(p->raft, &before)) return;
    for (u32 i = 0; i < before.count; i++)
        if (!raft_config_find(raft_config(p->raft), before.members[i].id))
            remember(p, before.members[i].id, before.members[i].node);
}

static void tell_members(struct part *p)
{
    const struct raft_config *c = raft_config(p->raft);
    struct buf line = {0};

    buf_printf(&line, "members part=%llu index=%llu", (unsigned long long)p->options.id,
               (unsigned long long)raft_config_index(p->raft));
    for (u32 i = 0; i < c->count; i++)
        buf_printf(&line, " %u@%u%s%s%s", c->members[i].id, c->members[i].node,
                   c->members[i].roles & RAFT_VOTER ? "" : "-",
                   c->members[i].roles & RAFT_OUTGOING ? "outgoing" : "",
                   c->members[i].roles & RAFT_LEARNER ? "learner" : "");
    buf_append_u8(&line, 0);
    p->host.log(p->host.context, LOG_INFO, (const char *)buf_bytes(&line));
    buf_done(&line);
}

void members_count(struct part *p)
{
    const struct raft_config *c = raft_config(p->raft);
    struct raft_peer_status s;

    p->stats.voters = raft_config_count(c, RAFT_VOTER);
    p->stats.outgoing = raft_config_count(c, RAFT_OUTGOING);
    p->stats.learners = raft_config_count(c, RAFT_LEARNER);
    p->stats.learners_caught_up = 0;
    p->stats.config_index = raft_config_index(p->raft);
    for (u32 i = 0; i < c->count; i++)
        if ((c->members[i].roles & RAFT_LEARNER) && raft_peer_status(p->raft, c->members[i].id, &s))
            p->stats.learners_caught_up += s.caught_up;
}

void members_on_events(struct part *p, u32 events)
{
    if (events & RAFT_CONFIG_CHANGED) {
        p->stats.config_changes++;
        remember_who_left(p);
        p->members.silent = is_of_another_life(p);
        tell_members(p);
        if (p->members.silent)
            p->host.log(p->host.context, LOG_ERROR,
                        "this replica number belongs to another disk or node: it is silent, and "
                        "may be deleted");
    }
    if (events & RAFT_TOLD_REMOVED)
        p->host.log(p->host.context, LOG_WARN, "this replica was removed, and may be deleted");
    if ((events & RAFT_CONFIG_COMMITTED) && p->members.waiting)
        settle(p, PART_DONE, raft_config_index(p->raft), "");
    if ((events & RAFT_STEPPED_DOWN) && p->members.waiting) settle(p, PART_LOST, 0, "");
}

void members_boot(struct part *p)
{
    p->members.silent = is_of_another_life(p);
    members_count(p);
}
