/* Durability of the group's keyspace, where it is memory: the core decides what counts (raft/commit.c); here is what the
 * partition adds: which entries wait for disks in any case, what would be lost if the power failed now, and what is said
 * about a crash, a recovery and what it gave up. docs/design/durability.md. */
#include "part/part_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define OPEN_MAX 1024 /* then the newest says the age of more */

/* What other groups or the map rely on, and a recovery must not forget. Pure. */
static bool waits_for_disk(const struct raft_entry *e)
{
    return e->kind == RAFT_COMMAND && e->data && entry_op(rcbuf_str(e->data)) >= ENTRY_SPLIT;
}

void memory_init(struct part *p)
{
    p->options.raft.waits_for_disk = waits_for_disk;
    fifo_init(&p->memory.open, sizeof(struct open_commit));
}

void memory_done(struct part *p)
{
    fifo_done(&p->memory.open);
}

static void say(struct part *p, enum log_level level, const char *text)
{
    char line[320];

    snprintf(line, sizeof line, "%s part=%" PRIu64, text, p->options.id);
    p->host.log(p->host.context, level, line);
}

void memory_booted(struct part *p)
{
    const struct raft_hard_state *hs = raft_hard_state(p->raft);

    p->memory.noted = raft_last(p->raft).index;
    if (hs->impaired && hs->votes_kept)
        say(p, LOG_WARN,
            "recovering: stopped uncleanly while entries counted in memory, some may be lost; this replica does not vote or "
            "count until a leader elected without it has refilled it. If there is none, an operator decides: "
            "quorate group recover");
}

void part_set_memory(struct part *p, bool memory)
{
    struct raft_event ev = {.kind = RAFT_MEMORY, .full = memory};

    memory = memory && !p->checkpoint.stopping; /* the stop would never end */
    if (p->memory.wanted == memory) return;
    p->now = env_mono(p->env);
    p->memory.wanted = memory;
    log_step_or_fail(p, &ev);
}

err part_recover(struct part *p)
{
    struct raft_event ev = {.kind = RAFT_RECOVER};

    p->now = env_mono(p->env);
    return log_step(p, &ev);
}

static void forget_what_is_safe(struct part *p)
{
    u64 safe = raft_disk_reached(p->raft);

    for (struct open_commit *o; (o = fifo_first(&p->memory.open)) && o->upto <= safe;) fifo_pop(&p->memory.open);
    fifo_trim(&p->memory.open);
    p->memory.noted = u64_max(p->memory.noted, u64_min(safe, raft_commit(p->raft)));
}

/* What was committed since the turn before. */
void memory_turn(struct part *p)
{
    struct fifo *open = &p->memory.open;
    u64 commit = raft_commit(p->raft);

    if (LIKELY(!raft_is_volatile(p->raft)) && !open->count) return;
    forget_what_is_safe(p);
    if (!raft_is_leader(p->raft)) {
        while (open->count) fifo_pop(open);
        p->memory.noted = commit;
        return;
    }
    if (commit <= p->memory.noted) return;
    p->memory.noted = commit;
    if (open->count == OPEN_MAX)
        ((struct open_commit *)fifo_at(open, open->count - 1))->upto = commit;
    else
        *(struct open_commit *)fifo_push(open) = (struct open_commit){commit, p->now};
}

struct part_durability part_durability(struct part *p)
{
    const struct raft_hard_state *hs = raft_hard_state(p->raft);
    struct part_durability d = {.memory = raft_counts_memory(p->raft),
                                .recovering = hs->impaired && hs->votes_kept,
                                .abandoned = raft_is_abandoned(p->raft)};

    p->now = env_mono(p->env);
    memory_turn(p);
    const struct open_commit *oldest = fifo_first(&p->memory.open);
    if (!oldest) return d;
    d.entries = raft_commit(p->raft) - u64_min(raft_commit(p->raft), raft_disk_reached(p->raft));
    d.age = d.entries ? p->now - oldest->at : 0;
    return d;
}

void memory_on_events(struct part *p, u32 events)
{
    char line[240];

    if (events & RAFT_ABANDONED)
        say(p, LOG_ERROR,
            "MEMORY_LOSS this replica has applied entries that a recovery of the group gave up; it takes nothing but a "
            "snapshot, as soon as the group has one of more");
    if (!(events & RAFT_RECOVERED)) return;
    const struct raft_recoveries *l = &raft_config(p->raft)->recoveries;
    const struct raft_recovery *r = &l->items[l->count - 1];
    p->stats.recoveries++;
    snprintf(line, sizeof line,
             "MEMORY_LOSS the group goes on with the longest log that was found, by an operator's word; what was only in memory "
             "is lost. group=%" PRIu64 " term=%" PRIu64 " kept_from=1 kept_to=%" PRIu64 " kept_term=%" PRIu64 " applied=%" PRIu64,
             p->options.id, r->term, r->kept.index, r->kept.term, p->apply.applied);
    p->host.log(p->host.context, LOG_WARN, line);
}
