#include "server/redis/redis_internal.h"

#include "part/part.h"

void redis_door_db_stats(const struct hosted *h, u8 db, struct kv_db_stats *out)
{
    struct kv *kv = h->part ? part_kv(h->part) : NULL;

    *out = (struct kv_db_stats){0};
    if (kv) kv_db_stats(kv, db, out);
}
