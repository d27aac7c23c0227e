/* Who a directory belongs to. `identity` is written once; `boot` grows at every start and is
 * durable before the node serves. docs/formats/identity.md. */
#include "server/join.h"
#include "server/node_internal.h"

#include "base/bytes.h"
#include "base/crc.h"
#include "base/hash.h"
#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>

#define IDENTITY_BYTES 52 /* magic 8, format 4, cluster 16, node 4, incarnation 16, crc 4 */
#define BOOT_BYTES     16 /* magic 8, epoch 4, crc 4 */
#define CLUSTER_AT     12
#define NODE_AT        28
#define INCARNATION_AT 32

static const char identity_magic[8] = {'Q', 'R', 'T', 'I', 'D', 'E', 'N', 'T'};
static const char boot_magic[8] = {'Q', 'R', 'T', 'B', 'O', 'O', 'T', ' '};

static void hex(const u8 id[16], char out[33])
{
    hex_write(id, 16, out);
    out[32] = 0;
}

static void random_id(struct env *env, u8 out[16])
{
    put_u64(out, env_random(env));
    put_u64(out + 8, env_random(env));
}

/* With fixed members and no id given, every node derives the same one from the members' names. */
static void derived_id(const struct node_config *c, u8 out[16])
{
    struct buf names;

    buf_init(&names, 0);
    for (u32 i = 0; i < c->member_count; i++)
        buf_printf(&names, "%u=%s:%u,", c->members[i].id, c->members[i].host,
                   c->members[i].peer_port);
    put_u64(out, hash64(buf_bytes(&names), names.len));
    buf_append_text(&names, "second half");
    put_u64(out + 8, hash64(buf_bytes(&names), names.len));
    buf_done(&names);
}

static err write_identity(struct env *env, const struct identity *id)
{
    u8 bytes[IDENTITY_BYTES] = {0};

    mem_copy(bytes, identity_magic, 8);
    put_u32(bytes + 8, 1);
    mem_copy(bytes + CLUSTER_AT, id->cluster_id, 16);
    put_u32(bytes + NODE_AT, id->node);
    mem_copy(bytes + INCARNATION_AT, id->incarnation, 16);
    put_u32(bytes + IDENTITY_BYTES - 4, crc32c(bytes, IDENTITY_BYTES - 4));
    return env_file_replace(env, "identity", str_from(bytes, sizeof bytes));
}

static bool sealed(str s, size_t bytes, const char magic[8])
{
    return s.len == bytes && mem_equal(s.at, magic, 8) &&
           get_u32(s.at + bytes - 4) == crc32c(s.at, bytes - 4);
}

static err read_identity(struct env *env, struct identity *out)
{
    struct buf b;

    buf_init(&b, 0);
    err e = env_file_read(env, "identity", 4096, &b);
    if (!e && !sealed(buf_str(&b), IDENTITY_BYTES, identity_magic)) e = ERR_CORRUPT;
    if (!e) {
        const u8 *at = buf_bytes(&b);
        mem_copy(out->cluster_id, at + CLUSTER_AT, 16);
        out->node = get_u32(at + NODE_AT);
        mem_copy(out->incarnation, at + INCARNATION_AT, 16);
    }
    buf_done(&b);
    return e;
}

static err raise_boot(struct env *env, u32 *out)
{
    struct buf b;
    u32 epoch = 0;

    buf_init(&b, 0);
    err e = env_file_read(env, "boot", 4096, &b);
    if (!e && !sealed(buf_str(&b), BOOT_BYTES, boot_magic)) e = ERR_CORRUPT;
    if (!e) epoch = get_u32(buf_bytes(&b) + 8);
    buf_done(&b);
    if (e && e != ERR_NOT_FOUND) return e;

    u8 bytes[BOOT_BYTES] = {0};
    mem_copy(bytes, boot_magic, 8);
    put_u32(bytes + 8, epoch + 1);
    put_u32(bytes + 12, crc32c(bytes, 12));
    *out = epoch + 1;
    return env_file_replace(env, "boot", str_from(bytes, sizeof bytes));
}

static err mismatch(char *problem, size_t size, const char *what, const char *has,
                    const char *asked)
{
    snprintf(problem, size,
             "the directory belongs to %s %s, but %s was asked for; use another --dir", what, has,
             asked);
    return ERR_WRONG_IDENTITY;
}

static err check_identity(const struct node_config *c, const struct identity *id, char *problem,
                          size_t size)
{
    char has[33], asked[33];

    if (c->self && id->node && c->self != id->node) {
        snprintf(has, sizeof has, "%u", id->node);
        snprintf(asked, sizeof asked, "%u", c->self);
        return mismatch(problem, size, "node", has, asked);
    }
    u8 wanted[16];
    if (c->has_cluster_id)
        mem_copy(wanted, c->cluster_id, 16);
    else if (c->member_count)
        derived_id(c, wanted);
    else
        return OK;
    if (mem_equal(wanted, id->cluster_id, 16)) return OK;
    hex(id->cluster_id, has);
    hex(wanted, asked);
    return mismatch(problem, size, "cluster", has, asked);
}

/* Asks to join: an incarnation to ask with, and no cluster or node yet. */
static err pending_identity(struct env *env, struct identity *id)
{
    id->blank = true;
    random_id(env, id->incarnation);
    return write_identity(env, id);
}

/* The members as last heard of, for the next start: `members`, a line `id host:port` each. */
err identity_write_members(struct env *env, const struct node_member *m, u32 count)
{
    struct buf b = {0};

    for (u32 i = 0; i < count; i++) buf_printf(&b, "%u %s %u\n", m[i].id, m[i].host, m[i].peer_port);
    err e = env_file_replace(env, "members", buf_str(&b));
    buf_done(&b);
    return e;
}

static bool read_member(char *line, struct node_member *m)
{
    unsigned id, port;

    if (sscanf(line, "%u %63s %u", &id, m->host, &port) != 3 || !id || !port || port > UINT16_MAX)
        return false;
    m->id = id;
    m->peer_port = (u16)port;
    return true;
}

static err read_members(struct env *env, struct node_config *c)
{
    struct buf b = {0};
    char *rest = NULL;

    err e = env_file_read(env, "members", 64 * KIB, &b);
    buf_append_u8(&b, 0);
    if (!e) c->member_count = 0;
    for (char *line = e ? NULL : strtok_r((char *)buf_bytes(&b), "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        if (c->member_count == NODE_MEMBERS_MAX || !read_member(line, &c->members[c->member_count])) {
            e = ERR_CORRUPT;
            break;
        }
        c->member_count++;
    }
    buf_done(&b);
    return e;
}

void identity_use_named(const struct node_config *c, struct node_member *members, u32 count)
{
    for (u32 i = 0; i < count; i++)
        for (u32 j = 0; j < c->named_count; j++)
            if (c->named[j].id == members[i].id) members[i] = c->named[j];
}

err identity_settle(struct env *env, struct node_config *c, const struct join_outcome *o,
                    struct identity *id)
{
    mem_copy(id->cluster_id, o->cluster_id, 16);
    id->node = o->node;
    c->self = o->node;
    mem_copy(c->cluster_id, o->cluster_id, 16);
    c->has_cluster_id = true;
    c->member_count = o->member_count;
    for (u32 i = 0; i < o->member_count; i++) c->members[i] = o->members[i];
    err e = identity_write_members(env, o->members, o->member_count);
    return e ? e : write_identity(env, id); /* last: with it the node is a member */
}

static err found_identity(struct env *env, const struct node_config *c, struct identity *id)
{
    id->blank = true;
    id->node = c->self ? c->self : 1;
    if (c->has_cluster_id)
        mem_copy(id->cluster_id, c->cluster_id, 16);
    else if (c->member_count)
        derived_id(c, id->cluster_id);
    else
        random_id(env, id->cluster_id);
    random_id(env, id->incarnation);
    return write_identity(env, id);
}

err identity_open(struct env *env, struct node_config *c, char *problem, size_t size,
                  struct identity *out)
{
    u64 holder = 0;

    *out = (struct identity){0};
    err e = env->ops->dir_lock(env, "lock", &holder);
    if (e && !MUTANT(directory_not_locked)) {
        snprintf(problem, size,
                 "the directory is in use by process %" PRIu64 "; stop it or use another --dir",
                 holder);
        return e;
    }
    e = read_identity(env, out);
    if (!e)
        e = check_identity(c, out, problem, size);
    else if (e == ERR_NOT_FOUND)
        e = c->seed_count ? pending_identity(env, out) : found_identity(env, c, out);
    if (!e && !out->node && !c->seed_count) {
        snprintf(problem, size,
                 "the directory has asked to join a cluster and has no answer yet; start it with "
                 "--join HOST:PORT, or use another --dir");
        return ERR_WRONG_IDENTITY;
    }
    if (!e && out->node) { /* who the members are by now matters more than who was named at the start */
        e = read_members(env, c);
        identity_use_named(c, c->members, c->member_count);
        out->has_joined = e == OK;
        if (e == ERR_NOT_FOUND) e = OK; /* of one, or as named */
    }
    if (!e) e = raise_boot(env, &out->boot);
    if (e && !problem[0])
        snprintf(problem, size, "cannot read or write the directory's identity: %s", err_text(e));
    if (e) return e;
    if (!out->node) return OK;
    c->self = out->node;
    mem_copy(c->cluster_id, out->cluster_id, 16);
    c->has_cluster_id = true;
    return OK;
}
