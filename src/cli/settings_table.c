/* Every setting there is. A new one is a row here and one line where it is used. */
#include "cli/settings.h"

#define GIB  (1024 * MIB)
#define BOTH (FOR_START | FOR_DEMO)

static const char members[] = "Identity and members";
static const char cluster[] = "The local cluster";
static const char doors[] = "Addresses";
static const char limits[] = "Limits";
static const char timing[] = "Timing";
static const char disk[] = "Data";
static const char looking[] = "Looking inside";

const struct setting settings_table[SETTING_COUNT] = {
    [SET_DIR] = {"dir", KIND_TEXT, BOTH, "DIR", NULL, 0, 0, disk,
                 "directory of the data, made if missing; it belongs to one node of one cluster "
                 "(default: ./quorate-data, of the demo ./data)"},
    [SET_CONFIG] = {"config", KIND_TEXT, BOTH | PASSED_ON, "FILE", NULL, 0, 0, looking,
                    "read settings from a YAML file of `name: value` lines"},
    [SET_NODE] =
        {"node", KIND_NUMBER, FOR_START, "N", NULL, 1, UINT32_MAX, members,
         "this node's id among --peers; without --peers a one-node cluster is founded as node 1"},
    [SET_PEERS] = {"peers", KIND_PEERS, FOR_START, "1=HOST:PORT,2=...", NULL, 0, 0, members,
                   "all members with their peer addresses, this node too, the same on every node"},
    [SET_JOIN] = {"join", KIND_TEXT, FOR_START, "HOST:PORT[,...]", NULL, 0, 0, members,
                  "ask one of these members (peer addresses) to join its cluster; on a directory that "
                  "belongs to one already it changes nothing"},
    [SET_RACK] = {"rack", KIND_TEXT, FOR_START, "LABEL", NULL, 0, 0, members,
                  "failure domain of this node; copies are spread over different ones"},
    [SET_CLUSTER_ID] =
        {"cluster-id", KIND_ID, FOR_START, "HEX", NULL, 0, 0, members,
         "32 hex digits, the same on every node; a directory of another cluster is refused"},
    [SET_NODES] = {"nodes", KIND_NUMBER, FOR_DEMO, "N", "3", 1, 7, cluster,
                   "number of nodes, 1 to 7; it stays with the data"},
    [SET_PORT_OFFSET] =
        {"port-offset", KIND_NUMBER, FOR_DEMO, "N", "0", 0, 50000, cluster,
         "added to every port; node i from 0 has Redis 6379+i, peer 7379+i, admin 8379+i"},
    [SET_RESTART] = {"restart", KIND_SWITCH, FOR_DEMO, "on|off", "off", 0, 0, cluster,
                     "start a dead node again (with growing pauses) instead of only reporting it"},
    [SET_HOST] =
        {"host", KIND_TEXT, FOR_START, "ADDRESS", NULL, 0, 0, doors,
         "where all doors listen (default: 127.0.0.1, with --peers this node's own address there)"},
    [SET_REDIS_PORT] = {"redis-port", KIND_NUMBER, FOR_START, "PORT", "6379", 1, 65535, doors,
                        "Redis clients"},
    [SET_PEER_PORT] = {"peer-port", KIND_NUMBER, FOR_START, "PORT", NULL, 1, 65535, doors,
                       "other nodes (default: 7379, with --peers this node's own port there)"},
    [SET_ADMIN_PORT] = {"admin-port", KIND_NUMBER, FOR_START, "PORT", "8379", 1, 65535, doors,
                        "HTTP: /healthz /readyz /metrics /cluster /v1, and what quorate commands ask"},
    [SET_MEMORY] = {"memory", KIND_BYTES, BOTH | PASSED_ON, "BYTES", "1GB", 64 * MIB, 1024 * GIB,
                    limits, "budget of one node; data may be larger"},
    [SET_VALUE_MAX] = {"value-max", KIND_BYTES, BOTH | PASSED_ON, "BYTES", "16MB", 64 * KIB,
                       64 * MIB, limits, "largest value; a larger one answers -TOOBIG"},
    [SET_CLIENTS_MAX] = {"clients-max", KIND_NUMBER, BOTH | PASSED_ON, "N", "10000", 1, 1000000,
                         limits,
                         "client connections of one node; the open-file limit must allow them"},
    [SET_REQUEST_TIMEOUT] = {"request-timeout", KIND_DURATION, BOTH | PASSED_ON, "TIME", "1.5s",
                             50 * NANOS_MS, 60 * NANOS_SEC, timing,
                             "a command's time before it answers -NOQUORUM or -UNKNOWN"},
    [SET_ELECTION_TIMEOUT] =
        {"election-timeout", KIND_DURATION, BOTH | PASSED_ON, "TIME", "300ms", 50 * NANOS_MS,
         60 * NANOS_SEC, timing,
         "silence of a leader before others stand for election; lease and heartbeat follow it"},
    [SET_HEARTBEAT] = {"heartbeat", KIND_DURATION, BOTH | PASSED_ON, "TIME", "60ms", 5 * NANOS_MS,
                       10 * NANOS_SEC, timing, "how often an idle leader speaks"},
    [SET_IO] = {"io", KIND_CHOICE, BOTH | PASSED_ON, "uring|thread|auto", "auto", 0, 0, disk,
                "how durable writes reach the disk; auto takes io_uring where it is allowed"},
    [SET_DIRECT] = {"direct", KIND_SWITCH, BOTH | PASSED_ON, "on|off", "on", 0, 0, disk,
                    "bypass the page cache where the file system allows it"},
    [SET_WAL_SEGMENT] = {"wal-segment", KIND_BYTES, BOTH | PASSED_ON, "BYTES", "64MB", MIB, GIB,
                         disk, "size of a log file; a power of two"},
    [SET_LOG_KEEP] = {"log-keep", KIND_BYTES, BOTH | PASSED_ON, "BYTES", "256MB", MIB, 64 * GIB,
                      disk, "log kept for followers that are behind, before they need a snapshot"},
    [SET_CHECKPOINT_DIRTY] = {"checkpoint-dirty", KIND_BYTES, BOTH | PASSED_ON, "BYTES", "64MB",
                              64 * KIB, 64 * GIB, disk,
                              "checkpoint when this much has changed in memory"},
    [SET_CHECKPOINT_EVERY] = {"checkpoint-every", KIND_DURATION, BOTH | PASSED_ON, "TIME", "60s",
                              100 * NANOS_MS, 24 * 3600 * NANOS_SEC, disk,
                              "... or when the last one is this old"},
    [SET_LOG_LEVEL] = {"log-level", KIND_CHOICE, BOTH | PASSED_ON, "error|warn|info|debug", "info",
                       0, 0, looking, "lines on standard error"},
    [SET_DEBUG_COMMANDS] = {"debug-commands", KIND_SWITCH, BOTH | PASSED_ON, "on|off", "off", 0, 0,
                            looking, "allow DEBUG SLEEP and the like"},
    [SET_DIE_WITH_PARENT] = {"die-with-parent", KIND_NUMBER, FOR_START | HIDDEN, "PID", NULL, 1,
                             INT32_MAX, looking,
                             "end when the process PID, which started this one, ends"},
};
