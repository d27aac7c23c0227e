#include "sim/witness.h"

#include "sim/observe_internal.h"

#include "base/hash.h"
#include "part/session.h"
#include "sim/groups.h"
#include "server/node_internal.h"

struct replay {
    struct kvs_image *image;
    struct kvs *kvs;
    struct store *store;
    struct kv *kv;
    struct session_table *sessions;
};

/* The partition's rule for one entry, on a state that never crashes, checkpoints, evicts or moves. Entries that
 * the sessions do not let run have a fixed refusal as their answer: *ran is false. */
static err replay_one(struct replay *r, const struct entry *e, u64 index, struct buf *reply, bool *ran)
{
    static const struct session_id none;
    bool has_session = e->op != ENTRY_SESSION_OPEN && e->op != ENTRY_SESSION_CLOSE && e->op != ENTRY_TICK && e->op < ENTRY_SPLIT &&
                       !mem_equal(e->session.bytes, none.bytes, sizeof none.bytes);
    str known;

    *ran = true;
    if (e->op == ENTRY_SPAN) { /* the slots of a new partition */
        struct reader body = reader_of(e->body);
        u16 from = reader_u16(&body);
        kv_set_slots(r->kv, from, reader_u16(&body));
        *ran = false;
        return OK;
    }
    if (e->op == ENTRY_SESSION_OPEN) {
        struct reader body = reader_of(e->body);
        *ran = session_open(r->sessions, e, reader_u64(&body));
        buf_append_text(reply, "+OK\r\n");
        return OK;
    }
    if (e->op == ENTRY_SESSION_CLOSE) {
        *ran = session_close(r->sessions, e);
        buf_append_text(reply, "+OK\r\n");
        return OK;
    }
    if (e->op == ENTRY_SPAN) {
        struct reader body = reader_of(e->body);
        u16 first = reader_u16(&body);
        kv_set_slots(r->kv, first, reader_u16(&body));
        return OK;
    }
    if (has_session) {
        enum session_verdict v = session_judge(r->sessions, e, &known);
        if (v == SESSION_KNOWN) {
            buf_append_str(reply, known);
            return OK;
        }
        *ran = v == SESSION_RUN;
        if (!*ran) return OK;
    }
    err failed = kv_apply(r->kv, e, index, reply);
    if (!failed && has_session) session_keep(r->sessions, e, buf_str(reply));
    return failed;
}

static bool replay_entry(struct world *w, struct replay *r, const struct witness_log *log, u64 index,
                         struct buf *reply)
{
    const struct logged *c = &log->entries[index - 1];
    unsigned long long part = log->part, at = index;
    struct entry e;
    bool ran;

    str bytes = str_from(buf_bytes(log->bytes) + c->at, c->bytes);
    if (bytes.len == 0 || entry_decode(bytes, &e)) return true; /* a no-op or a configuration */
    buf_clear(reply);
    if (replay_one(r, &e, index, reply, &ran)) {
        world_violation(w, "partition %llu: the entry at index %llu cannot be applied again", part, at);
        return false;
    }
    if (ran && hash64(buf_bytes(reply), reply->len) != c->reply_hash) {
        world_violation(w,
                        "partition %llu: replaying the log from its beginning answers index %llu with '%.*s', replica %u "
                        "said otherwise",
                        part, at, (int)size_min(reply->len, 60), (const char *)buf_bytes(reply), c->by);
        return false;
    }
    (void)store_tidy(r->store, 4);
    return true;
}

void witness_run(struct world *w, const struct witness_log *log)
{
    struct replay r = {.image = kvs_image_new()};
    struct store_options so = {.part = log->part, .by_key = log->by_key, .memory_bytes_max = 1024 * MIB};
    struct kv_options ko = {.span.by_key = log->by_key,
                            .value_bytes_max = w->hosts[0]->config.value_bytes_max,
                            .step_budget = 0};
    struct buf reply = {0};
    u64 digest = 0;
    bool well = true;

    node_place_of(log->part, &ko.keyspace_first, &ko.keyspace_count);
    so.keyspace_first = ko.keyspace_first;
    so.keyspace_count = ko.keyspace_count;
    r.kvs = kvs_memory_open(r.image);
    r.store = store_new(r.kvs, &so);
    r.kv = kv_new(r.store, &ko);
    r.sessions = session_table_new();
    for (u64 index = 1; index <= log->count && well; index++) well = replay_entry(w, &r, log, index, &reply);
    if (well && (kv_digest(r.kv, &digest) || digest != log->digest))
        world_violation(w, "partition %llu: replaying the log from its beginning ends in another state than the replicas'",
                        (unsigned long long)log->part);
    session_table_free(r.sessions);
    kv_free(r.kv);
    store_free(r.store);
    r.kvs->ops->close(r.kvs);
    kvs_image_free(r.image);
    buf_done(&reply);
}

void observe_final(struct world *w)
{
    u64 first = 0;

    if (w->cluster) {
        groups_final(w);
        return;
    }

    for (u32 i = 0; i < w->nodes && !w->stopped; i++) {
        u64 digest;
        if (kv_digest(part_kv(node_part(w->hosts[i]->node)), &digest)) {
            world_violation(w, "node %u cannot read its own state", i + 1);
            return;
        }
        if (i == 0) first = digest;
        if (digest != first)
            world_violation(w, "nodes 1 and %u differ in their state at rest, applied index %llu", i + 1,
                            (unsigned long long)w->observer->count);
    }
    world_trace(w, first);
    struct witness_log log = {.part = PART_DEFAULT,
                              .entries = w->observer->entries,
                              .count = w->observer->count,
                              .bytes = &w->observer->bytes,
                              .digest = first};
    if (!w->stopped) witness_run(w, &log);
}
