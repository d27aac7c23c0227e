/* Commands of the core that this node gives by itself. Their answers change nothing here: what came of them is in the
 * map, and who still wants something asks again. */
#include "server/cluster_internal.h"

void changes_init(struct cluster *c)
{
    list_init(&c->changes.busy);
    list_init(&c->changes.free);
    for (u32 i = 0; i < CHANGES_MAX; i++) {
        c->changes.slots[i].cluster = c;
        list_push(&c->changes.free, &c->changes.slots[i].link);
    }
}

bool changes_has_room(const struct cluster *c)
{
    return !list_is_empty((struct list *)(uintptr_t)&c->changes.free);
}

bool changes_is_busy(const struct cluster *c, u64 part)
{
    for (u32 i = 0; i < CHANGES_MAX; i++)
        if (c->changes.slots[i].part == part) return true;
    return false;
}

static void on_done(struct cluster_request *r, const struct core_reply *reply, str failed)
{
    struct change *x = CONTAINER_OF(r, struct change, request);
    struct cluster *c = x->cluster;

    if (reply && reply->status != CORE_OK && reply->status != CORE_STALE && reply->status != CORE_BUSY)
        env_log(c->env, LOG_WARN, "the core refuses: %s: %.*s",
                core_status_name((enum core_status)reply->status), STR_ARG(reply->reason));
    (void)failed; /* not in reach, or not known: the map will say */
    x->part = 0;
    list_remove(&x->link);
    list_push(&c->changes.free, &x->link);
    c->controller.dirty = true;
}

void changes_propose(struct cluster *c, const struct core_command *cmd)
{
    struct list *l = list_first(&c->changes.free);

    if (!l) return;
    struct change *x = CONTAINER_OF(l, struct change, link);
    list_remove(l);
    list_push(&c->changes.busy, l);
    x->part = cmd->part;
    x->request.done = on_done;
    cluster_ask(c, &x->request, cmd, 0);
}
