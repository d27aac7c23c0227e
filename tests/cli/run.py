#!/usr/bin/python3
"""The command line as people meet it: what is printed, what is refused and with which remedy, what a signal
does. Ends with `N passed, N failed, N skipped`."""
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import ADMIN_PORT, DIE_WITH_PARENT, PEER_PORT, REDIS_PORT, binary, free_offset, http_get
from lib.report import Skip, expect, run_cases, wait_until
from lib.resp import Client

COMMANDS = ["start", "demo", "status", "top", "price", "why-unavailable", "explain", "ks", "node", "group", "rebalance", "backup", "restore", "settings", "limits", "sim", "check",
            "bench", "wal", "version", "help"]


def quorate(*words, **options):
    """Run to the end: (exit status, all it said)."""
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False, **options)
    return done.returncode, done.stdout + done.stderr


class Running:
    """A quorate that stays, its output in a file."""

    def __init__(self, directory, *words, **options):
        self.path = os.path.join(directory, f"out-{time.monotonic_ns()}")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(DIE_WITH_PARENT + [binary(), *words], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT, **options)

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_for(self, what, seconds=30):
        def said():
            expect(self.process.poll() is None or what in self.text(),
                   f"it ended with {self.process.poll()}: {self.text()[-600:]}")
            return what in self.text()
        wait_until(said, seconds, f"it prints {what!r}")

    def stop(self, number=signal.SIGTERM, seconds=10):
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        expect(time.monotonic() - started < seconds, "it did not stop in time")
        return code

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(directory, *words, **options):
    r = Running(directory, *words, **options)
    try:
        yield r
    finally:
        r.end()


def ports(offset):
    return ["--redis-port", str(REDIS_PORT + offset), "--peer-port", str(PEER_PORT + offset),
            "--admin-port", str(ADMIN_PORT + offset)]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def every_command_explains_itself(_):
    for command in COMMANDS:
        code, said = quorate(command, "--help")
        expect(code == 0, f"{command} --help ends with {code}")
        expect("xample" in said or "quorate " in said, f"{command} --help has no example")
    code, said = quorate()
    expect(code == 0 and all(c in said for c in COMMANDS), f"quorate alone does not list its commands: {said}")


def wrong_words_are_named(_):
    for words, claims in [(["strat"], ["strat"]),
                          (["start", "--memroy", "1GB"], ["--memroy", "--memory"]),
                          (["start", "--memory", "12XB"], ["--memory", "12XB", "256MB"]),
                          (["start", "--node", "2"], ["--node", "--peers"]),
                          (["demo", "--nodes", "8"], ["--nodes", "1 to 7"]),
                          (["wal", "verify"], ["DIR"])]:
        code, said = quorate(*words)
        expect(code == 2, f"{words} ends with {code}")
        for claim in claims:
            expect(claim in said, f"{words} does not mention {claim}: {said}")


def bare_start_founds_a_cluster(directory):
    data, offset = os.path.join(directory, "bare"), free_offset(1)
    ids = []
    for value in ("first", "second"):
        with running(directory, "start", "--dir", data, *ports(offset)) as node:
            node.wait_for("admin ")
            ids.append(re.search(r"cluster +([0-9a-f]{32})", node.text()).group(1))
            client = Client("127.0.0.1", REDIS_PORT + offset)
            if value == "second":
                expect(client.call("GET", "k") == b"first", "the data is gone after a restart")

            def written():
                with contextlib.suppress(Exception):
                    return client.call("SET", "k", value) in (b"OK", "OK")
                return False
            wait_until(written, 10, "a write is answered")
            expect(node.stop() == 0, "SIGTERM does not end it with 0")
    expect(ids[0] == ids[1], f"the cluster id changed: {ids}")


def a_directory_has_one_owner(directory):
    data, offset = os.path.join(directory, "owned"), free_offset(1)
    with running(directory, "start", "--dir", data, *ports(offset)) as node:
        node.wait_for("admin ")
        code, said = quorate("start", "--dir", data, *ports(free_offset(1)))
        expect(code == 1 and str(node.process.pid) in said, f"a second process is not refused by pid: {said}")
        node.stop()
    peers = "1=127.0.0.1:7001,2=127.0.0.1:7002"
    code, said = quorate("start", "--dir", data, "--node", "2", "--peers", peers)
    expect(code == 1 and "node 1" in said and "2 " in said, f"another node's directory is not refused: {said}")
    other = "0123456789abcdef0123456789abcdef"
    code, said = quorate("start", "--dir", data, "--cluster-id", other)
    expect(code == 1 and other in said, f"another cluster's directory is not refused: {said}")


def who_joins_founds_nothing_by_itself(directory):
    offset, mine = free_offset(1), free_offset(1)
    there, stranger = os.path.join(directory, "member"), os.path.join(directory, "stranger")
    words = ["start", "--dir", stranger, "--join", f"127.0.0.1:{PEER_PORT + offset}", *ports(mine)]
    with running(directory, *words) as alone:
        alone.wait_for("asking ")
        expect(alone.stop() == 0, "SIGTERM does not end a node that waits to be let in")
        expect("founding" not in alone.text(), f"it founded a cluster: {alone.text()}")
    with running(directory, "start", "--dir", there, *ports(offset)) as node:
        node.wait_for("founding the cluster")
        with running(directory, *words) as joined:  # with the incarnation it has

            def serves():
                with contextlib.suppress(Exception):
                    return Client("127.0.0.1", REDIS_PORT + mine).call("PING") == "PONG"
                return False
            wait_until(serves, 20, "the new member serves")
            code, said = quorate("node", "list", "--node", f"127.0.0.1:{ADMIN_PORT + offset}")
            expect(code == 0 and f":{REDIS_PORT + mine}" in said, f"the member is not listed: {said}")
            expect("founding" not in joined.text(), f"it founded a cluster: {joined.text()}")
            joined.stop()
        expect(node.stop() == 0, "SIGTERM does not end it with 0")


def a_port_in_use_is_explained(directory):
    offset = free_offset(1)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ADMIN_PORT + offset))
        holder.listen()
        code, said = quorate("start", "--dir", os.path.join(directory, "ports"), *ports(offset))
        expect(code == 1, f"start ends with {code}")
        for claim in (str(ADMIN_PORT + offset), str(os.getpid()), "--admin-port"):
            expect(claim in said, f"start does not mention {claim}: {said}")
        code, said = quorate("demo", "--nodes", "1", "--dir", os.path.join(directory, "ports2"),
                             "--port-offset", str(offset))
        expect(code == 2, f"demo ends with {code}")
        for claim in (str(ADMIN_PORT + offset), str(os.getpid()), "--port-offset"):
            expect(claim in said, f"demo does not mention {claim}: {said}")


def disk_choices_serve(directory):
    for words, claim in [(["--io", "thread"], "thread"), (["--io", "thread", "--direct", "off"], "buffered"),
                         (["--io", "auto"], "data ")]:
        data, offset = os.path.join(directory, "disk"), free_offset(1)
        shutil.rmtree(data, ignore_errors=True)
        with running(directory, "start", "--dir", data, *ports(offset), *words) as node:
            node.wait_for("admin ")
            wait_until(lambda: "data " in node.text(), 5, "the whole banner")
            expect(claim in node.text(), f"{words}: no {claim!r} in {node.text()}")
            expect(node.stop() == 0, f"{words}: it does not stop cleanly")


def variables_and_a_file_set_the_same_names(directory):
    offset = free_offset(1)
    config = os.path.join(directory, "quorate.yaml")
    with open(config, "w", encoding="ascii") as f:
        f.write(f"redis-port: {REDIS_PORT + offset}\npeer-port: 1\ndir: {directory}/from-file\n")
    environment = dict(os.environ, QUORATE_CONFIG=config, QUORATE_PEER_PORT=str(PEER_PORT + offset),
                       QUORATE_ADMIN_PORT="2")
    with running(directory, "start", "--admin-port", str(ADMIN_PORT + offset), env=environment) as node:
        node.wait_for("admin ")
        for port in (REDIS_PORT, PEER_PORT, ADMIN_PORT):
            expect(f":{port + offset}" in node.text(), f"port {port + offset} is not used: {node.text()}")
        expect(os.path.isdir(f"{directory}/from-file"), "the file's dir is not used")
        node.stop()


def few_open_files_are_named(directory):
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))

    offset = free_offset(1)
    words = ["start", "--dir", os.path.join(directory, "few"), "--clients-max", "5000", *ports(offset)]
    with running(directory, *words, preexec_fn=lower) as node:
        wait_until(lambda: node.process.poll() is not None or "admin " in node.text(), 20, "it starts or refuses")
        if node.process.poll() is None:
            raise Skip("this user may raise the limit, and the node did")
        for claim in ("512", "--clients-max", "ulimit -n"):
            expect(claim in node.text(), f"no {claim!r} in {node.text()}")


def demo_words(directory, offset, *more):
    return ["demo", "--nodes", "3", "--dir", os.path.join(directory, "demo"), "--port-offset", str(offset), *more]


def demo_stops_by_an_ignored_sigint(directory):
    with running(directory, *demo_words(directory, free_offset()),
                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as demo:
        demo.wait_for("ready\n")
        nodes = children(demo.process.pid)
        expect(len(nodes) == 3, f"{len(nodes)} nodes")
        expect(demo.stop(signal.SIGINT) == 0, "it does not end with 0")
        expect(not any(is_alive(pid) for pid in nodes), "a node is left")


def demo_stops_although_a_node_is_frozen(directory):
    with running(directory, *demo_words(directory, free_offset())) as demo:
        demo.wait_for("ready\n")
        nodes = children(demo.process.pid)
        os.kill(nodes[0], signal.SIGSTOP)
        expect(demo.stop(signal.SIGTERM) == 0, "it does not end with 0")
        expect(not any(is_alive(pid) for pid in nodes), "a node is left")


def nodes_end_with_the_demo(directory):
    with running(directory, *demo_words(directory, free_offset())) as demo:
        demo.wait_for("ready\n")
        nodes = children(demo.process.pid)
        demo.process.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in nodes), 5, "the nodes are gone")


def a_dead_node_is_reported_with_its_command(directory):
    with running(directory, *demo_words(directory, free_offset())) as demo:
        demo.wait_for("ready\n")
        victim = children(demo.process.pid)[1]
        os.kill(victim, signal.SIGKILL)
        demo.wait_for("killed by SIGKILL")
        demo.wait_for("--redis-port")
        line = next(l for l in demo.text().splitlines() if " start --node" in l)
        node = subprocess.Popen(DIE_WITH_PARENT + line.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = int(re.search(r"--redis-port (\d+)", line).group(1))

            def answers():
                with contextlib.suppress(Exception):
                    return Client("127.0.0.1", port).call("GET", "nothing") is None
                return False
            wait_until(answers, 15, "the printed command brings the node back")
        finally:
            node.terminate()
            node.wait(12)
        demo.stop()


def demo_remembers_its_size(directory):
    code, said = quorate("demo", "--nodes", "5", "--dir", os.path.join(directory, "demo"))
    expect(code == 2 and "--nodes 3" in said, f"another number of nodes is not refused: {said}")


def wal_command_reads_a_log(directory):
    node = os.path.join(directory, "demo", "node1")
    code, said = quorate("wal", "verify", node)
    expect(code == 0 and ", 0 damaged" in said, f"verify: {code} {said}")
    code, said = quorate("wal", "inspect", node)
    expect(code == 0 and "hard-state" in said, f"inspect: {code} {said[-300:]}")
    code, said = quorate("wal", "verify", os.path.join(directory, "nowhere"))
    expect(code == 2 and "nowhere" in said, f"a missing directory: {code} {said}")


def value_limits_must_agree(directory):
    """A node with another --value-max is refused, and both sides say why."""
    offset = free_offset()
    peers = ",".join(f"{n}=127.0.0.1:{PEER_PORT + offset + n - 1}" for n in (1, 2, 3))
    with contextlib.ExitStack() as stack:
        nodes = []
        for n in (1, 2, 3):
            nodes.append(stack.enter_context(running(
                directory, "start", "--dir", os.path.join(directory, f"limit{n}"), "--node", str(n), "--peers", peers,
                "--redis-port", str(REDIS_PORT + offset + n - 1), "--admin-port", str(ADMIN_PORT + offset + n - 1),
                "--value-max", "2MB" if n == 3 else "1MB")))
        nodes[0].wait_for("node=3 ours=1048576 theirs=2097152")
        nodes[2].wait_for("node=1 ours=2097152 theirs=1048576")
        for path, what in (("cluster", "its --value-max is 2097152, here it is 1048576"), ("readyz", "node 3 is refused")):
            status, body = http_get("127.0.0.1", ADMIN_PORT + offset, f"/{path}", 5)
            expect(what in (body if isinstance(body, str) else body.decode()), f"/{path} says {status} {body!r}")


CASES = [
    ("every command explains itself", every_command_explains_itself),
    ("wrong words are refused with the remedy", wrong_words_are_named),
    ("a bare start founds a cluster and keeps its id and data", bare_start_founds_a_cluster),
    ("a directory has one owner", a_directory_has_one_owner),
    ("who joins founds nothing by itself", who_joins_founds_nothing_by_itself),
    ("a port in use is named with its process and the flag that helps", a_port_in_use_is_explained),
    ("every way to the disk serves", disk_choices_serve),
    ("variables and a file set the same names", variables_and_a_file_set_the_same_names),
    ("an open-file limit too low is named", few_open_files_are_named),
    ("the demo stops by SIGINT although it was inherited as ignored", demo_stops_by_an_ignored_sigint),
    ("the demo stops in time although a node is frozen", demo_stops_although_a_node_is_frozen),
    ("the nodes end with the demo", nodes_end_with_the_demo),
    ("a dead node is reported with the command that starts it", a_dead_node_is_reported_with_its_command),
    ("the demo's number of nodes stays with the data", demo_remembers_its_size),
    ("nodes whose value limits differ refuse each other", value_limits_must_agree),
    ("quorate wal verifies and shows a log", wal_command_reads_a_log),
]


if __name__ == "__main__":
    run_cases("cli", 240, CASES)
