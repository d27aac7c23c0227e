#include "cli/level_words.h"

/* Linearizable reads of every key compose: they show none of the anomalies, over several partitions either. */
const struct level_words level_words[LEVEL_KINDS] = {
    [LEVEL_LEASE] = {"every write acknowledged before it began", "0 at the leader, else 1", 0},
    [LEVEL_QUORUM] = {"the same, and no clock is believed", "1 at the leader, else 2", 0},
    [LEVEL_FOLLOWER] = {"the same, read near", "1; 0 at the leader", 0},
    [LEVEL_STALE] = {"a state at most MS old", "0; 1 when it is older",
                     BIT(ANOMALY_OLD) | BIT(ANOMALY_BACK) | BIT(ANOMALY_OWN) | BIT(ANOMALY_ELSEWHERE) | BIT(ANOMALY_APART)},
    [LEVEL_SEQUENTIAL] = {"its connection's writes, never backwards", "0",
                          BIT(ANOMALY_OLD) | BIT(ANOMALY_TOO_OLD) | BIT(ANOMALY_ELSEWHERE) | BIT(ANOMALY_APART)},
    [LEVEL_SESSION] = {"the same, for whoever has its token", "0", BIT(ANOMALY_OLD) | BIT(ANOMALY_TOO_OLD) | BIT(ANOMALY_APART)},
    [LEVEL_LOCAL] = {"what the nearest replica has", "0",
                     BIT(ANOMALY_OLD) | BIT(ANOMALY_TOO_OLD) | BIT(ANOMALY_BACK) | BIT(ANOMALY_OWN) | BIT(ANOMALY_ELSEWHERE) |
                         BIT(ANOMALY_APART)},
};

const struct anomaly anomalies[ANOMALY_KINDS] = {
    [ANOMALY_HALF] = {"half of a transaction, or a write that is taken back", "A: MULTI, SET x 2, SET y 2, EXEC",
                      "B, meanwhile: MGET x y -> 2 1"},
    [ANOMALY_OLD] = {"an old value", "A: SET x 2 -> OK (x was 1)", "B, afterwards: GET x -> 1"},
    [ANOMALY_TOO_OLD] = {"a value older than a bound", "A: SET x 2 -> OK (x was 1)", "B, a minute afterwards: GET x -> 1"},
    [ANOMALY_BACK] = {"time going backwards", "A: GET x -> 2", "A, afterwards: GET x -> 1"},
    [ANOMALY_OWN] = {"not its own write", "A: SET x 2 -> OK (x was 1)", "A, on the same connection: GET x -> 1"},
    [ANOMALY_ELSEWHERE] = {"not its own write, elsewhere", "A, at node 1: SET x 2 -> OK; Q.TOKEN -> token",
                           "A, at node 2: Q.TOKEN token; GET x -> 1"},
    [ANOMALY_APART] = {"writes of different partitions in another order", "A: SET x 1 -> OK, then SET y 1 -> OK",
                       "B: GET y -> 1, then GET x -> nil (x and y in different partitions)"},
};
