#!/usr/bin/python3
"""SIGSTOP of the leader for 5 s, then SIGCONT. While it sleeps another leader serves. Waking up it must not
serve one read from before, and no write that only it knows may be acknowledged. The reads and
writes that try it are already in its socket buffers when it wakes."""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import Cluster
from lib.history import NOT_DONE, History, now
from lib.load import Load, judge
from lib.report import expect, run
from lib.resp import Closed, RespError, encode

PAUSE = 5.0
SOCKETS, DEPTH = 20, 20


class Trap:
    """One connection to the sleeper, with reads and writes waiting in its buffer."""

    def __init__(self, history, node, name):
        self.history = history
        self.process = history.process()
        self.client = node.client(timeout=8)
        self.client.must("PING")
        self.name = name
        self.sent = []

    def set(self, count):
        """Commands of this instant: reads of the register `asleep`, and every fifth a write."""
        data = []
        for i in range(count):
            invoked = now()
            if i % 5 == 4:
                key, value = f"{self.name}.{len(self.sent)}", f"{self.name}.{len(self.sent)}"
                self.sent.append(("set", key, value, invoked))
                data.append(encode("SET", key, value))
            else:
                self.sent.append(("get", "asleep", None, invoked))
                data.append(encode("GET", "asleep"))
        self.client.send_bytes(b"".join(data))

    def spring(self):
        """Take all replies; (values read, acknowledged writes, errors by name)."""
        reads, writes, errors = [], {}, {}
        lost = False
        for kind, key, value, invoked in self.sent:
            try:
                reply = RespError("(closed)") if lost else self.client.receive()
            except (Closed, TimeoutError):
                lost, reply = True, RespError("(closed)")
            at = now()
            if isinstance(reply, RespError):
                errors[reply.name] = errors.get(reply.name, 0) + 1
                if kind == "set":
                    outcome = "failed" if reply.name in NOT_DONE else "unknown"
                    self.history.add(self.history.process(), "set", key, invoked, at, outcome, value=value)
            elif kind == "get":
                text = None if reply is None else reply.decode()
                reads.append(text)
                self.history.add(self.process, "get", key, invoked, at, "ok", result=text)
            else:
                writes[key] = value
                self.history.add(self.process, "set", key, invoked, at, "ok", value=value)
        self.client.close()
        return reads, writes, errors


def one_round(suite, cluster, history, number, chance):
    sleeper = cluster.leader()
    others = [n for n in cluster.nodes if n is not sleeper]
    process = history.process()

    def write(node, value):
        invoked = now()
        with node.client() as c:
            c.must("SET", "asleep", value)
        history.add(process, "set", "asleep", invoked, now(), "ok", value=value)

    write(sleeper, f"before{number}")
    traps = [Trap(history, sleeper, f"trap{number}.{i}") for i in range(SOCKETS)]
    time.sleep(chance.random() * 0.2)  # the moment of the pause is random, not waited for
    sleeper.pause()
    started = time.monotonic()
    away = cluster.first_write(others, f"pause{number}", 10)
    write(others[0], f"during{number}")
    for trap in traps[:SOCKETS // 2]:
        trap.set(DEPTH)
    time.sleep(max(0.0, PAUSE - (time.monotonic() - started)))  # the length of the pause is the test's input
    for trap in traps[SOCKETS // 2:]:
        trap.set(DEPTH)
    sleeper.resume()
    for trap in traps:  # and more, while it wakes up
        try:
            trap.set(2)
        except Closed:
            pass
    stale, acknowledged, errors, fresh = [], {}, {}, 0
    for trap in traps:
        reads, writes, failed = trap.spring()
        stale += [r for r in reads if r != f"during{number}"]
        fresh += sum(1 for r in reads if r == f"during{number}")
        acknowledged.update(writes)
        for name, count in failed.items():
            errors[name] = errors.get(name, 0) + count
    suite.say(f"node {sleeper.id} slept: others wrote after {away * 1000:.0f} ms; at waking {fresh} fresh "
              f"reads, {len(acknowledged)} writes, errors {errors or 'none'}")
    expect(not stale, f"{len(stale)} stale reads from a leader that woke up: {stale[:1]}, "
           f"not 'during{number}'")
    with others[1].client() as c:
        for key, value in acknowledged.items():
            got = c.must("GET", key)
            expect(got == value.encode(), f"{key} was acknowledged at waking and is {got!r} now")
    cluster.wait_caught_up(sleeper)


def short_naps(cluster, chance, count):
    """Many pauses of all lengths around the lease, under load: the lease may end between any two
    instructions."""
    for _ in range(count):
        leader = cluster.leader()
        leader.pause()
        time.sleep(chance.random() * 0.8)
        leader.resume()
        time.sleep(chance.random() * 0.2)


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=6)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--short", action="store_true", help="two pauses")
    args = words.parse_args()

    def body(suite):
        chance = random.Random(args.seed)
        suite.say(f"seed {args.seed}")
        with Cluster(os.path.join(suite.dir, "cluster")) as cluster:
            cluster.start()
            history = History(os.path.join(suite.dir, "pause.jsonl"))
            load = Load(history, cluster.nodes, clients=30, seed=args.seed).start()
            try:
                with suite.case("a leader that slept 5 s serves no stale read and acknowledges nothing of its own"):
                    for i in range(2 if args.short else args.rounds):
                        one_round(suite, cluster, history, i, chance)
                with suite.case("short naps of the leader under load"):
                    short_naps(cluster, chance, 5 if args.short else 40)
                    cluster.wait_ready()
            finally:
                load.stop()
            with suite.case("the whole history is linearizable and complete"):
                # a sleeping node answers nobody: lateness is not judged here
                load.late.clear()
                judge(suite, history, cluster, load)

    run("pause", 100 if args.short else 300, body)


if __name__ == "__main__":
    main()
