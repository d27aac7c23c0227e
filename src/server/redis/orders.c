/* The program order of a connection, kept once for each partition it has asked: a read sees the
 * connection's earlier writes in that partition and none of its later ones (gateway.h). Most
 * connections ask one partition, whose order lies in the client itself. */
#include "server/redis/redis_internal.h"

#include "base/mem.h"
#include "base/mutant.h"

enum { BUCKETS = 16 };

struct client_orders {
    struct client_order *buckets[BUCKETS];
    u32 count;
};

static struct client_order **bucket_of(struct client_orders *o, u64 part)
{
    return &o->buckets[(part * 0x9e3779b97f4a7c15u) >> 60];
}

/* Those without a request under way order nothing; of their writes WAIT can only say what holds of
 * any acknowledged one. */
static void forget_idle(struct client *c)
{
    struct client_orders *o = c->orders;

    for (u32 b = 0; b < BUCKETS; b++) {
        for (struct client_order **at = &o->buckets[b]; *at;) {
            struct client_order *order = *at;
            if (order->under_way) {
                at = &order->next;
                continue;
            }
            c->writes_forgotten |= order->last_index > 0;
            *at = order->next;
            mem_free(order);
            o->count--;
        }
    }
}

struct client_order *redis_order_of(struct client *c, u64 part)
{
    if (LIKELY(c->home.part == part) || MUTANT(one_order_for_all_partitions)) return &c->home;
    if (c->home.part == 0) {
        c->home.part = part;
        c->home.order.lost = c->has_seen;
        return &c->home;
    }
    if (!c->orders) c->orders = mem_zalloc(sizeof *c->orders);
    struct client_order **first = bucket_of(c->orders, part);
    for (struct client_order *order = *first; order; order = order->next)
        if (order->part == part) return order;
    if (c->orders->count >= ORDERS_KEPT) forget_idle(c);
    struct client_order *order = mem_zalloc(sizeof *order);
    order->part = part;
    order->order.lost = true; /* it may be the child of one it knows, or one it forgot */
    order->next = *first;
    *first = order;
    c->orders->count++;
    return order;
}

u32 redis_orders_written(struct client *c, struct client_order **out, u32 max)
{
    u32 count = 0;

    if (c->home.last_index && max) out[count++] = &c->home;
    for (u32 b = 0; c->orders && b < BUCKETS; b++) {
        for (struct client_order *order = c->orders->buckets[b]; order; order = order->next) {
            if (!order->last_index) continue;
            if (count < max)
                out[count++] = order;
            else
                c->writes_forgotten = true;
        }
    }
    return count;
}

u32 redis_orders_seen(struct client *c, struct client_order **out, u32 max)
{
    u32 count = 0;

    if (c->home.order.seen_hlc && max) out[count++] = &c->home;
    for (u32 b = 0; c->orders && b < BUCKETS; b++)
        for (struct client_order *order = c->orders->buckets[b]; order && count < max; order = order->next)
            if (order->order.seen_hlc) out[count++] = order;
    return count;
}

void redis_order_note_seen(struct client *c, u64 part, u64 hlc)
{
    struct gateway_order *order = &redis_order_of(c, part)->order;

    order->seen_hlc = u64_max(order->seen_hlc, hlc);
    order->lost = false;
}

void redis_orders_done(struct client *c)
{
    if (!c->orders) return;
    for (u32 b = 0; b < BUCKETS; b++) {
        struct client_order *next;
        for (struct client_order *order = c->orders->buckets[b]; order; order = next) {
            next = order->next;
            mem_free(order);
        }
    }
    mem_free(c->orders);
    c->orders = NULL;
}
