/* The door: one committed command. Each handler first checks everything, then changes; so a
 * refusal, which is a reply, leaves every byte as it was. */
#include "core/core_internal.h"

#include <stdio.h>

#define REPLY_FMT        1
#define REASON_BYTES_MAX 1024

void core_refuse(struct core_call *call, enum core_status status, const char *format, ...)
{
    char text[REASON_BYTES_MAX];
    va_list args;

    assert(status != CORE_OK);
    assert(call->status == CORE_OK);
    assert(!call->stamped);
    call->status = status;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(length > 0);
    buf_append(&call->reason, text, size_min((size_t)length, sizeof text - 1));
}

void core_refuse_stale(struct core_call *call, const struct core_part *p)
{
    core_refuse(call, CORE_STALE,
                "partition %llu has changed since epoch %llu (it is at %llu): decide again on the "
                "entry that comes with this",
                (unsigned long long)p->id, (unsigned long long)call->cmd->epoch,
                (unsigned long long)p->epoch);
    core_part_encode(p, &call->result);
}

static const core_handler handlers[CORE_OPS_END] = {
    [CORE_FOUND] = core_do_found,
    [CORE_NODE_JOIN] = core_do_node_join,
    [CORE_NODE_UPDATE] = core_do_node_update,
    [CORE_NODE_DRAIN] = core_do_node_drain,
    [CORE_NODE_UNDRAIN] = core_do_node_undrain,
    [CORE_NODE_REMOVE] = core_do_node_remove,
    [CORE_KS_CREATE] = core_do_ks_create,
    [CORE_KS_SET] = core_do_ks_set,
    [CORE_KS_DROP] = core_do_ks_drop,
    [CORE_KS_PIN] = core_do_ks_pin,
    [CORE_PART_BEGIN] = core_do_part_begin,
    [CORE_PART_STEP] = core_do_part_step,
    [CORE_PART_DONE] = core_do_part_done,
    [CORE_PART_LEADER] = core_do_part_leader,
    [CORE_SETTINGS] = core_do_settings,
    [CORE_VERSION_RAISE] = core_do_version_raise,
    [CORE_ID_BLOCK_TAKE] = core_do_id_block,
};

static void run(struct core_call *call)
{
    u8 op = call->cmd->op;

    if (op == CORE_FOUND && call->core->founded && !MUTANT(core_founding_twice)) {
        core_refuse(call, CORE_FOUNDED,
                    "this cluster is founded already; a node enters it by joining (quorate start "
                    "--join), and another cluster needs empty directories");
        /* Who asked twice, because the answer did not arrive, sees its own. */
        buf_append(&call->result, call->core->cluster.uuid.bytes, 16);
    } else if (op != CORE_FOUND && !call->core->founded) {
        core_refuse(call, CORE_NOT_FOUNDED, "there is no cluster yet: found one first");
    } else {
        handlers[op](call);
    }
}

static void write_reply(const struct core_call *call, struct buf *reply)
{
    buf_append_u8(reply, REPLY_FMT);
    buf_append_u8(reply, (u8)call->status);
    buf_append_u64(reply, call->core->cluster.epoch);
    buf_append_u16(reply, (u16)call->reason.len);
    buf_append_str(reply, buf_str(&call->reason));
    buf_append_str(reply, buf_str(&call->result));
}

/* Copies of the map must know how far numbers are given out: what is below and not there is gone for ever. */
static bool gave_numbers(const struct core_cluster *before, const struct core_cluster *now)
{
    return now->next_node != before->next_node || now->next_keyspace != before->next_keyspace ||
           now->next_part != before->next_part;
}

err core_apply(struct core *c, str payload, struct buf *reply)
{
    struct core_command cmd;
    struct core_call call = {.core = c, .cmd = &cmd};

    /* A level that this program does not know: others may have applied it, so going on would be
     * another history. One that is only malformed is refused by every replica alike. */
    err e = core_command_decode(payload, &cmd);
    if (e == ERR_UNSUPPORTED) return e;
    struct core_cluster before = c->cluster;
    buf_init(&call.reason, 0);
    buf_init(&call.result, 0);
    if (e)
        core_refuse(&call, CORE_INVALID, "malformed command");
    else
        run(&call);
    if (gave_numbers(&before, &c->cluster)) core_save_cluster(&call);
    if (call.stamped) core_write_cluster(c);
    write_reply(&call, reply);
    buf_done(&call.reason);
    buf_done(&call.result);
    return OK;
}

/* ---- commands about the cluster itself ---- */

void core_do_settings(struct core_call *call)
{
    u64 values[CORE_CLUSTER_SETTINGS];

    memcpy(values, call->core->cluster.settings, sizeof values);
    if (!core_settings_take(call, values)) return;
    if (memcmp(values, call->core->cluster.settings, sizeof values) == 0) return;
    memcpy(call->core->cluster.settings, values, sizeof values);
    core_save_cluster(call);
}

void core_do_version_raise(struct core_call *call)
{
    struct core *c = call->core;
    u32 wanted = call->cmd->version;

    if (wanted < c->cluster.version) {
        core_refuse(call, CORE_VERSION,
                    "the cluster's level is %u already and never goes back: what was written in it "
                    "could not be read any more",
                    c->cluster.version);
        return;
    }
    for (u32 i = 0; i < c->node_count; i++) {
        const struct core_node *n = c->nodes[i];
        if (n->state == CORE_REMOVED) continue;
        if (wanted <= n->version_max && wanted >= n->version_min) continue;
        if (MUTANT(core_version_raised_alone)) continue;
        core_refuse(call, CORE_VERSION,
                    "node %u serves levels %u to %u, not %u: install a program that does on it, or "
                    "remove the node",
                    n->id, n->version_min, n->version_max, wanted);
        return;
    }
    if (wanted == c->cluster.version) return;
    c->cluster.version = wanted;
    core_save_cluster(call);
}

/* No change of the map: only the next free number moves. */
void core_do_id_block(struct core_call *call)
{
    struct core *c = call->core;
    u8 kind = call->cmd->kind;

    if (kind >= CORE_ID_KINDS) {
        core_refuse(call, CORE_INVALID,
                    "ids are given out for producers (0) and leases (1), not %u", kind);
        return;
    }
    u64 first = c->cluster.next_id[kind];
    buf_append_u64(&call->result, first);
    if (!MUTANT(core_id_block_given_twice)) c->cluster.next_id[kind] = first + CORE_ID_BLOCK;
    core_write_cluster(c);
}
