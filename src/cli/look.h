/* One keyspace at one look, also when a majority of the nodes is down: its groups by the last map that somebody who
 * answers has, and what each member's node says of itself. For `quorate price` and `quorate why-unavailable`. */
#pragma once

#include "cli/survey.h"
#include "cli/verbs.h"

#define LOOK_VOTERS_MAX 16

enum voter_state {
    VOTER_WELL,     /* its node answers, and it votes */
    VOTER_DOWN,     /* nobody takes connections at its node's admin address */
    VOTER_HANGS,    /* its node takes connections and says nothing: stopped, or stuck */
    VOTER_RECOVERS, /* it is being refilled and does not vote */
    VOTER_ABSENT,   /* its node answers and has no replica of the group yet */
    VOTER_CUT,      /* its node answers here, and the group's leader does not hear it */
    VOTER_STATES
};

struct look_voter {
    u64 node;
    enum voter_state state;
};

struct look_group {
    u64 id;
    u64 leader;     /* the node that says it leads, in the highest term; 0: nobody does */
    bool has_lease; /* and a quorum stands by it */
    bool full;      /* and it takes no writes for want of space */
    bool has_state; /* a member answers that has applied something: reads AT local do */
    u32 led;        /* item in that node's local, 0 */
    const struct json *local;
    u32 count;
    struct look_voter voters[LOOK_VOTERS_MAX];
};

struct look {
    struct survey survey;
    struct http_place place; /* who gave the map */
    struct json answer;      /* GET /v1/keyspaces/NAME */
    u32 keyspace;            /* in it */
    struct look_group *groups;
    u32 count;
    u64 deaf[SURVEY_NODES_MAX]; /* of a node in survey.each: bit i, it answers here and does not hear survey.each[i] */
};

/* False: nobody answers, or there is no such keyspace; that is said. */
bool look_take(struct look *l, struct verb_call *call);
/* Of a survey that is there: the groups of this keyspace. */
void look_at_groups(struct look *l, str keyspace);
void look_done(struct look *l);

/* Does one of these nodes (places in survey.each), which answer here, not hear the other? */
bool look_are_cut(const struct look *l, u32 a, u32 b);

u32 look_well(const struct look_group *g);     /* voters that are well */
u32 look_majority(const struct look_group *g);
bool look_serves(const struct look_group *g);  /* reads and writes of any level, if it is not full */
bool look_needs(const struct look_group *g, u64 node); /* it serves, and would not without this member */
