/* `quorate restore`: the keyspaces of a backup into a cluster that does not have them yet, through
 * its log like any write. */
#include "cli/backup_file.h"
#include "cli/commands.h"
#include "cli/loader.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/values.h"
#include "cli/verbs.h"
#include "core/core.h"

#include <poll.h>
#include <stdarg.h>
#include <string.h>

struct restore {
    struct verb_call *call;
    const char *dir;
    struct json manifest;
    u32 root;
    struct http_place redis;
    struct progress progress;
    u64 rows, repeated;
};

static bool refuse(const char *format, ...) PRINTF_LIKE(1, 2);
static bool refuse(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "quorate restore: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

/* Where the asked node, or else any living one, takes Redis commands. */
static bool find_redis(struct restore *r)
{
    struct verb_call *call = r->call;
    const struct json *j = &call->answer;
    char address[NODE_HOST_MAX + 8] = "";

    if (!call_get(call, "/v1/nodes")) return false;
    u64 self = json_get_u64(j, 0, "self");
    u32 nodes = json_get(j, 0, "nodes");
    for (u32 n = json_each(j, nodes, 0); n; n = json_each(j, nodes, n)) {
        bool alive = json_get_true(j, n, "alive") || json_get_u64(j, n, "id") == self;
        if (!alive || (address[0] && json_get_u64(j, n, "id") != self)) continue;
        snprintf(address, sizeof address, "%.*s", STR_ARG(json_get_str(j, n, "redis")));
    }
    if (value_host_port(address, r->redis.host, &r->redis.port)) return true;
    return refuse("no node of the cluster tells where it takes Redis commands");
}

/* The number to SELECT of a keyspace; 0: there is none of that name (the default one is SELECT 0 as
 * well). */
static u64 keyspace_number(struct verb_call *call, str name, bool *found)
{
    const struct json *j = &call->answer;
    u32 all = json_get(j, 0, "keyspaces");

    for (u32 k = json_each(j, all, 0); k; k = json_each(j, all, k)) {
        if (!str_equal(json_get_str(j, k, "name"), name)) continue;
        *found = true;
        u64 id = json_get_u64(j, k, "id");
        return id == CORE_KEYSPACE_DEFAULT ? 0 : id;
    }
    *found = false;
    return 0;
}

static bool create(struct restore *r, u32 k)
{
    static const char *const settings[] = {"partitions", "consistency", "durability", "level", "replicas",
                                           "value-bytes-max"};
    const struct json *j = &r->manifest;
    char name[256], plain[80], value[300];
    struct buf more = {0};

    snprintf(plain, sizeof plain, "%.*s", STR_ARG(json_get_str(j, k, "name")));
    if (!url_put(name, sizeof name, plain))
        return refuse("the manifest names a keyspace that cannot be");
    buf_printf(&more, "name=%s", name);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        snprintf(plain, sizeof plain, "%.*s", STR_ARG(json_get_str(j, k, settings[i])));
        if (plain[0] && url_put(value, sizeof value, plain))
            buf_printf(&more, "&%s=%s", settings[i], value);
    }
    if (json_get_true(j, k, "accepted-risk") && !r->call->accept_risk)
        buf_append_text(&more, "&accept-risk=1");
    buf_append_u8(&more, 0);
    bool made = call_post(r->call, "/v1/keyspaces", (const char *)buf_bytes(&more));
    buf_done(&more);
    return made;
}

/* It exists, and holds nothing. */
static bool prepare(struct restore *r, u32 k, u64 *number)
{
    str name = json_get_str(&r->manifest, k, "name");
    char problem[512] = "";
    bool found;
    i64 keys;

    if (!call_get(r->call, "/v1/keyspaces")) return false;
    *number = keyspace_number(r->call, name, &found);
    if (!found) {
        if (!create(r, k) || !call_get(r->call, "/v1/keyspaces")) return false;
        *number = keyspace_number(r->call, name, &found);
        if (!found)
            return refuse(
                "keyspace %.*s was made, but the asked node does not know it yet; try again",
                STR_ARG(name));
    }
    for (u64 db = *number; db < (*number ? *number + 1 : 16); db++) {
        bool asked = false;
        for (u32 attempt = 0; attempt < 50 && !asked;
             attempt++) { /* a new keyspace elects its leaders first */
            problem[0] = 0;
            asked = redis_ask(&r->redis, db, "DBSIZE", &keys, problem, sizeof problem);
            if (!asked) poll(NULL, 0, 100);
        }
        if (!asked) return refuse("%s", problem);
        if (keys == 0) continue;
        return refuse("keyspace %.*s holds %ld keys already (SELECT %lu): restore into a cluster "
                      "that does not have it, or empty it "
                      "(FLUSHALL, quorate ks drop)",
                      STR_ARG(name), keys, db);
    }
    return true;
}

static void put_arg(struct buf *out, str arg)
{
    buf_printf(out, "$%zu\r\n", arg.len);
    buf_append_str(out, arg);
    buf_append_text(out, "\r\n");
}

static void put_set(struct buf *out, const struct backup_row *row)
{
    char expiry[24];

    buf_printf(out, "*%d\r\n", row->expire_us ? 5 : 3);
    put_arg(out, STR("SET"));
    put_arg(out, row->key);
    put_arg(out, row->value);
    if (!row->expire_us) return;
    snprintf(expiry, sizeof expiry, "%lu", row->expire_us / 1000);
    put_arg(out, STR("PXAT"));
    put_arg(out, str_of(expiry));
}

/* The rows of one database out of a group's file. */
static bool load_db(struct restore *r, str file, u8 db, u64 number, bool *others)
{
    struct backup_reader reader;
    struct backup_row row;
    struct loader loader;
    struct buf command = {0};
    u64 before = 0;
    bool ok = backup_reader_open(&reader, r->dir, file);

    loader_open(&loader, &r->redis, number);
    while (ok && backup_reader_next(&reader, &row)) {
        if (row.db != db) {
            *others |= row.db > db;
            continue;
        }
        if (row.type != 1) {
            ok = refuse("group %lu has a value of type %u, which this program does not know: use a "
                        "newer one",
                        reader.group, row.type);
            break;
        }
        put_set(&command, &row);
        ok = loader_put(&loader, &command);
        if (!ok) refuse("%s", loader.problem);
        if (reader.bytes != before) progress_add(&r->progress, reader.bytes - before);
        before = reader.bytes;
    }
    if (reader.problem[0]) ok = refuse("%s", reader.problem);
    if (ok && !loader_drain(&loader)) ok = refuse("%s", loader.problem);
    r->rows += loader.written;
    r->repeated += loader.repeated;
    buf_done(&command);
    loader_close(&loader);
    backup_reader_close(&reader);
    return ok;
}

static bool load_keyspace(struct restore *r, u32 k, u64 number)
{
    const struct json *j = &r->manifest;
    u32 groups = json_get(j, r->root, "groups");
    u64 id = json_get_u64(j, k, "id");

    for (u32 g = json_each(j, groups, 0); g; g = json_each(j, groups, g)) {
        bool others = true;
        if (json_get_u64(j, g, "keyspace") != id) continue;
        for (u8 db = 0; db < 16 && others; db++) {
            others = false;
            if (!load_db(r, json_get_str(j, g, "file"), db, number + db, &others)) return false;
        }
    }
    return true;
}

static bool restore(struct restore *r, u64 bytes)
{
    const struct json *j = &r->manifest;
    u32 all = json_get(j, r->root, "keyspaces"), count = json_count(j, all), i = 0;
    u64 numbers[CORE_KEYSPACES_MAX];

    if (count > CORE_KEYSPACES_MAX) return refuse("the manifest names too many keyspaces");
    /* All of them first, so that nothing is written if one is refused. */
    for (u32 k = json_each(j, all, 0); k; k = json_each(j, all, k))
        if (!prepare(r, k, &numbers[i++])) return false;
    progress_begin(&r->progress, "restore", bytes);
    i = 0;
    for (u32 k = json_each(j, all, 0); k; k = json_each(j, all, k))
        if (!load_keyspace(r, k, numbers[i++])) return false;
    progress_end(&r->progress);
    return true;
}

static int restore_run(struct verb_call *call)
{
    struct restore r = {.call = call, .dir = call->words[0]};
    char problem[BACKUP_PROBLEM_MAX];
    u64 rows, bytes;

    call->json = false;
    if (strlen(r.dir) > BACKUP_PATH_MAX - 64) return 2;
    if (!backup_verify(r.dir, &rows, &bytes)) {
        refuse("%s is damaged: nothing was written", r.dir);
        return 1;
    }
    if (!backup_manifest_read(r.dir, &r.manifest, &r.root, problem, sizeof problem)) {
        refuse("%s", problem);
        return 1;
    }
    u64 stamp = json_get_u64(&r.manifest, r.root, "stamp");
    bool ok = find_redis(&r) && restore(&r, bytes);
    json_done(&r.manifest);
    if (ok) printf("restored %lu keys from %s, as of stamp %lu\n", r.rows, r.dir, stamp);
    return ok ? 0 : 1;
}

static const struct verb verbs[] = {{NULL, "DIR", "", 1, 1, VERB_RISK, restore_run}};

const struct noun restore_noun = {"restore",
                                  "The keyspaces of a backup into a cluster whose keyspaces of "
                                  "these names are missing or empty. Partitions and "
                                  "nodes may be other ones than then.",
                                  verbs, ARRAY_LEN(verbs),
                                  "  quorate restore /var/backups/monday\n"
                                  "  quorate restore /var/backups/monday --node 10.1.0.1:8379\n"};

int restore_main(int argc, char **argv)
{
    return noun_main(&restore_noun, argc, argv);
}
