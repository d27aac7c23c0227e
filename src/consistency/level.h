/* How fresh a read has to be, as people write it: for a keyspace (`ks set NAME level=`), for a connection
 * (`CLIENT LEVEL`) and for one request (`AT`). The same words everywhere. Writes have no level: they are linearizable.
 * docs/consistency.md says what each lets a client see. */
#pragma once

#include "base/buf.h"
#include "base/types.h"

enum level_kind {
    LEVEL_LEASE,      /* linearizable: the leader answers, under its lease */
    LEVEL_QUORUM,     /* linearizable: the leader has a quorum confirm it first (ReadIndex), no lease is believed */
    LEVEL_FOLLOWER,   /* linearizable: any replica answers, when it has applied what the leader had */
    LEVEL_STALE,      /* any replica whose state is at most `ms` old, measured by its own clock */
    LEVEL_SEQUENTIAL, /* any replica: its connection's own order, and never backwards */
    LEVEL_SESSION,    /* the same, for whoever carries the token: over connections and nodes */
    LEVEL_LOCAL,      /* the nearest replica, whatever it has */
    LEVEL_KINDS
};

#define LEVEL_STALE_MS_MAX 3600000u

struct level {
    u8 kind; /* enum level_kind */
    u32 ms;  /* STALE: 1 to LEVEL_STALE_MS_MAX; 0 of the others */
};

/* What level_parse takes, for errors. */
#define LEVEL_WORDS "lease, quorum, follower, stale:MS, sequential, session or local"

/* Any case. false: no such level, or MS is out of its range. */
bool level_parse(str text, struct level *out);
void level_print(struct level l, struct buf *out);

/* As one number, for the wire and for rows: kind | ms << 8. false: it is no level's. */
u64 level_to_u64(struct level l);
bool level_from_u64(u64 number, struct level *out);

bool level_equal(struct level a, struct level b);
/* Does the leader alone answer such reads? */
bool level_is_leaders(struct level l);
bool level_is_linearizable(struct level l);
/* The level that promises a little more, or less, of those that a reader would weigh against this one: local, stale, session
 * (sequential counts as it), follower, lease, quorum. LEVEL_KINDS: there is none. */
enum level_kind level_stronger(enum level_kind kind);
enum level_kind level_weaker(enum level_kind kind);
/* May it follow what its client has seen (a token)? */
bool level_has_memory(struct level l);
/* May its reads be answered in any order, among a connection's others? */
bool level_is_orderless(struct level l);
