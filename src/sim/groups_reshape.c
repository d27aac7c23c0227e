/* How many partitions were split, merged and moved: so that a run says what its faults struck at. */
#include "sim/groups_internal.h"

#include "base/mem.h"
#include "core/core.h"
#include "kv/entry.h"

static u8 *under_way(struct groups *g, u64 part)
{
    if (part >= g->kind_cap) {
        u64 cap = (part + 1) * 2;
        g->kinds = mem_resize_array(g->kinds, cap, sizeof *g->kinds);
        memset(g->kinds + g->kind_cap, 0, (cap - g->kind_cap) * sizeof *g->kinds);
        g->kind_cap = cap;
    }
    return &g->kinds[part];
}

void groups_on_core_command(struct groups *g, str bytes, str answer)
{
    struct world *w = g->world;
    struct core_command cmd;
    struct core_reply reply;
    struct entry e;

    if (!bytes.len || entry_decode(bytes, &e) || e.op != ENTRY_COMMAND || core_command_decode(e.body, &cmd)) return;
    if (core_reply_decode(answer, &reply) || reply.status != CORE_OK) return;
    if (cmd.op < CORE_PART_BEGIN || cmd.op > CORE_PART_DONE) return;
    u8 *kind = under_way(g, cmd.part);
    if (cmd.op == CORE_PART_BEGIN) *kind = cmd.kind;
    if (cmd.op == CORE_PART_STEP && (cmd.step == CORE_STEP_NONE || cmd.step == CORE_STEP_UNDO)) *kind = CORE_OP_NONE;
    if (cmd.op != CORE_PART_DONE) return;
    w->split_count += *kind == CORE_OP_SPLIT;
    w->merge_count += *kind == CORE_OP_MERGE;
    w->move_count += *kind == CORE_OP_MOVE || *kind == CORE_OP_REMOVE;
    *kind = CORE_OP_NONE;
}
