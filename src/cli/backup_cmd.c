/* `quorate backup`: all keyspaces as of one stamp, while the cluster works. */
#include "cli/backup_file.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/values.h"
#include "cli/verbs.h"
#include "env/env_real.h"

#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 8, HOLD_MS = 1000, CUT_PATIENCE_MS = 60000, ASK_MS = 3000, ROWS_MS = 30000 };

struct backup_node {
    u64 id;
    struct http_place place;
};

struct backup_group { /* one that has to be in it */
    u64 id, keyspace, bytes, stamp;
    u32 node; /* in nodes: who cut it */
    bool held, cut;
};

struct backup {
    const char *dir;
    struct http_place place;
    struct json cluster, keyspaces, groups, nodes;
    struct backup_node *each;
    u32 node_count;
    struct backup_group *all;
    u32 group_count;
    u64 id, stamp, wall_us;
    char problem[512];
};

static bool say(struct backup *b, const char *format, ...) PRINTF_LIKE(2, 3);
static bool say(struct backup *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(b->problem, sizeof b->problem, format, args);
    va_end(args);
    return false;
}

static bool ask(struct backup *b, const struct http_place *place, const char *method,
                const char *path, struct json *out)
{
    struct http_request q = {.place = *place, .method = method, .path = path, .timeout_ms = ASK_MS};
    struct http_answer a;

    json_done(out);
    http_ask(&q, &a);
    bool ok = a.status == 200 && a.whole && json_parse(out, buf_str(&a.body)) == OK;
    if (!ok && a.status)
        say(b, "%s:%u answers %u: %.*s", place->host, place->port, a.status,
            STR_ARG(buf_str(&a.body)));
    else if (!ok)
        say(b, "%s", a.problem);
    http_answer_done(&a);
    return ok;
}

/* ---- what there is ---- */

static void forget(struct backup *b)
{
    json_done(&b->cluster);
    json_done(&b->keyspaces);
    json_done(&b->groups);
    json_done(&b->nodes);
    mem_free(b->each);
    mem_free(b->all);
    b->each = NULL;
    b->all = NULL;
    b->node_count = b->group_count = 0;
}

static u64 keyspace_id(const struct backup *b, str name)
{
    const struct json *j = &b->keyspaces;
    u32 all = json_get(j, 0, "keyspaces");

    for (u32 k = json_each(j, all, 0); k; k = json_each(j, all, k))
        if (str_equal(json_get_str(j, k, "name"), name)) return json_get_u64(j, k, "id");
    return 0;
}

static bool is_core(str keyspace)
{
    return str_equal(keyspace, STR("core"));
}

static void list_groups(struct backup *b)
{
    const struct json *j = &b->groups;
    u32 all = json_get(j, 0, "groups");

    b->all = mem_zalloc_array(json_count(j, all) + 1, sizeof *b->all);
    for (u32 g = json_each(j, all, 0); g; g = json_each(j, all, g)) {
        str keyspace = json_get_str(j, g, "keyspace");
        if (is_core(keyspace)) continue;
        b->all[b->group_count++] = (struct backup_group){.id = json_get_u64(j, g, "id"),
                                                         .keyspace = keyspace_id(b, keyspace),
                                                         .bytes = json_get_u64(j, g, "bytes")};
    }
}

static bool list_nodes(struct backup *b)
{
    const struct json *j = &b->nodes;
    u32 all = json_get(j, 0, "nodes");
    char address[NODE_HOST_MAX + 8];

    b->each = mem_zalloc_array(json_count(j, all) + 1, sizeof *b->each);
    for (u32 n = json_each(j, all, 0); n; n = json_each(j, all, n)) {
        struct backup_node *node = &b->each[b->node_count];
        if (json_get(j, n, "alive") && !json_get_true(j, n, "alive"))
            continue; /* it leads nothing */
        snprintf(address, sizeof address, "%.*s", STR_ARG(json_get_str(j, n, "admin")));
        node->id = json_get_u64(j, n, "id");
        if (!value_host_port(address, node->place.host, &node->place.port))
            return say(b, "the admin address of node %lu is %s: it cannot be asked", node->id,
                       address);
        b->node_count++;
    }
    return true;
}

static bool look(struct backup *b)
{
    forget(b);
    if (!ask(b, &b->place, "GET", "/v1/cluster", &b->cluster) ||
        !ask(b, &b->place, "GET", "/v1/keyspaces", &b->keyspaces) ||
        !ask(b, &b->place, "GET", "/v1/groups", &b->groups) ||
        !ask(b, &b->place, "GET", "/v1/nodes?leader=1", &b->nodes))
        return false;
    list_groups(b);
    return list_nodes(b);
}

static struct backup_group *group_of(struct backup *b, u64 id)
{
    for (u32 i = 0; i < b->group_count; i++)
        if (b->all[i].id == id) return &b->all[i];
    return NULL;
}

/* ---- hold, cut, wait ---- */

static void take_held(struct backup *b, u32 node, const struct json *j)
{
    u32 all = json_get(j, 0, "groups");

    for (u32 g = json_each(j, all, 0); g; g = json_each(j, all, g)) {
        struct backup_group *group = group_of(b, json_get_u64(j, g, "group"));
        if (!group || !str_equal(json_get_str(j, g, "state"), STR("held"))) continue;
        if (group
                ->held) { /* two say they lead it: the barrier of one will not commit, but which? */
            group->node = UINT32_MAX;
            continue;
        }
        group->held = true;
        group->node = node;
        b->stamp = u64_max(b->stamp, json_get_u64(j, g, "hlc"));
    }
}

static bool hold(struct backup *b)
{
    struct json j = {0};
    char path[128];
    bool ok = true;

    b->stamp = 0;
    b->id = (env_real_random() >> 2) + 1;
    snprintf(path, sizeof path, "/v1/backup/hold?id=%lu&for-ms=%d", b->id, HOLD_MS);
    for (u32 n = 0; n < b->node_count && ok; n++) {
        ok = ask(b, &b->each[n].place, "POST", path, &j);
        if (ok) take_held(b, n, &j);
    }
    json_done(&j);
    for (u32 i = 0; i < b->group_count && ok; i++)
        if (!b->all[i].held || b->all[i].node == UINT32_MAX)
            ok = say(b, "group %lu has no leader, or not one only", b->all[i].id);
    return ok;
}

static bool cut(struct backup *b)
{
    struct json j = {0};
    char path[128];
    bool ok = true;

    snprintf(path, sizeof path, "/v1/backup/cut?id=%lu&stamp=%lu", b->id, b->stamp);
    for (u32 n = 0; n < b->node_count && ok; n++) {
        ok = ask(b, &b->each[n].place, "POST", path, &j);
        u32 all = ok ? json_get(&j, 0, "groups") : 0;
        for (u32 g = all ? json_each(&j, all, 0) : 0; g; g = json_each(&j, all, g)) {
            struct backup_group *group = group_of(b, json_get_u64(&j, g, "group"));
            if (group && group->node == n)
                group->cut = str_equal(json_get_str(&j, g, "state"), STR("logged"));
        }
    }
    json_done(&j);
    for (u32 i = 0; i < b->group_count && ok; i++)
        if (!b->all[i].cut)
            ok = say(b, "the hold of group %lu has lapsed or was lost", b->all[i].id);
    return ok;
}

/* 1: all are ready; 0: not yet; -1: one is not, and will not be. */
static int readiness(struct backup *b)
{
    struct json j = {0};
    u32 ready = 0;
    int verdict = 0;

    for (u32 n = 0; n < b->node_count && verdict == 0; n++) {
        if (!ask(b, &b->each[n].place, "GET", "/v1/backup", &j)) verdict = -1;
        u32 all = verdict ? 0 : json_get(&j, 0, "groups");
        for (u32 g = all ? json_each(&j, all, 0) : 0; g; g = json_each(&j, all, g)) {
            struct backup_group *group = group_of(b, json_get_u64(&j, g, "group"));
            str state = json_get_str(&j, g, "state");
            if (!group || group->node != n) continue;
            if (str_equal(state, STR("ready")) && json_get_u64(&j, g, "stamp") == b->stamp) ready++;
            if (!str_equal(state, STR("failed"))) continue;
            say(b, "group %lu lost its leader, or has no room for a checkpoint", group->id);
            verdict = -1;
        }
    }
    json_done(&j);
    return verdict ? verdict : ready == b->group_count;
}

static bool wait_for_cuts(struct backup *b)
{
    nanos until = env_real_mono() + CUT_PATIENCE_MS * NANOS_MS;
    int verdict;

    while ((verdict = readiness(b)) == 0) {
        if (env_real_mono() > until)
            return say(b, "the cut was not ready within %d s", CUT_PATIENCE_MS / 1000);
        poll(NULL, 0, 20);
    }
    return verdict > 0;
}

/* Are the keyspaces cut into the same partitions as before the hold? A split or merge since would
 * be in one only. */
static bool is_same_cutting(struct backup *b)
{
    static const char *const spans[] = {"id", "slot-first", "slot-last", "from", "to"};
    struct json now = {0};
    bool same = ask(b, &b->place, "GET", "/v1/groups", &now);
    const struct json *was = &b->groups;

    u32 x = json_get(was, 0, "groups"), y = same ? json_get(&now, 0, "groups") : 0,
        i = json_each(was, x, 0);
    u32 k = y ? json_each(&now, y, 0) : 0;
    for (; same && i && k; i = json_each(was, x, i), k = json_each(&now, y, k))
        for (size_t s = 0; s < ARRAY_LEN(spans); s++)
            same = same &&
                   str_equal(json_get_str(was, i, spans[s]), json_get_str(&now, k, spans[s]));
    if (same && (i || k)) same = false;
    json_done(&now);
    return same ? true : say(b, "partitions were split or merged meanwhile");
}

static void end_all(struct backup *b)
{
    struct json j = {0};
    char kept[sizeof b->problem];

    memcpy(kept, b->problem, sizeof kept);
    for (u32 n = 0; n < b->node_count; n++)
        (void)ask(b, &b->each[n].place, "POST", "/v1/backup/end", &j);
    memcpy(b->problem, kept, sizeof kept);
    json_done(&j);
}

static bool make_cut(struct backup *b)
{
    for (u32 attempt = 1; attempt <= ATTEMPTS; attempt++) {
        if (!look(b)) return false;
        if (hold(b) && cut(b) && wait_for_cuts(b) && is_same_cutting(b)) {
            b->wall_us = b->stamp >> 12;
            return true;
        }
        end_all(b);
        fprintf(stderr, "no cut yet (%s); again\n", b->problem);
        poll(NULL, 0, (int)(100 * attempt));
    }
    return false;
}

/* ---- rows and manifest ---- */

struct taking {
    struct backup_writer writer;
    struct progress *progress;
};

static bool take_piece(void *context, str piece)
{
    struct taking *t = context;

    progress_add(t->progress, piece.len);
    return backup_writer_take(&t->writer, piece);
}

static bool take_group(struct backup *b, struct backup_group *g, struct progress *progress,
                       struct buf *manifest)
{
    struct taking t = {.progress = progress};
    char path[128];
    struct http_request q = {.place = b->each[g->node].place,
                             .method = "GET",
                             .path = path,
                             .timeout_ms = ROWS_MS,
                             .take = take_piece,
                             .context = &t};
    struct http_answer a;

    snprintf(path, sizeof path, "/v1/groups/%lu/rows?stamp=%lu", g->id, b->stamp);
    if (!backup_writer_open(&t.writer, b->dir, g->id, (u32)g->keyspace, b->stamp)) {
        say(b, "%s", t.writer.problem);
        backup_writer_abandon(&t.writer);
        return false;
    }
    http_ask(&q, &a);
    bool ok = a.status == 200 && a.whole;
    if (!ok && t.writer.problem[0])
        say(b, "%s", t.writer.problem);
    else if (!ok)
        say(b, "the rows of group %lu broke off: %s", g->id,
            a.status == 200 ? a.problem : "its node has no cut any more");
    http_answer_done(&a);
    if (!ok) {
        backup_writer_abandon(&t.writer);
        return false;
    }
    if (!backup_writer_close(&t.writer)) return say(b, "%s", t.writer.problem);
    buf_printf(manifest,
               "%s{\"group\":%lu,\"keyspace\":%lu,\"file\":\"group-%lu.rows\",\"rows\":%lu,\"row-"
               "bytes\":%lu,"
               "\"file-bytes\":%lu,\"crc32c\":%u}",
               g == b->all ? "" : ",", g->id, g->keyspace, g->id, t.writer.rows, t.writer.row_bytes,
               t.writer.bytes, t.writer.crc);
    return true;
}

static void put_keyspaces(const struct backup *b, struct buf *out)
{
    static const char *const settings[] = {"partitions", "consistency", "durability", "level"};
    static const char *const numbers[] = {"id", "replicas", "value-bytes-max"};
    const struct json *j = &b->keyspaces;
    u32 all = json_get(j, 0, "keyspaces"), put = 0;

    for (u32 k = json_each(j, all, 0); k; k = json_each(j, all, k)) {
        str name = json_get_str(j, k, "name");
        if (is_core(name)) continue;
        buf_printf(out, "%s{\"name\":\"%.*s\"", put++ ? "," : "",
                   STR_ARG(name)); /* letters, digits, '_', '-', '.' */
        for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
            buf_printf(out, ",\"%s\":%lu", numbers[i], json_get_u64(j, k, numbers[i]));
        for (size_t i = 0; i < ARRAY_LEN(settings); i++)
            buf_printf(out, ",\"%s\":\"%.*s\"", settings[i],
                       STR_ARG(json_get_str(j, k, settings[i])));
        buf_append_text(out, json_get_true(j, k, "accepted-risk") ? ",\"accepted-risk\":true}"
                                                                  : ",\"accepted-risk\":false}");
    }
}

static bool write_all(struct backup *b, u64 *bytes)
{
    struct progress progress;
    struct buf manifest = {0};
    bool ok = true;
    u64 all = 0;

    for (u32 i = 0; i < b->group_count; i++) all += b->all[i].bytes;
    buf_printf(&manifest,
               "{\"format\":1,\"program\":\"%s\",\"cluster\":\"%.*s\",\"version\":%lu,\"stamp\":%"
               "lu,\"unix-us\":%lu,\"keyspaces\":[",
               QUORATE_VERSION, STR_ARG(json_get_str(&b->cluster, 0, "cluster")),
               json_get_u64(&b->cluster, 0, "version"), b->stamp, b->wall_us);
    put_keyspaces(b, &manifest);
    buf_append_text(&manifest, "],\"groups\":[");
    progress_begin(&progress, "backup", all);
    for (u32 i = 0; i < b->group_count && ok; i++)
        ok = take_group(b, &b->all[i], &progress, &manifest);
    buf_append_text(&manifest, "]}");
    progress_end(&progress);
    *bytes = progress.done;
    if (ok) ok = backup_manifest_write(b->dir, buf_str(&manifest), b->problem, sizeof b->problem);
    buf_done(&manifest);
    return ok;
}

static void remove_files(const struct backup *b)
{
    char path[BACKUP_PATH_MAX];

    for (u32 i = 0; i < b->group_count; i++) {
        snprintf(path, sizeof path, "%s/group-%lu.rows", b->dir, b->all[i].id);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/manifest.json.tmp", b->dir);
    unlink(path);
    rmdir(b->dir);
}

static int backup_take(struct verb_call *call)
{
    struct backup b = {.dir = call->words[0], .place = call->place};
    u64 bytes = 0;

    if (strlen(b.dir) > BACKUP_PATH_MAX - 64) {
        fprintf(stderr, "quorate backup: the name of the directory is too long\n");
        return 2;
    }
    if (mkdir(b.dir, 0750) != 0) {
        fprintf(stderr,
                "quorate backup: cannot make %s: %s; name a directory that does not exist yet, a "
                "backup is never overwritten\n",
                b.dir, strerror(errno));
        return 1;
    }
    bool ok = make_cut(&b) && write_all(&b, &bytes);
    end_all(&b);
    if (!ok) {
        fprintf(stderr, "quorate backup: %s; nothing is left in %s, try again\n", b.problem, b.dir);
        remove_files(&b);
    } else {
        printf("%s holds all keyspaces as of stamp %lu: %u groups, %s\n", b.dir, b.stamp,
               b.group_count, units_bytes(bytes).at);
    }
    forget(&b);
    return ok ? 0 : 1;
}

/* ---- verify ---- */

static bool verify_file(const char *dir, const struct json *j, u32 g, u64 stamp, u64 *rows,
                        struct progress *progress)
{
    static const char *const names[] = {"group",     "keyspace",   "rows",
                                        "row-bytes", "file-bytes", "crc32c"};
    struct backup_reader r;
    struct backup_row row;
    u64 before = 0;
    bool ok = backup_reader_open(&r, dir, json_get_str(j, g, "file"));

    while (ok && backup_reader_next(&r, &row)) {
        if (r.bytes != before) progress_add(progress, r.bytes - before);
        before = r.bytes;
    }
    const u64 found[] = {r.group, r.keyspace, r.row_count, r.row_bytes, r.bytes, r.crc};
    if (r.problem[0]) {
        fprintf(stderr, "%s: %s\n", dir, r.problem);
        ok = false;
    }
    for (size_t i = 0; ok && i < ARRAY_LEN(names); i++) {
        if (found[i] == json_get_u64(j, g, names[i])) continue;
        fprintf(stderr, "%s: group %lu has %s %lu, the manifest says %lu\n", dir, r.group, names[i],
                found[i], json_get_u64(j, g, names[i]));
        ok = false;
    }
    if (ok && r.stamp != stamp) {
        fprintf(stderr, "%s: group %lu is of another stamp\n", dir, r.group);
        ok = false;
    }
    *rows += r.row_count;
    backup_reader_close(&r);
    return ok;
}

bool backup_verify(const char *dir, u64 *rows, u64 *bytes)
{
    struct progress progress;
    struct json j = {0};
    char problem[BACKUP_PROBLEM_MAX];
    u32 root;
    bool ok = true;

    *rows = *bytes = 0;
    if (!backup_manifest_read(dir, &j, &root, problem, sizeof problem)) {
        fprintf(stderr, "%s\n", problem);
        return false;
    }
    u32 groups = json_get(&j, root, "groups");
    for (u32 g = json_each(&j, groups, 0); g; g = json_each(&j, groups, g))
        *bytes += json_get_u64(&j, g, "file-bytes");
    progress_begin(&progress, "verify", *bytes);
    for (u32 g = json_each(&j, groups, 0); g; g = json_each(&j, groups, g))
        ok = verify_file(dir, &j, g, json_get_u64(&j, root, "stamp"), rows, &progress) && ok;
    progress_end(&progress);
    json_done(&j);
    return ok;
}

static int backup_check(struct verb_call *call)
{
    u64 rows, bytes;

    if (!backup_verify(call->words[0], &rows, &bytes)) {
        fprintf(stderr, "quorate backup verify: %s is damaged: do not rely on it\n",
                call->words[0]);
        return 1;
    }
    printf("%s is whole: %lu keys, %s\n", call->words[0], rows, units_bytes(bytes).at);
    return 0;
}

static const struct verb verbs[] = {
    {"verify", "DIR", "read all of a backup and check every checksum", 1, 1, 0, backup_check},
    {NULL, "DIR", "", 1, 1, 0, backup_take},
};

const struct noun backup_noun = {"backup",
                                 "All keyspaces as of one stamp, into a new directory, while the "
                                 "cluster works. Writes wait for some "
                                 "milliseconds while the stamp is agreed on.",
                                 verbs, ARRAY_LEN(verbs),
                                 "  quorate backup /var/backups/monday\n"
                                 "  quorate backup verify /var/backups/monday\n"
                                 "  quorate restore /var/backups/monday --node 10.1.0.1:8379\n"};

int backup_main(int argc, char **argv)
{
    return noun_main(&backup_noun, argc, argv);
}
