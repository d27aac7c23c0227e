/* `quorate NOUN VERB WORDS name=value --flags`: commands that ask a node's admin door. A noun is a
 * table of verbs, a file each. */
#pragma once

#include "cli/http.h"
#include "cli/json_read.h"

#define VERB_WORDS_MAX 4
#define VERB_ROWS_MAX  32

enum verb_flags {
    VERB_ROWS = BIT(0),  /* takes name=value */
    VERB_POSTS = BIT(1), /* changes something: takes --dry-run */
    VERB_FORCE = BIT(2),
    VERB_RISK = BIT(3), /* --accept-risk */
    VERB_PROBE = BIT(4), /* --probe */
    VERB_LOSS = BIT(5), /* --accept-loss */
};

struct verb_call {
    const struct noun *noun;
    const struct verb *verb;
    struct http_place place;
    bool named; /* by --node */
    bool probe;
    bool json, dry_run, force, accept_risk, accept_loss;
    const char *words[VERB_WORDS_MAX];
    u32 word_count;
    const char *rows[VERB_ROWS_MAX]; /* name=value */
    u32 row_count;
    struct json answer; /* of the last request */
    int status;
};

struct verb {
    const char *name; /* NULL: the noun alone */
    const char *args, *summary;
    u32 words_min, words_max, flags;
    int (*run)(struct verb_call *call);
};

struct noun {
    const char *name, *summary;
    const struct verb *verbs;
    u32 verb_count;
    const char *examples; /* lines, each indented by two */
};

int noun_main(const struct noun *noun, int argc, char **argv);
void noun_print_names(const struct noun *noun); /* for completion */

/* GET: the answer in call->answer. False: it was refused or nobody answered, and that is said; or
 * --json, and it is printed. The exit status is then call_status. */
bool call_get(struct verb_call *call, const char *path);
/* The same, of the named node itself, whoever leads. */
bool call_get_here(struct verb_call *call, const char *path);
/* POST with the call's rows and flags and `more` (encoded, may be empty). */
bool call_post(struct verb_call *call, const char *path, const char *more);
int call_status(const struct verb_call *call);
/* A POST whose answer is only that it is done: prints `done`, or with --dry-run the plan. */
int call_command(struct verb_call *call, const char *path, const char *more, const char *done, ...)
    PRINTF_LIKE(4, 5);

/* A word as one segment of a path or one value; false: too long. */
bool url_put(char *out, size_t size, const char *word);
/* What the planner would do, of an answer that has it. */
void print_plan(const struct verb_call *call);
