/* Two tables: writes, in a ring by their number (the number is the seq of this gateway's session, so the ring's base is the
 * lowest one unanswered: `acked`), and everything else, in slots. */
#include "server/gateway_internal.h"

#define WRITES_MAX  32768 /* unanswered at once; half of what a session keeps */
#define OTHERS_MAX  65536
#define SLOTS_MIN   64 /* both tables begin so small: a node may have thousands of gateways */
#define IS_OTHER    (1ull << 63)

struct gateway_slot *gateway_slot_of(struct gateway *g, u64 number)
{
    if (number & IS_OTHER) {
        u32 place = (u32)(number & (OTHERS_MAX - 1));
        if (place >= g->others_cap) return NULL;
        struct gateway_slot *s = &g->others[place];
        return s->used && s->generation == (u32)((number & ~IS_OTHER) >> 16) ? s : NULL;
    }
    if (number < g->base || number >= g->next) return NULL;
    struct gateway_slot *s = &g->writes[number & (g->writes_cap - 1)];
    return s->used ? s : NULL;
}

void gateway_slot_release(struct gateway *g, u64 number)
{
    struct gateway_slot *s = gateway_slot_of(g, number);

    assert(s);
    s->used = false;
    s->req = NULL;
    if (number & IS_OTHER) {
        g->free_others[g->free_count++] = (u32)(number & (OTHERS_MAX - 1));
        return;
    }
    while (g->base < g->next && !g->writes[g->base & (g->writes_cap - 1)].used) g->base++;
}

static void grow_writes(struct gateway *g)
{
    u32 cap = g->writes_cap ? 2 * g->writes_cap : SLOTS_MIN;
    struct gateway_slot *writes = mem_zalloc_array(cap, sizeof *writes);

    for (u64 n = g->base; n < g->next; n++) writes[n & (cap - 1)] = g->writes[n & (g->writes_cap - 1)];
    mem_free(g->writes);
    g->writes = writes;
    g->writes_cap = cap;
}

static void grow_others(struct gateway *g)
{
    u32 cap = g->others_cap ? 2 * g->others_cap : SLOTS_MIN;

    g->others = mem_resize_array(g->others, cap, sizeof *g->others);
    g->free_others = mem_resize_array(g->free_others, cap, sizeof *g->free_others);
    for (u32 i = cap; i-- > g->others_cap;) {
        g->others[i] = (struct gateway_slot){.generation = g->first_generation};
        g->free_others[g->free_count++] = i;
    }
    g->others_cap = cap;
}

bool gateway_take_number(struct gateway *g, struct gateway_request *r)
{
    struct gateway_slot *s;

    if (gateway_is_write(r)) {
        if (g->next - g->base >= WRITES_MAX) return false;
        if (g->next - g->base == g->writes_cap) grow_writes(g);
        r->number = g->next++;
        s = &g->writes[r->number & (g->writes_cap - 1)];
    } else {
        if (!g->free_count && g->others_cap < OTHERS_MAX) grow_others(g);
        if (!g->free_count) return false;
        u32 place = g->free_others[--g->free_count];
        s = &g->others[place];
        s->generation = (s->generation + 1) & 0x7fffffff;
        r->number = IS_OTHER | (u64)s->generation << 16 | place;
    }
    *s = (struct gateway_slot){
        .req = r, .deadline = r->deadline, .generation = s->generation, .used = true};
    return true;
}

enum limit_id gateway_full(const struct gateway *g)
{
    if (g->stats.inflight_bytes >= g->bytes_max) return LIMIT_GATEWAY_BYTES;
    if (g->next - g->base >= WRITES_MAX / 2) return LIMIT_GATEWAY_WRITES;
    return g->others_cap - g->free_count > OTHERS_MAX / 2 ? LIMIT_GATEWAY_OTHERS : LIMIT_NONE;
}

void gateway_limits(const struct gateway *g, struct limits_now *out)
{
    limit_see(&out->at[LIMIT_GATEWAY_BYTES], g->bytes_max, g->stats.inflight_bytes);
    limit_see(&out->at[LIMIT_GATEWAY_WRITES], WRITES_MAX, g->next - g->base);
    limit_see(&out->at[LIMIT_GATEWAY_OTHERS], OTHERS_MAX, g->others_cap - g->free_count);
}
