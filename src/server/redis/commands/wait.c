/* WAIT: how many other nodes have this connection's writes on disk. An acknowledged write is on a
 * majority already; WAIT can ask for more, and waits for it. */
#include "server/redis/redis_internal.h"

static void cmd_wait(struct call *call)
{
    struct client *c = call->client;
    i64 replicas, ms;

    if (!str_to_i64(call->argv[1], &replicas)) {
        resp_error(&call->w, "ERR value is not an integer or out of range");
        return;
    }
    if (!str_to_i64(call->argv[2], &ms)) {
        resp_error(&call->w, "ERR timeout is not an integer or out of range");
        return;
    }
    if (ms < 0) {
        resp_error(&call->w, "ERR timeout is negative");
        return;
    }
    if (call->in_exec) { /* never waits; what is acknowledged is on the other half of a majority */
        struct node_view view;
        node_view(call->door->node, &view);
        resp_integer(&call->w, view.member_count / 2);
        return;
    }
    nanos now = node_now(call->door->node);
    bool forever = ms == 0 || (u64)ms > (NANOS_NEVER - now) / NANOS_MS;
    if (forever && c->ended) { /* nobody may be there any more */
        forever = false;
        ms = (i64)(call->door->config->request_timeout / NANOS_MS);
    }
    call->later = true;
    struct slot *s = redis_slot_push(c, call->request_bytes);
    s->req.index = c->last_index;
    s->req.replicas = replicas < 0 ? 0 : (u32)u64_min((u64)replicas, UINT32_MAX);
    s->req.deadline = forever ? NANOS_NEVER : now + (nanos)ms * NANOS_MS;
    c->barrier = s; /* as in Redis the connection is blocked meanwhile */
    redis_slot_ask(s, GATEWAY_WAIT, NULL);
}

const struct door_command redis_wait_commands[] = {
    {"wait", 3, DOOR_WHEN_IDLE | DOOR_NOSCRIPT, cmd_wait, NULL, 0, 0, 0},
    {0},
};
