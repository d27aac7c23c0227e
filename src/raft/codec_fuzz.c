/* Any bytes as a message or a configuration: refused, or accepted and then encoded to the same
 * bytes; a configuration in the older format perhaps to others, which mean the same. */
#include "base/assert.h"
#include "raft/raft.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    str body = str_from(data, bytes);
    struct raft_message m;
    struct raft_config c;
    struct buf again;

    buf_init(&again, 0);
    if (raft_message_decode(body, &m) == OK) {
        raft_message_encode(&m, &again);
        assert(str_equal(buf_str(&again), body));
        raft_message_done(&m);
    }
    buf_clear(&again);
    if (raft_config_decode(body, &c) == OK) {
        struct raft_config same;
        raft_config_encode(&c, &again);
        err e = raft_config_decode(buf_str(&again), &same);
        assert(e == OK);
        assert(raft_config_equal(&c, &same));
        assert(str_equal(buf_str(&again), body) || data[0] == 1);
    }
    buf_done(&again);
    return 0;
}
