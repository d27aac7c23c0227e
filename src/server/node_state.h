/* The node itself, for the files that are it: node.c, boot.c, view.c. */
#pragma once

#include "server/cluster.h"
#include "server/join.h"
#include "server/node_internal.h"
#include "server/replicas.h"

struct node {
    struct env *env;
    struct node_config config;
    struct identity identity;
    struct kvs *kvs;
    struct wal *wal;
    struct parts *parts;
    struct replicas replicas; /* the catalog of those */
    bool founds; /* a member named at the start: its first two replicas may have to found their groups */
    struct hosted *main; /* the default keyspace's */
    struct peers *peers;
    struct support *support;
    struct cluster *cluster; /* NULL: its members are fixed */
    struct joiner *joiner; /* until the cluster has answered; nothing else exists then */
    struct redis_door *redis;
    struct admin_door *admin;
    nanos now, started_at, next_status_at, next_log_look;
    u64 log_looks; /* times the log was so long that all partitions were asked for a checkpoint */
    u64 alerts; /* violations that a checker told */
    bool was_full, resigned, stopped;
    nanos stop_asked_at; /* 0: not asked */
    bool failed;
    char failure[256];
};
