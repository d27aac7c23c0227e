/* What a node remembers of each replica it hosts, a local row beside its marker: how a boot learns which there are.
 * Written by who makes the replica: the host (part_descriptor_save) or, for the upper half of a split, the
 * partition itself, in the batch that holds the child's first marker. docs/formats/marker.md. */
#pragma once

#include "kv/kv.h"
#include "raft/raft.h"
#include "store/kvs.h"

enum part_machine_kind { PART_MACHINE_KV = 1, PART_MACHINE_CORE = 2 };

struct part_descriptor {
    u64 part;
    u8 machine;
    replica_id replica;
    u32 keyspace;                 /* of the map */
    u32 block_first, block_count; /* keyspace ids of the store that are this partition's to give out */
    struct raft_config founders;  /* part_options.members: until there is a marker. None: it joins, or was split off */
    struct kv_span span;          /* kv_options.span: the same; keys are borrowed */
};

void part_descriptor_encode(const struct part_descriptor *d, struct buf *out);
MUST_USE err part_descriptor_decode(u64 part, str bytes, struct part_descriptor *out);

/* Durable on return (blocking: at boot or in a job). */
MUST_USE err part_descriptor_save(struct kvs *kvs, const struct part_descriptor *d);
/* Everything a removed replica has of its own: local rows and the rows of its store. Blocking. Its part and store
 * must be gone. */
MUST_USE err part_descriptor_erase(struct kvs *kvs, const struct part_descriptor *d);

/* All of them, by partition. A row that cannot be read ends the walk with ERR_CORRUPT. */
typedef err (*part_descriptor_fn)(void *context, const struct part_descriptor *d);
MUST_USE err part_descriptors_each(struct kvs *kvs, part_descriptor_fn fn, void *context);
