/* One look at the whole cluster, for `quorate status` and `quorate top`: the map from one node, and what each living
 * node says of itself. */
#pragma once

#include "cli/http.h"
#include "cli/json_read.h"

#define SURVEY_NODES_MAX 64 /* asked themselves; of more the map alone is shown */

struct survey_node {
    u64 id;
    bool answers;
    bool reached; /* somebody took the connection, whatever became of it */
    struct json local; /* GET /v1/local */
};

struct survey_led { /* a group and where its leader tells of it */
    u64 group;
    u32 node; /* in `each` */
    u32 item;
};

struct survey {
    struct json cluster, nodes, groups, plan;
    struct survey_node each[SURVEY_NODES_MAX];
    u32 count;
    struct survey_led *led; /* by group */
    u32 led_count;
    bool leader_silent; /* the core's: what it alone sees is missing */
    char problem[256];
};

/* False: nobody answers there; problem says why. */
bool survey_take(struct survey *s, const struct http_place *place);
/* The same, and nodes that count as silent are asked, too. */
bool survey_take_all(struct survey *s, const struct http_place *place);
void survey_done(struct survey *s);

/* Where a node of `nodes` has its admin door; false: it says none. */
bool survey_place(const struct json *nodes, u32 node, struct http_place *out);

/* GET from one node; false: problem says why. */
bool survey_get(const struct http_place *place, const char *path, struct json *out, char *problem, size_t size);

/* What a living node says of itself; NULL: it says nothing. */
const struct json *survey_local(const struct survey *s, u64 node);
/* The group as its leader sees it: item in *local; 0: no leader answers. */
u32 survey_led(const struct survey *s, u64 group, const struct json **local);
/* How many replicas say that they crashed while entries counted in memory. */
u32 survey_recovering(const struct survey *s, u64 group);
/* Entries that the slowest voter of a led group is behind. */
u64 survey_lag(const struct json *local, u32 group);
