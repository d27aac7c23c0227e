#!/usr/bin/python3
"""Live traffic is checked while it runs (`quorate check --online`). One node is made to answer reads of one key
from the past: within 5 s every node has logged it and counts it. And a minute of kill -9 and SIGSTOP under
load, without that, raises no alarm (--minutes for longer)."""
import argparse
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import DIE_WITH_PARENT, Cluster
from lib.history import History
from lib.load import Load
from lib.report import expect, run, wait_until

ALERT_SECONDS = 5.0
WARM_UP = 8.0  # windows begin some seconds after the watch
CHAOS_SECONDS = 60


class Watch:
    """`quorate check --online` beside the cluster; stop() gives its exit status and what it said."""

    def __init__(self, cluster, path, seconds):
        self.path = path
        words = [cluster.binary, "check", "--online", "--sample", "1/1", "--seconds", str(seconds)]
        for n in cluster.nodes:
            words += ["--node", f"{n.host}:{n.admin_port}"]
        with open(path, "wb") as out:
            self.process = subprocess.Popen(DIE_WITH_PARENT + words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def said(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self, seconds):
        status = self.process.wait(seconds)
        return status, self.said()


class Traffic:
    """redis-py clients on all nodes: registers with values of their own, flags whose values repeat, counters, keys with a
    time to live, deletes."""

    def __init__(self, cluster, clients=6, seed=1):
        import redis
        self.redis = redis
        self.cluster = cluster
        self.stopping = False
        self.done = 0
        self.threads = [threading.Thread(target=self.work, args=(i, random.Random(seed * 100 + i)), daemon=True)
                        for i in range(clients)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join(20)

    def act(self, c, number, chance, count):
        key = f"r{chance.randrange(6)}"
        what = chance.randrange(12)
        if what < 5:
            c.get(key)
        elif what < 7:
            c.set(key, f"{number}.{count}")
        elif what == 7:
            c.set("flag", chance.choice(["on", "off"]))
        elif what == 8:
            c.get("flag")
        elif what == 9:
            c.incr("counter")
        elif what == 10:
            c.set("mortal", f"{number}.{count}", px=chance.randrange(20, 400))
        else:
            chance.choice([lambda: c.get("mortal"), lambda: c.get("counter"), lambda: c.delete("d"),
                           lambda: c.setnx("d", f"{number}.{count}"), lambda: c.mget("r0", "r1"),
                           lambda: c.mset({"r4": f"m{number}.{count}"}), lambda: c.getset("d", f"g{number}.{count}"),
                           lambda: c.get("d")])()

    def work(self, number, chance):
        node = self.cluster.nodes[number % len(self.cluster.nodes)]
        count, c = 0, None
        while not self.stopping:
            try:
                c = c or self.redis.Redis(node.host, node.redis_port, socket_timeout=4, retry=None)
                count += 1
                self.act(c, number, chance, count)
                self.done += 1
            except self.redis.RedisError:
                c = None
                time.sleep(0.05)
            time.sleep(0.002)


def alerts(cluster):
    return {n.id: n.metric("checker_violations_total") for n in cluster.nodes if n.serving()}


def stale_reads_are_found(suite, rounds):
    with Cluster(os.path.join(suite.dir, "stale"), flags=["--debug-commands", "on"]) as cluster:
        cluster.start()
        traffic = Traffic(cluster).start()
        watch = Watch(cluster, os.path.join(suite.dir, "stale.watch"), int(WARM_UP + rounds * 12 + 5))
        try:
            time.sleep(WARM_UP)
            expect(not any(alerts(cluster).values()), f"alarm without a cause: {watch.said()}")
            for i in range(rounds):
                before = alerts(cluster)
                node = cluster.nodes[i % 3]
                key = f"r{i}"
                with node.client() as c:
                    c.must("DEBUG", "STALE-READ", key)
                started = time.monotonic()
                wait_until(lambda: all(v > before[n] for n, v in alerts(cluster).items()), ALERT_SECONDS,
                           f"every node counts a violation (round {i})")
                took = time.monotonic() - started
                with node.client() as c:
                    c.must("DEBUG", "STALE-READ", "")
                for n in cluster.nodes:
                    expect(f"{key}\" level=" in n.log() and "consistency violation" in n.log(), f"node {n.id} logged nothing of {key}")
                suite.say(f"node {node.id} answered {key} from the past: counted and logged by all after {took * 1000:.0f} ms")
                time.sleep(6)  # what it answered is past
        finally:
            traffic.stop()
        status, said = watch.wait(60)
        suite.say(said.strip().splitlines()[-1])
        expect(status == 1 and "VIOLATED" in said, f"exit {status}: {said[-500:]}")


def chaos_raises_no_alarm(suite, seconds, seed):
    chance = random.Random(seed)
    with Cluster(os.path.join(suite.dir, "chaos")) as cluster:
        cluster.start()
        history = History(os.path.join(suite.dir, "chaos.jsonl"))
        load = Load(history, cluster.nodes, seed=seed, clients=12, prefix="load-").start()
        traffic = Traffic(cluster, seed=seed).start()
        watch = Watch(cluster, os.path.join(suite.dir, "chaos.watch"), seconds)
        kills = pauses = 0
        try:
            while watch.process.poll() is None:
                time.sleep(chance.uniform(5, 9))
                victim = chance.choice(cluster.nodes)
                if chance.random() < 0.4:
                    victim.kill9()
                    time.sleep(chance.uniform(0.2, 2))
                    victim.start()
                    cluster.wait_caught_up(victim)
                    kills += 1
                else:
                    victim.pause()
                    time.sleep(chance.uniform(0.1, 4))
                    victim.resume()
                    pauses += 1
        finally:
            traffic.stop()
            load.stop()
        status, said = watch.wait(60)
        suite.say(f"{kills} kills, {pauses} pauses, {traffic.done} operations of redis-py, {history.count} of others")
        suite.say(said.strip().splitlines()[-1])
        expect(status == 0, f"a false alarm, exit {status}: {said[-3000:]}")
        checked = int(said.rpartition(" checked")[0].split()[-1])
        expect(checked > 100 * seconds / 60, f"hardly anything was checked: {said}")
        whole, text = history.check(cluster.binary)
        expect(whole, text[-2000:])


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true", help="one stale read, half a minute of chaos")
    words.add_argument("--minutes", type=float, default=1, help="of chaos; an hour is 60")
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--only", default="", help="stale or chaos")
    args = words.parse_args()
    seconds = 30 if args.short else int(args.minutes * 60)

    def body(suite):
        suite.say(f"seed {args.seed}")
        if args.only != "chaos":
            with suite.case("reads from the past are told by every node within 5 s"):
                stale_reads_are_found(suite, 1 if args.short else 3)
        if args.only != "stale":
            with suite.case("kills and pauses raise no alarm"):
                chaos_raises_no_alarm(suite, seconds, args.seed)

    run("online", 200 + 2 * seconds, body)


if __name__ == "__main__":
    main()
