/* Between the files of this folder and its tests. */
#pragma once

#include "kv/kv.h"

/* ---- The value of a head row: docs/formats/keys.md ------------------------------------------------ */

#define HEAD_FMT 1
#define HEAD_BYTES 48
#define HEAD_TYPE_STRING 1

enum head_flags {
    HEAD_INTEGER = BIT(0), /* the value is an i64's text (OBJECT ENCODING int) */
    HEAD_RAW = BIT(1),     /* changed in place (OBJECT ENCODING raw whatever its size) */
};

struct kv_head {
    u8 type;
    u16 flags;
    u32 count;
    u64 create_ver, mod_ver, version, lease;
    u64 expire_us; /* 0: never */
};

struct kv_row {
    struct kv_head head;
    str value; /* borrowed from the store */
};

void head_encode(const struct kv_head *h, u8 out[HEAD_BYTES]);
bool head_decode(str bytes, struct kv_row *out); /* false: not a head row */

/* HEAD_INTEGER if the text is one that Redis would keep as an integer, else 0. */
u16 head_flags_of(str value);

/* ---- State ---------------------------------------------------------------------------------------- */

struct kv_segment { /* these slots' rows lie under this keyspace id of the store */
    u32 keyspace;
    u16 first, last;
};

struct kv_piece { /* of a database by key: the keys from `from` on, up to the next piece's */
    str from;     /* owned; empty of the first: the span's */
    u32 keyspace; /* their rows lie under this keyspace id */
    u32 keys, expires;
    u64 bytes; /* of keys and values */
    u64 label, label_max; /* what a cursor names: pieces.c */
};
#define KV_LABELS ((u64)1 << 62)

struct kv_slot_counts {
    u32 keys, expires;
};

struct kv_db {
    struct kv_segment *segments; /* in order, covering the span */
    u32 segment_count;
    struct kv_slot_counts *slots; /* of the span's, from its first; NULL: no key yet */
    struct kv_piece *pieces;      /* by key, instead of both */
    u32 piece_count, piece_cap;
    u64 label_end;                /* labels are below it */
    u64 keys, expires;            /* of all */
    u64 bytes;                    /* the same, by key only */
    /* For WATCH of an absent key when the whole contents go away (FLUSHDB, SWAPDB): */
    u64 created_ver; /* when a key was last created in this keyspace */
    u64 gone_ver;    /* the greatest created_ver of keyspaces this database lost */
};

struct kv {
    struct store *store;
    struct kv_options options;

    /* the state, besides rows: kv_state_encode */
    u64 clock;       /* highest applied hlc */
    u64 applied_ver; /* of the last entry applied here */
    u64 ver_base;    /* a version is an entry's index plus this */
    u64 generation;  /* of the span: greater than those of the partitions it was made of */
    struct kv_span span;
    u32 next_keyspace;
    struct kv_db dbs[KV_DATABASES];
    u64 *deletes; /* owned, by bucket: version of the last removal of a key of it; NULL: none yet */

    /* this node's own */
    struct {
        u8 db;
        u64 cursor;
    } sweep;          /* where active expiry looks next */
    struct {
        bool going;
        u64 cursor, count;
        struct buf items;
    } keys;           /* a KEYS between two of its pieces */
    const struct kv_command *last_command; /* the one that ran last: most often the next one too */
    struct buf value; /* a value under construction, or a copy that must outlive a write */
    struct buf items; /* elements of a reply whose count comes first */
    u64 reader_now_us, reads; /* of kv_read: seen by mutants alone */
};

u64 *kv_deletes(struct kv *kv); /* state.c: made when first needed */

/* ---- A call --------------------------------------------------------------------------------------- */

struct kv_call {
    struct kv *kv;
    const struct kv_command *command;
    const str *argv;
    u32 argc;
    u8 db;
    bool applying;  /* may write; else a reader, which leaves the store as it is */
    bool in_pieces; /* a reader that will be called again */
    u64 now_us;     /* the entry's time, or a reader's */
    u64 ver, seed;
    u64 steps;      /* rows touched and the like; options.step_budget bounds it while applying */
    struct resp_writer w;
    bool need_tick; /* a reader met a key that expires between the kv's clock and its own */
    err failed;     /* the store's: the reply is worth nothing */
};

/* Find the row, check arity, run the handler. */
void kv_run(struct kv_call *c);

/* After a call: give scratch memory back that only an unusual one needs. */
void kv_trim_scratch(struct kv *kv);

/* ---- Rows: keyspace.c ----------------------------------------------------------------------------- */

/* The live row of a key. An expired one is absent, and removed when applying: the row of an earlier
 * kv_find is then gone, too, so copy a value (kv_keep_value) before looking for another key. */
bool kv_find(struct kv_call *c, u8 db, str key, struct kv_row *row);

/* The same for a row at hand during a walk; never removes. */
bool kv_row_is_live(struct kv_call *c, const struct kv_head *head);

/* Copy a row's value to kv->value, and let row->value be the copy. */
void kv_keep_value(struct kv_call *c, struct kv_row *row);

/* Write a string. `old` is the key's row from kv_find, or NULL: created. `value` must not be the store's. */
void kv_put(struct kv_call *c, u8 db, str key, const struct kv_row *old, str value, u16 flags,
            u64 expire_us);

/* Write another expiry time, keeping the value. Counts as a change. */
void kv_put_expiry(struct kv_call *c, u8 db, str key, struct kv_row *row, u64 expire_us);

void kv_remove(struct kv_call *c, u8 db, str key, const struct kv_row *row);

/* Whether what WATCH saw still holds. */
bool kv_watch_holds(struct kv_call *c, u8 db, bool exists, u64 ver, str key);

/* ---- Which keys, and where: span.c ---------------------------------------------------------------- */

u32 kv_keyspace_of(const struct kv_db *d, str key);
bool kv_has_all_keys(const struct kv *kv);
bool kv_has_key(const struct kv *kv, str key);
struct kv_change {
    i64 keys, expires, bytes;
};
void kv_count(struct kv *kv, struct kv_db *d, str key, struct kv_change by);
void kv_count_slot(struct kv *kv, struct kv_db *d, u16 slot, i64 keys, i64 expires);
void kv_span_copy(struct kv_span *to, const struct kv_span *from); /* frees what `to` has */
void kv_span_done(struct kv_span *s);
/* Where its rows lie, one after the other: neighbours under one id are one place. *at is 0 at first. False: no more. */
bool kv_db_place(const struct kv *kv, u8 db, u32 *at, struct kv_place *out);
void kv_db_renew(struct kv *kv, struct kv_db *d, u32 keyspace); /* it is empty, under this id */
void kv_db_cover(struct kv_db *d, const struct kv_span *span, u32 keyspace); /* by one segment */
void kv_db_done(struct kv_db *d);

/* store_scan over all segments of a database; a row at a chance place of it, wrapping. */
MUST_USE err kv_scan_db(const struct kv *kv, u8 db, u64 cursor, u64 count, store_visit_fn visit, void *context,
                        u64 *next);
MUST_USE err kv_any(const struct kv *kv, u8 db, u64 chance, struct buf *key, bool *found);

struct kv_counting { /* a walk that stops at a count of rows, or when its visitor says so */
    store_visit_fn visit;
    void *context;
    u64 count, seen;
    bool stopped;
};
bool kv_count_and_visit(void *context, str key, str value); /* of a kv_counting */

/* ---- Databases by key: pieces.c ------------------------------------------------------------------- */

u32 pieces_keyspace_of(const struct kv_db *d, str key);
void pieces_count(struct kv_db *d, str key, struct kv_change by);
/* One piece without keys; labels: those it begins with, NULL: 0. */
void pieces_cover(struct kv_db *d, u32 keyspace, const struct kv_piece *labels, u64 label_end);
void pieces_renew(struct kv_db *d, u32 keyspace); /* the same, and no cursor is misled */
void pieces_done(struct kv_db *d);
/* After a change of this key's row: its piece may have become too large or too small. The store's errors. */
MUST_USE err pieces_settle(struct kv *kv, struct kv_db *d, str key);
bool pieces_can_split(const struct kv_db *d);
/* The keys from `key` on go to `upper`, which is empty. */
MUST_USE err pieces_split(const struct kv *kv, struct kv_db *d, str key, struct kv_db *upper);
void pieces_merge(struct kv_db *d, const struct kv_db *with, str from); /* behind its own; counts are the caller's */
void pieces_encode(const struct kv_db *d, struct buf *out);
void pieces_decode(const struct kv *kv, struct kv_db *d, struct reader *r);
/* From a cursor on; *next is 0 at the end, and for a cursor that is behind it. */
MUST_USE err pieces_scan(const struct kv *kv, const struct kv_db *d, u64 cursor, struct kv_counting *c, u64 *next);
/* Live or not, rows from a key on and before another (empty: to the end of what is ours), up to `count`: `next` is the key to
 * go on at, where *more is set. */
MUST_USE err pieces_range(const struct kv *kv, const struct kv_db *d, str from, str to, struct kv_counting *c,
                          struct buf *next, bool *more);
MUST_USE err pieces_any(const struct kv *kv, const struct kv_db *d, u64 chance, struct buf *key, bool *found);

void kv_put_number(struct buf *out, u64 v); /* state.c: seven bits a byte, the lowest first */
u64 kv_read_number(struct reader *r);

/* No keyspace id stands for two databases, one of x and one of y. */
bool kv_ids_are_apart(const struct kv *x, const struct kv *y);

/* Tell the store of a partition that was cut what it has now. */
void kv_own(struct kv *kv, bool rows_come);
void kv_extents(const struct kv *kv, struct store_extents *out);

/* ---- Arguments and common replies: arguments.c ---------------------------------------------------- */

bool kv_get_i64(struct kv_call *c, str arg, i64 *out); /* replies on failure */
/* An int: `problem` is the error's sentence, NULL for Redis's two usual ones. */
bool kv_get_int(struct kv_call *c, str arg, const char *problem, i32 *out);
bool kv_get_db(struct kv_call *c, str arg, u8 *out);
void kv_reply_ok(struct kv_call *c);
void kv_reply_syntax_error(struct kv_call *c);
void kv_reply_invalid_expire(struct kv_call *c);
/* Charge steps; false (with an error reply) when an applied command takes too many. */
bool kv_charge(struct kv_call *c, u64 steps);

/* The longest reply: it must fit a frame between nodes (server/peers.c) and a connection's output. */
size_t kv_reply_bytes_max(const struct kv *kv);

/* The live string of argv[at]; *found is false for an absent key. False with an error reply for another
 * type. */
bool kv_find_string(struct kv_call *c, u32 at, struct kv_row *row, bool *found);

/* ---- Expiry times --------------------------------------------------------------------------------- */

/* Milliseconds since 1970 to expire_us and back. What lies beyond u64 microseconds is the last one. */
u64 expire_from_ms(i64 ms);
i64 expire_to_ms(u64 expire_us);
i64 kv_now_ms(const struct kv_call *c);

/* The expire_us of an argument. Relative times count from the entry's. Replies on failure. */
enum kv_time_unit { KV_SECONDS, KV_MILLISECONDS };
bool kv_get_expiry(struct kv_call *c, str arg, enum kv_time_unit unit, bool relative, u64 *expire_us);

/* ---- Others --------------------------------------------------------------------------------------- */

/* MULTI: one EXEC body. ERR_MALFORMED before anything is changed. */
MUST_USE err kv_run_exec(struct kv_call *c, str body);

/* The handlers, by family. */
void cmd_get(struct kv_call *c);
void cmd_set(struct kv_call *c);
void cmd_setnx(struct kv_call *c);
void cmd_setex(struct kv_call *c);
void cmd_psetex(struct kv_call *c);
void cmd_mget(struct kv_call *c);
void cmd_mset(struct kv_call *c);
void cmd_msetnx(struct kv_call *c);
void cmd_getex(struct kv_call *c);
void cmd_getdel(struct kv_call *c);
void cmd_getset(struct kv_call *c);

void cmd_incr(struct kv_call *c);
void cmd_incrby(struct kv_call *c);
void cmd_incrbyfloat(struct kv_call *c);
void cmd_decr(struct kv_call *c);
void cmd_decrby(struct kv_call *c);

void cmd_append(struct kv_call *c);
void cmd_strlen(struct kv_call *c);
void cmd_getrange(struct kv_call *c);
void cmd_setrange(struct kv_call *c);
void cmd_lcs(struct kv_call *c);

void cmd_del(struct kv_call *c);
void cmd_exists(struct kv_call *c);
void cmd_type(struct kv_call *c);
void cmd_copy(struct kv_call *c);
void cmd_move(struct kv_call *c);
void cmd_rename(struct kv_call *c);
void cmd_renamenx(struct kv_call *c);
void cmd_randomkey(struct kv_call *c);
void cmd_object(struct kv_call *c);

void cmd_ttl(struct kv_call *c);
void cmd_pttl(struct kv_call *c);
void cmd_expiretime(struct kv_call *c);
void cmd_pexpiretime(struct kv_call *c);
void cmd_expire(struct kv_call *c);
void cmd_pexpire(struct kv_call *c);
void cmd_expireat(struct kv_call *c);
void cmd_pexpireat(struct kv_call *c);
void cmd_persist(struct kv_call *c);

void cmd_scan(struct kv_call *c);
void cmd_q_scan(struct kv_call *c);
void cmd_keys(struct kv_call *c);
void cmd_dbsize(struct kv_call *c);

void cmd_flushdb(struct kv_call *c);
void cmd_flushall(struct kv_call *c);
void cmd_swapdb(struct kv_call *c);
