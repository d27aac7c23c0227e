/* What is answered where. A path is a row. */
#include "server/admin/admin_internal.h"

static void get_health(struct admin_door *d, struct admin_reply *r)
{
    const char *failure = node_failure(d->node);

    if (!failure) {
        buf_append_text(&r->body, "ok\n");
        return;
    }
    r->status = 503;
    buf_printf(&r->body, "%s\n", failure);
}

static void get_ready(struct admin_door *d, struct admin_reply *r)
{
    struct node_view view;

    node_view(d->node, &view);
    if (view.serving) {
        buf_append_text(&r->body, "ok\n");
        return;
    }
    r->status = 503;
    for (u32 i = 0; i < view.member_count; i++)
        if (view.members[i].other_value_max)
            buf_printf(&r->body, "node %u is refused: its --value-max is %llu, here it is %llu\n", view.members[i].id,
                       (unsigned long long)view.members[i].other_value_max,
                       (unsigned long long)node_config_of(d->node)->value_bytes_max);
    if (!view.leader)
        buf_append_text(&r->body,
                        "no leader is known: a majority of the nodes must be up and connected\n");
    else if (view.leader == view.self)
        buf_append_text(&r->body, "this node leads, but no majority has confirmed it lately\n");
    else
        buf_printf(&r->body, "the leader, node %u, is not connected\n", view.leader);
}

static void get_metrics(struct admin_door *d, struct admin_reply *r)
{
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    node_metrics(d->node, &r->body);
}

static void get_cluster(struct admin_door *d, struct admin_reply *r)
{
    r->type = "application/json";
    admin_cluster_json(d, &r->body);
}

static const struct {
    const char *path;
    void (*get)(struct admin_door *d, struct admin_reply *r);
    const char *what;
} routes[] = {
    {"/cluster", get_cluster, "the members and who leads, JSON"},
    {"/healthz", get_health, "200 while the node works"},
    {"/metrics", get_metrics, "counters, Prometheus text"},
    {"/readyz", get_ready, "200 while commands can be served"},
};

void admin_answer(struct admin_door *d, str path, struct admin_reply *out)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!str_equal(path, str_of(routes[i].path))) continue;
        routes[i].get(d, out);
        return;
    }
    out->status = 404;
    buf_append_text(&out->body, "not found; there are\n");
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        buf_printf(&out->body, "  %-10s %s\n", routes[i].path, routes[i].what);
}
