/* GET /v1/limits: the table of limits, as this node has it. */
#include "server/admin/admin_internal.h"
#include "server/limits.h"

static void put_limit(struct buf *out, const struct limit_row *row, const struct limit_now *l)
{
    bool first = true;

    buf_append_u8(out, '{');
    json_put_text(out, &first, "name", str_of(row->name));
    json_put_number(out, &first, "value", l->value);
    json_put_text(out, &first, "unit", str_of(row->unit));
    if (l->has_use) json_put_number(out, &first, "use", l->use);
    json_put_number(out, &first, "reached", l->reached);
    json_put_text(out, &first, "owner", str_of(row->owner));
    json_put_text(out, &first, "change", str_of(row->change));
    json_put_text(out, &first, "what", str_of(row->what));
    buf_append_u8(out, '}');
}

void admin_get_limits(struct admin_request *r)
{
    struct buf *out = &r->reply->body;
    struct limits_now now;
    bool first = true;

    node_limits(r->door->node, &now);
    r->reply->type = "application/json";
    buf_append_u8(out, '{');
    json_put_number(out, &first, "node", node_config_of(r->door->node)->self);
    json_put_name(out, &first, "limits");
    buf_append_u8(out, '[');
    for (u32 id = LIMIT_NONE + 1; id < LIMIT_COUNT; id++) {
        if (id > LIMIT_NONE + 1) buf_append_u8(out, ',');
        put_limit(out, &limit_rows[id], &now.at[id]);
    }
    buf_append_text(out, "]}\n");
}
