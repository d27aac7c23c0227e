/* Which replicas this directory holds: the file `replicas`, docs/formats/identity.md. A replica is in it, durably, before
 * it is started, so that no start forgets one that has voted; and until its rows are deleted. */
#pragma once

#include "env/env.h"
#include "raft/raft.h"

enum replica_machine { REPLICA_CORE = 1, REPLICA_REDIS = 2 };

struct replica_row {
    u64 part;
    replica_id replica;
    u8 machine;
    bool started;  /* it may have promised something: an empty log is a lost one */
    bool by_key;   /* its rows are in the order of their keys */
    bool deleting; /* it is no member any more: its rows go, then the row here */
    u32 keyspace_first, keyspace_count; /* of the store */
    u32 keyspace;                       /* of the core, that the partition is of */
    u16 slot_first, slot_last;          /* when the replica was noted; slot_last 0: all */
    str founders; /* as raft_config_encode; empty: it came to a running group. The table owns what is in its rows */
};

struct replicas {
    struct env *env;
    struct replica_row *rows; /* by part */
    u32 count, cap;
    u64 epoch; /* of the newest map that the rows were made by: an older one says nothing about them */
    bool dirty;
};

/* found: was there a file? ERR_CORRUPT: it is not such a file. */
MUST_USE err replicas_open(struct env *env, struct replicas *r, bool *found);
void replicas_done(struct replicas *r);
struct replica_row *replicas_find(const struct replicas *r, u64 part); /* NULL: none; until the next add or remove */
void replicas_add(struct replicas *r, const struct replica_row *row);  /* in place of the one of that part */
void replicas_remove(struct replicas *r, u64 part);
/* Changes are in the file when it returns OK; nothing to do if there are none. */
MUST_USE err replicas_save(struct replicas *r);
