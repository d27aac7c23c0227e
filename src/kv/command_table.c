/* The data commands, a row each, by name. Arity, flags and key positions are those Redis 7.0 reports. */
#include "kv/kv_internal.h"

#define W (KV_WRITE)
#define R (KV_READ)
#define F (KV_FAST)
#define M (KV_DENYOOM)
#define S (KV_STRING)

static const struct kv_command command_table[] = {
    /* name        arity flags       first last step handler */
    {"append", 3, W | M | F | S, 1, 1, 1, cmd_append},
    {"copy", -3, W | M, 1, 2, 1, cmd_copy},
    {"dbsize", 1, R | F, 0, 0, 0, cmd_dbsize},
    {"decr", 2, W | M | F | S, 1, 1, 1, cmd_decr},
    {"decrby", 3, W | M | F | S, 1, 1, 1, cmd_decrby},
    {"del", -2, W, 1, -1, 1, cmd_del},
    {"exists", -2, R | F, 1, -1, 1, cmd_exists},
    {"expire", -3, W | F, 1, 1, 1, cmd_expire},
    {"expireat", -3, W | F, 1, 1, 1, cmd_expireat},
    {"expiretime", 2, R | F, 1, 1, 1, cmd_expiretime},
    {"flushall", -1, W | KV_DANGEROUS, 0, 0, 0, cmd_flushall},
    {"flushdb", -1, W | KV_DANGEROUS, 0, 0, 0, cmd_flushdb},
    {"get", 2, R | F | S, 1, 1, 1, cmd_get},
    {"getdel", 2, W | F | S, 1, 1, 1, cmd_getdel},
    {"getex", -2, W | F | S, 1, 1, 1, cmd_getex},
    {"getrange", 4, R | S, 1, 1, 1, cmd_getrange},
    {"getset", 3, W | M | F | S, 1, 1, 1, cmd_getset},
    {"incr", 2, W | M | F | S, 1, 1, 1, cmd_incr},
    {"incrby", 3, W | M | F | S, 1, 1, 1, cmd_incrby},
    {"incrbyfloat", 3, W | M | F | S, 1, 1, 1, cmd_incrbyfloat},
    {"keys", 2, R | KV_DANGEROUS, 0, 0, 0, cmd_keys},
    {"lcs", -3, R | S, 1, 2, 1, cmd_lcs},
    {"mget", -2, R | F | S, 1, -1, 1, cmd_mget},
    {"move", 3, W | F, 1, 1, 1, cmd_move},
    {"mset", -3, W | M | S, 1, -1, 2, cmd_mset},
    {"msetnx", -3, W | M | S, 1, -1, 2, cmd_msetnx},
    {"object", -2, R | KV_MOVABLE, 0, 0, 0, cmd_object},
    {"persist", 2, W | F, 1, 1, 1, cmd_persist},
    {"pexpire", -3, W | F, 1, 1, 1, cmd_pexpire},
    {"pexpireat", -3, W | F, 1, 1, 1, cmd_pexpireat},
    {"pexpiretime", 2, R | F, 1, 1, 1, cmd_pexpiretime},
    {"psetex", 4, W | M | S, 1, 1, 1, cmd_psetex},
    {"pttl", 2, R | F, 1, 1, 1, cmd_pttl},
    {"q.scan", -3, R, 1, 1, 1, cmd_q_scan},
    {"randomkey", 1, R | KV_RANDOM, 0, 0, 0, cmd_randomkey},
    {"rename", 3, W, 1, 2, 1, cmd_rename},
    {"renamenx", 3, W | F, 1, 2, 1, cmd_renamenx},
    {"scan", -2, R | KV_RANDOM, 0, 0, 0, cmd_scan},
    {"set", -3, W | M | S, 1, 1, 1, cmd_set},
    {"setex", 4, W | M | S, 1, 1, 1, cmd_setex},
    {"setnx", 3, W | M | F | S, 1, 1, 1, cmd_setnx},
    {"setrange", 4, W | M | S, 1, 1, 1, cmd_setrange},
    {"strlen", 2, R | F | S, 1, 1, 1, cmd_strlen},
    {"substr", 4, R | S, 1, 1, 1, cmd_getrange},
    {"swapdb", 3, W | F | KV_DANGEROUS, 0, 0, 0, cmd_swapdb},
    {"touch", -2, R | F, 1, -1, 1, cmd_exists},
    {"ttl", 2, R | F, 1, 1, 1, cmd_ttl},
    {"type", 2, R | F, 1, 1, 1, cmd_type},
    {"unlink", -2, W | F, 1, -1, 1, cmd_del},
};

const struct kv_command *kv_commands(u32 *count)
{
    *count = ARRAY_LEN(command_table);
    return command_table;
}

#define NAME_MAX_BYTES 11

const struct kv_command *kv_command_find(str name)
{
    char wanted[NAME_MAX_BYTES + 1];
    u32 low = 0, high = ARRAY_LEN(command_table);

    if (name.len == 0 || name.len > NAME_MAX_BYTES) return NULL;
    for (size_t i = 0; i < name.len; i++) wanted[i] = (char)(name.at[i] | 0x20);
    wanted[name.len] = 0;
    while (low < high) {
        u32 middle = (low + high) / 2;
        int order = strcmp(wanted, command_table[middle].name);
        /* Setting one bit made letters small, and other bytes wrong: look again. */
        if (order == 0) return str_is_word(name, wanted) ? &command_table[middle] : NULL;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool kv_command_takes(const struct kv_command *cmd, u32 argc)
{
    return cmd->arity >= 0 ? argc == (u32)cmd->arity : argc >= (u32)-cmd->arity;
}

u32 kv_command_keys(const struct kv_command *cmd, const str *argv, u32 argc, u32 *indexes, u32 max)
{
    u32 count = 0;

    if (!kv_command_takes(cmd, argc)) return 0;
    if (cmd->flags & KV_MOVABLE) { /* OBJECT <question> key */
        if (argc != 3 || str_is_word(argv[1], "help")) return 0;
        if (max) indexes[0] = 2;
        return 1;
    }
    if (cmd->first_key == 0) return 0;
    u32 last = cmd->last_key < 0 ? argc - (u32)-cmd->last_key : (u32)cmd->last_key;
    for (u32 i = (u32)cmd->first_key; i <= last; i += (u32)cmd->key_step) {
        if (count < max) indexes[count] = i;
        count++;
    }
    return count;
}

void kv_run(struct kv_call *c)
{
    struct kv *kv = c->kv;

    /* Commands come in runs of the same one. */
    if (!kv->last_command || !str_is_word(c->argv[0], kv->last_command->name))
        kv->last_command = kv_command_find(c->argv[0]);
    c->command = kv->last_command;
    if (!c->command)
        kv_reply_unknown_command(&c->w, c->argv, c->argc);
    else if (!kv_command_takes(c->command, c->argc))
        kv_reply_wrong_arity(&c->w, c->command->name);
    else
        c->command->handler(c);
}
