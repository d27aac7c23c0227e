/* What the planner would do: on the map as it is (GET /v1/plan), and on a copy that a command was
 * tried on (dry-run=1). */
#include "server/admin/admin_internal.h"

#include "base/mem.h"

static const char *const plan_kinds[CORE_PLAN_KINDS] = {
    [CORE_PLAN_MOVE] = "move",     [CORE_PLAN_SWAP] = "swap",         [CORE_PLAN_UNDO] = "undo",
    [CORE_PLAN_REMOVE] = "remove", [CORE_PLAN_TRANSFER] = "transfer", [CORE_PLAN_SPLIT] = "split",
    [CORE_PLAN_MERGE] = "merge",
};
static const char *const plan_whys[] = {
    [CORE_WHY_REPAIR] = "repair", [CORE_WHY_DRAIN] = "drain",       [CORE_WHY_SURPLUS] = "surplus",
    [CORE_WHY_RACK] = "rack",     [CORE_WHY_BALANCE] = "balance",   [CORE_WHY_PIN] = "pin",
    [CORE_WHY_SIZE] = "size",     [CORE_WHY_PROGRESS] = "progress",
};

static u32 node_of_replica(const struct core *map, u64 part, u32 replica)
{
    const struct core_part *p = core_part(map, part);

    for (u32 i = 0; p && i < p->member_count; i++)
        if (p->members[i].replica == replica) return p->members[i].node;
    return 0;
}

static void put_step(struct buf *out, const struct core *map, const struct core_plan_step *s)
{
    u32 from = node_of_replica(map, s->part, s->replica);
    bool first = true;

    buf_append_u8(out, '{');
    json_put_text(out, &first, "kind", str_of(plan_kinds[s->kind]));
    json_put_text(out, &first, "why", str_of(plan_whys[s->why]));
    json_put_number(out, &first, "group", s->part);
    if (s->node) json_put_number(out, &first, "to-node", s->node);
    if (from)
        json_put_number(out, &first, s->kind == CORE_PLAN_TRANSFER ? "to-node" : "from-node", from);
    if (s->other) json_put_number(out, &first, "other", s->other);
    json_put_number(out, &first, "bytes", s->bytes);
    json_put_text(out, &first, "reason", str_of(s->reason));
    buf_append_u8(out, '}');
}

static void put_plan(struct buf *out, bool *first, const struct core *map,
                     const struct core_plan *plan)
{
    u32 shown = plan->blocked_count < CORE_PLAN_BLOCKED_MAX ? plan->blocked_count
                                                            : CORE_PLAN_BLOCKED_MAX;

    json_put_number(out, first, "moves-running", plan->moves_running);
    json_put_number(out, first, "bytes-running", plan->bytes_running);
    json_put_number(out, first, "bytes-wanted", plan->bytes_wanted);
    json_put_name(out, first, "steps");
    buf_append_u8(out, '[');
    for (u32 i = 0; i < plan->count; i++) {
        if (i) buf_append_u8(out, ',');
        put_step(out, map, &plan->steps[i]);
    }
    buf_append_u8(out, ']');
    json_put_number(out, first, "blocked-count", plan->blocked_count);
    json_put_name(out, first, "blocked");
    buf_append_u8(out, '[');
    for (u32 i = 0; i < shown; i++) {
        if (i) buf_append_u8(out, ',');
        json_put(out, str_of(plan->blocked[i]));
    }
    buf_append_u8(out, ']');
}

static void put_planned(struct admin_request *r, bool *first, const struct core *map)
{
    struct core_plan *plan = mem_zalloc(sizeof *plan);
    struct cluster *cluster = node_cluster(r->door->node);
    const struct core_facts *facts = cluster_facts(cluster);

    core_plan_make(map, facts, plan);
    json_put_bool(&r->reply->body, first, "complete", cluster_leads_core(cluster));
    json_put_number(&r->reply->body, first, "core-leader", cluster_core_leader(cluster));
    json_put_bool(&r->reply->body, first, "paused",
                  facts->paused || core_cluster(map)->settings[CORE_PAUSED]);
    put_plan(&r->reply->body, first, map, plan);
    mem_free(plan);
}

void admin_get_plan(struct admin_request *r)
{
    const struct core *map = admin_map(r);
    bool first = true;

    if (!map) return;
    r->reply->type = "application/json";
    buf_append_u8(&r->reply->body, '{');
    json_put_number(&r->reply->body, &first, "epoch", core_cluster(map)->epoch);
    put_planned(r, &first, map);
    buf_append_text(&r->reply->body, "}\n");
}

/* The command on a copy of the map, and what the planner would do then. */
void admin_dry_run(struct admin_request *r, const struct core *map, const struct core_command *cmd)
{
    struct core *copy = core_copy_of(map);
    struct buf payload = {0}, bytes = {0};
    struct core_reply reply;
    bool first = true;

    core_command_encode(cmd, &payload);
    err e = core_apply(copy, buf_str(&payload), &bytes);
    if (!e) e = core_reply_decode(buf_str(&bytes), &reply);
    assert(!e); /* both are ours */
    if (reply.status != CORE_OK) {
        admin_put_core_reply(r->reply, cmd, &reply);
    } else {
        r->reply->type = "application/json";
        buf_append_text(&r->reply->body, "{");
        json_put_bool(&r->reply->body, &first, "dry-run", true);
        json_put_number(&r->reply->body, &first, "epoch", core_cluster(map)->epoch);
        put_planned(r, &first, copy);
        buf_append_text(&r->reply->body, "}\n");
    }
    buf_done(&payload);
    buf_done(&bytes);
    core_free(copy);
}
