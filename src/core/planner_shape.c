/* Range partitions: split where they grew too large or too busy, merged where neighbours are small.
 * Hash partitions are as many as their keyspace was created with. */
#include "core/planner_internal.h"

#include "base/search.h"

#define SHAPES_AT_ONCE 8

static bool is_quiet(const struct seen_part *s)
{
    return !s->taken && s->fact && s->live == s->voters && s->part->is_range;
}

static bool is_too_large(const struct planner *p, const struct seen_part *s)
{
    const u64 *settings = p->core->cluster.settings;
    u64 load = settings[CORE_SPLIT_LOAD];

    return s->fact->bytes > settings[CORE_SPLIT_BYTES] || (load && s->fact->load > load);
}

static bool middle_is_inside(const struct seen_part *s)
{
    str at = s->fact->middle;

    if (at.len == 0 || at.len > CORE_KEY_BYTES_MAX) return false;
    if (str_compare(at, s->part->from) <= 0) return false;
    return s->part->to.len == 0 || str_compare(at, s->part->to) < 0;
}

static struct seen_part *seen_of(const struct planner *p, u64 id)
{
    u32 low;

    LOWER_BOUND(low, p->part_count, p->parts[low].part->id < id);
    return &p->parts[low];
}

static bool are_together(const struct core_part *a, const struct core_part *b)
{
    if (a->member_count != b->member_count) return false;
    for (u32 i = 0; i < a->member_count; i++)
        if (!core_part_member_on(b, a->members[i].node)) return false;
    return true;
}

static bool may_merge(const struct planner *p, const struct seen_part *a, const struct seen_part *b)
{
    const u64 *settings = p->core->cluster.settings;
    u64 load = settings[CORE_SPLIT_LOAD];

    if (a->part->prefer_node != b->part->prefer_node) return false; /* a directory's end */
    if (!is_quiet(a) || !is_quiet(b) || !are_together(a->part, b->part)) return false;
    if (a->voters != a->part->member_count || b->voters != b->part->member_count) return false;
    if (load && a->fact->load + b->fact->load > load / 4) return false;
    return a->fact->bytes + b->fact->bytes < settings[CORE_MERGE_BYTES];
}

static u32 shape_keyspace(struct planner *p, const struct core_keyspace *k, u32 budget)
{
    u32 used = 0;

    for (u32 i = 0; i < k->part_count && used < budget && !planner_is_full(p); i++) {
        struct seen_part *s = seen_of(p, k->parts[i]->id);
        if (!is_quiet(s)) continue;
        if (is_too_large(p, s)) {
            if (!middle_is_inside(s) || p->part_count >= CORE_PARTS_MAX) continue;
            struct core_plan_step *step = plan_add(
                p, s, CORE_PLAN_SPLIT, CORE_WHY_SIZE,
                "partition %llu has %llu MiB and %llu requests/s, over split-bytes or split-load: "
                "it is "
                "halved",
                (unsigned long long)s->part->id, (unsigned long long)(s->fact->bytes >> 20),
                (unsigned long long)s->fact->load);
            step->key = s->fact->middle;
            used++;
            continue;
        }
        struct seen_part *right = i + 1 < k->part_count ? seen_of(p, k->parts[i + 1]->id) : NULL;
        if (!right || !may_merge(p, s, right)) continue;
        struct core_plan_step *step = plan_add(
            p, s, CORE_PLAN_MERGE, CORE_WHY_SIZE,
            "partitions %llu and %llu have %llu MiB together, less than merge-bytes: they "
            "become one",
            (unsigned long long)s->part->id, (unsigned long long)right->part->id,
            (unsigned long long)((s->fact->bytes + right->fact->bytes) >> 20));
        step->other = right->part->id;
        right->taken = true;
        used++;
    }
    return used;
}

void plan_shapes(struct planner *p)
{
    u32 under_way = 0;

    for (u32 i = 0; i < p->part_count; i++) {
        u8 kind = p->parts[i].part->op.kind;
        under_way += kind == CORE_OP_SPLIT || kind == CORE_OP_MERGE;
    }
    for (u32 i = 0; i < p->core->keyspace_count && under_way < SHAPES_AT_ONCE; i++) {
        const struct core_keyspace *k = p->core->keyspaces[i];
        if (k->settings[CORE_PARTITIONS] == 0)
            under_way += shape_keyspace(p, k, SHAPES_AT_ONCE - under_way);
    }
}
