/* The admin door's connections: who connects, and who is too slow. */
#include "server/admin/admin_internal.h"

#include "base/mem.h"

#include <stdio.h>

err admin_door_new(struct node *n, char *problem, size_t problem_size, struct admin_door **out)
{
    const struct node_config *config = node_config_of(n);
    struct admin_door *d = mem_zalloc(sizeof *d);

    *out = NULL;
    d->node = n;
    d->env = node_env(n);
    d->next_look = NANOS_NEVER;
    list_init(&d->clients);
    list_init(&d->dirty);
    d->listener.kind = NODE_ADMIN;
    d->listener.owner = d;
    err e = d->env->ops->listen(d->env, config->host, config->admin_port, &d->listener);
    if (e) {
        snprintf(problem, problem_size,
                 "admin: cannot listen on %s:%u: %s; choose another port or address", config->host,
                 config->admin_port, err_text(e));
        admin_door_free(d);
        return e;
    }
    d->listening = true;
    *out = d;
    return OK;
}

static void client_free(struct admin_client *c)
{
    admin_ask_drop(c);
    admin_rows_free(c);
    c->door->stats.connected--;
    list_remove(&c->all);
    list_remove(&c->dirty);
    buf_done(&c->stream.in);
    buf_done(&c->stream.out);
    mem_free(c);
}

void admin_door_free(struct admin_door *d)
{
    struct list *at;

    if (!d) return;
    while ((at = list_first(&d->clients))) client_free(CONTAINER_OF(at, struct admin_client, all));
    if (d->listening) d->env->ops->unlisten(d->env, &d->listener);
    mem_free(d);
}

u16 admin_door_port(const struct admin_door *d)
{
    return d->listener.port;
}
u32 admin_connections_max(void)
{
    return ADMIN_CONNECTIONS_MAX;
}

const struct admin_door_stats *admin_door_stats(const struct admin_door *d)
{
    return &d->stats;
}

void admin_touch(struct admin_client *c)
{
    if (list_is_empty(&c->dirty)) list_push(&c->door->dirty, &c->dirty);
}

void admin_set_deadline(struct admin_client *c, nanos from_now)
{
    c->deadline = node_now(c->door->node) + from_now;
    c->door->next_look = u64_min(c->door->next_look, c->deadline);
}

static void on_accepted(struct admin_door *d, void *pending)
{
    if (d->stats.connected >= ADMIN_CONNECTIONS_MAX) {
        d->stats.rejected++;
        d->env->ops->refuse(d->env, pending);
        return;
    }
    struct admin_client *c = mem_zalloc(sizeof *c);
    c->door = d;
    c->stream.kind = NODE_ADMIN;
    c->stream.owner = c;
    buf_init(&c->stream.in, ADMIN_HEAD_BYTES_MAX);
    buf_init(&c->stream.out, 0);
    list_init(&c->dirty);
    list_push(&d->clients, &c->all);
    d->stats.connected++;
    d->stats.accepted++;
    admin_http_init(c);
    admin_set_deadline(c, ADMIN_REQUEST_TIME);
    d->env->ops->accept(d->env, pending, &c->stream);
}

void admin_door_on_event(struct admin_door *d, const struct env_event *ev)
{
    if (ev->kind == ENV_ACCEPTED) {
        on_accepted(d, ev->pending);
        return;
    }
    struct admin_client *c = ev->stream->owner;
    switch (ev->kind) {
    case ENV_RECEIVED:
    case ENV_DRAINED: admin_http_work(c); break;
    case ENV_ENDED: /* as of `printf ... | nc -N`: what is answered by now is still sent */
        admin_http_work(c);
        c->ended = true;
        c->closing = c->ask == NULL && c->rows == NULL;
        admin_touch(c);
        break;
    case ENV_CLOSED: client_free(c); break;
    default: assert(ev->kind == ENV_CONNECTED); break; /* the door never dials */
    }
}

static void drop_slow(struct admin_door *d)
{
    nanos now = node_now(d->node);

    if (now < d->next_look) return;
    d->next_look = NANOS_NEVER;
    LIST_EACH(at, &d->clients)
    {
        struct admin_client *c = CONTAINER_OF(at, struct admin_client, all);
        if (c->closed) continue;
        if (c->deadline > now) {
            d->next_look = u64_min(d->next_look, c->deadline);
            continue;
        }
        d->stats.timed_out++;
        admin_ask_drop(c);
        c->closed = true;
        env_close(d->env, &c->stream, false);
    }
}

void admin_door_flush(struct admin_door *d)
{
    struct list now, *at;

    list_init(&now);
    list_splice(&now, &d->dirty);
    while ((at = list_first(&now))) {
        struct admin_client *c = CONTAINER_OF(at, struct admin_client, dirty);
        list_remove(at);
        if (c->closed) continue;
        env_flush(d->env, &c->stream);
        if (c->closing) {
            c->closed = true;
            env_close(d->env, &c->stream, true);
        } else {
            admin_http_work(c); /* there may be room for the next of a pipeline */
        }
    }
    drop_slow(d);
}
