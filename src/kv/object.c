/* OBJECT: a look at what is behind a key. Rows here have one form; the answers are those Redis gives
 * for a value that got there the same way. */
#include "kv/kv_internal.h"

#define EMBSTR_BYTES_MAX 44 /* Redis keeps a string up to this size beside its header */
#define SHARED_INTEGERS 10000
#define SHARED_REFCOUNT INT32_MAX

static const char *encoding_of(const struct kv_row *row)
{
    if (row->head.flags & HEAD_INTEGER) return "int";
    if (row->head.flags & HEAD_RAW || row->value.len > EMBSTR_BYTES_MAX) return "raw";
    return "embstr";
}

static i64 refcount_of(const struct kv_row *row)
{
    i64 value;
    bool shared = row->head.flags & HEAD_INTEGER && str_to_i64(row->value, &value) && value >= 0 &&
                  value < SHARED_INTEGERS;

    return shared ? SHARED_REFCOUNT : 1;
}

static void reply_help(struct kv_call *c)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How Redis would keep the key's value: int, embstr or raw.",
        "FREQ <key>",
        "    Not tracked here; answers as Redis does without an LFU policy.",
        "IDLETIME <key>",
        "    Seconds since the last access; not tracked here, always 0.",
        "REFCOUNT <key>",
        "    How many references to the value Redis would count.",
        "HELP",
        "    Print this help.",
    };

    resp_array(&c->w, ARRAY_LEN(lines));
    for (u32 i = 0; i < ARRAY_LEN(lines); i++) resp_simple(&c->w, lines[i]);
}

enum object_question { OBJECT_ENCODING, OBJECT_FREQ, OBJECT_IDLETIME, OBJECT_REFCOUNT, OBJECT_HELP };

static const struct {
    const char *word, *full_name;
    u32 argc;
} questions[] = {
    [OBJECT_ENCODING] = {"encoding", "object|encoding", 3},
    [OBJECT_FREQ] = {"freq", "object|freq", 3},
    [OBJECT_IDLETIME] = {"idletime", "object|idletime", 3},
    [OBJECT_REFCOUNT] = {"refcount", "object|refcount", 3},
    [OBJECT_HELP] = {"help", "object|help", 2},
};

static void answer(struct kv_call *c, enum object_question q, const struct kv_row *row)
{
    switch (q) {
    case OBJECT_ENCODING: resp_bulk_text(&c->w, encoding_of(row)); break;
    case OBJECT_REFCOUNT: resp_integer(&c->w, refcount_of(row)); break;
    case OBJECT_IDLETIME: resp_integer(&c->w, 0); break;
    case OBJECT_FREQ:
        resp_error(&c->w, "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                          "Please note that when switching between policies at runtime LRU and LFU "
                          "data will take some time to adjust.");
        break;
    case OBJECT_HELP: break;
    }
}

void cmd_object(struct kv_call *c)
{
    struct kv_row row;
    u32 q = 0;

    while (q < ARRAY_LEN(questions) && !str_is_word(c->argv[1], questions[q].word)) q++;
    if (q == ARRAY_LEN(questions))
        resp_errorf(&c->w, "ERR unknown subcommand '%.*s'. Try OBJECT HELP.",
                    (int)size_min(c->argv[1].len, 128), (const char *)c->argv[1].at);
    else if (c->argc != questions[q].argc)
        kv_reply_wrong_arity(&c->w, questions[q].full_name);
    else if (q == OBJECT_HELP)
        reply_help(c);
    else if (!kv_find(c, c->db, c->argv[2], &row))
        resp_null(&c->w);
    else
        answer(c, (enum object_question)q, &row);
}
