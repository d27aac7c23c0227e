/* What is answered where. A path is a row. */
#include "server/admin/commands.h"

static void get_health(struct admin_request *q)
{
    struct admin_door *d = q->door;
    struct admin_reply *r = q->reply;
    const char *failure = node_failure(d->node);

    if (!failure) {
        buf_append_text(&r->body, "ok\n");
        return;
    }
    r->status = 503;
    buf_printf(&r->body, "%s\n", failure);
}

static void get_ready(struct admin_request *q)
{
    struct admin_door *d = q->door;
    struct admin_reply *r = q->reply;
    struct node_view view;

    node_view(d->node, &view);
    if (view.serving) {
        buf_append_text(&r->body, "ok\n");
        return;
    }
    r->status = 503;
    for (u32 i = 0; i < view.member_count; i++)
        if (view.members[i].other_value_max)
            buf_printf(&r->body, "node %u is refused: its --value-max is %llu, here it is %llu\n",
                       view.members[i].id, (unsigned long long)view.members[i].other_value_max,
                       (unsigned long long)node_config_of(d->node)->value_bytes_max);
    if (!view.leader)
        buf_append_text(&r->body,
                        "no leader is known: a majority of the nodes must be up and connected\n");
    else if (view.leader == view.self)
        buf_append_text(&r->body, "this node leads, but no majority has confirmed it lately\n");
    else
        buf_printf(&r->body, "the leader, node %u, is not connected\n", view.leader);
}

static void get_metrics(struct admin_request *q)
{
    struct admin_door *d = q->door;
    struct admin_reply *r = q->reply;
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    node_metrics(d->node, &r->body);
}

static void get_cluster(struct admin_request *q)
{
    struct admin_door *d = q->door;
    struct admin_reply *r = q->reply;
    r->type = "application/json";
    admin_cluster_json(d, &r->body);
}

static const struct route {
    const char *path; /* `*` is one segment, the request's name */
    void (*get)(struct admin_request *r);
    admin_make_fn make; /* POST: the command */
    const char *what;
} routes[] = {
    {"/cluster", get_cluster, NULL, "the members and who leads, JSON"},
    {"/healthz", get_health, NULL, "200 while the node works"},
    {"/metrics", get_metrics, NULL, "counters, Prometheus text"},
    {"/readyz", get_ready, NULL, "200 while commands can be served"},
    {"/v1/cluster", admin_get_summary, NULL, "the cluster in numbers, and its settings"},
    {"/v1/groups", admin_get_groups, NULL,
     "partitions: span, members, leader, what is under way; keyspace=NAME, id=N"},
    {"/v1/groups/*/merge", NULL, admin_make_merge, "take the right neighbour in"},
    {"/v1/groups/*/move", NULL, admin_make_move, "to=NODE from=NODE"},
    {"/v1/groups/*/split", NULL, admin_make_split, "at=SLOT or at=KEY"},
    {"/v1/keyspaces", admin_get_keyspaces, admin_make_ks_create,
     "all of them; POST name=NAME and settings makes one"},
    {"/v1/keyspaces/*", admin_get_keyspace, admin_make_ks_set, "one; POST changes its settings"},
    {"/v1/keyspaces/*/drop", NULL, admin_make_ks_drop, "with everything in it"},
    {"/v1/keyspaces/*/pin", NULL, admin_make_ks_pin,
     "node=N (0: none), group=N (0: all): where leaders should be"},
    {"/v1/nodes", admin_get_nodes, NULL,
     "nodes: addresses, state, what was heard of them; removed=1: all"},
    {"/v1/nodes/*/drain", NULL, admin_make_drain, "its replicas go to others"},
    {"/v1/nodes/*/remove", NULL, admin_make_remove,
     "for good; force=1: it is lost and will not come back"},
    {"/v1/nodes/*/undrain", NULL, admin_make_undrain, "it takes replicas again"},
    {"/v1/plan", admin_get_plan, NULL,
     "what the rebalancer would do next, what it cannot do, and the remedies"},
    {"/v1/settings", admin_get_settings, admin_make_settings, "of the cluster; POST changes them"},
    {"/v1/version", admin_get_summary, admin_make_version,
     "POST raises the level to=N; it never goes back"},
};

/* Does the path fit, and what is in the place of the `*`? */
static bool route_fits(const char *route, str path, str *name)
{
    const u8 *at = path.at, *end = path.at + path.len;

    for (; *route; route++) {
        if (*route != '*') {
            if (at == end || *at++ != (u8)*route) return false;
            continue;
        }
        const u8 *from = at;
        while (at < end && *at != '/') at++;
        *name = str_from(from, (size_t)(at - from));
        if (name->len == 0) return false;
    }
    return at == end;
}

static void answer_not_found(struct admin_reply *out)
{
    out->status = 404;
    buf_append_text(&out->body, "not found; there are\n");
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        buf_printf(&out->body, "  %-4s %-22s %s\n", routes[i].get ? "GET" : "POST", routes[i].path,
                   routes[i].what);
}

static void answer_bad_method(struct admin_request *r, const struct route *route)
{
    r->reply->status = 405;
    r->reply->allow = route->get ? (route->make ? "GET, HEAD, POST" : "GET, HEAD") : "POST";
    buf_printf(&r->reply->body, "only %s here\n", r->reply->allow);
}

/* True: answered. */
static bool answer_post(struct admin_request *r, const struct route *route)
{
    struct core_command cmd = {0};
    bool dry_run = str_equal(admin_param(r->params, "dry-run"), STR("1"));
    const struct core *map = admin_map(r);

    if (!map || !route->make(r, map, &cmd)) return true;
    str unknown = admin_param_unknown(r->params);
    if (unknown.len) {
        admin_refuse(r->reply, 400, "INVALID", "%.*s means nothing here: %s", STR_ARG(unknown),
                     route->what);
        return true;
    }
    if (dry_run) {
        admin_dry_run(r, map, &cmd);
        return true;
    }
    admin_ask_core(r, &cmd);
    return false;
}

bool admin_answer(struct admin_request *r)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const struct route *route = &routes[i];
        if (!route_fits(route->path, r->path, &r->name)) continue;
        if (r->is_post && route->make) return answer_post(r, route);
        if (!r->is_post && route->get)
            route->get(r);
        else
            answer_bad_method(r, route);
        return true;
    }
    answer_not_found(r->reply);
    return true;
}
