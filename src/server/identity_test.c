/* Whose a directory is. */
#include "base/test.h"
#include "server/node_internal.h"

static err op_lock(struct env *e, const char *path, u64 *holder)
{
    (void)e, (void)path;
    *holder = 41;
    return ERR_LOCKED;
}
static u32 opened;
static err op_open(struct env *e, const char *path, u32 flags, struct file **out)
{
    (void)e, (void)path, (void)flags, (void)out;
    opened++;
    return ERR_IO;
}

TEST(identity, a_directory_that_another_process_uses_is_left_alone)
{
    static const struct env_ops ops = {.dir_lock = op_lock, .file_open = op_open};
    struct env env = {.ops = &ops};
    struct node_config c = {.self = 1};
    struct identity id;
    char problem[200] = "";

    CHECK_EQ(identity_open(&env, &c, problem, sizeof problem, &id), ERR_LOCKED);
    CHECK(strstr(problem, "process 41"));
    CHECK_EQ(opened, 0);
}

TEST_MAIN(RUN(identity, a_directory_that_another_process_uses_is_left_alone))
