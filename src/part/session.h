/* The session table: which numbered requests ran, and what they answered (Ongaro 2014 §6.3;
 * Fowler's Idempotent Receiver). Part of the replicated state: it changes only by applying entries,
 * so every replica holds the same rows at the same index, and it is checkpointed and shipped with
 * the data. docs/formats/marker.md has the rows, docs/formats/entry.md the rules. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "kv/entry.h"

#define SESSION_RESULT_BYTES_MAX 1024  /* longer replies are kept as "done, result not kept" */
#define SESSION_CLIENT_WINDOW    1024  /* results kept per client session */
#define SESSION_GATEWAY_WINDOW   65536 /* and per gateway */
#define SESSION_GATEWAY_TTL_MS   3600000ull
#define SESSION_CLIENTS_MAX      100000 /* client sessions of one partition */

struct session_table;

/* Q.SESSION's sessions, as against those that gateways make by themselves. */
static inline bool session_is_client(const struct session_id *id)
{
    return id->bytes[15] & 0x80;
}

struct session_table *session_table_new(void);
void session_table_free(struct session_table *t);

enum session_verdict {
    SESSION_RUN,      /* execute, then session_keep */
    SESSION_KNOWN,    /* ran before: *reply is what it answered (borrowed) */
    SESSION_NOT_KEPT, /* ran before, its reply was too long to keep */
    SESSION_GONE,     /* seq is below acked: answered long ago */
    SESSION_UNKNOWN,  /* a client session that does not exist, or has expired */
    SESSION_TOO_LATE, /* first issued longer ago than the session lives: not executed */
    SESSION_ORDER,    /* the write it must follow has not run: not executed, ask again */
    SESSION_WINDOW,   /* too many unanswered requests: not executed */
};

/* Drop what has expired by this entry's time, then judge it. Gateway sessions come into being here.
 */
enum session_verdict session_judge(struct session_table *t, const struct entry *e, str *reply);
/* After SESSION_RUN: remember the reply of this entry. */
void session_keep(struct session_table *t, const struct entry *e, str reply);

/* SESSION_OPEN / SESSION_CLOSE entries. false: the table is full / no such session. */
bool session_open(struct session_table *t, const struct entry *e, u64 ttl_ms);
bool session_close(struct session_table *t, const struct entry *e);

/* Has request `seq` of a gateway run, or been given up by it? */
bool session_has_run(struct session_table *t, const struct session_id *id, u64 seq);

u64 session_count(const struct session_table *t);
u64 session_clients(const struct session_table *t); /* of those, opened by clients */

/* Checkpoint: visit what changed since the last call of session_each_changed, in order of creation:
 * a row's value, or value.at == NULL for a session that is gone. Then start to restore with
 * session_restore per row on an empty table. */
typedef void (*session_row_fn)(void *context, str id, str value);
void session_each_changed(struct session_table *t, bool all, session_row_fn fn, void *context);
/* The checkpoint that took those changes failed: they count as changed again. */
void session_changes_failed(struct session_table *t);
/* All of them, without effect on what counts as changed. */
void session_each(const struct session_table *t, session_row_fn fn, void *context);
/* A merge: `t` has all sessions of both. One that both have keeps what it has of each and the greater of their `acked`: what
 * was forgotten on one side stays forgotten, so a request that ran on either never runs again. */
void session_unite(struct session_table *t, const struct session_table *with);
MUST_USE err session_restore(struct session_table *t, str id, str value);
/* After all rows are restored: put them in the order of last use. */
void session_restored(struct session_table *t);
