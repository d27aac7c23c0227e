/* Where a command belongs: in one partition of its connection's keyspace, in all of them, or
 * nowhere, and then why. Keys of one command must lie in one partition, not in one slot. */
#include "server/redis/redis_internal.h"

#include "base/mutant.h"

enum { KEY_TEXT_MAX = 64 }; /* of a key that an error names */

void redis_keys_begin(struct key_walk *k, const struct kv_command *cmd, const str *argv, u32 argc)
{
    *k = (struct key_walk){.step = 1};
    if (cmd->flags & KV_MOVABLE) { /* OBJECT <question> key */
        u32 at;
        if (kv_command_keys(cmd, argv, argc, &at, 1)) k->at = k->last = at;
    } else if (cmd->first_key) {
        k->at = (u32)cmd->first_key;
        k->last = cmd->last_key < 0 ? argc - (u32)-cmd->last_key : (u32)cmd->last_key;
        k->step = (u32)cmd->key_step;
    }
    if (k->at > k->last || k->last >= argc) *k = (struct key_walk){0};
}

/* Does it look at a whole database? */
static bool has_keys(const struct kv_command *cmd)
{
    return cmd->first_key || cmd->flags & KV_MOVABLE;
}

/* A connection that asked for the slot map is sent to whom it would find by it. */
static bool is_moved(struct client *c, bool is_read, str key, struct place *p)
{
    struct redis_door *d = c->door;

    bool near = is_read && !level_is_leaders(redis_client_level(c)); /* READONLY among them: answered here */
    if (!c->asked_map || c->asking || near || c->keyspace->is_range) return false;
    node_id leader = routes_leader(d->routes, p->part);
    const struct core *map = routes_map(d->routes);
    const struct core_node *n = map && leader ? core_node(map, (u32)leader) : NULL;
    if (!n || leader == d->config->self || n->redis.len == 0) return false;
    p->verdict = PLACE_MOVED;
    p->slot = store_slot(key);
    p->node = n;
    return true;
}

/* All keys after the first lie where that one does? */
static bool are_together(struct client *c, const str *argv, struct key_walk *k, struct place *p)
{
    u64 part;

    for (u32 first = k->at; (k->at += k->step) <= k->last;) {
        routes_find(c->door->routes, c->keyspace, argv[k->at], &part);
        if (part == p->part || MUTANT(keys_apart_sent_together)) continue;
        p->verdict = PLACE_APART;
        p->one = argv[first];
        p->other = argv[k->at];
        return false;
    }
    return true;
}

struct place redis_place(struct client *c, const struct kv_command *cmd, const str *argv, u32 argc)
{
    struct routes *r = c->door->routes;
    u32 count = routes_count(r, c->keyspace);
    struct place p = {.verdict = PLACE_HERE};
    struct key_walk k;

    if (count == 0) return (struct place){.verdict = routes_map(r) ? PLACE_GONE : PLACE_ABSENT};
    if (count > 1 && !has_keys(cmd)) return (struct place){.verdict = PLACE_EVERYWHERE};
    redis_keys_begin(&k, cmd, argv, argc);
    if (k.at == 0) { /* anywhere */
        p.hosted = routes_at(r, c->keyspace, 0, &p.part);
    } else {
        str key = argv[k.at];
        p.hosted = routes_find(r, c->keyspace, key, &p.part);
        if (count > 1 && !are_together(c, argv, &k, &p)) return p;
        if (is_moved(c, !(cmd->flags & KV_WRITE), key, &p)) return p;
    }
    if (!p.hosted) p.verdict = PLACE_ABSENT;
    return p;
}

static int shown(str key)
{
    return (int)size_min(key.len, KEY_TEXT_MAX);
}

/* Transactions over several partitions will begin where this refuses. */
static void refuse_apart(const struct keyspace_routes *k, const struct place *p,
                         struct resp_writer *w)
{
    resp_errorf(
        w,
        "CROSSSLOT the keys '%.*s' and '%.*s' lie in different partitions of keyspace %.*s; "
        "nothing was done. Give both the same {tag}, or use a keyspace with one partition",
        shown(p->one), (const char *)p->one.at, shown(p->other), (const char *)p->other.at,
        STR_ARG(core_str(&k->name)));
}

void redis_place_refuse(struct client *c, const struct place *p, struct resp_writer *w)
{
    const struct keyspace_routes *k = c->keyspace;

    switch (p->verdict) {
    case PLACE_APART: refuse_apart(k, p, w); break;
    case PLACE_GONE:
        resp_error(w, "ERR the keyspace of this connection was dropped; SELECT another one, or "
                      "SELECT default");
        break;
    case PLACE_MOVED:
        resp_errorf(w, "MOVED %u %.*s", p->slot, STR_ARG(core_str(&p->node->redis)));
        break;
    case PLACE_EVERYWHERE:
        resp_errorf(
            w,
            "CROSSSLOT the command is about all %u partitions of keyspace %.*s and cannot run "
            "in all of them at once; nothing was done. Use a keyspace with one partition",
            k->count, STR_ARG(core_str(&k->name)));
        break;
    default: resp_error(w, redis_absent_text); break;
    }
}

const char redis_absent_text[] =
    "NOQUORUM this node has not heard of the partition yet; nothing was done, try again";

/* --- what was sent by an older map --- */

/* The first key of a command; false: it has none. */
static bool first_key(const struct entry_command *c, bool keys_only, str *key)
{
    const struct kv_command *cmd = c->argc && !keys_only ? kv_command_find(c->argv[0]) : NULL;
    struct key_walk k = {0};

    if (c->argc == 0) return false;
    if (cmd && kv_command_takes(cmd, c->argc)) redis_keys_begin(&k, cmd, c->argv, c->argc);
    *key = c->argv[k.at];
    return keys_only || k.at;
}

/* Of an EXEC: its first watched key, or its first command with a key. */
static bool first_exec_key(struct reader *r, struct entry_command *c, str *key)
{
    if (reader_u32(r)) {
        reader_take(r, 1 + 1 + 8);
        *key = reader_str(r, reader_u32(r));
        return !r->bad;
    }
    for (u32 count = reader_u32(r); count; count--) {
        if (entry_decode_command(r, c)) return false;
        if (first_key(c, false, key)) return true;
        entry_command_done(c);
        *c = (struct entry_command){0};
    }
    return false;
}

static bool span_of(const struct redis_door *d, u64 part, struct kv_span *out)
{
    const struct core *map = routes_map(d->routes);
    const struct core_part *p = map ? core_part(map, part) : NULL;

    if (!p) return false;
    *out = routes_span(p);
    return true;
}

struct rcbuf *redis_entry_for(struct redis_door *d, str entry, u64 part)
{
    struct entry_command c;
    struct kv_span span;
    struct kv_for words;
    struct entry e;
    struct buf out = {0};

    err bad = entry_decode(entry, &e);
    assert(!bad); /* we wrote it */
    struct reader r = reader_of(e.body);
    if (e.op != ENTRY_COMMAND || !span_of(d, part, &span)) return rcbuf_from(entry);
    bad = entry_decode_command(&r, &c);
    assert(!bad);
    str *argv = mem_zalloc_array(KV_FOR_WORDS + c.argc, sizeof *argv);
    kv_for_make(&span, &words);
    for (u32 i = 0; i < KV_FOR_WORDS; i++) argv[i] = words.words[i];
    for (u32 i = 0; i < c.argc; i++) argv[KV_FOR_WORDS + i] = c.argv[i];
    entry_encode_command(c.db, argv, KV_FOR_WORDS + c.argc, &out);
    e.body = buf_str(&out);
    struct buf whole = {0};
    entry_encode_header(&e, &whole);
    buf_append_str(&whole, e.body);
    struct rcbuf *made = rcbuf_from(buf_str(&whole));
    buf_done(&whole);
    buf_done(&out);
    mem_free(argv);
    entry_command_done(&c);
    return made;
}

static bool is_other_span(struct redis_door *d, u64 part, const struct entry_command *c)
{
    const str *argv = c->argv;
    u32 argc = c->argc;
    struct kv_span meant, now;

    if (!kv_for_take(&argv, &argc, &meant)) return false;
    return !span_of(d, part, &now) || !kv_spans_equal(&meant, &now);
}

bool redis_entry_moved(struct redis_door *d, u64 part, enum gateway_kind kind,
                       const struct entry *e)
{
    struct reader r = reader_of(e->body);
    struct entry_command c = {0};
    bool found = false;
    str key;

    if (e->op == ENTRY_EXEC)
        found = first_exec_key(&r, &c, &key);
    else if (e->op == ENTRY_COMMAND && !entry_decode_command(&r, &c))
        found = first_key(&c, kind == GATEWAY_WATCH, &key);
    bool moved = (found && !routes_covers(d->routes, part, key)) || is_other_span(d, part, &c);
    entry_command_done(&c);
    return moved;
}

bool redis_slot_ask_elsewhere(struct slot *s, struct rcbuf *entry)
{
    struct client *c = s->client;
    struct reader r;
    struct entry e;
    struct entry_command args;
    bool asked = false;

    if (c->queued != 1 || c->gone || s->req.kind == GATEWAY_WATCH) return false;
    routes_look(c->door->routes);
    err bad = entry_decode(rcbuf_str(entry), &e);
    assert(!bad);
    r = reader_of(e.body);
    if (e.op != ENTRY_COMMAND || entry_decode_command(&r, &args)) return false;
    if (str_equal(args.argv[0], STR(KV_FOR))) { /* it would be asked of several now */
        entry_command_done(&args);
        return false;
    }
    struct place p = redis_place(c, kv_command_find(args.argv[0]), args.argv, args.argc);
    if (p.verdict == PLACE_HERE) {
        c->barrier = s; /* what comes next must not pass it */
        redis_slot_ask(s, p.hosted, s->req.kind, rcbuf_ref(entry));
        asked = true;
    }
    entry_command_done(&args);
    return asked;
}
