/* For the tests of this folder: the cluster as a core over no store, that answers what it is asked
 * at once or, told so, not yet. A `struct cluster *` is the fake itself. */
#pragma once

#include "server/cluster.h"

#include "base/mem.h"

struct fake_cluster {
    struct core *core;
    struct core_facts facts;
    bool leads;
    const char *failed; /* what asking fails with; NULL: it is applied */
    bool slow;          /* answers only at fake_cluster_answer */
    struct cluster_request *waiting;
    struct buf command;
    u32 asked;
    u64 handed_over; /* the group that was asked to */
    u64 recovered;
    err recover_fails;
};

static struct fake_cluster *fake_cluster_now; /* the one of the test that runs */

static inline struct fake_cluster *fake_of(const struct cluster *c)
{
    return (struct fake_cluster *)(uintptr_t)(const void *)c;
}

struct cluster *node_cluster(const struct node *n)
{
    (void)n;
    return (struct cluster *)(void *)fake_cluster_now;
}
const struct core *cluster_map(const struct cluster *c)
{
    return fake_of(c)->core;
}
const struct core_facts *cluster_facts(struct cluster *c)
{
    return &fake_of(c)->facts;
}
bool cluster_leads_core(const struct cluster *c)
{
    return fake_of(c)->leads;
}
node_id cluster_core_leader(const struct cluster *c)
{
    return fake_of(c)->leads ? 1 : 2;
}

bool cluster_hand_over(struct cluster *c, u64 part, u32 replica)
{
    (void)replica;
    fake_of(c)->handed_over = part;
    return true;
}

err cluster_recover(struct cluster *c, u64 part)
{
    fake_of(c)->recovered = part;
    return fake_of(c)->recover_fails;
}

static inline void fake_cluster_answer(struct fake_cluster *f)
{
    struct cluster_request *r = f->waiting;
    struct buf bytes = {0};
    struct core_reply reply;

    f->waiting = NULL;
    if (f->failed) {
        r->done(r, NULL, str_of(f->failed));
        return;
    }
    err e = core_apply(f->core, buf_str(&f->command), &bytes);
    if (!e) e = core_reply_decode(buf_str(&bytes), &reply);
    assert(!e);
    r->done(r, &reply, (str){0});
    buf_done(&bytes);
}

void cluster_ask(struct cluster *c, struct cluster_request *r, const struct core_command *cmd,
                 nanos deadline)
{
    struct fake_cluster *f = fake_of(c);

    (void)deadline;
    assert(!f->waiting);
    f->asked++;
    f->waiting = r;
    buf_clear(&f->command);
    core_command_encode(cmd, &f->command);
}

void cluster_cancel(struct cluster *c, struct cluster_request *r)
{
    assert(fake_of(c)->waiting == r);
    fake_of(c)->waiting = NULL;
}

static inline void fake_cluster_apply(struct fake_cluster *f, const struct core_command *cmd)
{
    struct buf payload = {0}, bytes = {0};
    struct core_reply reply;

    core_command_encode(cmd, &payload);
    err e = core_apply(f->core, buf_str(&payload), &bytes);
    if (!e) e = core_reply_decode(buf_str(&bytes), &reply);
    assert(!e);
    assert(reply.status == CORE_OK);
    buf_done(&payload);
    buf_done(&bytes);
}

static inline struct core_node_spec fake_cluster_spec(u32 number)
{
    static const char *const addresses[] = {"h1:1", "h2:1", "h3:1", "h4:1", "h5:1"};
    str address = str_of(addresses[number - 1]);

    return (struct core_node_spec){.incarnation = {{(u8)number}},
                                   .peer = address,
                                   .redis = address,
                                   .admin = address,
                                   .version_min = 1,
                                   .version_max = 1};
}

/* Founded with `count` nodes that are up, at h1:1, h2:1 and so on. */
static inline void fake_cluster_found(struct fake_cluster *f, u32 count)
{
    struct core_command cmd = {
        .op = CORE_FOUND, .uuid = {{0xab}}, .version = 1, .node_count = count};

    *f = (struct fake_cluster){.core = core_new(NULL), .leads = true};
    for (u32 i = 0; i < count; i++) cmd.nodes[i] = fake_cluster_spec(i + 1);
    fake_cluster_apply(f, &cmd);
    fake_cluster_now = f;
}

/* One more node, up. */
static inline void fake_cluster_join(struct fake_cluster *f, u32 number)
{
    struct core_command cmd = {
        .op = CORE_NODE_JOIN, .nodes = {fake_cluster_spec(number)}, .node_count = 1};

    fake_cluster_apply(f, &cmd);
    cmd.op = CORE_NODE_UPDATE;
    cmd.node = number;
    cmd.mask = CORE_UPDATE_READY;
    fake_cluster_apply(f, &cmd);
}

static inline void fake_cluster_done(struct fake_cluster *f)
{
    core_free(f->core);
    buf_done(&f->command);
    fake_cluster_now = NULL;
}
