/* The life of a node: boot, turn, failure, crash, restart. What must not happen in it is a violation; what
 * an injected fault explains is a crash like any other. */
#include "base/assert.h"
#include "base/mem.h"
#include "sim/churn.h"
#include "sim/disk.h"
#include "sim/engine.h"
#include "sim/faults.h"
#include "sim/host.h"
#include "sim/net.h"
#include "sim/observe.h"

#include <stdio.h>

static void end_of_life(struct host *h)
{
    h->boot++;
    h->up = false;
    h->turn_number++;
    h->turn_at = NANOS_NEVER;
    h->wake_mono = NANOS_NEVER;
    h->busy_until = 0;
    h->pause_in_calls = 0;
    h->queue.head = h->queue.count = 0;
}

void host_crash(struct host *h, bool power, const char *why)
{
    if (!h->up) return;
    world_say(h->world, h, "crash%s: %s", power ? " (power)" : "", why);
    snprintf(h->failure, sizeof h->failure, "%s", why);

    observe_end_of_life(h->world, h);
    disk_crash(h->disk, power); /* while the operations in flight still have their bytes */
    net_host_down(h, power);
    end_of_life(h);
    if (h->node) node_free(h->node);
    h->node = NULL;
    if (!h->restart_planned) faults_plan_restart(h->world, h);
}

static bool node_program(struct host *h)
{
    struct world *w = h->world;

    bool more = node_turn(h->node);
    if (disk_is_dead(h->disk)) {
        h->in_turn = false;
        host_crash(h, chance_one_in(world_chance(w, CHANCE_CRASH), 2), "died at an input or output");
        return false;
    }
    observe_turn(w, h);
    if (node_failure(h->node)) {
        char why[200];
        snprintf(why, sizeof why, "stopped itself: %s", node_failure(h->node));
        bool removed = w->cluster && churn_on_removed(w, h);
        if (!removed && !disk_explains(h->disk)) world_violation(w, "node %u, without an injected fault, %s", h->id, why);
        h->in_turn = false;
        host_crash(h, false, why);
        return false;
    }
    if (node_stopped(h->node)) {
        h->in_turn = false;
        host_crash(h, false, "stopped cleanly");
        return false;
    }
    return more;
}

static void fire_start(struct world *w, void *context, u64 number)
{
    struct host *h = context;
    char problem[512] = "";

    if (number != h->start_number) return;
    h->restart_planned = false;
    assert(!h->up);
    disk_restarted(h->disk);
    h->up = true;
    h->turn = node_program;
    h->config.pid = 1000 * h->id + h->boot;
    h->in_turn = true;
    h->ahead = 0;
    err failed = node_new(&h->env, &h->config, problem, sizeof problem, &h->node);
    h->in_turn = false;
    if (failed) {
        h->node = NULL;
        bool died = disk_is_dead(h->disk);
        if (!died && !disk_explains(h->disk))
            world_violation(w, "node %u refuses to start: %s (%s)", h->id, problem, err_text(failed));
        char why[600];
        snprintf(why, sizeof why, "%s: %s", died ? "died during boot" : "does not start", problem);
        host_crash(h, died && chance_one_in(world_chance(w, CHANCE_CRASH), 2), why);
        return;
    }
    world_say(w, h, "started, life %u", h->boot + 1);
    observe_start(w, h);
    h->busy_until = w->now + h->ahead;
    h->ahead = 0;
    if (disk_is_dead(h->disk)) {
        host_crash(h, true, "died at the end of boot");
        return;
    }
    host_turn_by(h, h->busy_until);
}

void host_start_at(struct host *h, nanos at)
{
    if (h->up || h->parked) return;
    h->restart_planned = true;
    world_at(h->world, at, EVENT_START, h->id, fire_start, h, ++h->start_number);
}

void host_keep_down(struct host *h)
{
    h->restart_planned = true;
    h->start_number++;
    host_crash(h, true, "no power");
}
