/* The state machine of a Redis keyspace group: sixteen databases, each a keyspace, in one store.
 * kv_apply is a pure function of (state, entry): all time, chance and identity come from the entry. Reads
 * run on the same state between entries. Sessions are the partition's business, not this folder's.
 *
 * Command semantics, replies and error texts are those of Redis 7.0. */
#pragma once

#include "kv/entry.h"
#include "store/store.h"
#include "wire/resp/resp.h"

#define KV_DATABASES 16
#define KV_DELETE_BUCKETS 1024

enum kv_command_flags {
    KV_WRITE = BIT(0),
    KV_READ = BIT(1),
    KV_FAST = BIT(2),
    KV_RANDOM = BIT(3),   /* reply depends on chance (RANDOMKEY, SCAN order) */
    KV_MOVABLE = BIT(4),  /* key positions are not given by first/last/step */
    KV_DENYOOM = BIT(5),
    KV_STRING = BIT(6),    /* ACL category @string; else @keyspace */
    KV_DANGEROUS = BIT(7), /* ACL category @dangerous */
};

struct kv_call;
typedef void (*kv_handler)(struct kv_call *c);

struct kv_command { /* one row per command; the door adds its own connection commands */
    const char *name; /* lower case */
    i32 arity;        /* as Redis: counts the name; negative: at least */
    u32 flags;
    i32 first_key, last_key, key_step; /* as COMMAND INFO */
    kv_handler handler;
};

/* The row of a command name in any case; NULL if it is not a data command. */
const struct kv_command *kv_command_find(str name);
const struct kv_command *kv_commands(u32 *count); /* alphabetical */
bool kv_command_takes(const struct kv_command *cmd, u32 argc); /* the arity fits */

/* What Redis answers to a name nobody knows, and to a wrong number of arguments. */
void kv_reply_unknown_command(struct resp_writer *w, const str *argv, u32 argc);
void kv_reply_wrong_arity(struct resp_writer *w, const char *name);

/* The keys among a command's arguments. Returns how many; fills at most `max` indexes into argv. */
u32 kv_command_keys(const struct kv_command *cmd, const str *argv, u32 argc, u32 *indexes, u32 max);

/* A cursor as SCAN reads it: what C's strtoul makes of the text. */
bool kv_scan_cursor(str text, u64 *out);

/* Redis's glob patterns: * ? [abc] [a-z] [^a], and \ before a byte to be taken as it is. */
bool glob_match(str pattern, str text);

struct kv; /* databases, counters, clock, delete buckets; rows are the store's */

/* Which keys of its databases a partition has: slots first to last, or, where they lie in the order of their names, those
 * in [from, to); empty `to`: no end. */
struct kv_span {
    bool by_key;
    u16 slot_first, slot_last;
    str from, to;
};
#define KV_SLOTS 16384

struct kv_options {
    struct kv_span span; /* at first; slot_last 0 and not by_key: all; by_key: all */
    /* The store's keyspace ids this state machine may give out; count 0: from 1 on. Sixteen are taken at
     * once (by a split's child none: its rows lie where they were), and one by each FLUSH of a database that
     * holds something. */
    u32 keyspace_first, keyspace_count;
    /* Both decide replies, so they must be the same on all nodes of a group. */
    size_t value_bytes_max; /* 16 MiB: proto-max-bulk-len as we document it */
    /* Steps an entry may take (rule: no turn exceeds 50 ms); 0: any. A step is about 100 ns: an argument, a
     * row walked over, 1 KiB written, 32 cells of LCS. Half a million fit the rule. */
    u64 step_budget;
    /* Rows a read walks over in one kv_read; 0: any. KEYS goes on in the next (kv_read_goes_on), SCAN
     * returns earlier than its COUNT asks for. */
    u64 walk_rows_max;
};

struct kv *kv_new(struct store *store, const struct kv_options *options);
void kv_free(struct kv *kv);

/* Everything of the state machine that is not a row: part of the checkpoint's marker. */
void kv_state_encode(const struct kv *kv, struct buf *out);
MUST_USE err kv_state_decode(struct kv *kv, str bytes); /* also resets; empty bytes: a fresh state */

/* Apply one committed COMMAND, EXEC or TICK entry as version `ver`; the reply (in the entry's RESP form) is
 * appended to out, none for a TICK. Command errors are replies, also an unknown command. An err is the
 * store's or a malformed entry: the node stops. `ver` grows from call to call. */
MUST_USE err kv_apply(struct kv *kv, const struct entry *e, u64 ver, struct buf *out);

/* A hint without effect but on time: this entry will be applied soon. See store_prefetch. */
void kv_prefetch(struct kv *kv, const struct entry *e);

/* Run read-only commands on the applied state at time now_us (unix microseconds, the reader's clock).
 *   *need_tick  set when the answer depends on a key whose expiry lies in (kv clock, now]: nothing was
 *               appended; propose a TICK with time now and read again, with the same now, once it is
 *               applied. (With a later now more keys may have expired, and a walk might never end.)
 * `body` is that of a COMMAND or EXEC entry holding reads only. */
MUST_USE err kv_read(struct kv *kv, u8 op, u8 flags, str body, u64 now_us, u64 seed, struct buf *out,
                     bool *need_tick);

/* The latest kv_read was a KEYS that has not come to its end: nothing was appended. Call it again with the same
 * arguments, and with nothing applied in between, or kv_read_forget it. */
bool kv_read_goes_on(const struct kv *kv);
void kv_read_forget(struct kv *kv);

bool kv_may_expire(const struct kv *kv); /* some key has a time to end at */
u64 kv_clock_hlc(const struct kv *kv); /* the highest applied hlc */

/* WATCH: what an EXEC's watch must find unchanged. *ver is to be handed back as it is: it stands for the
 * key's row, or, if the key is absent, for the state. */
MUST_USE err kv_watch(struct kv *kv, u8 db, str key, u64 now_us, bool *exists, u64 *ver);

/* Leader's active expiry: look at about `rows` rows from an internal place and append those expired at
 * now_us as the body of a TICK entry. *found is how many keys it named. Databases without an expiring key are
 * passed by. */
MUST_USE err kv_find_expired(struct kv *kv, u64 now_us, u32 rows, struct buf *tick_body, u32 *found);

/* Where rows of each database lie in the store, now: these slots (all, in a range keyspace) under this keyspace id. A
 * row elsewhere is of a database that was emptied. *out is the caller's (mem_free). */
struct kv_place {
    u32 keyspace;
    u16 first, last;
    u8 db;
    str from, to; /* by key; borrowed, and not of kv_places */
};
u32 kv_places(const struct kv *kv, struct kv_place **out);
struct kv_row_content {
    u8 type;       /* 1: string */
    u64 expire_us; /* 0: never */
    str value;     /* borrowed */
};
bool kv_row_content(str row, struct kv_row_content *out); /* false: no row of ours */

struct kv_db_stats {
    u64 keys, expires;
};
void kv_db_stats(const struct kv *kv, u8 db, struct kv_db_stats *out);
u64 kv_key_count(const struct kv *kv); /* of all databases */
u64 kv_bytes(const struct kv *kv);     /* of their keys and values; by key only, else 0 */

const struct kv_span *kv_span(const struct kv *kv);
/* Does it end before this place: was it split there? */
static inline bool kv_span_ends_at(const struct kv_span *span, u16 slot, str key)
{
    return span->by_key ? str_equal(span->to, key) : span->slot_last + 1 == slot;
}
bool kv_spans_meet(const struct kv_span *a, const struct kv_span *b);
bool kv_spans_equal(const struct kv_span *a, const struct kv_span *b);
bool kv_span_has(const struct kv_span *span, str key);

/* A command about a whole database is meant for a partition as the asker knows it: it may stand behind KV_FOR_WORDS words that
 * say for which span, and is not covered by a partition that has another one by now. Half an answer is none. */
#define KV_FOR       "q.for"
#define KV_FOR_WORDS 4
struct kv_for {
    char text[2][8];
    str words[KV_FOR_WORDS];
};
void kv_for_make(const struct kv_span *span, struct kv_for *out); /* borrows the span's keys */
/* Is it such a command? Then its span, borrowed, and *argv and *argc are those of the command itself. */
bool kv_for_take(const str **argv, u32 *argc, struct kv_span *span);
/* It has all slots as when it was new: it was never given some, split or merged. */
bool kv_is_unbounded(const struct kv *kv);
/* These slots are its own from now on. False: it is not unbounded, or holds keys already; nothing changed. */
bool kv_set_slots(struct kv *kv, u16 first, u16 last);
u64 kv_keys_in_slot(const struct kv *kv, u8 db, u16 slot);

/* Are all keys that a request names ours? If not it must not be applied or read here. */
bool kv_covers(const struct kv *kv, u8 op, str body);

/* Slots from `slot` on, or keys from `key` on, go, with the rows they have, to a child: its state and extents are appended, ids to give out
 * block_first.. are its own. The store is told at once. */
bool kv_can_split(const struct kv *kv, u16 slot, str key);
MUST_USE err kv_split(struct kv *kv, u16 slot, str key, u32 block_first, u32 block_count, struct buf *child_state,
                      struct store_extents *child_extents);
/* A key that has half of the keys below it; empty: there are too few. By key. */
MUST_USE err kv_middle(const struct kv *kv, struct buf *key);

/* Take the right neighbour in. Its rows are all in the kvs; `ver` as in kv_apply. Not possible where a keyspace id would come to
 * stand for two databases: SWAPDB was run on one of the two alone. */
bool kv_can_merge(const struct kv *left, const struct kv *right);
void kv_merge(struct kv *left, const struct kv *right, u64 ver);

/* A digest of all live rows and state; equal on replicas at equal applied index. Walks everything. */
MUST_USE err kv_digest(struct kv *kv, u64 *out);
