#!/usr/bin/python3
"""Reads at every level, of real processes: `follower` reads stay linearizable while their leader sleeps, is killed and comes
back deposed; sessions go on over other nodes by their token; `stale:MS` answers as long as it may when the leader is cut off, and not
longer; the age that a reply tells is the one that was forced; a stopped replica is not among those that
answer; ten times the readers at followers cost the leader nothing."""
import argparse
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster
from lib.history import NOT_DONE, History, now
from lib.proxy import Proxies, isolate
from lib.report import expect, run, wait_until
from lib.resp import Closed, RespError

LEVELS = ["lease", "quorum", "follower", "follower", "sequential", "session", "session", "stale:300", "local"]
KEYS = 6
REFUSED = NOT_DONE | {"STALE"}


class Reader(threading.Thread):
    """One client after the other, at any node: a session as long as its token could be asked for."""

    def __init__(self, history, nodes, number):
        super().__init__(daemon=True)
        self.history, self.nodes, self.number = history, nodes, number
        self.random = random.Random(number)
        self.stopping = False
        self.token, self.sessions, self.values = None, 0, 0
        self.process = history.process()
        self.counts, self.moves = {}, 0
        self.crash = None

    def begin_session(self):
        self.token = None
        self.sessions += 1

    def session(self):
        return f"{self.number}.{self.sessions}"

    def operation(self, client):
        key = f"{{l}}:{self.random.randrange(KEYS)}"
        write = self.random.random() < 0.3
        level = None if write else self.random.choice(LEVELS)
        self.values += write
        value = f"{self.number}.{self.values}" if write else None
        invoked, outcome, result = now(), "unknown", None
        try:
            reply = client.call("SET", key, value) if write else client.call("AT", level, "GET", key)
            if isinstance(reply, RespError):
                outcome = "failed" if reply.name in REFUSED else "unknown"
                expect(outcome == "failed" or reply.name == "UNKNOWN", f"an error that nothing explains: {reply}")
            else:
                outcome, result = "ok", None if write or reply is None else reply.decode()
                self.counts[level or "set"] = self.counts.get(level or "set", 0) + 1
        finally:
            self.history.add(self.process, "set" if write else "get", key, invoked, now(), outcome, value=value, result=result,
                             level=level, session=self.session(), part="{l}")
            if outcome == "unknown":
                self.process = self.history.process()

    def visit(self):
        node = self.random.choice([n for n in self.nodes if n.alive()])
        with node.client(timeout=4) as client:
            if self.token:
                client.must("Q.TOKEN", self.token)
                self.moves += 1
            token, self.token = self.token, None
            for _ in range(self.random.randrange(1, 30)):
                self.operation(client)
            self.token = client.must("Q.TOKEN").decode() or token

    def run(self):
        try:
            while not self.stopping:
                try:
                    self.visit()
                except (Closed, TimeoutError, AssertionError, OSError):
                    if not self.token:
                        self.begin_session()
        except Exception as error:  # pylint: disable=broad-except
            self.crash = error


def under_chaos(suite, cluster, seconds):
    history = History(os.path.join(suite.dir, "levels.jsonl"))
    readers = [Reader(history, cluster.nodes, n) for n in range(1, 13)]
    for r in readers:
        r.start()
    end, turns = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        leader = cluster.leader()
        if turns % 2:
            leader.kill9()
            time.sleep(0.8)
            leader.start()
        else:
            leader.pause()
            time.sleep(1.2)
            leader.resume()
        turns += 1
        cluster.wait_ready()
        time.sleep(0.7)
    for r in readers:
        r.stopping = True
    for r in readers:
        r.join(20)
        if r.crash:
            raise r.crash
    counts = {}
    for r in readers:
        for what, count in r.counts.items():
            counts[what] = counts.get(what, 0) + count
    good, said = history.check(cluster.binary)
    suite.say(f"{turns} leaders stopped or killed, {sum(r.moves for r in readers)} tokens taken to another connection: "
              + ", ".join(f"{what} {count}" for what, count in sorted(counts.items())))
    suite.say(said.splitlines()[-1])
    expect(good, said)
    expect(all(counts.get(level, 0) > 20 for level in set(LEVELS)), f"every level was read at: {counts}")


def explained(client, *words):
    reply = client.must("Q.EXPLAIN", *words)
    return {reply[i].decode(): reply[i + 1] for i in range(0, len(reply), 2)}


def newest_at_a_follower(suite, cluster):
    """A follower answers with the newest acknowledged value while the leader sleeps, as soon as there is another leader."""
    leader, follower = cluster.leader(), cluster.followers()[0]
    with leader.client() as c:
        c.must("SET", "newest", "1")
    leader.pause()
    try:
        began = time.monotonic()
        with follower.client() as c:
            def answered():
                reply = c.call("AT", "follower", "GET", "newest")
                expect(isinstance(reply, RespError) or reply == b"1", f"an old value: {reply}")
                return reply == b"1"
            wait_until(answered, 5, "a follower read is answered")
        suite.say(f"a follower read was answered {time.monotonic() - began:.2f} s after its leader was stopped")
    finally:
        leader.resume()


def stopped_replica_is_left_out(suite, cluster):
    cluster.wait_ready()
    leader = cluster.leader()
    stopped, other = cluster.followers()
    with leader.client() as c:
        stopped.pause()
        try:
            told = explained(c, "SET", "where", "1")
            suite.say(f"a write with node {stopped.id} stopped is on disk at {told['on-disk-at']}")
            expect(stopped.id not in told["on-disk-at"] and sorted(told["on-disk-at"]) == sorted([leader.id, other.id]),
                   f"the replicas named are others: {told['on-disk-at']}")
        finally:
            stopped.resume()
    with other.client() as c:
        told = explained(c, "AT", "follower", "GET", "where")
        expect(told["served-by"] == other.id and told["reply"] == b"1", f"served by its own node: {told}")


class Beat(threading.Thread):
    """Writes the time, every two milliseconds, through the node that leads."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.stopping, self.node = cluster, False, cluster.leader()

    def run(self):
        while not self.stopping:
            try:
                with self.node.client(timeout=2) as c:
                    while not self.stopping:
                        c.must("SET", "beat", str(now()))
                        time.sleep(0.002)
            except (Closed, TimeoutError, AssertionError, OSError):
                self.node = self.cluster.leader_now() or self.node


def stale_as_long_as_it_may(suite, cluster, net):
    follower = cluster.followers()[0]
    beat = Beat(cluster)
    beat.start()
    worst, served, refused_at = 0.0, 0, None
    try:
        with follower.client() as c:
            end = time.monotonic() + 1.0
            while time.monotonic() < end:  # what is read now and then is kept fresh
                c.call("AT", "stale:500", "GET", "beat")
                time.sleep(0.003)
            isolate(net, follower, [n for n in cluster.nodes if n is not follower])
            cut_at = time.monotonic()
            while time.monotonic() < cut_at + 2.5 and refused_at is None:
                asked = time.monotonic()
                reply = c.call("Q.EXPLAIN", "AT", "stale:500", "GET", "beat")
                if isinstance(reply, RespError):
                    expect(reply.name in ("STALE", "NOQUORUM"), f"refused by name: {reply}")
                    refused_at = asked - cut_at
                    refusal = str(reply)
                    break
                told = {reply[i].decode(): reply[i + 1] for i in range(0, len(reply), 2)}
                forced = (now() - int(told["reply"])) / 1e6
                if asked - cut_at > 0.05:
                    worst = max(worst, abs(told["stale-us"] / 1e3 - forced))
                    served += 1
                expect(forced < 500 + 20, f"served {forced:.0f} ms old")
                time.sleep(0.005)
            local = explained(c, "AT", "local", "GET", "beat")
    finally:
        net.heal()
        beat.stopping = True
        beat.join(5)
    expect(refused_at is not None, "it was refused in the end")
    suite.say(f"cut off: {served} answers, the last within the bound; refused {refused_at * 1000:.0f} ms after the cut ({refusal[:60]}...)")
    suite.say(f"the age told and the age measured differed by {worst:.1f} ms at most; local told {local['stale-us'] / 1e3:.0f} ms")
    expect(served > 10, f"it answered while it might: {served}")
    expect(0.3 < refused_at < 0.7, f"refused after the bound: {refused_at}")
    expect(worst <= 20, f"the age told is the age measured within 20 ms: {worst}")


def cpu_seconds(node):
    with open(f"/proc/{node.pid}/stat", encoding="ascii") as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def leader_during(cluster, readers, seconds):
    """(processor share of the leader, reads per second) with so many readers at the followers."""
    leader = cluster.leader()
    followers = [n for n in cluster.nodes if n is not leader]
    def reads():
        return sum(n.metric("reads_near_total") for n in followers)
    loads = [subprocess.Popen(["redis-benchmark", "-h", n.host, "-p", str(n.redis_port), "-c", str(readers // 2), "-n", "100000000",
                               "AT", "follower", "GET", "newest"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
             for n in followers]
    try:
        time.sleep(1)
        cpu, count, began = cpu_seconds(leader), reads(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        return (cpu_seconds(leader) - cpu) / took, (reads() - count) / took
    finally:
        for load in loads:
            load.kill()
            load.wait(10)


def readers_cost_the_leader_nothing(suite, cluster, seconds):
    few, few_rate = leader_during(cluster, 10, seconds)
    many, many_rate = leader_during(cluster, 100, seconds)
    suite.say(f"leader's processor: {few * 100:.0f} % with 10 readers at the followers ({few_rate:.0f} reads/s), "
              f"{many * 100:.0f} % with 100 ({many_rate:.0f} reads/s)")
    expect(many <= few * 1.25 + 0.02, f"flat: {few:.2f} and {many:.2f} of a core")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true")
    words.add_argument("--seconds", type=int, default=60)
    args = words.parse_args()
    seconds = 8 if args.short else args.seconds

    def body(suite):
        cluster = Cluster(suite.dir, flags=["--memory", "128MB"], extra_ports=6)
        net = Proxies(cluster)
        with cluster:
            cluster.start()
            try:
                with suite.case("histories of all levels hold while leaders are stopped, killed and deposed"):
                    under_chaos(suite, cluster, seconds)
                with suite.case("a follower gives the newest acknowledged value when its leader sleeps"):
                    newest_at_a_follower(suite, cluster)
                with suite.case("a stopped replica is not among those named"):
                    stopped_replica_is_left_out(suite, cluster)
                with suite.case("stale:500ms answers for 500 ms when cut off, and its age is true"):
                    stale_as_long_as_it_may(suite, cluster, net)
                if shutil.which("redis-benchmark"):
                    with suite.case("ten times the readers at followers, the leader's processor flat"):
                        cluster.wait_ready()
                        readers_cost_the_leader_nothing(suite, cluster, 2 if args.short else 5)
            finally:
                net.close()

    run("levels", 120 if args.short else 120 + 2 * args.seconds, body)


if __name__ == "__main__":
    main()
