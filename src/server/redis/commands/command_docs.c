/* What COMMAND INFO and COMMAND DOCS say beyond the rows: one line per command, by name. Versions,
 * groups, complexities, key flags and tips are facts about Redis 7.0; the sentences are ours. */
#include "server/redis/redis_internal.h"

#define ALL_SHARDS "request_policy:all_shards response_policy:all_succeeded"
#define SUM_OF_ALL "request_policy:all_shards response_policy:agg_sum"
#define SUM_OF_MANY "request_policy:multi_shard response_policy:agg_sum"
#define ALL_NODES "request_policy:all_nodes response_policy:all_succeeded"
#define VARIES "nondeterministic_output"
#define VARIES_ORDER "nondeterministic_output_order"
#define VARIES_NODES "nondeterministic_output request_policy:all_nodes response_policy:special"

#define KEYSPACE CATEGORY_KEYSPACE
#define DANGEROUS CATEGORY_DANGEROUS
#define CONNECTION CATEGORY_CONNECTION
#define TRANSACTION CATEGORY_TRANSACTION
#define SCRIPTING CATEGORY_SCRIPTING

static const struct command_doc docs[] = {
    {"append", 0, "RW insert", NULL, "2.0.0", "string", "O(1)", "Add bytes to the end of a string"},
    {"asking", CONNECTION, NULL, NULL, "3.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"auth", CONNECTION, NULL, NULL, "1.0.0", "connection", "O(1)", "Name the user of this connection"},
    {"client", 0, NULL, NULL, "2.4.0", "connection", "by subcommand", "About client connections"},
    {"client|getname", CONNECTION, NULL, NULL, "2.6.9", "connection", "O(1)", "The name of this connection"},
    {"client|getredir", CONNECTION, NULL, NULL, "6.0.0", "connection", "O(1)", "Always -1: nothing is tracked"},
    {"client|help", CONNECTION, NULL, NULL, "5.0.0", "connection", "O(1)", "This list"},
    {"client|id", CONNECTION, NULL, NULL, "5.0.0", "connection", "O(1)", "The number of this connection"},
    {"client|info", CONNECTION, NULL, VARIES, "6.2.0", "connection", "O(1)", "One line about this connection"},
    {"client|kill", CONNECTION, NULL, NULL, "2.4.0", "connection", "O(N) of connections", "Close the connections a filter names"},
    {"client|list", CONNECTION, NULL, VARIES, "2.4.0", "connection", "O(N) of connections", "A line about each connection of this node"},
    {"client|no-evict", CONNECTION, NULL, NULL, "7.0.0", "connection", "O(1)", "Accepted: no connection is ever evicted"},
    {"client|no-touch", CONNECTION, NULL, NULL, "7.2.0", "connection", "O(1)", "Accepted: no access time is kept"},
    {"client|reply", CONNECTION, NULL, NULL, "3.2.0", "connection", "O(1)", "Turn replies on or off, or skip the next"},
    {"client|setinfo", CONNECTION, NULL, NULL, "7.2.0", "connection", "O(1)", "Tell the client library's name or version"},
    {"client|setname", CONNECTION, NULL, NULL, "2.6.9", "connection", "O(1)", "Name this connection"},
    {"client|trackinginfo", CONNECTION, NULL, NULL, "6.2.0", "connection", "O(1)", "Says that nothing is tracked"},
    {"cluster", 0, NULL, NULL, "3.0.0", "cluster", "by subcommand", "Refused: this is no Redis Cluster"},
    {"cluster|help", 0, NULL, NULL, "5.0.0", "cluster", "O(1)", "This list"},
    {"cluster|info", 0, NULL, VARIES, "3.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"cluster|myid", 0, NULL, NULL, "3.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"cluster|nodes", 0, NULL, VARIES, "3.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"cluster|shards", 0, NULL, VARIES, "7.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"cluster|slots", 0, NULL, VARIES, "3.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"command", CONNECTION, NULL, VARIES_ORDER, "2.8.13", "server", "O(N) of commands", "All commands in detail"},
    {"command|count", CONNECTION, NULL, NULL, "2.8.13", "server", "O(1)", "How many commands there are"},
    {"command|docs", CONNECTION, NULL, VARIES_ORDER, "7.0.0", "server", "O(N) of commands", "What commands do, in words"},
    {"command|getkeys", CONNECTION, NULL, NULL, "2.8.13", "server", "O(N) of arguments", "The keys in a whole command"},
    {"command|help", CONNECTION, NULL, NULL, "5.0.0", "server", "O(1)", "This list"},
    {"command|info", CONNECTION, NULL, VARIES_ORDER, "2.8.13", "server", "O(N) of commands", "Commands in detail, by name"},
    {"command|list", CONNECTION, NULL, VARIES_ORDER, "7.0.0", "server", "O(N) of commands", "The names of commands"},
    {"config", 0, NULL, NULL, "2.0.0", "server", "by subcommand", "Parameters of this node"},
    {"config|get", 0, NULL, NULL, "2.0.0", "server", "O(N) of parameters", "Parameters that match, with their values"},
    {"config|help", 0, NULL, NULL, "5.0.0", "server", "O(1)", "This list"},
    {"config|resetstat", 0, NULL, NULL, "2.0.0", "server", "O(1)", "Set this node's counters to zero"},
    {"config|rewrite", 0, NULL, NULL, "2.8.0", "server", "O(1)", "Refused: there is no file to rewrite"},
    {"config|set", 0, NULL, ALL_NODES, "2.0.0", "server", "O(N) of parameters", "Change parameters of this node"},
    {"copy", 0, "RO access|OW update", NULL, "6.2.0", "generic", "O(1)", "Store a key's value under another key as well"},
    {"dbsize", 0, NULL, SUM_OF_ALL, "1.0.0", "server", "O(1)", "How many keys the database has"},
    {"debug", 0, NULL, NULL, "1.0.0", "server", "by subcommand", "For test suites, where it is enabled"},
    {"decr", 0, "RW access update", NULL, "1.0.0", "string", "O(1)", "Subtract one from an integer"},
    {"decrby", 0, "RW access update", NULL, "1.0.0", "string", "O(1)", "Subtract from an integer"},
    {"del", 0, "RM delete", SUM_OF_MANY, "1.0.0", "generic", "O(N) of keys", "Remove keys"},
    {"discard", TRANSACTION, NULL, NULL, "2.0.0", "transactions", "O(N) of queued commands", "Forget what MULTI has queued"},
    {"echo", CONNECTION, NULL, NULL, "1.0.0", "connection", "O(1)", "Reply with the argument"},
    {"exec", TRANSACTION, NULL, NULL, "1.2.0", "transactions", "by queued command", "Run what MULTI has queued, without a break"},
    {"exists", 0, "RO", SUM_OF_MANY, "1.0.0", "generic", "O(N) of keys", "How many of the keys exist"},
    {"expire", 0, "RW update", NULL, "1.0.0", "generic", "O(1)", "Let a key live for some seconds"},
    {"expireat", 0, "RW update", NULL, "1.2.0", "generic", "O(1)", "Let a key live until a Unix time"},
    {"expiretime", 0, "RO access", NULL, "7.0.0", "generic", "O(1)", "The Unix time a key lives until"},
    {"flushall", KEYSPACE, NULL, ALL_SHARDS, "1.0.0", "server", "O(1)", "Remove all keys of all databases"},
    {"flushdb", KEYSPACE, NULL, ALL_SHARDS, "1.0.0", "server", "O(1)", "Remove all keys of the database"},
    {"function", 0, NULL, NULL, "7.0.0", "scripting", "by subcommand", "Stored functions, of which there are none"},
    {"function|flush", SCRIPTING, NULL, ALL_SHARDS, "7.0.0", "scripting", "O(1)", "Remove all functions"},
    {"function|help", SCRIPTING, NULL, NULL, "7.0.0", "scripting", "O(1)", "This list"},
    {"function|list", SCRIPTING, NULL, VARIES_ORDER, "7.0.0", "scripting", "O(1)", "The libraries of functions"},
    {"function|stats", SCRIPTING, NULL, "nondeterministic_output request_policy:all_shards response_policy:special", "7.0.0", "scripting", "O(1)", "What function runs, and the engines"},
    {"get", 0, "RO access", NULL, "1.0.0", "string", "O(1)", "The value of a string"},
    {"getdel", 0, "RW access delete", NULL, "6.2.0", "string", "O(1)", "The value of a string, which is removed"},
    {"getex", 0, "RW access update", NULL, "6.2.0", "string", "O(1)", "The value of a string, whose lifetime may be changed"},
    {"getrange", 0, "RO access", NULL, "2.4.0", "string", "O(N) of bytes returned", "Part of a string"},
    {"getset", 0, "RW access update", NULL, "1.0.0", "string", "O(1)", "Set a string and reply with the value before"},
    {"hello", CONNECTION, NULL, NULL, "6.0.0", "connection", "O(1)", "Choose the protocol and greet"},
    {"incr", 0, "RW access update", NULL, "1.0.0", "string", "O(1)", "Add one to an integer"},
    {"incrby", 0, "RW access update", NULL, "1.0.0", "string", "O(1)", "Add to an integer"},
    {"incrbyfloat", 0, "RW access update", NULL, "2.6.0", "string", "O(1)", "Add to a decimal number"},
    {"info", DANGEROUS, NULL, "nondeterministic_output request_policy:all_shards response_policy:special", "1.0.0", "server", "O(1)", "State and counters of this node, in sections"},
    {"keys", 0, NULL, "request_policy:all_shards nondeterministic_output_order", "1.0.0", "generic", "O(N) of keys in the database", "All keys that match a pattern"},
    {"latency", 0, NULL, NULL, "2.8.13", "server", "by subcommand", "Latency samples, of which none are taken"},
    {"latency|help", 0, NULL, NULL, "2.8.13", "server", "O(1)", "This list"},
    {"latency|histogram", 0, NULL, VARIES_NODES, "7.0.0", "server", "O(1)", "Latencies by command: none"},
    {"latency|history", 0, NULL, VARIES_NODES, "2.8.13", "server", "O(1)", "Samples of an event: none"},
    {"latency|latest", 0, NULL, VARIES_NODES, "2.8.13", "server", "O(1)", "The latest samples: none"},
    {"latency|reset", 0, NULL, ALL_NODES, "2.8.13", "server", "O(1)", "Forget samples"},
    {"lcs", 0, "RO access", NULL, "7.0.0", "string", "O(N*M) of both lengths", "The longest common subsequence of two strings"},
    {"mget", 0, "RO access", "request_policy:multi_shard", "1.0.0", "string", "O(N) of keys", "The values of several strings"},
    {"move", 0, "RW access update", NULL, "1.0.0", "generic", "O(1)", "Take a key to another database"},
    {"mset", 0, "OW update", "request_policy:multi_shard response_policy:all_succeeded", "1.0.1", "string", "O(N) of keys", "Set several strings at once"},
    {"msetnx", 0, "OW insert", "request_policy:multi_shard response_policy:agg_min", "1.0.1", "string", "O(N) of keys", "Set several strings if none of the keys exists"},
    {"multi", TRANSACTION, NULL, NULL, "1.2.0", "transactions", "O(1)", "Queue what follows until EXEC"},
    {"object", 0, NULL, NULL, "2.2.3", "generic", "by subcommand", "How a value is kept"},
    {"object|encoding", KEYSPACE, "RO", VARIES, "2.2.3", "generic", "O(1)", "The encoding of a value"},
    {"object|freq", KEYSPACE, "RO", VARIES, "4.0.0", "generic", "O(1)", "How often a key is used"},
    {"object|help", KEYSPACE, NULL, NULL, "6.2.0", "generic", "O(1)", "This list"},
    {"object|idletime", KEYSPACE, "RO", VARIES, "2.2.3", "generic", "O(1)", "Seconds since a key was used"},
    {"object|refcount", KEYSPACE, "RO", VARIES, "2.2.3", "generic", "O(1)", "How many share a value"},
    {"persist", 0, "RW update", NULL, "2.2.0", "generic", "O(1)", "Let a key live forever"},
    {"pexpire", 0, "RW update", NULL, "2.6.0", "generic", "O(1)", "Let a key live for some milliseconds"},
    {"pexpireat", 0, "RW update", NULL, "2.6.0", "generic", "O(1)", "Let a key live until a Unix time in milliseconds"},
    {"pexpiretime", 0, "RO access", NULL, "7.0.0", "generic", "O(1)", "The Unix time in milliseconds a key lives until"},
    {"ping", CONNECTION, NULL, ALL_SHARDS, "1.0.0", "connection", "O(1)", "Reply with PONG or the argument"},
    {"psetex", 0, "OW update", NULL, "2.6.0", "string", "O(1)", "Set a string that lives for some milliseconds"},
    {"pttl", 0, "RO access", VARIES, "2.6.0", "generic", "O(1)", "Milliseconds a key has left to live"},
    {"q.session", 0, NULL, NULL, "7.0.0", "quorate", "by subcommand", "Calls that run once however often they are sent"},
    {"q.session|call", 0, NULL, NULL, "7.0.0", "quorate", "that of the command", "Run a command once for this session and seq, and repeat its reply"},
    {"q.session|close", 0, NULL, NULL, "7.0.0", "quorate", "O(1)", "End a session"},
    {"q.session|help", 0, NULL, NULL, "7.0.0", "quorate", "O(1)", "This list"},
    {"q.session|open", 0, NULL, NULL, "7.0.0", "quorate", "O(1)", "Begin a session and reply with its id"},
    {"quit", CONNECTION, NULL, NULL, "1.0.0", "connection", "O(1)", "Close this connection after the replies due"},
    {"randomkey", 0, NULL, "request_policy:all_shards nondeterministic_output", "1.0.0", "generic", "O(1)", "Some key of the database"},
    {"readonly", CONNECTION, NULL, NULL, "3.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"readwrite", CONNECTION, NULL, NULL, "3.0.0", "cluster", "O(1)", "Refused: this is no Redis Cluster"},
    {"rename", 0, "RW access delete|OW update", NULL, "1.0.0", "generic", "O(1)", "Give a key another name"},
    {"renamenx", 0, "RW access delete|OW insert", NULL, "1.0.0", "generic", "O(1)", "Give a key another name unless that exists"},
    {"reset", CONNECTION, NULL, NULL, "6.2.0", "connection", "O(1)", "Make this connection as new"},
    {"role", CATEGORY_ADMIN | DANGEROUS, NULL, NULL, "2.8.12", "server", "O(1)", "Says master: any node takes any command"},
    {"scan", 0, NULL, "nondeterministic_output request_policy:special", "2.8.0", "generic", "O(1) per call", "Walk through the keys of the database"},
    {"select", CONNECTION, NULL, NULL, "1.0.0", "connection", "O(1)", "Choose the database of this connection"},
    {"set", 0, "RW access update variable_flags", NULL, "1.0.0", "string", "O(1)", "Set a string, with conditions and a lifetime"},
    {"setex", 0, "OW update", NULL, "2.0.0", "string", "O(1)", "Set a string that lives for some seconds"},
    {"setnx", 0, "OW insert", NULL, "1.0.0", "string", "O(1)", "Set a string unless the key exists"},
    {"setrange", 0, "RW update", NULL, "2.2.0", "string", "O(1)", "Overwrite part of a string"},
    {"slowlog", 0, NULL, NULL, "2.2.12", "server", "by subcommand", "The log of slow commands, which is empty"},
    {"slowlog|get", 0, NULL, "request_policy:all_nodes nondeterministic_output", "2.2.12", "server", "O(1)", "Its entries: none"},
    {"slowlog|help", 0, NULL, NULL, "6.2.0", "server", "O(1)", "This list"},
    {"slowlog|len", 0, NULL, "request_policy:all_nodes response_policy:agg_sum nondeterministic_output", "2.2.12", "server", "O(1)", "How many entries: none"},
    {"slowlog|reset", 0, NULL, ALL_NODES, "2.2.12", "server", "O(1)", "Forget its entries"},
    {"strlen", 0, "RO", NULL, "2.2.0", "string", "O(1)", "The length of a string"},
    {"substr", 0, "RO access", NULL, "1.0.0", "string", "O(N) of bytes returned", "Part of a string; the old name of GETRANGE"},
    {"swapdb", KEYSPACE, NULL, NULL, "4.0.0", "server", "O(1)", "Exchange the keys of two databases"},
    {"time", 0, NULL, VARIES, "2.6.0", "server", "O(1)", "This node's Unix time in seconds and microseconds"},
    {"touch", 0, "RO", SUM_OF_MANY, "3.2.1", "generic", "O(N) of keys", "How many of the keys exist"},
    {"ttl", 0, "RO access", VARIES, "1.0.0", "generic", "O(1)", "Seconds a key has left to live"},
    {"type", 0, "RO", NULL, "1.0.0", "generic", "O(1)", "What kind of value a key has"},
    {"unlink", 0, "RM delete", SUM_OF_MANY, "4.0.0", "generic", "O(N) of keys", "Remove keys"},
    {"unwatch", TRANSACTION, NULL, NULL, "2.2.0", "transactions", "O(1)", "Forget what WATCH has seen"},
    {"wait", CONNECTION, NULL, "request_policy:all_shards response_policy:agg_min", "3.0.0", "generic", "O(1)", "How many other nodes have this connection's writes on disk"},
    {"watch", TRANSACTION, "RO", NULL, "2.2.0", "transactions", "O(N) of keys", "Let EXEC run only if these keys are unchanged"},
};

const struct command_doc *redis_command_doc_find(str name)
{
    u32 low = 0, high = ARRAY_LEN(docs);

    while (low < high) {
        u32 middle = low + (high - low) / 2;
        int order = str_compare(name, str_of(docs[middle].name));
        if (order == 0) return &docs[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}
