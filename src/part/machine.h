/* A state machine as its partition sees it: what a group replicates. kv_machine.c is the Redis keyspace;
 * the cluster's own metadata is another. All of it is deterministic: time, chance and identity come
 * with the entry. Sessions are the partition's business. */
#pragma once

#include "kv/entry.h"

struct machine;

struct machine_ops {
    void (*free)(struct machine *m);

    /* Everything that is not a row of the store: part of the checkpoint's marker. Empty bytes: a fresh state;
     * also resets. */
    void (*state_encode)(const struct machine *m, struct buf *out);
    err (*state_decode)(struct machine *m, str bytes);

    /* One committed COMMAND, EXEC or TICK entry; the reply is appended to out. A refusal is a reply, an err
     * (the store's, or a malformed entry) stops the node. */
    err (*apply)(struct machine *m, const struct entry *e, u64 ver, struct buf *out);

    /* Are all keys that a request names ours? NULL: there are none elsewhere. */
    bool (*covers)(const struct machine *m, const struct entry *e);

    /* A hint without effect but on time: this entry will be applied soon. NULL: no use for it. */
    void (*prefetch)(struct machine *m, const struct entry *e);

    /* A read on the applied state; *need_tick: nothing was appended, propose a TICK of now_us first. */
    err (*read)(struct machine *m, const struct entry *e, u64 now_us, u64 seed, struct buf *out,
                bool *need_tick);
    /* The latest read has not come to its end: nothing was appended. Read again with the same arguments, nothing
     * applied in between, or forget it. */
    bool (*read_goes_on)(const struct machine *m);
    void (*read_forget)(struct machine *m);
    /* WATCH of the keys a COMMAND entry's arguments name: exists:u8 ver:u64 for each. */
    err (*watch)(struct machine *m, const struct entry *e, u64 now_us, struct buf *out);

    u64 (*clock_hlc)(const struct machine *m); /* the highest applied hlc */
    /* Body of a TICK that removes what this read met expired; empty: none in particular. */
    void (*tick_body)(struct machine *m, const struct entry *e, struct buf *out);
    /* Does anything have a time to end at? Else nobody looks, until entries were applied. NULL: never. */
    bool (*may_expire)(const struct machine *m);
    /* Active expiry, the leader's: about `rows` looked at; *found is how many the body names. */
    err (*find_expired)(struct machine *m, u64 now_us, u32 rows, struct buf *tick_body, u32 *found);
};

struct machine { /* first member of each kind */
    const struct machine_ops *ops;
};

/* The Redis keyspace over kv (owned). */
struct kv;
struct machine *kv_machine_new(struct kv *kv);
struct kv *kv_machine_kv(const struct machine *m); /* NULL: m is of another kind */

/* The cluster's metadata over core (owned). A write's body is a command of it, its answer that command's reply; a read is
 * answered with the map's epoch:u64. */
struct core;
struct machine *core_machine_new(struct core *core);
struct core *core_machine_core(struct machine *m); /* NULL: m is of another kind */
