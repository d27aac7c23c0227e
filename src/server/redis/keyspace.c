#include "server/redis/redis_internal.h"

#include "part/part.h"

void redis_door_db_stats(const struct redis_door *d, u8 db, struct kv_db_stats *out)
{
    kv_db_stats(part_kv(node_part(d->node)), db, out);
}
