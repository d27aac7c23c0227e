/* A command of the core, from a POST: on its way to the core's leader, and its answer to the
 * client. */
#include "server/admin/admin_internal.h"

#include "base/mem.h"

struct admin_ask {
    struct cluster_request request; /* first */
    struct admin_client *client;
    struct cluster *cluster;
    struct core_command cmd; /* op and numbers only: its texts are gone by the time of the answer */
};

static void put_result(struct buf *out, bool *first, const struct core_command *cmd, str result)
{
    struct reader r = reader_of(result);

    switch (cmd->op) {
    case CORE_KS_CREATE:
    case CORE_NODE_JOIN: json_put_number(out, first, "id", reader_u32(&r)); break;
    case CORE_PART_BEGIN:
        if (cmd->kind == CORE_OP_MOVE) json_put_number(out, first, "replica", reader_u32(&r));
        if (cmd->kind == CORE_OP_SPLIT) json_put_number(out, first, "group", reader_u64(&r));
        break;
    default: break;
    }
}

void admin_put_core_reply(struct admin_reply *out, const struct core_command *cmd,
                          const struct core_reply *reply)
{
    bool first = true;

    if (reply->status != CORE_OK) {
        admin_refuse(out, 409, core_status_name(reply->status), "%.*s", STR_ARG(reply->reason));
        return;
    }
    out->status = 200;
    out->type = "application/json";
    buf_append_text(&out->body, "{");
    json_put_number(&out->body, &first, "epoch", reply->epoch);
    put_result(&out->body, &first, cmd, reply->result);
    buf_append_text(&out->body, "}\n");
}

/* "-NOQUORUM sentence": the gateway's own word decides; who does not say one may have done it. */
static void put_failure(struct admin_reply *out, str failed)
{
    static const struct {
        const char *word;
        u32 status;
    } words[] = {{"NOQUORUM", 503}, {"OVERLOADED", 503}, {"UNKNOWN", 504}};

    while (failed.len && (failed.at[0] == '-' || failed.at[0] == ' '))
        failed = str_from(failed.at + 1, failed.len - 1);
    while (failed.len && failed.at[failed.len - 1] <= ' ') failed.len--;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i].word);
        if (failed.len < len || memcmp(failed.at, words[i].word, len) != 0) continue;
        size_t skip = size_min(len + 1, failed.len);
        admin_refuse(out, words[i].status, words[i].word, "%.*s", (int)(failed.len - skip),
                     (const char *)failed.at + skip);
        return;
    }
    admin_refuse(out, 504, "UNKNOWN", "%.*s", STR_ARG(failed));
}

static void on_done(struct cluster_request *request, const struct core_reply *reply, str failed)
{
    struct admin_ask *ask = CONTAINER_OF(request, struct admin_ask, request);
    struct admin_client *c = ask->client;
    struct admin_reply out = {0};

    if (reply)
        admin_put_core_reply(&out, &ask->cmd, reply);
    else
        put_failure(&out, failed);
    c->ask = NULL;
    mem_free(ask);
    admin_http_answered(c, &out);
    buf_done(&out.body);
}

void admin_ask_core(struct admin_request *r, const struct core_command *cmd)
{
    struct admin_ask *ask = mem_zalloc(sizeof *ask);

    assert(!r->client->ask);
    ask->client = r->client;
    ask->cluster = node_cluster(r->door->node);
    ask->request.done = on_done;
    ask->cmd = *cmd;
    r->client->ask = ask;
    cluster_ask(ask->cluster, &ask->request, cmd, 0);
}

void admin_ask_drop(struct admin_client *c)
{
    if (!c->ask) return;
    cluster_cancel(c->ask->cluster, &c->ask->request);
    mem_free(c->ask);
    c->ask = NULL;
}
