#!/usr/bin/python3
"""Levels of reads as their users meet them: every example of docs/consistency.md as it is written there, and the commands
that tell what levels cost and why a keyspace is not available. Ends with `N passed, N failed, N skipped`."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import ADMIN_PORT, DIE_WITH_PARENT, REDIS_PORT, ROOT, Cluster, binary
from lib.proxy import Proxies, isolate
from lib.report import Failed, Skip, expect, run_cases, wait_until

LEVELS = ("lease", "quorum", "follower", "stale:1000", "sequential", "session", "local")


def quorate(*words, node=None, seconds=30):
    """Run to the end: (exit status, what it printed, what it complained)."""
    at = ["--node", f"127.0.0.1:{node.admin_port}"] if node else []
    done = subprocess.run(DIE_WITH_PARENT + [binary(), *words, *at], capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout, done.stderr


def asked(*words, node):
    code, out, complaint = quorate(*words, "--json", node=node)
    expect(code == 0, f"quorate {' '.join(words)}: {code} {out} {complaint}")
    return json.loads(out)


def start(directory, nodes=3):
    cluster = Cluster(directory, nodes, flags=["--memory", "128MB"])
    cluster.start(30)
    for n in cluster.nodes:
        wait_until(lambda n=n: quorate("ks", "list", node=n)[0] == 0, 20, f"node {n.id} has the map")
        wait_until(lambda n=n: quorate("why-unavailable", "default", node=n)[0] == 0, 20, "the default keyspace is served")
    return cluster


# ---- the document ----

class Example:
    def __init__(self, line, command):
        self.line, self.command, self.wanted = line, command, []


def examples(path):
    found, inside = [], False
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if line.startswith("```"):
                inside = line == "```sh"
            elif inside and line.startswith("$ "):
                found.append(Example(number, line[2:]))
            elif inside:
                expect(found, f"line {number} is the output of no command")
                found[-1].wanted.append(line)
    return found


def fits(wanted, got):
    """`...` stands for anything in a line, and alone for any lines."""
    pattern = "\n".join(wanted)
    parts = [re.escape(p) for p in re.split(r"\.\.\.", pattern)]
    return re.fullmatch(".*".join(parts), got, re.DOTALL) is not None


class Shell:
    """One bash for all examples of a page, with the ports of this cluster in place of those of `make run`."""
    MARK = "-- end of example --"

    def __init__(self, cluster):
        self.offset = cluster.offset
        self.process = subprocess.Popen(DIE_WITH_PARENT + ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.say('redis-cli() { command redis-cli --no-raw "$@"; }')  # as at a terminal
        self.say(f'quorate() {{ case "$*" in *--node*) {binary()} "$@";; *) {binary()} "$@" --node 127.0.0.1:'
                 f'{ADMIN_PORT + self.offset};; esac; }}')

    def shifted(self, command):
        def port(match):
            return str(int(match[0]) + self.offset)
        bases = [b + i for b in (REDIS_PORT, ADMIN_PORT) for i in range(-1, 3)]  # 8378 + a node's number
        return re.sub(r"\b(" + "|".join(map(str, bases)) + r")\b", port, command)

    def say(self, command):
        """What it prints."""
        self.process.stdin.write(self.shifted(command) + f"\necho '{self.MARK}'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n").endswith(self.MARK):
                rest = line.rstrip("\n")[:-len(self.MARK)]
                return "\n".join(lines + ([rest] if rest else []))
            lines.append(line.rstrip("\n"))
        raise Failed(f"the shell ended at: {command}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def every_example_of_the_document_runs_as_written(directory):
    if not shutil.which("redis-cli") or not shutil.which("curl"):
        raise Skip("redis-cli and curl are needed")
    page = examples(os.path.join(ROOT, "docs", "consistency.md"))
    expect(len(page) > 30, f"only {len(page)} examples were found")
    with start(os.path.join(directory, "page")) as cluster, Shell(cluster) as shell:
        for e in page:
            got = shell.say(e.command)
            expect(fits(e.wanted, got), f"docs/consistency.md:{e.line}: $ {e.command}\nwanted:\n" + "\n".join(e.wanted) +
                   f"\ngot:\n{got}")


# ---- the price ----

def price_tells_what_levels_cost(directory):
    with start(os.path.join(directory, "price")) as cluster:
        code, out, _ = quorate("price", "default", node=cluster.node(2))
        expect(code == 0 and "not measured now" in out and "--probe makes some" in out, f"an unused keyspace: {out}")
        for n in cluster.nodes:
            with n.client() as c:
                for _ in range(50):
                    c.must("SET", "x", "1")
                    for level in LEVELS:
                        c.must("AT", level, "GET", "x")
        price = asked("price", "default", node=cluster.node(2))
        kinds = {k["kind"]: k for k in price["kinds"]}
        for name in ("write",) + tuple(level.partition(":")[0] for level in LEVELS):
            k = kinds[name]
            expect((k["by"], k["count"], k["answered"]) == ("doors", 150, 150), f"150 of {name} were asked: {k}")
            expect(0 <= k["p50-us"] <= k["p99-us"] < 2000000, f"{name}: {k}")
        # Nobody waits for a deadline: a state that a node has is read at once, also where it leads.
        expect(kinds["local"]["p99-us"] < 5000, f"a local read takes {kinds['local']['p99-us']} us")
        expect(kinds["write"]["p50-us"] > kinds["local"]["p50-us"], f"a write costs less than a local read: {kinds}")
        gap = kinds["lease"]["p50-us"] - kinds["local"]["p50-us"]
        expect(price["linearizable-minus-local-us"] == gap, f"the price is {gap}: {price}")
        expect(price["available"] and price["spare-nodes"] == 1, f"what it survives: {price}")
        expect(sorted(n["leads"] for n in price["nodes"]) == [0, 0, 1], f"who leads: {price['nodes']}")
        _, out, _ = quorate("price", "default", node=cluster.node(1))
        expect("E  else: a linearizable read costs" in out and "all reads of the last minute" in out, out)
        code, _, said = quorate("price", "nosuch", node=cluster.node(1))
        expect(code == 1 and "quorate ks list" in said, said)


def a_probe_reads_at_levels_that_nobody_uses(directory):
    with start(os.path.join(directory, "probe")) as cluster:
        with cluster.node(1).client() as c:
            for _ in range(20):
                c.must("GET", "x")
        code, out, complaint = quorate("price", "default", "--probe", "--json", node=cluster.node(3))
        expect(code == 0, f"{out}{complaint}")
        price = json.loads(out)
        kinds = {k["kind"]: k for k in price["kinds"]}
        expect(kinds["lease"]["by"] == "doors" and kinds["lease"]["count"] == 20, f"what is used is told as it is: {kinds['lease']}")
        for name in ("quorum", "follower", "stale", "sequential", "session", "local"):
            expect(kinds[name]["by"] == "probe" and kinds[name]["count"] >= 200, f"{name} was not probed: {kinds[name]}")
        expect(kinds["write"]["count"] == 0, "the probe writes")
        expect(price["linearizable-minus-local-us"] is not None, f"the probe measures both: {price}")
        with cluster.node(1).client() as c:
            expect(c.call("DBSIZE") == 0, "the probe left a key")


# ---- why not ----

def why_unavailable_says_what_is_missing_and_what_works(directory):
    with start(os.path.join(directory, "why")) as cluster:
        one, two, three = cluster.nodes
        code, out, _ = quorate("why-unavailable", "default", node=one)
        expect(code == 0 and "nothing is wrong" in out and "3 of 3 nodes answer" in out, f"all is well: {out}")
        three.kill9()

        def serves_without_three():
            code, out, _ = quorate("why-unavailable", "default", node=one)
            return code == 0 and "node 3 down" in out and "works: everything" in out
        wait_until(serves_without_three, 20, "two of three serve")
        two.pause()
        wait_until(lambda: quorate("why-unavailable", "default", node=one)[0] == 1, 20, "one of three is not available")
        code, out, _ = quorate("why-unavailable", "default", node=one)
        for words in ("no quorum: 1 of 3 members are well, 2 are needed", "node 3 down", "node 2 hangs", "AT local", "-NOQUORUM",
                      "start node 3 again", "wake node 2"):
            expect(words in out, f"it does not say {words}: {out}")
        with one.client() as c:  # what it says works does, and what does not is refused
            wait_until(lambda: getattr(c.call("GET", "x"), "name", "") == "NOQUORUM", 10, "linearizable reads are refused")
            expect(c.call("AT", "local", "GET", "x") is None, "a local read is answered")
        code, out, _ = quorate("price", "default", node=one)
        expect(code == 0 and "is unavailable now" in out, f"the price without a quorum: {out}")
        two.resume()
        three.start()
        wait_until(lambda: "nothing is wrong" in quorate("why-unavailable", "default", node=one)[1], 30, "all is well again")
        code, _, said = quorate("why-unavailable", "nosuch", node=one)
        expect(code == 1 and "nosuch" in said, said)


def who_is_named_is_asked_alone(directory):
    with start(os.path.join(directory, "elsewhere")) as cluster:
        cluster.node(1).kill9()
        code, _, said = quorate("why-unavailable", "default", node=cluster.node(1))
        expect(code == 1 and "--node HOST:PORT" in said, f"who was named is asked alone: {said}")


def a_cut_network_is_told_from_dead_nodes(directory):
    """A proxy on each link between nodes does the cutting; the operator reaches all of them."""
    cluster = Cluster(os.path.join(directory, "cut"), 3, flags=["--memory", "128MB"], extra_ports=6)
    net = Proxies(cluster)
    try:
        with cluster:
            cluster.start(30)
            one = cluster.node(1)
            wait_until(lambda: "nothing is wrong" in quorate("why-unavailable", "default", node=one)[1], 20, "all is well")
            old = cluster.leader()
            others = [n for n in cluster.nodes if n is not old]
            isolate(net, old, others)

            def one_is_cut_off():
                code, out, _ = quorate("why-unavailable", "default", node=others[0])
                return code == 0 and f"node {old.id} is cut off" in out and "mend the network between nodes" in out
            wait_until(one_is_cut_off, 20, "the majority's side serves, and the third is cut off")
            with old.client() as c:  # as `price` says of P: the minority's side refuses, and answers AT local
                wait_until(lambda: getattr(c.call("GET", "x"), "name", "") == "NOQUORUM", 10, "linearizable reads are refused there")
                expect(c.call("AT", "local", "GET", "x") is None, "a local read is answered there")
            isolate(net, others[0], others[1:])

            def all_are_alone():
                code, out, _ = quorate("why-unavailable", "default", node=one)
                return code == 1 and all(f"between nodes {a} and {b}" in out for a, b in ((1, 2), (1, 3), (2, 3)))
            wait_until(all_are_alone, 20, "three nodes that hear nobody are no quorum")
            net.heal()
            wait_until(lambda: "nothing is wrong" in quorate("why-unavailable", "default", node=one)[1], 30, "all is well again")
    finally:
        net.close()


def metrics_count_by_keyspace_and_level(directory):
    with start(os.path.join(directory, "metrics")) as cluster:
        leader = cluster.leader()
        near = next(n for n in cluster.nodes if n is not leader)
        with near.client() as c:
            c.must("SET", "x", "1")
            for _ in range(10):
                c.must("AT", "local", "GET", "x")
        expect('quorate_requests_total{keyspace="default",kind="local"} 10\n' in near.metrics(), "ten local reads")
        expect(near.metric("reads_near_total") >= 10 and near.metric("gateway_near_total") >= 10, "they were answered near")
        expect('quorate_request_seconds{keyspace="default",kind="local",quantile="0.99"} 0.0' in near.metrics(), "their price")
        near.kill9()
        with leader.client() as c:
            c.must("SET", "x", "2")
        wait_until(lambda: leader.metric("replication_lag_ms") > 200, 10, "a member that is down falls behind")
        near.start()
        wait_until(lambda: leader.metric("replication_lag_ms") == 0, 20, "and catches up")
        for n in cluster.nodes:
            if n is not near:
                n.pause()
        with near.client() as c:
            wait_until(lambda: getattr(c.call("AT", "stale:50", "GET", "x"), "name", "") == "STALE", 10, "its state is too old")
        expect(near.metric("gateway_stale_total") >= 1, "it is counted")
        expect('kind="stale",error="STALE"}' in near.metrics(), "and named")


def explain_says_what_a_client_can_see(directory):
    with start(os.path.join(directory, "explain"), nodes=1) as cluster:
        code, out, _ = quorate("explain", "default", node=cluster.node(1))
        expect(code == 0 and "Protocol: Raft" in out and "an old value" in out, out)
        paragraphs = {p.splitlines()[0]: p for p in out.split("\n\n")}
        old, own = paragraphs["an old value"], paragraphs["not its own write"]
        expect("can be seen: stale:MS, sequential, session, local" in old, old)
        expect("never:       lease, quorum, follower, sequential, session" in own, own)
        expect(all(p.count("\n    ") == 2 for p in (old, own)), "an example has two lines")
        code, _, said = quorate("explain", "nosuch", node=cluster.node(1))
        expect(code == 1 and "NOSUCH" in said, said)


CASES = [
    ("every example of docs/consistency.md runs as written", every_example_of_the_document_runs_as_written),
    ("price tells what levels cost", price_tells_what_levels_cost),
    ("a probe reads at levels that nobody uses", a_probe_reads_at_levels_that_nobody_uses),
    ("why-unavailable says what is missing and what works", why_unavailable_says_what_is_missing_and_what_works),
    ("a cut network is told from dead nodes", a_cut_network_is_told_from_dead_nodes),
    ("who is named is asked alone", who_is_named_is_asked_alone),
    ("metrics count by keyspace and level", metrics_count_by_keyspace_and_level),
    ("explain says what a client can see", explain_says_what_a_client_can_see),
]


if __name__ == "__main__":
    run_cases("consistency", 300, CASES)
