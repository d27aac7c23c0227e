/* What the CLUSTER commands say of slots and nodes, as spans with one owner: the partitions of a
 * keyspace beside each other that one node leads and the same nodes follow. Shared by the files of
 * CLUSTER. */
#pragma once

#include "server/redis/redis_internal.h"

struct slot_span {
    u16 first, last;
    node_id master;
    bool is_led; /* the master is known to lead; else it is a member that may */
    u32 replica_count;
    node_id replicas[CORE_MEMBERS_MAX]; /* ascending */
};

struct slot_map {
    const struct core *core;
    struct slot_span *spans; /* owned */
    u32 count;
};

/* false: there is no map, or the keyspace has no slots, and the error is replied. */
bool cluster_map_begin(struct call *call, struct slot_map *out);
void cluster_map_done(struct slot_map *m);

enum { CLUSTER_ID_HEX = 40 };
/* The name of a node: its incarnation and its number. */
void cluster_node_id(const struct core_node *n, char out[CLUSTER_ID_HEX + 1]);

void cmd_cluster_slots(struct call *call);
void cmd_cluster_shards(struct call *call);
void cmd_cluster_nodes(struct call *call);
void cmd_cluster_info(struct call *call);
