/* /v1/sample and /v1/alerts: what `quorate check --online` asks and tells. */
#include "server/admin/admin_internal.h"
#include "server/redis/door.h"
#include "server/redis/sample.h"

static bool take_number(struct admin_request *r, const char *name, u64 max, u64 usual, u64 *out)
{
    str text = admin_param(r->params, name);
    i64 number;

    *out = usual;
    if (!text.at) return true;
    if (str_to_i64(text, &number) && number >= 0 && (u64)number <= max) {
        *out = (u64)number;
        return true;
    }
    admin_refuse(r->reply, 400, "INVALID", "%s is a number up to %llu", name, (unsigned long long)max);
    return false;
}

static void put_node(struct admin_request *r, bool *first)
{
    struct node *n = r->door->node;
    struct node_view view;

    node_view(n, &view);
    r->reply->type = "application/json";
    buf_append_u8(&r->reply->body, '{');
    json_put_number(&r->reply->body, first, "node", view.self);
    json_put_number(&r->reply->body, first, "boot", view.boot);
}

void admin_get_sample(struct admin_request *r)
{
    bool first = true;
    u64 since;

    if (!take_number(r, "since", INT64_MAX, 0, &since)) return;
    put_node(r, &first);
    buf_append_u8(&r->reply->body, ',');
    redis_door_sampled(node_redis_door(r->door->node), since, &r->reply->body);
    buf_append_text(&r->reply->body, "}\n");
}

void admin_post_sample(struct admin_request *r)
{
    bool first = true;
    u64 rate, seconds;

    if (!take_number(r, "rate", SAMPLE_RATE_MAX, 1, &rate)) return;
    if (!take_number(r, "seconds", SAMPLE_SECONDS_MAX, 10, &seconds)) return;
    if (rate == 0) {
        admin_refuse(r->reply, 400, "INVALID", "rate is 1 (every key) or more");
        return;
    }
    redis_door_sample(node_redis_door(r->door->node), (u32)rate, (u32)seconds);
    put_node(r, &first);
    buf_append_text(&r->reply->body, "}\n");
}

void admin_post_alert(struct admin_request *r)
{
    bool first = true;
    str text = admin_param(r->params, "text");

    if (text.len == 0) {
        admin_refuse(r->reply, 400, "INVALID", "text= says what was found");
        return;
    }
    node_alert(r->door->node, text, admin_param(r->params, "key"), admin_param(r->params, "level"));
    put_node(r, &first);
    buf_append_text(&r->reply->body, "}\n");
}
