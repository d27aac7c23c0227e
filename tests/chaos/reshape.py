#!/usr/bin/python3
"""Groups split, merge and move, at chance, while nodes are killed and paused, under clients whose history is checked: no
acknowledged write is missing, nothing is linearized wrongly, and at the end every group is led and at rest."""
import argparse
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster, free_offset
from lib.history import History
from lib.load import Load, judge
from lib.report import Failed, expect, run, wait_until

KEYSPACE = "orders"
NODES, SPARE = 3, 1
GROUPS_MIN, GROUPS_MAX = 2, 24


class Disturber:
    """One disturbance after the other, each to its end or a moment."""

    def __init__(self, suite, cluster, load, seed, only):
        self.only = only
        self.suite, self.cluster, self.load = suite, cluster, load
        self.chance = random.Random(seed)
        self.counts = {}
        self.refused = 0

    def groups(self):
        answer = self.cluster.ask("/v1/groups")
        return [g for g in answer["groups"] if g["keyspace"] == KEYSPACE] if answer else []

    def command(self, *words):
        try:
            self.cluster.quorate(*words, seconds=6)
        except (Failed, StopIteration, subprocess.TimeoutExpired):
            self.refused += 1  # under way already, not neighbours any more, no quorum for the moment
            return
        self.counts[words[1]] = self.counts.get(words[1], 0) + 1

    def split(self):
        wide = [g for g in self.groups() if g["slot-last"] > g["slot-first"]]
        if wide and len(wide) < GROUPS_MAX:
            g = self.chance.choice(wide)
            self.command("group", "split", str(g["id"]), f"at={self.chance.randint(g['slot-first'] + 1, g['slot-last'])}")

    def merge(self):
        groups = self.groups()
        if len(groups) > GROUPS_MIN:
            self.command("group", "merge", str(self.chance.choice(groups)["id"]))

    def move(self):
        groups = self.groups()
        if groups:
            g = self.chance.choice(groups)
            holders = {m["node"] for m in g["members"]}
            others = [n.id for n in self.cluster.nodes if n.id not in holders]
            if others:
                self.command("group", "move", str(g["id"]), f"from={self.chance.choice(sorted(holders))}",
                             f"to={self.chance.choice(others)}")

    def transfer(self):
        groups = self.groups()
        if groups:
            g = self.chance.choice(groups)
            self.command("group", "transfer", str(g["id"]), f"to={self.chance.choice(g['members'])['node']}")

    def something(self):
        """While a node is away."""
        kinds = [k for k in ("split", "merge", "move") if k in self.only]
        if kinds:
            getattr(self, self.chance.choice(kinds))()
        else:
            time.sleep(0.05)

    def _count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def kill(self):
        victim = self.chance.choice(self.cluster.nodes)
        victim.kill9()
        self._count("kill -9")
        end = time.monotonic() + self.chance.random() * 3
        while time.monotonic() < end:  # the others go on with what is under way, and perhaps begin more
            self.something()
        victim.start()
        wait_until(victim.is_ready, 30, f"node {victim.id} serves again")

    def pause(self):
        victim = self.chance.choice(self.cluster.nodes)
        victim.pause()
        self._count("pause")
        end = time.monotonic() + self.chance.random() * 2
        while time.monotonic() < end:
            self.something()
        victim.resume()

    def go(self, seconds):
        kinds = [k for name, times in (("split", 4), ("merge", 4), ("move", 3), ("transfer", 2), ("kill", 1), ("pause", 1))
                 if name in self.only for k in (getattr(self, name),) * times]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.chance.choice(kinds)()


def at_rest(cluster):
    answer = cluster.ask("/v1/groups")
    return answer and all(g["operation"] is None and g["leader-node"] for g in answer["groups"])


def reshape(suite, seconds, seed, only):
    with Cluster(os.path.join(suite.dir, "reshape"), nodes=NODES, offset=free_offset(NODES + SPARE)) as cluster:
        cluster.start()
        wait_until(lambda: all(n.ask("/v1/groups") for n in cluster.nodes), 10, "every node has the map")
        for _ in range(SPARE):
            cluster.add_node().start()
        wait_until(lambda: all(n.is_ready() for n in cluster.nodes), 20, "all nodes serve")
        cluster.quorate("ks", "create", KEYSPACE, "partitions=hash:4")
        cluster.keyspace = KEYSPACE
        wait_until(lambda: at_rest(cluster), 30, "the groups are led")
        history = History(os.path.join(suite.dir, "reshape.jsonl"))
        load = Load(history, cluster.nodes, clients=20, seed=seed, keyspace=KEYSPACE).start()
        disturber = Disturber(suite, cluster, load, seed, only)
        try:
            disturber.go(seconds)
        finally:
            for n in cluster.nodes:
                n.resume()
            rest = time.monotonic()
            try:
                wait_until(lambda: at_rest(cluster), 60, "the cluster comes to rest")
            except Failed:
                for g in (cluster.ask("/v1/groups") or {"groups": []})["groups"]:
                    if g["operation"] or not g["leader-node"]:
                        suite.say(f"not at rest: {g}")
                raise
            finally:
                load.stop()
        suite.say(f"at rest {time.monotonic() - rest:.1f} s after the last disturbance")
        counts = ", ".join(f"{what} {n}" for what, n in sorted(disturber.counts.items()))
        suite.say(f"{seconds} s: {counts}; {disturber.refused} refused; {len(disturber.groups())} groups at the end")
        load.late.clear()  # a paused or killed node answers nobody: lateness is not judged here
        judge(suite, history, cluster, load)
        expect("split" not in only or disturber.counts.get("split") and disturber.counts.get("merge"), "groups were split and merged")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--short", action="store_true")
    options.add_argument("--seconds", type=int)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="split,merge,move,transfer,kill,pause", help="some of these")
    chosen = options.parse_args()
    seconds = chosen.seconds or (30 if chosen.short else 600)

    def cases(suite):
        with suite.case("groups split, merge and move while nodes are killed and paused"):
            reshape(suite, seconds, chosen.seed, chosen.only.split(","))

    run("reshape", seconds + 300, cases)


if __name__ == "__main__":
    main()
