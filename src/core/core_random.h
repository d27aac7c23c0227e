/* Random commands over a small world, for tests and for whoever needs a core with a past. */
#pragma once

#include "core/core_internal.h"

#include "base/prng.h"

static inline str random_name(struct prng *r)
{
    static const char *const names[] = {"orders", "carts", "flags", "etcd", "bad name", "default"};
    return str_of(names[prng_below(r, ARRAY_LEN(names))]);
}

static inline struct core_node_spec random_spec(struct prng *r)
{
    static const char *const racks[] = {"a", "b", "c", ""};
    return (struct core_node_spec){.incarnation = {{(u8)prng_below(r, 12)}},
                                   .peer = STR("h:1"),
                                   .redis = STR("h:2"),
                                   .admin = STR("h:3"),
                                   .rack = str_of(racks[prng_below(r, 4)]),
                                   .version_min = 1 + (u32)prng_below(r, 10) / 9,
                                   .version_max = 1 + (u32)prng_below(r, 3)};
}

static inline void random_rows(struct prng *r, struct core_command *c)
{
    static const char *const rows[][2] = {
        {"replicas", "1"},        {"replicas", "3"},       {"replicas", "2"},
        {"partitions", "hash:3"}, {"partitions", "range"}, {"partitions", "hash:8"},
        {"durability", "memory"}, {"paused", "yes"},       {"replace-after", "60"},
        {"no-such", "1"},
    };
    c->row_count = (u32)prng_below(r, 3);
    for (u32 i = 0; i < c->row_count; i++) {
        u64 pick = prng_below(r, ARRAY_LEN(rows));
        c->rows[i] = (struct core_setting_row){str_of(rows[pick][0]), str_of(rows[pick][1])};
    }
}

static inline void random_part_fields(struct prng *r, const struct core *core,
                                      struct core_command *c)
{
    static const char *const keys[] = {"", "d", "k", "p", "x"};
    u32 count;
    const struct core_part *const *parts = core_parts(core, &count);

    if (!count) return;
    const struct core_part *p = parts[prng_below(r, count)];
    c->part = p->id;
    c->epoch = prng_below(r, 8) ? p->epoch : prng_below(r, p->epoch + 2);
    c->keyspace = p->keyspace;
    c->kind = (u8)prng_below(r, CORE_OP_KINDS + 1);
    c->replica = prng_below(r, 4) ? p->members[prng_below(r, p->member_count)].replica : 0;
    c->other = p->id + prng_below(r, 3);
    c->slot = p->is_range ? 0 : (u16)prng_between(r, p->slot_first, p->slot_last);
    c->key = str_of(p->is_range ? keys[prng_below(r, 5)] : "");
    c->step = (u8)prng_below(r, CORE_STEPS + 1);
    if (c->kind == CORE_OP_SPLIT && prng_below(r, 2)) c->node = prng_below(r, 2) ? 0 : CORE_NODE_ANY;
    c->term = p->leader_term + prng_below(r, 3);
}

static inline void random_command(struct prng *r, const struct core *core, struct core_command *c)
{
    static const u8 ops[] = {
        CORE_NODE_JOIN,     CORE_NODE_JOIN,     CORE_NODE_UPDATE, CORE_NODE_UPDATE,
        CORE_NODE_DRAIN,    CORE_NODE_UNDRAIN,  CORE_NODE_REMOVE, CORE_KS_CREATE,
        CORE_KS_SET,        CORE_KS_DROP,       CORE_KS_PIN,      CORE_PART_BEGIN,
        CORE_PART_BEGIN,    CORE_PART_BEGIN,    CORE_PART_BEGIN,  CORE_PART_STEP,
        CORE_PART_STEP,     CORE_PART_STEP,     CORE_PART_STEP,   CORE_PART_DONE,
        CORE_PART_DONE,     CORE_PART_DONE,     CORE_PART_LEADER, CORE_SETTINGS,
        CORE_VERSION_RAISE, CORE_ID_BLOCK_TAKE, CORE_FOUND,
    };
    *c = (struct core_command){.op = ops[prng_below(r, ARRAY_LEN(ops))]};
    if (!core_cluster(core)) c->op = CORE_FOUND;
    c->node = 1 + (u32)prng_below(r, 9);
    c->flags = (u8)prng_below(r, 4);
    c->mask = (u8)prng_below(r, 16);
    c->version = 1 + (u32)prng_below(r, 2);
    c->uuid.bytes[0] = 7;
    random_part_fields(r, core, c);
    c->name = random_name(r);
    if (c->op == CORE_KS_DROP && core_keyspace(core, c->keyspace))
        c->name = core_str(&core_keyspace(core, c->keyspace)->name);
    random_rows(r, c);
    c->node_count = 1;
    if (c->op == CORE_FOUND) {
        c->version = 1;
        c->node_count = (u32)prng_below(r, 4);
    }
    for (u32 i = 0; i < CORE_VOTERS_MAX; i++) c->nodes[i] = random_spec(r);
    if (c->op == CORE_NODE_UPDATE && core_node(core, c->node))
        c->nodes[0].incarnation = core_node(core, c->node)->incarnation;
}
