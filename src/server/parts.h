/* The partitions a node knows: of those it hosts one state store, Raft core and gateway each, over the node's one log, one
 * RocksDB and one budget of memory. A turn visits only the partitions that something happened to: a
 * frame, a request, a job, a deadline, or a durable log they waited for. */
#pragma once

#include "part/part.h"
#include "server/node.h"
#include "server/shipments.h"

#define PART_CORE    1 /* the cluster's own metadata */
#define PART_DEFAULT 2 /* the keyspace a new cluster begins with */

/* Blocks of the store's keyspace ids, one to a partition (docs/formats/keys.md). */
#define DEFAULT_KEYSPACE_FIRST 1u
#define DEFAULT_KEYSPACE_COUNT 0x7fffffffu
#define KEYSPACE_BLOCKS_FIRST  0x80000000u /* of partition 3, and so on */
#define KEYSPACE_BLOCK_COUNT   16384u
#define HOSTED_PARTS_MAX       131072u /* partition numbers below have blocks */

struct parts;

struct hosted {
    u64 id;
    struct part *part; /* NULL: this node has no replica of it, only the way there */
    struct store *store;
    struct gateway *gateway;
    node_id leader_hint; /* without a replica: who leads it, as far as anybody said; 0: nobody */
    u32 near_turn; /* without a replica: whom to ask next, of those who have one */
    bool founded;
    u64 requests, load; /* reports.c: counted so far, and per second */
    bool is_large;      /* a range that is to be split: where is told at middle_at again */
    nanos middle_at;
    bool is_counted;    /* since it leads: there is something to count from */
    bool erased; /* the replica that was here is gone, with its rows */
    /* the table's */
    bool retiring;
    nanos gone_at; /* residents.c: since then the map does not name the partition; 0: it does */
    bool was_merged; /* nothing of it is on disk any more: its neighbour has taken it in */
    struct store_install *erase; /* its rows are being deleted */
    struct list ready, on_log, worked;
    nanos wake_at;
    u32 heap_place;
};

struct parts *parts_new(struct env *env, struct kvs *kvs, size_t memory_bytes_max,
                        const struct part_host *host);
void parts_free(struct parts *ps);

/* Boot: all of them before wal_open, whose callbacks are the two below; then parts_boot. A store of these
 * keyspace ids is made for it; `machine` makes the state machine over that store. */
struct parts_place;
typedef struct machine *(*parts_machine_fn)(void *context, struct store *store, const struct parts_place *place);
struct parts_place {
    u32 keyspace_first, keyspace_count;
    bool by_key; /* rows in the order of their keys */
    parts_machine_fn machine;
    void *context;
};
MUST_USE err parts_add(struct parts *ps, const struct part_options *options,
                       const struct parts_place *place);
/* The same while the node runs; the partition may be known without a replica. Its replica in the catalog is
 * durable already. */
MUST_USE err parts_start(struct parts *ps, const struct part_options *options,
                         const struct parts_place *place);
/* The replica is no member any more: it stops, then its rows go, then `erased` is true. Its gateway stays. */
void parts_retire(struct parts *ps, struct hosted *h);
bool parts_take_erased(struct parts *ps); /* has any been erased since the last call? */
/* Rows of a replica that was being deleted when the node stopped. */
void parts_erase_rest(struct parts *ps, u64 id, const struct parts_place *place);
/* The partition is gone: requests on the way to it are failed. It must hold no replica. */
void parts_forget(struct parts *ps, struct hosted *h);
void parts_on_replay(void *parts, const struct wal_replayed *r);
void parts_on_damage(void *parts, const struct wal_damage *d);
MUST_USE err parts_boot(struct parts *ps, struct wal *wal);

/* A partition without a replica here: requests to it are forwarded. */
struct hosted *parts_add_remote(struct parts *ps, u64 id);
struct hosted *parts_find(struct parts *ps, u64 id); /* NULL: never heard of */
node_id hosted_leader(const struct hosted *h);       /* 0: unknown */
u32 parts_count(const struct parts *ps);
struct hosted *parts_at(struct parts *ps, u32 i); /* by id */
/* One more whenever a partition comes or goes: what was found before may be gone. */
u64 parts_changes(const struct parts *ps);
u64 parts_turns(const struct parts *ps); /* that partitions took so far: while it stays, nothing happens to any */

void parts_touch(struct parts *ps, struct hosted *h); /* it has work in this turn */
void parts_touch_all(struct parts *ps);
/* For reports.c, which empties it: by `worked`, those that took a turn. */
struct list *parts_worked(struct parts *ps);
void parts_note_worked(struct parts *ps, struct hosted *h); /* as if it had taken one */

/* Gateways and partitions take their turn. An err is final: the node must stop. */
MUST_USE err parts_turn(struct parts *ps, nanos now, bool *more);
nanos parts_deadline(const struct parts *ps);
MUST_USE err parts_on_job(struct parts *ps, struct env_job *job);
/* The rows of a replica that went while a backup read them; NULL: there are none. */
struct part_rows *parts_rows_left(struct parts *ps, u64 id);
void parts_drop_rows(struct parts *ps);
/* Snapshots on their way from here. */
struct shipments *parts_shipments(struct parts *ps);
size_t parts_memory(const struct parts *ps);
/* The front tables' budget: how much of it is used, and how often it was exceeded. */
void parts_budget(const struct parts *ps, u64 *bytes_max, u64 *bytes, u64 *exceeded);
