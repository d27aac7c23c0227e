#!/usr/bin/python3
"""Three nodes become five and then three others, one by one, under load: plain clients whose history is checked,
redis-py's cluster client and redis-benchmark --cluster, on a keyspace of 32 partitions whose leaders are spread. No
acknowledged write is missing, no error but those that can be tried again, every answer in time; the slowest answers
while partitions move are within five times the quiet ones; and no more is moved than the new nodes' share."""
import argparse
import logging
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster, free_offset
from lib.history import History
from lib.load import Load, judge
from lib.report import Skip, expect, run, wait_until

logging.disable(logging.CRITICAL)  # redis-py tells each connection that ends
KEYSPACE, PARTITIONS = "orders", 32
RETRIABLE = {"NOQUORUM", "UNKNOWN", "OVERLOADED", "MOVED", "(closed)", "(silence)"}
REST = 4.0  # nothing under way for so long
P99_FACTOR = 5.0
P99_LEAST = 0.020  # seconds: below it a quiet machine's noise decides, not we
STALL = 5.0        # seconds; what a short run judges, as its p99 is that of a busy machine


def p99(seconds):
    return seconds[int(len(seconds) * 0.99)] if seconds else 0.0


def at_rest(cluster):
    """No operation under way and none that the planner would begin, on every living node's word."""
    groups, plan = cluster.ask("/v1/groups"), cluster.ask("/v1/plan")
    if not groups or not plan:
        return False
    idle = all(g["operation"] is None for g in groups["groups"])
    led = all(g["leader-node"] for g in groups["groups"])
    return idle and led and not plan["steps"]


def wait_rest(cluster, seconds):
    """At rest whenever looked at for REST seconds; how long it took until then."""
    started = time.monotonic()
    since = None

    def rests():
        nonlocal since
        if not at_rest(cluster):
            since = None
        elif since is None:
            since = time.monotonic()
        return since is not None and time.monotonic() - since >= REST

    wait_until(rests, seconds, "the cluster comes to rest", every=0.3)
    return since - started


class ClusterClient:
    """redis-py's RedisCluster: keys of its own, each written once and remembered."""

    def __init__(self, nodes):
        try:
            from redis.cluster import ClusterNode, RedisCluster  # pylint: disable=import-outside-toplevel
        except ImportError as error:
            raise Skip(f"no redis.cluster in this python: {error}") from error
        self.client = RedisCluster(startup_nodes=[ClusterNode(n.host, n.redis_port) for n in nodes],
                                   username=KEYSPACE, password="-")
        self.written, self.errors, self.stopping = {}, {}, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def _run(self):
        count = 0
        while not self.stopping:
            count += 1
            key, value = f"c{count}", f"v{count}"
            try:
                self.client.set(key, value)
                self.written[key] = value
            except Exception as error:  # pylint: disable=broad-except
                name = type(error).__name__
                self.errors[name] = self.errors.get(name, 0) + 1
                time.sleep(0.05)
            time.sleep(0.002)

    def stop(self):
        self.stopping = True
        self.thread.join(30)

    def missing(self, node):
        with node.client() as c:
            keys = list(self.written.items())
            lost = []
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                for (key, value), reply in zip(part, c.pipeline([("GET", k) for k, _ in part])):
                    if reply != value.encode():
                        lost.append((key, reply))
        return lost


class Benchmark:
    """redis-benchmark --cluster, again and again, as somebody else's load."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.runs = self.failed = 0
        self.said = ""
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def _run(self):
        while not self.stopping:
            node = next(n for n in self.cluster.nodes if n.serving())
            words = ["redis-benchmark", "-p", str(node.redis_port), "--user", KEYSPACE, "-a", "-", "--cluster", "-t",
                     "set,get", "-n", "3000", "-c", "6", "-r", "1000", "-d", "100", "--csv"]
            # Not DIE_WITH_PARENT: that signal follows this thread, which ends before the child does.
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            self.runs += 1
            if done.returncode:
                self.failed += 1
                self.said = (done.stdout + done.stderr)[-300:]

    def stop(self):
        self.stopping = True
        self.thread.join(70)


def fill(cluster, node, count, value_bytes):
    """So that a move has something to carry; the bytes of keys and values."""
    with node.client(timeout=20) as c:
        for start in range(0, count, 500):
            c.pipeline([("SET", f"f{i}", "x" * value_bytes) for i in range(start, min(count, start + 500))])
    return count * (value_bytes + 8)


def sent(cluster):
    return sum(n.metric("peer_bulk_bytes_total") for n in cluster.nodes if n.serving())


def placement(cluster):
    """Who holds what: pairs of group and node, of the keyspace's groups."""
    groups = cluster.ask("/v1/groups")["groups"]
    return {(g["id"], m["node"]) for g in groups if g["keyspace"] == KEYSPACE for m in g["members"]}


def grow_and_shrink(suite, short, seed):
    keys, quiet_seconds = (5000, 4) if short else (40000, 10)
    with Cluster(os.path.join(suite.dir, "grow"), offset=free_offset(6),
                 flags=["--memory", "256MB"]) as cluster:
        cluster.start()
        wait_until(lambda: all(n.ask("/v1/groups") for n in cluster.nodes), 10, "every node has the map")
        cluster.quorate("ks", "create", KEYSPACE, f"partitions=hash:{PARTITIONS}")
        cluster.keyspace = KEYSPACE
        wait_rest(cluster, 30)
        bytes_held = fill(cluster, cluster.node(1), keys, 1000)
        history = History(os.path.join(suite.dir, "grow.jsonl"))
        load = Load(history, cluster.nodes, clients=30, seed=seed, keyspace=KEYSPACE).start()
        redis_py = ClusterClient(cluster.nodes).start()
        benchmark = Benchmark(cluster).start()
        slow = []
        held = placement(cluster)
        bulk = 0

        def phase(what, members, share):
            """share: of the replicas that may be new, at most."""
            nonlocal held, bulk
            seconds = wait_rest(cluster, 180)
            slow.extend(load.take_seconds())
            load.use(members)
            now, bytes_now = placement(cluster), sent(cluster)
            new = len(now - held) / len(now)
            suite.say(f"{what}: at rest after {seconds:.1f} s; {new * 100:.0f} % of the replicas moved "
                      f"(share {share * 100:.0f} %), {max(0, bytes_now - bulk) / 1e6:.0f} MB of it as snapshots")
            expect(new <= share + 0.06, f"{what}: {new:.2f} of the replicas moved, {share:.2f} had to")
            held, bulk = now, bytes_now

        def living():
            return [n for n in cluster.nodes if n.serving()]

        try:
            load.take_seconds()
            time.sleep(quiet_seconds)  # the measurement itself, not a wait for anything
            quiet = load.take_seconds()
            bulk = sent(cluster)
            for number in (4, 5):
                cluster.add_node().start()
                wait_until(cluster.nodes[-1].is_ready, 20, f"node {number} serves")
                phase(f"node {number} joined", living(), 1 / number)
            leaders = [g["leader-node"] for g in cluster.ask("/v1/groups")["groups"]]
            spread = {n.id: leaders.count(n.id) for n in cluster.nodes}
            suite.say(f"leaders by node: {spread}")
            expect(min(spread.values()) > 0, f"leaders are not spread: {spread}")
            for leaving in (1, 2, 3):
                if leaving == 2:
                    cluster.add_node().start()
                    wait_until(cluster.nodes[-1].is_ready, 20, "node 6 serves")
                    phase("node 6 joined", living(), 1 / 5)
                cluster.quorate("node", "drain", str(leaving))
                phase(f"node {leaving} drained", [n for n in living() if n.id != leaving], 1 / (len(living()) - 1))
                wait_until(lambda: all(c.target[0] != leaving for c in load.clients), 20, "clients have gone elsewhere")
                cluster.node(leaving).terminate()
                cluster.quorate("node", "remove", str(leaving))
        finally:
            load.stop()
            redis_py.stop()
            benchmark.stop()
        slow.sort()
        suite.say(f"quiet: {len(quiet)} answers, p99 {p99(quiet) * 1000:.1f} ms; while moving: {len(slow)}, "
                  f"p99 {p99(slow) * 1000:.1f} ms, worst {slow[-1] * 1000:.0f} ms")
        suite.say(f"redis-py cluster client: {len(redis_py.written)} writes, errors {redis_py.errors or 'none'}; "
                  f"redis-benchmark --cluster: {benchmark.runs} runs, {benchmark.failed} failed {benchmark.said}")
        cluster.nodes = living()
        judge(suite, history, cluster, load)
        lost = redis_py.missing(cluster.nodes[0])
        expect(not lost, f"{len(lost)} writes of the cluster client are missing, first: {lost[:1]}")
        odd = set(load.errors) - RETRIABLE
        expect(not odd, f"errors that are not said to be retriable: {[load.texts.get(name, name) for name in odd]}")
        expect(len(cluster.nodes) == 3 and {n.id for n in cluster.nodes} == {4, 5, 6}, "three others are left")
        suite.say(f"{bytes_held / 1e6:.0f} MB held, three times")
        expect(slow[-1] < STALL, f"an answer took {slow[-1]:.1f} s")
        limit = max(P99_FACTOR * p99(quiet), P99_LEAST)
        expect(short or p99(slow) <= limit, f"p99 while moving {p99(slow) * 1000:.1f} ms, over {limit * 1000:.1f} ms")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--short", action="store_true", help="fewer keys")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()

    def cases(suite):
        with suite.case("three nodes become five and then three others under load"):
            grow_and_shrink(suite, chosen.short, chosen.seed)

    run("grow", 400, cases)


if __name__ == "__main__":
    main()
