#include "quorum/joint.h"

bool joint_has(struct joint q, u32 yes)
{
    if (!majority_has(q.voters, yes)) return false;
    return !q.outgoing || majority_has(q.outgoing, yes);
}

bool joint_lost(struct joint q, u32 no)
{
    if (majority_lost(q.voters, no)) return true;
    return q.outgoing && majority_lost(q.outgoing, no);
}

u64 joint_reached(struct joint q, const u64 *values)
{
    u64 reached = majority_reached(q.voters, values);
    if (q.outgoing) reached = u64_min(reached, majority_reached(q.outgoing, values));
    return reached;
}
