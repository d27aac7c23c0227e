/* Inside the Redis door. Each struct is written by the file named above it. */
#pragma once

#include "base/assert.h"
#include "kv/kv.h"
#include "server/gateway.h"
#include "server/latency.h"
#include "server/limits.h"
#include "server/redis/door.h"
#include "server/redis/sample.h"
#include "server/routes.h"
#include "server/window.h"
#include "wire/resp/resp.h"

/* The Redis whose answers these are; clients decide by it what they may ask. */
#define REDIS_VERSION "7.0.15"

#define PIPELINE_DEPTH_MAX 1024u /* requests of one connection under way */
#define PIPELINE_BYTES_MAX                                                                         \
    (32 * MIB)                 /* their bytes, and the bytes their replies are expected to have */
#define OUTPUT_PAUSE_BYTES MIB /* unsent replies above which nothing more is parsed */
#define OUTPUT_DROP_BYTES  (64 * MIB) /* plus the largest value: the connection is dropped */
#define INPUT_SMALL_BYTES  (64 * KIB) /* read ahead for any connection; more is granted */
#define REQUEST_ROOM_BYTES MIB        /* a request may be larger than its value by this much */
#define REPLY_INLINE_BYTES 96
#define REPLY_SHORT_BYTES  256 /* no longer than this: +OK, a number, an error */
#define TURN_REQUESTS_MAX  4096u /* requests parsed in one turn of the door */
#define VISIT_REQUESTS_MAX 256u  /* and for one connection in a row */
#define TURN_SHARED_MAX    256u  /* the same while several keyspaces are at work */
#define QUANTUM            64u   /* requests of one keyspace in a row, then another's */
#define ASKED_WRITES_MAX   16384u /* requests of all connections that partitions have not answered */
#define ASKED_OTHERS_MAX   32768u
#define GATHER_WIDTH       32 /* partitions that one command asks at a time */
#define ORDERS_KEPT        31u /* and its connection's home */

struct client;
struct call;
struct slot;
struct gather;

/* --- slot.c: the place of one reply in its connection's order --- */

typedef void (*slot_finish_fn)(struct slot *s, const struct gateway_reply *reply);

struct slot {
    struct gateway_request req;
    struct list link; /* in client.queue in request order, or in the door's free list */
    struct client *client;
    slot_finish_fn finish; /* makes the reply from the gateway's and calls slot_answer; NULL: it is
                              the reply */
    struct buf
        bytes; /* while waiting what `finish` needs; when ready a reply longer than inline_bytes */
    struct session_id session; /* of Q.SESSION OPEN */
    struct gateway *gateway;     /* while asked: who has it */
    struct client_order *order;  /* likewise */
    struct share *share;         /* likewise: whose room it takes */
    struct gather *gather;       /* many partitions are asked; NULL: one, or none */
    size_t request_bytes;
    size_t reply_room; /* how long its reply may become, as far as one can guess */
    nanos wake_at; /* DEBUG SLEEP: ready then; 0 otherwise */
    u16 walk_slot; /* commands/whole.c: of the partition asked, and how many may follow it */
    u32 walk_left;
    u64 walk_part, walk_cursor; /* the same over key ranges: who was asked, for which cursor */
    bool asked;    /* the gateway has it */
    bool ready;
    bool silent; /* CLIENT REPLY OFF or SKIP */
    u8 price;        /* enum price_form: with its reply */
    nanos asked_at;  /* if a price is wanted */
    nanos began;     /* the turn in which it was first asked; 0: not, or it is told */
    u32 keyspace;    /* then: whose price it is */
    bool late;   /* its time was up when it was sent */
    bool is_write, is_lookup;
    bool sample_follows; /* sample.c: the checker follows what it does */
    bool stale;          /* DEBUG STALE-READ: its reply is replaced */
    u64 sample;          /* its number among those sampled; 0: it is not */
    u8 inline_len;
    u8 inline_bytes[REPLY_INLINE_BYTES];
};

/* A new last place in the connection's order. */
struct slot *redis_slot_push(struct client *c, size_t request_bytes);
/* Its reply is known to be short: it takes no part in what long replies may be. */
void redis_slot_expect_short(struct slot *s);
/* Give the entry to the partition's gateway; its answer fills the slot. Takes over the entry's reference. */
void redis_slot_ask(struct slot *s, struct hosted *h, enum gateway_kind kind, struct rcbuf *entry);
/* The entry of a command about a whole database, for the partition as the map knows it (KV_FOR). */
struct rcbuf *redis_entry_for(struct redis_door *d, str entry, u64 part);
/* The entry of a slot that was not done where it was asked goes to where it belongs by now. false: it cannot without
 * overtaking, or being overtaken by, others of its connection. */
bool redis_slot_ask_elsewhere(struct slot *s, struct rcbuf *entry);
/* The reply is known: it leaves as soon as all before it have. The slot is gone afterwards. */
void redis_slot_answer(struct slot *s, str reply);
/* The connection is gone: forget what was only for its eyes, let writes go on. */
void redis_slots_abandon(struct client *c);
void redis_slots_free(struct client *c);
void redis_slot_pool_done(struct redis_door *d);

/* The reply of a command answered here and now. Nothing may be pushed between begin and end. */
struct resp_writer redis_reply_begin(struct client *c);
void redis_reply_end(struct client *c, struct resp_writer *w, size_t request_bytes);

/* --- sample.c: requests of sampled keys, told as they begin and end --- */

void redis_sample_begin(struct slot *s, str entry);
/* Returns what is to be answered: of DEBUG STALE-READ's key an older reply. */
str redis_sample_end(struct slot *s, str reply);
void redis_sample_stop(struct redis_door *d);
void redis_sample_done(struct redis_door *d);
/* From now on this door answers GETs of the key with the reply that the next one gets. Empty: no more. */
void redis_sample_read_stale(struct redis_door *d, str key);

/* --- orders.c: the program order of a connection in each partition --- */

struct client_order {
    u64 part; /* 0: none yet */
    struct gateway_order order;
    u64 last_index; /* log index of the latest write answered, for WAIT; 0: none */
    u32 under_way;  /* requests that point to `order` */
    struct client_order *next;
};

/* Stays where it is while something of it is under way. */
struct client_order *redis_order_of(struct client *c, u64 part);
/* Those in which the connection has seen or made something, as far as it still knows. */
u32 redis_orders_seen(struct client *c, struct client_order **out, u32 max);
/* Another connection had seen this. */
void redis_order_note_seen(struct client *c, u64 part, u64 hlc);
/* Those in which the connection has written; what does not fit counts as forgotten. */
u32 redis_orders_written(struct client *c, struct client_order **out, u32 max);
void redis_orders_done(struct client *c);

/* --- gather.c: one command, many partitions --- */

struct gather_result {
    struct slot *slot;
    u8 proto;
    i64 sum;
    u64 count;
    bool too_big;
    size_t bytes_max;
    struct buf items;
};
struct gather_rule {
    const char *name;
    enum gateway_kind kind;
    /* One partition's reply, no error. false: no more replies are wanted. */
    bool (*take)(struct gather_result *g, u64 part, str reply);
    void (*finish)(struct gather_result *g, struct resp_writer *w);
    const char *fine; /* an error that begins so counts as a reply; NULL: none */
};
struct gather_target {
    u64 part, index;
};

/* Ask every partition of the connection's keyspace; the slot is answered when all have. It is the
 * connection's barrier until then, and may be answered before this returns. */
void redis_gather(struct slot *s, const struct gather_rule *rule, struct rcbuf *entry);
/* WAIT in these partitions, GATHER_WIDTH at most. */
void redis_gather_wait(struct slot *s, const struct gather_rule *rule,
                       const struct gather_target *targets, u32 count, u32 replicas,
                       nanos deadline);
void redis_gather_hasten(struct slot *s, nanos deadline);
void redis_gather_cancel(struct slot *s);

/* --- client.c: one connection --- */

enum { CLIENT_ADDRESS_MAX = 64, CLIENT_NAME_MAX = 1024 };

struct client {
    struct stream stream; /* kind NODE_REDIS, owner this client */
    struct redis_door *door;
    struct list all, ready, dirty;
    struct list large; /* admission.c: among those with a large request */
    size_t input_want; /* the stream.in.limit it asks for */

    struct resp_parser *parser; /* borrowed from the door while a request is under way */
    u64 skip_bytes;             /* oversize.c */
    u32 skip_args;
    bool skipping;
    /* Input that has waited behind requests whose time ran out does not get that time once more. */
    size_t late_bytes; /* of stream.in from its start */
    nanos late_at;     /* when their time is up */
    bool late_goes_on; /* more of it is still in the kernel: reading had stopped at the limit */
    bool late;         /* the request being dispatched is of it */
    nanos starved_at;  /* in its share's list of those */
    bool wrote;        /* its latest request to a partition: who only reads does not wait for the window */
    size_t refused_bytes; /* of stream.in from its start: their requests are refused, there is no room for long */

    struct list queue; /* slots in request order */
    u32 queued;
    size_t queued_bytes;  /* of their requests */
    size_t held_bytes;    /* replies that wait for an earlier one */
    size_t reply_guess;   /* how long a reply of this connection may be, by what the last were */
    size_t reply_room;    /* what the slots not yet answered may need, by that guess */
    struct {
        u64 cursor, part;
    } scan; /* over key ranges: the latest cursor, and who gave it */
    struct slot *barrier; /* nothing more is parsed before this one is answered */

    struct keyspace_routes *keyspace; /* held */
    struct share *share; /* that keyspace's */
    struct client_order home; /* of the partition it asked first */
    struct client_orders *orders; /* of the others; NULL: none */

    struct transaction *tx; /* NULL: no MULTI, nothing watched */
    u64 id;
    char *name, *lib_name, *lib_version; /* owned, NULL: none */
    const char *last_command;
    nanos created_at, seen_at;
    u8 db, proto;
    struct level level, at; /* of its reads, if has_level; of the request being dispatched, if has_at */
    bool has_level, has_at;
    bool price;    /* CLIENT PRICE ON */
    bool explains; /* the request being dispatched is Q.EXPLAIN's */
    bool has_seen; /* it took a token over */
    nanos patience; /* CLIENT DEADLINE: how long a request may take; 0: as long as the node lets it */
    bool reply_off, reply_skip_next, reply_skip;
    bool no_evict, no_touch;
    bool asked_map;        /* it knows slots and nodes: MOVED tells it something */
    bool asking, readonly; /* as a Redis Cluster would: do not send the next one, or reads, elsewhere */
    bool writes_forgotten; /* WAIT does not know all partitions it wrote in */
    bool rejected; /* over clients_max: holds nothing but its error */
    bool closing;  /* after the replies under way */
    bool closed;   /* env_close was called */
    bool ended;    /* ENV_ENDED was seen: it may still read, and is closed after its replies */
    bool gone;     /* ENV_CLOSED was seen */
    bool half;     /* what is in `in` is the beginning of a request */
};

struct client *redis_client_new(struct redis_door *d, bool rejected);
void redis_client_free(struct client *c);
/* Look at its input in this or the next turn of the door. */
void redis_client_wake(struct client *c);
/* What has been received by now is to be answered by `at`. */
void redis_client_late(struct client *c, nanos at);
/* See to its output and its end when the turn is flushed. */
void redis_client_touch(struct client *c);
/* Parse and dispatch about `max` requests, large ones counting as many; returns how many. */
u32 redis_client_parse(struct client *c, u32 max);
void redis_client_flush(struct client *c);
/* Close at once and say why in the log; what is queued is not sent. */
void redis_client_drop(struct client *c, const char *why);
/* Nothing more comes from it: finish what has come, answer, then close. */
void redis_client_ended(struct client *c);
/* The bytes can not be understood: say so and close after the replies under way. */
void redis_client_protocol_error(struct client *c, const char *problem);
void redis_client_address(const struct client *c, char out[CLIENT_ADDRESS_MAX]);
/* Back to how it was when it connected, as RESET asks. */
void redis_client_reset(struct client *c);
/* From now on its keyspace is this one. */
void redis_client_enter(struct client *c, u32 keyspace);
/* false: a byte of it is not printable, or it is longer than CLIENT_NAME_MAX. Empty: no name. */
bool redis_client_set_name(char **name, str value);

/* --- share.c: what one keyspace may take --- */

struct share {
    struct list link, busy;     /* in the door's lists */
    struct list ready, starved; /* its clients: with input to look at, or waiting for room */
    u32 keyspace, clients;
    u32 left;           /* requests of this turn */
    u32 writes, others; /* that partitions have not answered */
    size_t bytes;       /* theirs */
    size_t write_bytes; /* of the writes */
    struct window window; /* of these, while others are at work */
    nanos slow_since;   /* its clients wait for room too long; 0: they do not */
    nanos next_refusal, wait;
    u64 refusals;
};

void redis_share_join(struct client *c, u32 keyspace);
void redis_share_leave(struct client *c);
/* A request goes to a gateway, or comes back. */
void redis_share_asked(struct redis_door *d, struct share *s, enum gateway_kind kind, size_t bytes);
void redis_share_back(struct redis_door *d, struct share *s, enum gateway_kind kind, size_t bytes);
void redis_share_done(struct redis_door *d, struct share *s, const struct gateway *g, size_t bytes); /* a write, before it comes back */
/* LIMIT_KEYSPACE_SHARE or LIMIT_KEYSPACE_WINDOW: it may not ask more now; LIMIT_NONE: it may. */
enum limit_id redis_share_full(const struct redis_door *d, const struct share *s);
void redis_share_limits(const struct redis_door *d, struct limits_now *out);
void redis_share_ready(struct client *c); /* it has input to look at */
/* Parse of the keyspace whose turn it is, about `max` requests at most; how many. And how many a turn of the door takes. */
u32 redis_share_parse(struct redis_door *d, u32 max);
u32 redis_share_turn_max(const struct redis_door *d);
void redis_share_feed(struct redis_door *d); /* those that wait for room */
void redis_share_refuse(struct client *c, size_t request_bytes);

/* --- admission.c: memory for large requests --- */

struct admission {
    struct list large; /* clients in the order they first asked */
    size_t granted, budget;
    nanos next_look;
};

void redis_admission_init(struct admission *a, size_t budget);
/* The request under way does not fit: ask for room. */
void redis_admission_ask(struct client *c, size_t bytes);
/* Its large request is consumed, or the connection is gone. */
void redis_admission_release(struct client *c);
/* Drop connections that hold room and send nothing while others wait. */
void redis_admission_look(struct redis_door *d, nanos now);

/* --- oversize.c: a request over the limit is answered, skipped, and the connection lives --- */

/* After RESP_BAD: true if only the whole was too large; the reply is given and skipping has begun.
 */
bool redis_oversize_begin(struct client *c);
/* Drop the next input of the request being skipped. false: the rest has not come yet. */
bool redis_oversize_skip(struct client *c);

/* --- place.c: which partition --- */

enum place_verdict {
    PLACE_HERE,       /* hosted */
    PLACE_EVERYWHERE, /* in all partitions of the keyspace */
    PLACE_APART,      /* `one` and `other` lie in different partitions */
    PLACE_MOVED,      /* the client wants to know: slot, node */
    PLACE_ABSENT,     /* the partition is not known to this node yet */
    PLACE_GONE,       /* the keyspace is */
};
struct place {
    enum place_verdict verdict;
    struct hosted *hosted;
    u64 part;
    str one, other; /* keys, borrowed from argv */
    u16 slot;
    const struct core_node *node; /* borrowed for this turn */
};
/* argv fits the command's arity. */
struct place redis_place(struct client *c, const struct kv_command *cmd, const str *argv, u32 argc);
void redis_place_refuse(struct client *c, const struct place *p, struct resp_writer *w);
extern const char redis_absent_text[];

/* Are the keys of this entry not in that partition, by the map? */
bool redis_entry_moved(struct redis_door *d, u64 part, enum gateway_kind kind, const struct entry *e);

struct key_walk { /* the keys among the arguments: at, at + step ... last; at 0: none */
    u32 at, last, step;
};
void redis_keys_begin(struct key_walk *k, const struct kv_command *cmd, const str *argv, u32 argc);

/* --- price.c: the level of reads, and what a reply says it took --- */

enum price_form { PRICE_NONE, PRICE_WRAPPED /* Q.EXPLAIN */, PRICE_ATTRIBUTE /* CLIENT PRICE ON */ };

struct level redis_client_level(const struct client *c);
void redis_price_want(struct slot *s); /* if its connection or command does */
void redis_price_finish(struct slot *s, const struct gateway_reply *reply);
/* A request of one partition is answered: what it took is counted to its keyspace and kind. */
void redis_price_count(struct slot *s, const struct gateway_reply *reply);

/* --- dispatch.c: from arguments to a handler or an entry --- */

enum door_command_flags { /* BIT(0..7): what the door does; the others are only reported */
                          DOOR_AT_ONCE = BIT(0), /* runs inside MULTI instead of being queued */
                          DOOR_WHEN_IDLE = BIT(
                              1), /* waits until everything before it is answered */
                          DOOR_NO_MULTI = BIT(2),
                          DOOR_DEBUG = BIT(3), /* only with config.debug_commands */
                          DOOR_WRITE = BIT(8),
                          DOOR_READONLY = BIT(9),
                          DOOR_DENYOOM = BIT(10),
                          DOOR_ADMIN = BIT(11),
                          DOOR_NOSCRIPT = BIT(12),
                          DOOR_BLOCKING = BIT(13),
                          DOOR_LOADING = BIT(14),
                          DOOR_STALE = BIT(15),
                          DOOR_SKIP_SLOWLOG = BIT(16),
                          DOOR_FAST = BIT(17),
                          DOOR_NO_AUTH = BIT(18),
                          DOOR_MOVABLE = BIT(19),
                          DOOR_ALLOW_BUSY = BIT(20),
};

typedef void (*door_handler)(struct call *call);

struct door_command { /* one row per command or subcommand; tables end with a row without a name */
    const char *name; /* lower case; "config|get" for a subcommand */
    i32 arity;        /* as Redis: counts the name; negative: at least */
    u32 flags;
    door_handler handler;
    const struct door_command *subcommands;
    i32 first_key, last_key, key_step;
};

struct call { /* one run of a handler */
    struct redis_door *door;
    struct client *client;
    const struct door_command *command;
    const str *argv; /* borrowed from the input, or from the transaction */
    u32 argc;
    struct resp_writer w; /* where the reply goes */
    size_t request_bytes;
    bool in_exec; /* answer at once */
    bool later;   /* the handler has pushed a slot of its own, and written nothing */
};

struct command_ref { /* what a name stands for: at most one is set */
    const struct kv_command *data;
    const struct door_command *door;
};

/* Returns false if the command must wait until the connection's queue is empty. */
bool redis_dispatch(struct client *c, const str *argv, u32 argc, size_t request_bytes);
struct command_ref redis_command_find(const struct redis_door *d, str name);
const struct door_command *redis_subcommand_find(const struct door_command *container, str name);
bool redis_arity_is_good(i32 arity, u32 argc);
/* Existence, subcommand, arity, permission. Sets call->command (the subcommand's row) or replies
 * with the error and returns false. */
bool redis_command_check(struct call *call, struct command_ref *ref);
void redis_command_run(struct call *call);
struct rcbuf *redis_command_entry(struct redis_door *d, bool is_write, const struct entry *header,
                                  u8 db, const str *argv, u32 argc);
/* Into the partition or partitions it belongs to; replies with the error if there is none such. Nothing may be
 * begun with redis_reply_begin. */
void redis_submit_data(struct client *c, const struct kv_command *cmd, const struct entry *header,
                       const str *argv, u32 argc, size_t request_bytes);
u8 redis_client_entry_flags(const struct client *c);

/* --- commands/whole.c: commands about a whole database, over several partitions --- */

/* false: this one cannot be; nothing was done. */
bool redis_submit_whole(struct client *c, const struct kv_command *cmd,
                        const struct entry *header, const str *argv, u32 argc,
                        size_t request_bytes);
/* The cursor of a reply to SCAN, and its keys, one bulk after the other. */
bool redis_is_whole(const struct kv_command *cmd); /* about a whole database: it names no key */
bool redis_take_scan(str reply, u64 *cursor, str *keys);

/* --- commands/transaction.c --- */

bool redis_transaction_is_open(const struct client *c);
/* A command was refused while MULTI is open: EXEC will refuse, too. */
void redis_transaction_flag(struct client *c);
void redis_transaction_queue(struct call *call, const struct command_ref *ref);
void redis_transaction_drop(struct client *c);
u32 redis_transaction_length(const struct client *c); /* commands queued */
u32 redis_transaction_watches(const struct client *c);

/* --- door.c --- */

struct error_count {
    char name[24];
    u64 count;
};

enum { ERROR_NAMES_MAX = 32, PARSER_POOL_MAX = 32, SLOT_POOL_MAX = 16384 };

struct redis_door {
    struct node *node;
    struct env *env;
    struct routes *routes;
    struct keyspace_routes *keyspace; /* "default", where connections begin */
    const struct node_config *config;
    struct listener listener;
    bool listening, stopping;
    nanos stop_at; /* then what is left is dropped */

    struct list clients; /* in order of their ids */
    struct list dirty;
    struct list shares, busy; /* of all keyspaces that have something here; those with input, in turn */
    u32 latest;               /* keyspace that was at work */
    nanos shared_until;       /* several were lately: turns are short */
    nanos look_at;            /* share.c: who waits for room is looked at again */
    u32 client_count, rejected_count, clients_max;
    u64 next_client_id;
    u32 sleeping;
    nanos sleep_until;
    nanos timed_out_at; /* a request's time last ran out */

    const struct door_command **commands; /* sorted by name */
    u32 command_count;

    struct list free_slots;
    u32 free_slot_count;
    struct resp_parser *parsers[PARSER_POOL_MAX];
    u32 parser_count;
    struct rcblock *entries; /* dispatch.c: where the next write's entry lies */
    struct buf scratch; /* a reply that must wait for earlier ones, while it is written */
    struct buf exec;    /* an EXEC's reply, while it is put together */
    bool replying;      /* between reply_begin and reply_end */
    size_t reply_from;
    u32 asked_writes, asked_others;  /* requests that partitions have not answered */
    size_t asked_bytes, asked_bytes_max;

    struct admission admission;
    struct sample sample;
    size_t transaction_bytes, transaction_budget; /* all connections' queued and watched */
    struct redis_door_stats stats;
    u64 reached[LIMIT_COUNT]; /* how often those counted here were */
    u64 lookup_hits, lookup_misses, errors;
    struct error_count error_names[ERROR_NAMES_MAX];
    u32 error_name_count;
    nanos rate_at;
    u64 rate_commands, rate_per_second;
    struct latencies latencies;
    u64 latencies_version;    /* of the routes by which the gone ones were dropped */
    nanos clock_turn, clock;  /* price.c: the time, read once in that turn */
};

struct resp_parser *redis_door_parser_take(struct redis_door *d);
/* A parser that stopped inside a request remembers it, and is of no use to anyone else. */
void redis_door_parser_give(struct redis_door *d, struct resp_parser *p, bool between_requests);
void redis_door_count_error(struct redis_door *d, str reply);
/* A limit of the door was reached. */
void redis_door_count_limit(struct redis_door *d, enum limit_id id);
/* Why this connection may not ask more now, and waits among the starved; LIMIT_NONE: it may. */
enum limit_id redis_door_full(const struct redis_door *d, const struct client *c);
void redis_door_reset_stats(struct redis_door *d);

/* keyspace.c: what the door asks of the state machine of a partition, where this node has it. */
void redis_door_db_stats(const struct hosted *h, u8 db, struct kv_db_stats *out);

/* --- commands/: the rows --- */

extern const struct door_command redis_connection_commands[], redis_client_command_rows[],
    redis_server_commands[], redis_config_commands[], redis_info_commands[], redis_debug_commands[],
    redis_transaction_commands[], redis_session_commands[], redis_wait_commands[],
    redis_introspect_commands[], redis_cluster_commands[], redis_level_commands[];
void redis_cmd_client_level(struct call *call);
void redis_cmd_client_deadline(struct call *call);
void redis_cmd_client_price(struct call *call);
extern const struct door_command
    redis_object_subcommands[]; /* of the keyspace's OBJECT, for COMMAND INFO */

struct command_doc { /* what COMMAND INFO and COMMAND DOCS say beyond the rows */
    const char *name;
    u32 categories;   /* enum command_category beyond those that follow from flags */
    const char *keys; /* key spec flags; '|' parts specs of one key each; NULL: none */
    const char *tips; /* separated by spaces; NULL: none */
    const char *since, *group, *complexity, *summary;
};
const struct command_doc *redis_command_doc_find(str name);

enum command_category { /* in the order Redis lists them */
                        CATEGORY_KEYSPACE = BIT(0),
                        CATEGORY_READ = BIT(1),
                        CATEGORY_WRITE = BIT(2),
                        CATEGORY_STRING = BIT(3),
                        CATEGORY_ADMIN = BIT(4),
                        CATEGORY_FAST = BIT(5),
                        CATEGORY_SLOW = BIT(6),
                        CATEGORY_BLOCKING = BIT(7),
                        CATEGORY_DANGEROUS = BIT(8),
                        CATEGORY_CONNECTION = BIT(9),
                        CATEGORY_TRANSACTION = BIT(10),
                        CATEGORY_SCRIPTING = BIT(11),
};

/* Does a pattern of any case match this lower-case name? */
bool redis_glob_matches_name(str pattern, const char *name);

/* An answer to <container> HELP, made from its rows. */
void redis_reply_help(struct call *call);

/* reply_split.c: the length of the first whole RESP value in bytes; 0: there is none. */
size_t redis_value_length(str bytes);
/* The number in the line these bytes begin with, if it is of this type; what follows it at *rest. */
bool redis_take_number(str bytes, u8 type, i64 *number, str *rest);
/* A whole bulk string at the start of *rest, with and without its frame; *rest goes on behind it. */
bool redis_take_bulk(str *rest, str *whole, str *value);
