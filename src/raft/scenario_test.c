/* Stories: scenarios/NAME.txt is commands, each followed by the trace it must cause (lines indented
 * by four spaces). `raft_scenario_test --update` writes what happens now; the difference is read in
 * review.
 *
 *   nodes 3                  who votes
 *   log 2 1/1 1/2            before start: what is on a disk (term/index)
 *   term 2 5                 and its term, if later than its log's
 *   start                    boot all; the silence after a restart is over
 *   timeout 1                let 1's election timeout pass
 *   advance 60               milliseconds pass for all; due timers fire
 *   deliver | deliver 1 2    messages (only those of 1 to 2) arrive, and those they cause
 *   drop 1 2                 messages of 1 to 2 under way are lost
 *   hold 1 | disk 1          1's disk is slow: writes wait; and finish
 *   propose 1 3 | read 1 | transfer 1 2 | compact 1 5 | full 1 | roomy 1
 *   join 4                   a new replica, that knows no members
 *   change 1 124+5           ask 1 to change the members: voters, and learners after the +
 *   install 1 3              the snapshot 1 sends arrives at 3 and is installed
 *   crash 1 | restart 1      what the disk did not finish is lost
 *   wipe 1                   and the disk as well
 *   show                     every replica in a line */
#include "raft/cluster_host.h"
#include "raft/config_of.h"

#include "base/test.h"

#include <stdlib.h>
#include <glob.h>

#define NODES_MAX  6u
#define FLYING_MAX 1024u

struct letter {
    replica_id from, to;
    struct buf bytes;
};

struct story {
    u32 nodes;
    nanos now;
    struct raft_config config;
    struct host hosts[NODES_MAX + 1];
    bool slow[NODES_MAX + 1];
    struct letter flying[FLYING_MAX];
    u32 flying_count;
    struct raft_actions out;
    struct buf told; /* the file as it should be */
};

struct teller {
    struct story *story;
    replica_id id;
};
static struct teller tellers[NODES_MAX + 1]; /* one story at a time */

static void tell(void *context, const char *line)
{
    struct teller *t = context;
    buf_printf(&t->story->told, "    %u: %s\n", t->id, line);
}

static void finish_disk(struct story *s, struct host *h);

static void post(struct story *s, const struct raft_message *m)
{
    assert(s->flying_count < FLYING_MAX);
    struct letter *l = &s->flying[s->flying_count++];
    *l = (struct letter){.from = m->from, .to = m->to};
    raft_message_encode(m, &l->bytes);
}

static void happen(struct story *s, struct host *h, struct raft_event ev)
{
    struct raft_actions *out = &s->out;
    ev.now = s->now;
    ev.room = h->full ? h->room : UINT64_MAX;
    err e = raft_step(h->raft, &ev, out);
    raft_check(h->raft);
    if (e) buf_printf(&s->told, "    %u: refused: %s\n", h->id, err_text(e));
    for (u32 i = 0; i < out->send.count; i++) post(s, &out->send.items[i]);
    host_stage_actions(h, out);
    for (u32 i = 0; i < out->send_after_save.count; i++) {
        struct held *held = &h->held[h->held_to++ % HOST_HELD_MAX];
        *held = (struct held){.after = h->ops_staged, .to = out->send_after_save.items[i].to};
        raft_message_encode(&out->send_after_save.items[i], &held->bytes);
    }
    for (u32 i = 0; i < out->read_count; i++)
        buf_printf(&s->told,
                   out->reads[i].refused ? "    %u: read refused\n" : "    %u: read at %lu\n",
                   h->id, out->reads[i].index);
    if (out->snapshot_to) buf_printf(&s->told, "    %u: snapshot to %u\n", h->id, out->snapshot_to);
    u64 applied = out->apply.from ? out->apply.to : 0;
    if (applied) happen(s, h, (struct raft_event){.kind = RAFT_APPLIED, .index = applied});
    if (!s->slow[h->id]) finish_disk(s, h);
}

static void finish_disk(struct story *s, struct host *h)
{
    struct log_pos persisted = {0, 0};
    struct raft_hard_state saved = {0};
    for (; h->ops_done < h->ops_staged; h->ops_done++) {
        const struct disk_op *op = &h->ops[h->ops_done % HOST_OPS_MAX];
        disk_do(&h->disk, op);
        if (op->kind == DISK_APPEND) persisted = (struct log_pos){op->entry.term, op->index};
        if (op->kind == DISK_SAVE) saved = op->hard;
    }
    for (; h->held_from < h->held_to; h->held_from++) {
        struct held *held = &h->held[h->held_from % HOST_HELD_MAX];
        assert(s->flying_count < FLYING_MAX);
        s->flying[s->flying_count++] = (struct letter){h->id, held->to, held->bytes};
    }
    if (saved.term)
        happen(s, h, (struct raft_event){.kind = RAFT_SAVED, .saved_term = saved.term, .saved_memory = saved.memory});
    if (persisted.index)
        happen(s, h, (struct raft_event){.kind = RAFT_PERSISTED, .pos = persisted});
}

static void boot(struct story *s, struct host *h)
{
    host_boot(h, s->now, raft_config_find(&s->config, h->id) ? &s->config : NULL);
    raft_trace_to(h->raft, tell, &tellers[h->id]);
}

static void boot_all(struct story *s)
{
    for (u32 id = 1; id <= s->nodes; id++) boot(s, &s->hosts[id]);
    s->now += s->hosts[1].options.lease;
}

static void make_node(struct story *s, u32 id)
{
    struct host *h = &s->hosts[id];
    host_init(h, id);
    h->disk.hard.impaired = false;
    h->options = (struct raft_options){.self = id,
                                       .seed = id,
                                       .election_timeout_min = 300 * NANOS_MS,
                                       .election_timeout_max = 600 * NANOS_MS,
                                       .heartbeat_every = 60 * NANOS_MS,
                                       .lease = 300 * NANOS_MS,
                                       .drift_ppm = 10000,
                                       .inflight_messages_max = 16,
                                       .inflight_bytes_max = MIB,
                                       .append_bytes_max = MIB,
                                       .tail_bytes_max = MIB,
                                       .uncommitted_bytes_max = MIB};
    tellers[id] = (struct teller){s, id};
}

static void set_nodes(struct story *s, u32 count)
{
    s->nodes = count;
    s->now = NANOS_SEC;
    for (u32 id = 1; id <= count; id++) {
        make_node(s, id);
        raft_config_found(&s->config, id);
    }
}

static void join(struct story *s, u32 id)
{
    assert(id == s->nodes + 1);
    assert(id <= NODES_MAX);
    s->nodes = id;
    make_node(s, id);
    boot(s, &s->hosts[id]);
}

static void change(struct story *s, struct host *h, const char *members)
{
    struct raft_config target = config_of(members);
    struct raft_change_plan plan;
    char text[160];
    raft_change_check(h->raft, &target, s->now, &plan);
    raft_change_text(&plan, text, sizeof text);
    buf_printf(&s->told, "    %u: asked for %s: %s\n", h->id, members, text);
    if (plan.reason == RAFT_CHANGE_POSSIBLE)
        happen(s, h, (struct raft_event){.kind = RAFT_CHANGE, .config = &target});
}

static void set_log(struct host *h, const char *log)
{
    for (const char *p = log; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        char *end;
        u64 term = strtoull(p, &end, 10);
        assert(*end == '/');
        assert(strtoull(end + 1, NULL, 10) == h->disk.last + 1);
        h->disk.log[++h->disk.last] = (struct disk_entry){term, h->disk.last * 100 + term};
        h->disk.hard.term = term;
    }
}

/* Letters of `from` to `to` (0: anyone), those they cause included. */
static void deliver(struct story *s, replica_id from, replica_id to, bool lose)
{
    for (u32 i = 0; i < s->flying_count;) {
        struct letter l = s->flying[i];
        if ((from && l.from != from) || (to && l.to != to)) {
            i++;
            continue;
        }
        memmove(s->flying + i, s->flying + i + 1, (s->flying_count - i - 1) * sizeof l);
        s->flying_count--;
        struct host *h = &s->hosts[l.to];
        if (!lose && h->raft) {
            struct raft_message m;
            err e = raft_message_decode(buf_str(&l.bytes), &m);
            assert(e == OK);
            happen(s, h, (struct raft_event){.kind = RAFT_RECEIVED, .message = &m});
            raft_message_done(&m);
        }
        buf_done(&l.bytes);
        if (!lose) i = 0; /* what it caused is first come, first served too */
    }
}

static void fire_timers(struct story *s)
{
    for (u32 id = 1; id <= s->nodes; id++) {
        struct host *h = &s->hosts[id];
        if (h->raft && raft_deadline(h->raft) <= s->now)
            happen(s, h, (struct raft_event){.kind = RAFT_TICK});
    }
}

static void propose(struct story *s, struct host *h, u32 count)
{
    struct raft_proposal p[16];
    assert(count <= ARRAY_LEN(p));
    for (u32 i = 0; i < count; i++) {
        u64 id = 1000 + raft_last(h->raft).index + i;
        p[i] = (struct raft_proposal){RAFT_COMMAND, rcbuf_from(str_from(&id, sizeof id))};
    }
    happen(s, h, (struct raft_event){.kind = RAFT_PROPOSE, .proposals = p, .count = count});
    for (u32 i = 0; i < count; i++) rcbuf_unref(p[i].data);
}

static void show(struct story *s)
{
    static const char *const roles[RAFT_ROLES] = {"follower", "pre-candidate", "candidate",
                                                  "leader"};
    for (u32 id = 1; id <= s->nodes; id++) {
        const struct raft *r = s->hosts[id].raft;
        if (!r) {
            buf_printf(&s->told, "    %u down\n", id);
            continue;
        }
        buf_printf(&s->told, "    %u %s of %u in term %lu, commit %lu, log", id,
                   roles[raft_role(r)], raft_leader(r), raft_term(r), raft_commit(r));
        if (raft_first(r).index)
            buf_printf(&s->told, " (%lu/%lu)", raft_first(r).term, raft_first(r).index);
        for (u64 i = raft_first(r).index + 1; i <= raft_last(r).index; i++)
            buf_printf(&s->told, " %lu/%lu", raft_term_at(r, i), i);
        buf_append_text(&s->told, raft_hard_state(r)->impaired ? ", impaired\n" : "\n");
    }
}

static void install(struct story *s, struct host *from, struct host *to)
{
    struct snapshot snapshot = {.pos = raft_first(from->raft)};
    happen(s, from,
           (struct raft_event){
               .kind = RAFT_SNAPSHOT_SENT, .peer = to->id, .index = snapshot.pos.index});
    disk_install(&to->disk, &snapshot);
    happen(s, to,
           (struct raft_event){.kind = RAFT_RESTORED, .pos = snapshot.pos, .peer = from->id});
}

/* Commands that name one replica and perhaps a number; false: unknown. */
static bool command_of_one(struct story *s, const char *verb, struct host *h, u64 number)
{
    struct raft_event ev = {0};
    if (strcmp(verb, "timeout") == 0) {
        s->now = u64_max(s->now, raft_deadline(h->raft));
        ev.kind = RAFT_TICK;
    } else if (strcmp(verb, "propose") == 0) {
        propose(s, h, (u32)number);
        return true;
    } else if (strcmp(verb, "install") == 0) {
        install(s, h, &s->hosts[number]);
        return true;
    } else if (strcmp(verb, "read") == 0) {
        ev.kind = RAFT_READ;
    } else if (strcmp(verb, "transfer") == 0) {
        ev.kind = RAFT_TRANSFER;
        ev.peer = (replica_id)number;
    } else if (strcmp(verb, "memory") == 0 || strcmp(verb, "durable") == 0) {
        ev.kind = RAFT_MEMORY;
        ev.full = verb[0] == 'm';
    } else if (strcmp(verb, "recover") == 0) {
        ev.kind = RAFT_RECOVER;
    } else if (strcmp(verb, "compact") == 0) {
        ev.kind = RAFT_COMPACT;
        ev.index = number;
    } else if (strcmp(verb, "full") == 0 || strcmp(verb, "roomy") == 0) {
        ev.kind = RAFT_DISK_FULL;
        h->full = ev.full = verb[0] == 'f';
        h->room = number * (RAFT_ENTRY_ROOM + sizeof(u64)); /* so many entries */
    } else {
        return false;
    }
    happen(s, h, ev);
    return true;
}

static bool command_of_fate(struct story *s, const char *verb, struct host *h)
{
    if (strcmp(verb, "hold") == 0) {
        s->slow[h->id] = true;
    } else if (strcmp(verb, "disk") == 0) {
        s->slow[h->id] = false;
        finish_disk(s, h);
    } else if (strcmp(verb, "crash") == 0 || strcmp(verb, "wipe") == 0) {
        host_crash(h, 0);
        s->slow[h->id] = false;
        if (verb[0] == 'w') host_wipe(h);
    } else if (strcmp(verb, "restart") == 0) {
        boot(s, h);
    } else {
        return false;
    }
    return true;
}

static void obey(struct story *s, const char *line)
{
    char verb[32] = "", rest[256] = "";
    u32 a = 0, b = 0;
    sscanf(line, "%31s %u %u", verb, &a, &b);
    sscanf(line, "%*s %*u %255[^\n]", rest);

    if (strcmp(verb, "nodes") == 0)
        set_nodes(s, a);
    else if (strcmp(verb, "log") == 0)
        set_log(&s->hosts[a], rest);
    else if (strcmp(verb, "term") == 0)
        s->hosts[a].disk.hard.term = b;
    else if (strcmp(verb, "start") == 0)
        boot_all(s);
    else if (strcmp(verb, "deliver") == 0)
        deliver(s, a, b, false);
    else if (strcmp(verb, "drop") == 0)
        deliver(s, a, b, true);
    else if (strcmp(verb, "show") == 0)
        show(s);
    else if (strcmp(verb, "join") == 0)
        join(s, a);
    else if (strcmp(verb, "change") == 0)
        change(s, &s->hosts[a], rest);
    else if (strcmp(verb, "advance") == 0) {
        s->now += a * NANOS_MS;
        fire_timers(s);
    } else if (a == 0 || a > s->nodes ||
               (!command_of_fate(s, verb, &s->hosts[a]) &&
                !command_of_one(s, verb, &s->hosts[a], b)))
        fail_msg("no such command: %s", line);
}

static void run_file(const char *path, bool update)
{
    struct story *s = mem_zalloc(sizeof *s);
    struct buf file;
    char line[512];
    FILE *in = fopen(path, "r");
    assert(in);
    buf_init(&file, 0);
    while (fgets(line, sizeof line, in)) {
        buf_append_text(&file, line);
        if (strncmp(line, "    ", 4) == 0) continue; /* told again */
        buf_append_text(&s->told, line);
        if (line[0] != '#' && line[0] != '\n') obey(s, line);
    }
    fclose(in);
    bool same = str_equal(buf_str(&file), buf_str(&s->told));
    if (!same && update) {
        FILE *out = fopen(path, "w");
        assert(out);
        fwrite(buf_bytes(&s->told), 1, s->told.len, out);
        fclose(out);
        printf("rewrote %s\n", path);
    } else if (!same) {
        fail_msg("%s tells another story now:\n%.*s", path, STR_ARG(buf_str(&s->told)));
    }
    for (u32 i = 0; i < s->flying_count; i++) buf_done(&s->flying[i].bytes);
    for (u32 id = 1; id <= s->nodes; id++) host_done(&s->hosts[id]);
    buf_done(&s->told);
    buf_done(&file);
    mem_free(s);
}

static bool updating;

TEST(scenario, every_story_is_told_as_it_is_written)
{
    glob_t g;
    CHECK_EQ(glob("src/raft/scenarios/*.txt", 0, NULL, &g), 0); /* run from the repository's root */
    for (size_t i = 0; i < g.gl_pathc; i++) run_file(g.gl_pathv[i], updating);
    globfree(&g);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {RUN(scenario, every_story_is_told_as_it_is_written)};
    updating = argc > 1 && strcmp(argv[1], "--update") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
