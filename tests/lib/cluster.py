"""Nodes as real processes: each `quorate start` is a child of this script, killed by its own process id,
and by the kernel when the script dies (setpriv --pdeathsig). Start nodes from the main thread only: that
signal follows the thread that started them.

    with Cluster(suite.dir, flags=["--memory", "128MB"]) as cluster:
        cluster.start()
        leader = cluster.leader()
        leader.kill9(); ...; leader.start()
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

from lib.report import Failed, wait_until
from lib.resp import Client, Closed, RespError

REDIS_PORT, PEER_PORT, ADMIN_PORT = 6379, 7379, 8379  # of node 1, before the offset
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The kernel ends the child when the thread that started it ends. A command and not a preexec_fn, because
# Python code between fork and exec is not safe in a process with threads.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


def binary_path(variable="QUORATE_BIN", folder="build"):
    if folder == "build":
        folder = os.environ.get("BUILD", folder)
    return os.path.abspath(os.environ.get(variable) or os.path.join(ROOT, folder, "quorate"))


def binary():
    path = binary_path()
    if not os.access(path, os.X_OK):
        raise Failed(f"there is no {path}: run `make build`, or set QUORATE_BIN")
    return path


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_offset(nodes=3, extra=0):
    """An offset at which every port of `nodes` nodes (and `extra` more above 9379) is free now. All stay
    below 32768, where the kernel takes ports for outgoing connections."""
    for _ in range(1000):
        offset = 10 * random.randrange(100, 2300)
        bases = [REDIS_PORT, PEER_PORT, ADMIN_PORT]
        ports = [b + offset + i for b in bases for i in range(nodes)]
        ports += [9379 + offset + i for i in range(extra)]
        if all(_is_free(p) for p in ports):
            return offset
    raise Failed("no free range of ports")


def http_get(host, port, path, timeout=1.0):
    """(status, body); raises OSError. By hand, so that a paused server costs exactly the time-out."""
    end = time.monotonic() + timeout
    with socket.create_connection((host, port), timeout) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while True:
            head, gap, body = data.partition(b"\r\n\r\n")
            if gap:
                length = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
                if length and len(body) >= int(length[0].split(b":")[1]):
                    break
            s.settimeout(max(0.01, end - time.monotonic()))
            piece = s.recv(1 << 16)
            if not piece:
                break
            data += piece
            if time.monotonic() > end:
                raise TimeoutError(path)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        raise OSError(f"not HTTP: {head[:60]!r}")
    return int(head.split()[1]), body.decode(errors="replace")


class Node:
    """One member. `prefix` runs it elsewhere, like ("ip", "netns", "exec", NAME)."""

    def __init__(self, cluster, number, host="127.0.0.1", peer_host=None, prefix=()):
        self.cluster = cluster
        self.id = number
        self.host = host
        self.peer_host = peer_host or host
        self.prefix = list(prefix)
        shift = cluster.offset + number - 1
        self.redis_port = REDIS_PORT + shift
        self.peer_port = PEER_PORT + shift
        self.admin_port = ADMIN_PORT + shift
        self.dir = os.path.join(cluster.dir, f"node{number}")
        self.log_path = os.path.join(cluster.dir, f"node{number}.log")
        self.flags = []
        self.env = {}
        self.joins = False  # comes to a running cluster instead of founding one
        self.process = None
        self.paused = False
        self.down = False  # on purpose: killed, stopped, or waited for

    def peers(self):
        """This node's own spelling of the members; a proxy between two nodes changes one address."""
        return ",".join(f"{n.id}={n.peer_host}:{n.peer_port}" for n in self.cluster.nodes if not n.joins)

    def command(self):
        words = DIE_WITH_PARENT + self.prefix + [self.cluster.binary, "start", "--dir", self.dir,
                               "--host", self.host, "--redis-port", str(self.redis_port),
                               "--peer-port", str(self.peer_port), "--admin-port", str(self.admin_port)]
        if self.joins:
            words += ["--join", ",".join(f"{n.host}:{n.peer_port}" for n in self.cluster.nodes if not n.joins)]
        elif len(self.cluster.nodes) > 1:
            words += ["--node", str(self.id), "--peers", self.peers(),
                      "--cluster-id", self.cluster.cluster_id]
        return words + self.cluster.flags + self.flags

    def start(self, **env):
        """env: for this start only, like QUORATE_FAIL_SYNC_AT="5"."""
        assert not self.alive()
        with open(self.log_path, "ab") as log:
            log.write(b"--- start\n")
            log.flush()
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.env, **env})
        self.paused = self.down = False
        return self

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def serving(self):
        return self.alive() and not self.paused

    def _signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def kill9(self):
        self.down = True
        self._signal(signal.SIGKILL)
        if self.process:
            self.process.wait(10)

    def terminate(self, seconds=12):
        """A clean stop; its exit code."""
        if not self.process:
            return None
        self.down = True
        if self.paused:
            self.resume()
        self._signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self.kill9()
            raise Failed(f"node {self.id} did not stop within {seconds} s of SIGTERM") from error

    def wait_dead(self, seconds):
        self.down = True
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"node {self.id} still runs after {seconds} s") from error

    def pause(self):
        """SIGSTOP, and wait until the kernel has stopped it."""
        self._signal(signal.SIGSTOP)
        self.paused = True
        wait_until(lambda: self.state() in "Tt", 2, f"node {self.id} stops", every=0.0005)

    def resume(self):
        self._signal(signal.SIGCONT)
        self.paused = False

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0]

    def memory_kb(self, what="VmRSS"):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith(what + ":"):
                    return int(line.split()[1])
        return 0

    def wipe(self):
        assert not self.alive()
        shutil.rmtree(self.dir)

    def client(self, timeout=5.0):
        c = Client(self.host, self.redis_port, timeout)
        if self.cluster.keyspace:
            c.must("AUTH", self.cluster.keyspace, "-")
        return c

    def view(self, timeout=0.5):
        """/cluster as this node sees it; None if it does not answer."""
        return self.ask("/cluster", timeout)

    def ask(self, path, timeout=2):
        """A JSON answer of its admin door; None if it has none."""
        if not self.serving():
            return None
        try:
            status, body = http_get(self.host, self.admin_port, path, timeout)
            return json.loads(body) if status == 200 else None
        except (OSError, ValueError):
            return None

    def own_row(self):
        view = self.view()
        rows = [r for r in view["nodes"] if r["id"] == self.id] if view else []
        return rows[0] if rows else None

    def metrics(self):
        status, body = http_get(self.host, self.admin_port, "/metrics", 2)
        if status != 200:
            raise Failed(f"/metrics answered {status}")
        return body

    def metric(self, name):
        for line in self.metrics().splitlines():
            words = line.split()
            if words and words[0] == f"quorate_{name}":
                return float(words[1])
        raise Failed(f"/metrics has no quorate_{name}")

    def is_ready(self):
        try:
            return self.serving() and http_get(self.host, self.admin_port, "/readyz", 0.5)[0] == 200
        except OSError:
            return False

    def log(self):
        with open(self.log_path, "r", encoding="utf-8", errors="replace") as f:
            return f.read()

    def log_since_start(self):
        return self.log().rpartition("--- start\n")[2]


class Cluster:
    def __init__(self, directory, nodes=3, flags=(), offset=None, binary_file=None, extra_ports=0):
        self.binary = binary_file or binary()
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.flags = list(flags)
        self.offset = free_offset(nodes, extra_ports) if offset is None else offset
        self.cluster_id = f"{random.getrandbits(128):032x}"
        self.keyspace = None  # whose keys clients see; None: the default one's
        self.nodes = []
        for i in range(nodes):
            self.nodes.append(Node(self, i + 1))

    def node(self, number):
        return self.nodes[number - 1]

    def add_node(self):
        """One more, which joins when it is started."""
        n = Node(self, len(self.nodes) + 1)
        n.joins = True
        self.nodes.append(n)
        return n

    def quorate(self, *words, seconds=20):
        """The command line at the first node that serves; its output."""
        at = next(n for n in self.nodes if n.serving())
        done = run_limited([self.binary, *words, "--node", f"{at.host}:{at.admin_port}"], seconds)
        if done.returncode:
            raise Failed(f"quorate {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, path):
        """A JSON answer of the first node that has one; None if none has."""
        return next((answer for answer in (n.ask(path) for n in self.nodes) if answer), None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill_all()

    def start(self, seconds=20):
        for n in self.nodes:
            if not n.alive():
                n.start()
        return self.wait_ready(seconds)

    def make_whole(self):
        """Start what is down, wake what is paused, whatever a case left behind."""
        for n in self.nodes:
            if n.paused:
                n.resume()
            if not n.alive():
                n.start()
        leader = self.wait_ready(30)
        for n in self.nodes:
            self.wait_caught_up(n)
        return leader

    def wait_ready(self, seconds=20):
        """Every living node serves; the leader."""
        def all_ready():
            for n in self.nodes:
                if n.process and not n.alive() and not n.down:
                    raise Failed(f"node {n.id} ended with {n.process.returncode}: "
                                 f"{n.log_since_start()[-600:]}")
            return all(n.is_ready() for n in self.nodes if n.serving())
        wait_until(all_ready, seconds, "all nodes are ready")
        return self.leader(seconds)

    def kill_all(self):
        for n in self.nodes:
            n.down = True
            if n.process and n.alive():
                n.process.kill()
        for n in self.nodes:
            if n.process:
                n.process.wait(10)

    def stop_all(self):
        for n in self.nodes:
            n.resume()
            n._signal(signal.SIGTERM)
        for n in self.nodes:
            if n.process:
                n.wait_dead(12)

    def leader_now(self):
        """The node that leads in the highest term by its own word, or None. A deposed leader that does
        not know yet is outbid by the term of the new one, once there is a new one."""
        best = None
        for n in self.nodes:
            row = n.own_row()
            if row and row["role"] == "leader" and (best is None or row["term"] > best[0]):
                best = (row["term"], n)
        return best[1] if best else None

    def leader(self, seconds=20):
        return wait_until(self.leader_now, seconds, "a leader by /cluster")

    def followers(self):
        leader = self.leader()
        return [n for n in self.nodes if n is not leader and n.serving()]

    def caught_up(self, node, at_least=0):
        """node has applied what the leader had committed when asked, and may vote: an emptied or damaged
        one counts again only when a quorum without it has confirmed what it was given."""
        leader = self.leader_now()
        row = leader and leader.own_row()
        if not row:
            return False
        target = max(row["commit"], at_least)
        own = node.own_row()
        local = node.ask("/v1/local")
        return bool(own and own["applied"] >= target and local and not any(g["impaired"] for g in local["groups"]))

    def wait_caught_up(self, node, seconds=30):
        """Returns the seconds it took."""
        started = time.monotonic()
        wait_until(lambda: self.caught_up(node), seconds, f"node {node.id} catches up")
        return time.monotonic() - started

    def first_write(self, nodes, key, seconds):
        """Seconds until a write of `key` is acknowledged through each of these nodes, asked again
        after each error; the time of the last one to serve. For outages: every try is a new INCR."""
        started = time.monotonic()
        waiting = list(nodes)
        while waiting:
            if time.monotonic() - started > seconds:
                raise Failed(f"no write through node {waiting[0].id} for {seconds} s")
            try:
                with waiting[0].client(timeout=2.5) as c:
                    reply = c.call("INCR", key)
                    if not isinstance(reply, RespError):
                        waiting.pop(0)
                        continue
            except (Closed, TimeoutError):
                pass
            time.sleep(0.005)
        return time.monotonic() - started


def run_limited(words, seconds, **options):
    """A child that ends with us and in time; its CompletedProcess with text output."""
    return subprocess.run(DIE_WITH_PARENT + list(words), capture_output=True, text=True, timeout=seconds,
                          check=False, **options)
