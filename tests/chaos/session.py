#!/usr/bin/python3
"""INCR under Q.SESSION, its reply cut by closing the socket right after the send; then the leader is killed, the
cluster restarted, or a follower rebuilt from a snapshot; then the call is repeated. Applied once."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster
from lib.report import Failed, expect, run
from lib.resp import Closed, RespError, encode

COMPACTING = ["--value-max", "256KB", "--wal-segment", "2MB", "--log-keep", "1MB",
              "--checkpoint-dirty", "256KB", "--checkpoint-every", "200ms"]


def retry(nodes, words, seconds=20):
    """Ask node after node until one gives the outcome; a client's plain loop."""
    end = time.monotonic() + seconds
    last = None
    turn = 0
    while time.monotonic() < end:
        node = nodes[turn % len(nodes)]
        turn += 1
        try:
            with node.client(timeout=3) as c:
                last = c.call(*words)
            if not isinstance(last, RespError) or last.name not in ("NOQUORUM", "UNKNOWN", "NOTREADY",
                                                                    "OVERLOADED"):
                return last
        except (Closed, TimeoutError) as error:
            last = error
        time.sleep(0.02)
    raise Failed(f"{words} has no outcome after {seconds} s, last: {last!r}")


def mixed_pipeline(cluster, node):
    """Two sessions, plain writes and reads in turn, nobody waits for a reply."""
    key = f"mixed{node.id}"
    with node.client() as c:
        a, b = (c.must("Q.SESSION", "OPEN", "TTL", "600") for _ in range(2))
        commands, wanted = [("DEL", key)], [0]
        text = b""
        for i in range(100):
            for who in ((), ("Q.SESSION", "CALL", a, str(2 * i + 1)), ("Q.SESSION", "CALL", a, str(2 * i + 2)),
                        ("Q.SESSION", "CALL", b, str(i + 1))):
                word = f"{i}.{len(wanted)},"
                text += word.encode()
                commands += [(*who, "APPEND", key, word), ("GET", key)]
                wanted += [len(text), text]
        got = c.pipeline(commands)
        wrong = [i for i in range(len(wanted)) if got[i] != wanted[i]]
        if wrong:
            at = wrong[0]
            raise Failed(f"{len(wrong)} replies are wrong, first {commands[at]}: {got[at]!r}, not {wanted[at]!r}")


def ordered_over_a_death(suite, cluster):
    """One connection to a follower appends its numbers; the leader is killed with most of them on their way."""
    gateway = cluster.followers()[0]
    with gateway.client(timeout=10) as c:
        session = c.must("Q.SESSION", "OPEN", "TTL", "600")
        c.send_bytes(b"".join(encode("Q.SESSION", "CALL", session, str(i), "APPEND", "chain", f"{i},")
                              for i in range(1, 1001)))
        c.receive()
        dead = kill_leader(cluster)
        replies = [c.receive() for _ in range(999)]
        done = retry([gateway], ("GET", "chain")).decode()
    numbers = [int(n) for n in done.split(",") if n]
    expect(numbers == sorted(set(numbers)), f"the calls ran in another order: {done[:200]}")
    suite.say(f"{len(numbers)} of 1000 calls ran, "
              f"{sum(1 for r in replies if isinstance(r, RespError))} answered with an error")
    dead.start()
    cluster.wait_ready()


class Caller:
    """A session that counts with INCR: the call numbered seq must answer seq."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.key = name
        self.seq = 0
        self.id = retry(cluster.nodes, ("Q.SESSION", "OPEN", "TTL", "600"))
        expect(isinstance(self.id, bytes), f"Q.SESSION OPEN answered {self.id!r}")

    def words(self, seq=None):
        return ("Q.SESSION", "CALL", self.id, str(seq or self.seq), "INCR", self.key)

    def send_and_cut(self, node, reset):
        self.seq += 1
        try:
            c = node.client(timeout=3)
            c.send(*self.words())
            c.cut() if reset else c.close()
        except Closed:
            pass

    def repeat(self, nodes):
        reply = retry(nodes, self.words())
        expect(reply == self.seq, f"call {self.seq} of {self.key} answered {reply!r}")

    def total(self, nodes):
        reply = retry(nodes, ("GET", self.key))
        expect(reply == str(self.seq).encode(), f"{self.key} is {reply!r} after {self.seq} calls")


def every_call_cut(cluster, callers, chance, rounds):
    for _ in range(rounds):
        for caller in callers:
            caller.send_and_cut(chance.choice(cluster.nodes), chance.random() < 0.5)
        for caller in callers:
            caller.repeat(chance.sample(cluster.nodes, 3))
            if chance.random() < 0.5:
                caller.repeat(chance.sample(cluster.nodes, 3))  # a kept reply may be asked for again
    for caller in callers:
        caller.total(cluster.nodes)


def after(cluster, callers, chance, disturb):
    """Cut, disturb, repeat."""
    for caller in callers:
        caller.send_and_cut(chance.choice(cluster.nodes), chance.random() < 0.5)
    disturb()
    alive = [n for n in cluster.nodes if n.alive()]
    for caller in callers:
        caller.repeat(chance.sample(alive, len(alive)))
        caller.total(alive)


def kill_leader(cluster):
    leader = cluster.leader()
    leader.kill9()
    return leader


def restart_all(cluster):
    cluster.kill_all()
    cluster.start()


def rebuild_followers(suite, cluster):
    """Each follower in turn loses its directory and returns by snapshot; then the leader dies, so that a
    rebuilt one leads."""
    leader = cluster.leader()
    with leader.client() as c:  # more log than the leader keeps
        for _ in range(60):
            c.pipeline([("SET", f"filler{i}", "." * 4000) for i in range(100)])
    installed = 0
    for n in cluster.nodes:
        if n is leader:
            continue
        n.kill9()
        n.wipe()
        n.start()
        cluster.wait_caught_up(n, 40)
        installed += n.metric("snapshots_installed_total")
    expect(installed >= 2, f"two emptied followers installed {installed:.0f} snapshots")
    leader.kill9()
    cluster.wait_ready()
    suite.say(f"two followers rebuilt by snapshot; node {cluster.leader().id} leads now")
    return leader


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--short", action="store_true")
    args = words.parse_args()

    def body(suite):
        chance = random.Random(args.seed)
        suite.say(f"seed {args.seed}")
        with Cluster(os.path.join(suite.dir, "cluster"), flags=COMPACTING) as cluster:
            cluster.start()
            callers = [Caller(cluster, f"count{i}") for i in range(20)]
            with suite.case("a call whose reply is cut, repeated through any node, is applied once"):
                every_call_cut(cluster, callers, chance, 5 if args.short else 50)
            for i in range(1 if args.short else 5):
                with suite.case(f"... after a leader's death ({i + 1})"):
                    dead = []
                    after(cluster, callers, chance, lambda: dead.append(kill_leader(cluster)))
                    dead[0].start()
                    cluster.wait_ready()
            for i in range(1 if args.short else 3):
                with suite.case(f"... after a restart of all nodes ({i + 1})"):
                    after(cluster, callers, chance, lambda: restart_all(cluster))
            with suite.case("... after snapshots, by a leader that was rebuilt from one"):
                dead = []
                after(cluster, callers, chance, lambda: dead.append(rebuild_followers(suite, cluster)))
                dead[0].start()
                cluster.wait_ready()
            with suite.case("pipelined calls and plain commands of one connection run in their order"):
                for node in cluster.nodes:
                    mixed_pipeline(cluster, node)
            with suite.case("... also when the leader dies under way"):
                ordered_over_a_death(suite, cluster)
            with suite.case("a closed session answers SESSION, and its call is not applied again"):
                caller = callers[0]
                with cluster.node(1).client() as c:
                    c.must("Q.SESSION", "CLOSE", caller.id)
                    c.must("Q.SESSION", "CLOSE", caller.id)  # a repeated one answers as the first
                    reply = c.call(*caller.words())
                    expect(isinstance(reply, RespError) and reply.name == "SESSION",
                           f"a call of a closed session answered {reply!r}")
                caller.total(cluster.nodes)

    run("session", 90 if args.short else 300, body)


if __name__ == "__main__":
    main()
