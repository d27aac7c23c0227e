/* The consistent core: the small state machine that says which nodes there are, which keyspaces,
 * how each is cut into partitions and who holds them. It is what everybody else believes; nothing
 * here is observed, everything is decided by a log entry.
 *
 * core_apply is a pure function of (state, command). The state is rows of the store (keyspace 0,
 * see docs/formats/core.md), so that a checkpoint, a snapshot and a restart are those of every
 * partition; an index over them lives in memory and is rebuilt by core_load.
 *
 *     struct core *c = core_new(store);
 *     err e = core_load(c);                        after start, after a snapshot was installed
 *     e = core_apply(c, payload, &reply);          one committed command
 *     core_delta(c, since, 64 * KIB, &out);        what changed in the map
 */
#pragma once

#include "store/store.h"

#define CORE_STORE_KEYSPACE   0 /* of the store: no user data has this number */
#define CORE_GROUP            1 /* the partition that hosts the core itself */
#define CORE_KEYSPACE         1 /* its keyspace, "core" */
#define CORE_KEYSPACE_DEFAULT 2
#define CORE_KEYSPACE_FIRST   16 /* of those made later: also the number Redis clients SELECT */

#define CORE_NODES_MAX      1000 /* not removed; as many removed ones are remembered */
#define CORE_KEYSPACES_MAX  1000
#define CORE_NODE_ANY       UINT32_MAX /* of a pin that is to be none, where 0 says: as before */
#define CORE_PARTS_MAX      100000
#define CORE_HASH_PARTS_MAX 4096 /* of one keyspace, at its creation */
#define CORE_VOTERS_MAX     7
#define CORE_MEMBERS_MAX    8 /* and the replica that is being added */
#define CORE_SLOTS          16384
#define CORE_NAME_BYTES_MAX 63
#define CORE_TEXT_BYTES_MAX 255
#define CORE_KEY_BYTES_MAX  1024 /* a boundary of a key range */
#define CORE_ROWS_MAX       32   /* name=value rows of one command */
#define CORE_ID_BLOCK       1000
#define CORE_CHANGES_KEPT   4096 /* what a delta can look back */

struct core_uuid {
    u8 bytes[16];
};

struct core_text {
    u8 len;
    u8 bytes[CORE_TEXT_BYTES_MAX];
};
static inline str core_str(const struct core_text *t)
{
    return str_from(t->bytes, t->len);
}

/* ---- settings: rows of a table, docs/formats/core.md ---- */

enum core_cluster_setting {
    CORE_REPLACE_AFTER_S, /* a silent node's replicas are replaced after so many seconds */
    CORE_MOVES_PER_NODE,  /* replicas on their way from or to one node at once */
    CORE_MOVES_AT_ONCE,   /* in the whole cluster */
    CORE_PAUSED,          /* the planner starts nothing */
    CORE_SPLIT_BYTES,     /* a range partition above it is split */
    CORE_MERGE_BYTES,     /* neighbours together below it are merged */
    CORE_SPLIT_LOAD,      /* requests per second; 0: load splits nothing */
    CORE_CLUSTER_SETTINGS
};

enum core_keyspace_setting {
    CORE_REPLICAS,
    CORE_PARTITIONS, /* 0: range; else hash:N */
    CORE_CONSISTENCY,
    CORE_DURABILITY,
    CORE_VALUE_BYTES_MAX,
    CORE_LEVEL, /* how its reads are answered unless they ask: consistency/level.h, as a number */
    CORE_KEYSPACE_SETTINGS
};

/* Their names, and values as people write them ("hash:8", "yes", "300"). */
const char *core_setting_name(enum core_cluster_setting s);
void core_setting_print(enum core_cluster_setting s, u64 value, struct buf *out);
const char *core_keyspace_setting_name(enum core_keyspace_setting s);
void core_keyspace_setting_print(enum core_keyspace_setting s, u64 value, struct buf *out);

/* ---- the objects, as a map holds them ---- */

enum core_object_kind { CORE_CLUSTER = 1, CORE_NODE = 2, CORE_KS = 3, CORE_PART = 4 };
enum core_node_state { CORE_JOINING = 1, CORE_UP, CORE_DRAINING, CORE_DRAINED, CORE_REMOVED };
enum core_role { CORE_LEARNER = 1, CORE_VOTER = 2 };
enum core_id_kind { CORE_IDS_PRODUCER, CORE_IDS_LEASE, CORE_ID_KINDS };

/* An operation on a partition, one at a time, step by step. */
enum core_op_kind {
    CORE_OP_NONE,
    CORE_OP_MOVE,   /* `in` comes, `out` (0: nobody) goes */
    CORE_OP_REMOVE, /* `out` goes */
    CORE_OP_SPLIT,  /* at slot or key `at`: the upper half becomes partition `other` */
    CORE_OP_MERGE,  /* the right neighbour `other` is taken in */
    CORE_OP_MERGED, /* the right neighbour's side of it; `other` is the left one */
    CORE_OP_KINDS
};
enum core_op_step {
    CORE_STEP_NONE,
    CORE_STEP_BEGUN = 1,    /* MOVE: the group adds a learner. SPLIT, MERGE: the group prepares */
    CORE_STEP_PREPARED = 2, /* MOVE: the learner catches up. SPLIT, MERGE: ready to be done */
    CORE_STEP_SWAP = 3,     /* MOVE: the group changes its voters, in for out, jointly */
    CORE_STEP_UNDO = 4,     /* MOVE: the group drops the learner again */
    CORE_STEPS
};

struct core_cluster {
    struct core_uuid uuid;
    u32 version; /* the format level in use; a node serves the levels min..max */
    u64 epoch;   /* of the map: one more for each change */
    u32 next_node, next_keyspace;
    u64 next_part, next_id[CORE_ID_KINDS];
    u64 settings[CORE_CLUSTER_SETTINGS];
};

struct core_node {
    u32 id;
    struct core_uuid incarnation;
    struct core_text peer, redis, admin, rack;
    u32 version_min, version_max;
    u8 state;
    u64 changed;  /* map epoch */
    u32 replicas; /* members on it: derived, not encoded */
};

struct core_member {
    u32 replica; /* never reused in its group */
    u32 node;
    struct core_uuid incarnation; /* whose promises it keeps; nil: a founding member, whichever disk the node has */
    u8 role;
};

struct core_op {
    u8 kind, step;
    u32 in, out; /* replica numbers */
    u64 other;
    u16 slot;  /* the first of the upper half */
    str key;   /* the same, in a range keyspace; owned */
    u32 upper_prefers; /* node the upper half is pinned to, or CORE_NODE_ANY; 0: as the lower */
    u64 begun; /* map epoch */
};

struct core_part {
    u64 id;
    u32 keyspace;
    bool is_range;
    u16 slot_first, slot_last; /* inclusive */
    str from, to;              /* [from, to); empty `to`: without end; owned */
    u64 epoch;                 /* map epoch at which span, members or operation last changed */
    u64 changed;               /* the same, or its leader */
    u32 next_replica;
    u32 member_count;
    struct core_member members[CORE_MEMBERS_MAX]; /* by replica number */
    u64 leader_term;
    u32 leader;      /* replica number; 0: not known */
    u32 prefer_node; /* pinned there; 0: anywhere */
    struct core_op op;
};

struct core_keyspace {
    u32 id;
    struct core_text name;
    u64 settings[CORE_KEYSPACE_SETTINGS];
    bool accepted_risk;
    u64 changed;
    struct core_part **parts; /* in order of their spans: derived, not encoded */
    u32 part_count, part_cap;
};

/* ---- commands: docs/formats/core.md ---- */

enum core_op_code {
    CORE_FOUND = 1,
    CORE_NODE_JOIN,
    CORE_NODE_UPDATE,
    CORE_NODE_DRAIN,
    CORE_NODE_UNDRAIN,
    CORE_NODE_REMOVE,
    CORE_KS_CREATE,
    CORE_KS_SET,
    CORE_KS_DROP,
    CORE_KS_PIN,
    CORE_PART_BEGIN,
    CORE_PART_STEP,
    CORE_PART_DONE,
    CORE_PART_LEADER,
    CORE_SETTINGS,
    CORE_VERSION_RAISE,
    CORE_ID_BLOCK_TAKE,
    CORE_OPS_END
};

enum core_command_flags {
    CORE_FORCE = BIT(0),       /* NODE_REMOVE: the node is lost for ever */
    CORE_ACCEPT_RISK = BIT(1), /* KS_CREATE, KS_SET: fewer or even replicas */
};
enum core_update_mask { /* NODE_UPDATE: what of the spec to take over */
                        CORE_UPDATE_ADDRESSES = BIT(0),
                        CORE_UPDATE_RACK = BIT(1),
                        CORE_UPDATE_VERSIONS = BIT(2),
                        CORE_UPDATE_READY = BIT(3), /* joining -> up */
                        /* Its disk was replaced: the spec's incarnation is its one from now on. Replicas of
                         * the old one are lost. */
                        CORE_UPDATE_INCARNATION = BIT(4),
};

struct core_node_spec {
    struct core_uuid incarnation;
    str peer, redis, admin, rack;
    u32 version_min, version_max;
};

struct core_setting_row {
    str name, value;
};

struct core_command { /* each operation uses the members its row in command.c names */
    u8 op, flags, mask, kind, step;
    struct core_uuid uuid;
    u32 version, node, keyspace, replica;
    u64 part, epoch, other, term;
    u16 slot;
    str key, name;
    u32 node_count, row_count;
    struct core_node_spec nodes[CORE_VOTERS_MAX];
    struct core_setting_row rows[CORE_ROWS_MAX];
};

void core_command_encode(const struct core_command *c, struct buf *out);
/* Borrows from bytes. ERR_UNSUPPORTED: another format or operation; ERR_MALFORMED: not such a
 * command. */
MUST_USE err core_command_decode(str bytes, struct core_command *out);

enum core_status {
    CORE_OK,
    CORE_NOT_FOUNDED,
    CORE_FOUNDED, /* founding cannot happen twice */
    CORE_NO_SUCH, /* node, keyspace, partition or replica */
    CORE_EXISTS,  /* result: the id that has the name */
    CORE_INVALID,
    CORE_STALE,  /* decided on an older entry; result: the fresh one */
    CORE_UNSAFE, /* would lose a quorum, the last copies, or what the keyspace promises */
    CORE_BUSY,   /* another operation is under way */
    CORE_LIMIT,
    CORE_VERSION,
    CORE_STATUSES
};
const char *core_status_name(enum core_status s);

struct core_reply {
    u8 status;
    u64 epoch;  /* of the map, after the command */
    str reason; /* of a refusal: a sentence that names the remedy */
    str result; /* an id, or an entry (docs/formats/core.md) */
};
MUST_USE err core_reply_decode(str bytes, struct core_reply *out);

/* ---- the state machine ---- */

struct core;

struct core *core_new(struct store *store);
void core_free(struct core *c);
MUST_USE err
core_load(struct core *c); /* from the store's rows; ERR_CORRUPT: they contradict each other */
void core_check(const struct core *c);              /* asserts every invariant; slow */
MUST_USE err core_digest(struct core *c, u64 *out); /* of all rows; equal on replicas */

/* Apply one committed command; the reply is appended. A refusal is a reply and changes nothing. An
 * err (ERR_UNSUPPORTED: a command of a level this program does not know) means that the node must
 * stop. */
MUST_USE err core_apply(struct core *c, str payload, struct buf *reply);

/* ---- reads ---- */

const struct core_cluster *core_cluster(const struct core *c);   /* NULL: not founded */
const struct core_node *core_node(const struct core *c, u32 id); /* NULL: no such */
const struct core_keyspace *core_keyspace(const struct core *c, u32 id);
const struct core_keyspace *core_keyspace_named(const struct core *c, str name);
const struct core_part *core_part(const struct core *c, u64 id);
const struct core_node *const *core_nodes(const struct core *c, u32 *count); /* by id */
const struct core_keyspace *const *core_keyspaces(const struct core *c, u32 *count);
const struct core_part *const *core_parts(const struct core *c, u32 *count);

/* The partition of a place; NULL: no such keyspace, or it is cut the other way. */
const struct core_part *core_lookup_slot(const struct core *c, u32 keyspace, u16 slot);
const struct core_part *core_lookup_key(const struct core *c, u32 keyspace, str key);

/* Look-up for a caller that acted on map epoch `known`: appends u8 1 if its entry is older than
 * ours (then the fresh entry follows as an object), 0 if it is not. False: there is no such place.
 */
bool core_lookup(const struct core *c, u32 keyspace, u16 slot, str key, u64 known, struct buf *out);

/* All changes after map epoch `since`, as objects, about `bytes` of them: the header says up to
 * which epoch, and whether more is to be asked for. If they are not known any more the header says
 * so and the caller reads the map by pages. */
void core_delta(const struct core *c, u64 since, size_t bytes, struct buf *out);

/* A page of the whole map, or of one kind of object (0: all), after (kind, id); 0, 0 begins. Pages
 * of different epochs may follow each other: a delta since the first page's epoch makes them one.
 */
void core_page(const struct core *c, u8 only, u8 after_kind, u64 after_id, size_t bytes,
               struct buf *out);

/* For who receives these. */
enum core_map_flags {
    CORE_MAP_MORE = BIT(0),  /* ask again: since `to`, or after the last object */
    CORE_MAP_PAGES = BIT(1), /* the changes since `from` are not known: read the pages */
    CORE_MAP_PAGE = BIT(2),
};
struct core_map {
    u8 flags;
    u64 from, to;
    u32 count;
    struct reader objects;
};
struct core_object {
    u8 kind;
    u64 id;
    bool gone;
    str row; /* core_*_decode */
};
MUST_USE err core_map_decode(str bytes, struct core_map *out);
bool core_map_next(struct core_map *m,
                   struct core_object *out); /* false: the end, or bytes too short */

/* A copy without rows: what commands would do is tried on it (core_apply). NULL: c is not founded. */
struct core *core_copy_of(const struct core *c);

/* copy.c: a copy without rows, for who is no replica of the core: core_new(NULL), then pages and deltas in the order
 * they were asked for, then done. Between take and done nothing may be read. An err: forget it (core_free)
 * and begin with pages. */
MUST_USE err core_copy_take(struct core *c, str map);
MUST_USE err core_copy_done(struct core *c);

void core_cluster_encode(const struct core_cluster *o, struct buf *out);
void core_node_encode(const struct core_node *o, struct buf *out);
void core_keyspace_encode(const struct core_keyspace *o, struct buf *out);
void core_part_encode(const struct core_part *o, struct buf *out);
MUST_USE err core_cluster_decode(str row, struct core_cluster *out);
MUST_USE err core_node_decode(str row, struct core_node *out);
MUST_USE err core_keyspace_decode(str row, struct core_keyspace *out);
/* Keys are owned by out: core_part_done. */
MUST_USE err core_part_decode(str row, struct core_part *out);
void core_part_done(struct core_part *p);
