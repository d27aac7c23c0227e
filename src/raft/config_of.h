/* For tests: configurations in a shorthand. */
#pragma once

#include "raft/raft.h"

static inline struct raft_config members_of(u32 voters, u32 learners)
{
    struct raft_config c = {.next = 1};
    for (u32 id = 1; id <= voters; id++) raft_config_found(&c, id);
    for (u32 id = voters + 1; id <= voters + learners; id++)
        raft_config_put(&c, &(struct raft_member){.id = id, .node = id, .roles = RAFT_LEARNER});
    return c;
}

/* "123:234+5" voters 1 2 3, outgoing 2 3 4, learner 5; one digit each. next: one more than the
 * largest, or more. */
static inline struct raft_config config_of(const char *text)
{
    struct raft_config c = {.next = 1};
    u8 role = RAFT_VOTER;
    for (; *text; text++) {
        if (*text == ':') role = RAFT_OUTGOING;
        if (*text == '+') role = RAFT_LEARNER;
        if (*text < '1' || *text > '9') continue;
        replica_id id = (replica_id)(*text - '0');
        const struct raft_member *known = raft_config_find(&c, id);
        struct raft_member m = {.id = id, .node = id, .roles = role};
        if (known) m.roles |= known->roles;
        raft_config_put(&c, &m);
    }
    return c;
}
