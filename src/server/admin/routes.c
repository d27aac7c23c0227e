/* What is answered where. A path is a row. */
#include "server/admin/commands.h"

#include <stdio.h>

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
    void (*post)(struct admin_request *r); /* POST: what is no command of the core */
} routes[] = {
    {.path = "/cluster", .get = get_cluster, .what = "the members and who leads, JSON"},
    {.path = "/healthz", .get = get_health, .what = "200 while the node works"},
    {.path = "/metrics", .get = get_metrics, .what = "counters, Prometheus text"},
    {.path = "/readyz", .get = get_ready, .what = "200 while commands can be served"},
    {.path = "/v1/alerts",
     .post = admin_post_alert,
     .what = "text=TEXT key=KEY level=LEVEL: a checker found a violation; logged and counted"},
    {.path = "/v1/backup", .get = admin_get_backup, .what = "the cuts of the groups led here"},
    {.path = "/v1/backup/cut",
     .post = admin_post_backup_cut,
     .what = "id=N stamp=N: at this stamp, those that are held"},
    {.path = "/v1/backup/end", .post = admin_post_backup_end, .what = "give the cuts up"},
    {.path = "/v1/backup/hold",
     .post = admin_post_backup_hold,
     .what = "id=N for-ms=N: groups led here stamp nothing for so long"},
    {.path = "/v1/cluster",
     .get = admin_get_summary,
     .what = "the cluster in numbers, and its settings"},
    {.path = "/v1/groups",
     .get = admin_get_groups,
     .what = "partitions: span, members, leader, what is under way; keyspace=NAME, id=N"},
    {.path = "/v1/groups/*/merge", .make = admin_make_merge, .what = "take the right neighbour in"},
    {.path = "/v1/groups/*/move", .make = admin_make_move, .what = "to=NODE from=NODE"},
    {.path = "/v1/groups/*/recover",
     .post = admin_post_recover,
     .what = "accept-loss=1: the replica here shall lead without what was in memory only"},
    {.path = "/v1/groups/*/rows", .get = admin_get_rows, .what = "stamp=N: rows of its cut"},
    {.path = "/v1/groups/*/split", .make = admin_make_split, .what = "at=SLOT or at=KEY, node=N pins the upper half"},
    {.path = "/v1/groups/*/transfer",
     .post = admin_post_transfer,
     .what = "to=NODE: its leader hands over"},
    {.path = "/v1/keyspaces",
     .get = admin_get_keyspaces,
     .make = admin_make_ks_create,
     .what = "all of them; POST name=NAME and settings makes one"},
    {.path = "/v1/keyspaces/*",
     .get = admin_get_keyspace,
     .make = admin_make_ks_set,
     .what = "one; POST changes its settings"},
    {.path = "/v1/keyspaces/*/drop", .make = admin_make_ks_drop, .what = "with everything in it"},
    {.path = "/v1/keyspaces/*/pin",
     .make = admin_make_ks_pin,
     .what = "node=N (0: none), group=N (0: all): where leaders should be"},
    {.path = "/v1/limits",
     .get = admin_get_limits,
     .what = "every limit of this node: what it is, how much of it is used, how often it was reached"},
    {.path = "/v1/local",
     .get = admin_get_local,
     .what = "this node itself: clients, memory, disk, its groups and who lags"},
    {.path = "/v1/nodes",
     .get = admin_get_nodes,
     .what = "nodes: addresses, state, what was heard of them; removed=1: all"},
    {.path = "/v1/nodes/*/drain", .make = admin_make_drain, .what = "its replicas go to others"},
    {.path = "/v1/nodes/*/remove",
     .make = admin_make_remove,
     .what = "for good; force=1: it is lost and will not come back"},
    {.path = "/v1/nodes/*/undrain", .make = admin_make_undrain, .what = "it takes replicas again"},
    {.path = "/v1/plan",
     .get = admin_get_plan,
     .what = "what the rebalancer would do next, what it cannot do, and the remedies"},
    {.path = "/v1/price/*",
     .get = admin_get_price,
     .what = "what requests of a keyspace cost here in the last minute, by level; quorate price puts the nodes together"},
    {.path = "/v1/sample",
     .get = admin_get_sample,
     .post = admin_post_sample,
     .what = "since=N: requests of sampled keys; POST rate=N seconds=N samples every N-th key"},
    {.path = "/v1/settings",
     .get = admin_get_settings,
     .make = admin_make_settings,
     .what = "of the cluster; POST changes them"},
    {.path = "/v1/version",
     .get = admin_get_summary,
     .make = admin_make_version,
     .what = "POST raises the level to=N; it never goes back"},
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
    bool posts = route->make || route->post;
    r->reply->allow = route->get ? (posts ? "GET, HEAD, POST" : "GET, HEAD") : "POST";
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

/* leader=1: from whom sees all facts, the core's leader. False: that is here, or nobody knows who.
 */
static bool redirect_to_leader(struct admin_request *r)
{
    struct cluster *cluster = node_cluster(r->door->node);
    const struct core *map = cluster ? cluster_map(cluster) : NULL;

    if (!str_equal(admin_param(r->params, "leader"), STR("1"))) return false;
    if (!map || !core_cluster(map) || cluster_leads_core(cluster)) return false;
    const struct core_node *leader = core_node(map, cluster_core_leader(cluster));
    if (!leader || leader->admin.len == 0) return false;
    r->reply->status = 307;
    snprintf(r->reply->location, sizeof r->reply->location, "http://%.*s%.*s",
             STR_ARG(core_str(&leader->admin)), (int)r->client->url_bytes, r->client->url);
    buf_printf(&r->reply->body, "node %u leads the core\n", leader->id);
    return true;
}

bool admin_answer(struct admin_request *r)
{
    if (redirect_to_leader(r)) return true;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const struct route *route = &routes[i];
        if (!route_fits(route->path, r->path, &r->name)) continue;
        if (r->is_post && route->make) return answer_post(r, route);
        if (r->is_post && route->post)
            route->post(r);
        else if (!r->is_post && route->get)
            route->get(r);
        else
            answer_bad_method(r, route);
        return true;
    }
    answer_not_found(r->reply);
    return true;
}
