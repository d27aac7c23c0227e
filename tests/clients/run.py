#!/usr/bin/python3
"""Unmodified clients against every node of `quorate demo`: redis-cli, redis-benchmark and redis-py, also as cluster
clients on a keyspace of 32 partitions. Ends with
`N passed, N failed, N skipped`. --server HOST:PORT,... runs the same against servers that are up already
(a Redis, to test the tests)."""
import argparse
import csv
import io
import os
import random
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.cluster import (ADMIN_PORT, DIE_WITH_PARENT, PEER_PORT, REDIS_PORT, binary, free_offset, http_get,
                         run_limited)
from lib.report import Failed, Skip, expect, run, wait_until
from lib.resp import Client, Parser, RespError

READY_MAX, STOP_MAX = 30, 10


class Demo:
    """`quorate demo` and its output."""

    def __init__(self, directory, offset):
        self.directory, self.offset = directory, offset
        self.addresses = [("127.0.0.1", REDIS_PORT + offset + i) for i in range(3)]
        self.process = None
        self.lines = []

    def start(self, *flags):
        self.lines = []
        self.process = subprocess.Popen(
            DIE_WITH_PARENT + [binary(), "demo", "--nodes", "3", "--dir", self.directory, "--port-offset",
                               str(self.offset), *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        wait_until(self.is_ready, READY_MAX, "demo prints `ready`")

    def _read(self, stream):
        for line in stream:
            self.lines.append(line.rstrip())

    def output(self):
        return "\n".join(self.lines)

    def is_ready(self):
        if self.process.poll() is not None:
            raise Failed(f"demo ended with {self.process.returncode}: {self.output()[-800:]}")
        return any(line.startswith("ready") for line in list(self.lines))

    def stop(self, number=signal.SIGTERM):
        """Stop by this signal; its exit code, and no node may be left."""
        pids = self.node_pids()
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(STOP_MAX + 5)
        seconds = time.monotonic() - started
        expect(seconds <= STOP_MAX, f"demo took {seconds:.1f} s to stop")
        wait_until(lambda: not [p for p in pids if os.path.exists(f"/proc/{p}")], 3, "all nodes are gone")
        return code

    def node_pids(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as f:
            return [int(p) for p in f.read().split()]

    def leader(self):
        import json  # pylint: disable=import-outside-toplevel
        for i in range(3):
            try:
                view = json.loads(http_get("127.0.0.1", ADMIN_PORT + self.offset + i, "/cluster")[1])
            except (OSError, ValueError):
                continue
            if view["leader"]:
                return view["leader"], view
        raise Failed("no node names a leader")

    def kill(self):
        if self.process and self.process.poll() is None:
            pids = self.node_pids()
            self.process.kill()
            self.process.wait()
            wait_until(lambda: not [p for p in pids if os.path.exists(f"/proc/{p}")], 5,
                       "the nodes end when their parent dies")


def cli(address, *words, seconds=20, stdin=None):
    done = run_limited(["redis-cli", "-h", address[0], "-p", str(address[1]), *words], seconds, input=stdin or "")
    expect(done.returncode == 0, f"redis-cli {words} ended with {done.returncode}: {done.stderr}")
    return done.stdout.rstrip("\n")


def one_shots(addresses):
    first, last = addresses[0], addresses[-1]
    for number, a in enumerate(addresses):
        expect(cli(a, "PING") == "PONG", "PING")
        expect(cli(a, "SET", "greeting", f"hello {number}") == "OK", "SET")
        expect(cli(last, "GET", "greeting") == f"hello {number}", "GET on another node right after SET")
        expect(cli(a, "-3", "HELLO").find("proto") >= 0, "HELLO names proto")
        expect(cli(a, "-n", "5", "SET", "five", "5") == "OK", "SELECT 5")
        expect(cli(a, "GET", "five") == "", "database 0 has no key of database 5")
        expect(cli(a, "--no-raw", "GET", "nothing") == "(nil)", "nil")
        expect(cli(a, "--no-raw", "INCR", f"n{number}") == "(integer) 1", "INCR")
        expect(cli(a, "--no-raw", "INCR", "greeting") == "(error) ERR value is not an integer or out of range",
               "an error text")
        info = cli(a, "INFO")
        for line in ("redis_version:7.0.15", "role:master", "loading:0"):
            expect(line in info, f"INFO has {line}")
        expect(cli(a, "--scan", "--pattern", "greet*") == "greeting", "--scan")
        script = "".join(f"SET piped{i} {i}\r\n" for i in range(1000))
        expect("errors: 0, replies: 1000" in cli(a, "--pipe", stdin=script), "--pipe")
    expect(cli(first, "SET", "k", "v") == "OK", "SET on node 1")
    expect(cli(last, "GET", "k") == "v", "GET on node 3")
    expect(cli(first, "-x", "SET", "big", stdin="b" * 100_000) == "OK", "-x")
    expect(cli(last, "STRLEN", "big") == "100000", "STRLEN of what -x set")


# --- redis-benchmark ---

def benchmark(address, *flags, seconds=60):
    """Requests per second by test; fails on any error line."""
    done = run_limited(["redis-benchmark", "-h", address[0], "-p", str(address[1]), "--csv", *flags], seconds)
    said = done.stdout + done.stderr
    expect(done.returncode == 0, f"redis-benchmark {flags} ended with {done.returncode}: {said[-400:]}")
    expect("Error" not in said and "WARNING" not in said, f"redis-benchmark {flags}: {said[-400:]}")
    table = done.stdout[done.stdout.index('"test"'):] if "--cluster" in flags else done.stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    expect(rows and all(float(r["rps"]) > 0 for r in rows), f"redis-benchmark {flags} measured nothing: {said}")
    return {r["test"]: float(r["rps"]) for r in rows}


def benchmarks(suite, address, where):
    shapes = [("plain", ("-n", "2000")),
              ("-P 16", ("-n", "20000", "-P", "16")),
              ("-P 100", ("-n", "50000", "-P", "100")),
              ("-c 1", ("-n", "200", "-c", "1")),
              ("-3", ("-n", "2000", "-3")),
              ("-c 1000", ("-n", "5000", "-c", "1000"))]
    for name, flags in shapes:
        rates = benchmark(address, "-t", "ping,set,get,incr,mset", "-d", "64", "-r", "1000", *flags)
        suite.say(f"{where} {name}: " + ", ".join(f"{t.split(' ')[0]} {int(r)}/s" for t, r in rates.items()))
    for size in (1, 1000, 100_000, 1 << 20, 8 << 20):
        n = max(4, min(1000, (16 << 20) // size))
        clients = max(1, min(n, 10, (16 << 20) // size))
        benchmark(address, "-t", "set,get", "-d", str(size), "-n", str(n), "-c", str(clients), "-r", "10")


# --- redis-py ---

def values_of_all_sizes(addresses):
    import redis  # pylint: disable=import-outside-toplevel
    chance = random.Random(3)
    clients = [redis.Redis(host=h, port=p, socket_timeout=30) for h, p in addresses]
    sizes = [0, 1, 2, 15, 16, 255, 1023, 1024, 1025, 4095, 4096, 4097, 65535, 65536, 100_001, (1 << 20) - 1,
             1 << 20, (1 << 20) + 1, 3_333_333, 8 << 20]
    for turn, size in enumerate(sizes):
        value = chance.randbytes(size)
        writer = clients[turn % len(clients)]
        expect(writer.set(f"size{size}", value), f"SET of {size} bytes")
        for reader in clients:
            got = reader.get(f"size{size}")
            expect(got == value, f"{size} bytes read back as {len(got or b'')} bytes"
                   + (" with other contents" if got and len(got) == size else ""))
    for c in clients:
        for size in sizes:
            c.delete(f"size{size}")
        c.close()


def redis_py(addresses):
    import redis  # pylint: disable=import-outside-toplevel
    for number, (host, port) in enumerate(addresses):
        r = redis.Redis(host=host, port=port, decode_responses=True, socket_timeout=10)
        p = f"py{number}:"
        expect(r.ping() is True, "ping")
        expect(r.set(p + "a", "1", ex=100) is True and 98 <= r.ttl(p + "a") <= 100, "set with ex, ttl")
        expect(r.set(p + "a", "2", nx=True) is None and r.get(p + "a") == "1", "set nx refuses")
        expect(r.set(p + "a", "3", xx=True, get=True) == "1", "set xx get")
        expect(r.incrby(p + "n", 5) == 5 and r.decr(p + "n") == 4, "incrby, decr")
        expect(r.incrbyfloat(p + "f", 1.5) == 1.5, "incrbyfloat")
        expect(r.append(p + "t", "ab") == 2 and r.append(p + "t", "cd") == 4, "append")
        expect(r.getrange(p + "t", 1, 2) == "bc" and r.setrange(p + "t", 6, "x") == 7, "getrange, setrange")
        expect(r.get(p + "t") == "abcd\0\0x", "setrange pads with zeros")
        expect(r.mset({p + "m1": "1", p + "m2": "2"}) is True, "mset")
        expect(r.mget(p + "m1", p + "none", p + "m2") == ["1", None, "2"], "mget")
        expect(r.rename(p + "m1", p + "m3") is True and r.exists(p + "m1", p + "m3") == 1, "rename")
        expect(r.type(p + "m3") == "string" and r.delete(p + "m3", p + "none") == 1, "type, delete")
        pipe = r.pipeline(transaction=True)
        pipe.set(p + "tx", "1").incr(p + "tx").get(p + "tx")
        expect(pipe.execute() == [True, 2, "2"], "MULTI EXEC")
        pipe = r.pipeline(transaction=False)
        for i in range(500):
            pipe.set(f"{p}pipe{i}", i)
        expect(all(pipe.execute()), "a pipeline of 500")
        expect(len(list(r.scan_iter(match=p + "pipe*", count=50))) == 500, "scan_iter")
        with r.pipeline() as watch:
            watch.watch(p + "n")
            r.incr(p + "n")
            watch.multi()
            watch.set(p + "n", "lost")
            try:
                watch.execute()
                raise Failed("EXEC went through though the watched key had changed")
            except redis.WatchError:
                pass
        try:
            r.incr(p + "t")
            raise Failed("INCR of a text went through")
        except redis.ResponseError as error:
            expect(str(error) == "value is not an integer or out of range", str(error))
        expect(r.info()["redis_version"] == "7.0.15" and r.info()["role"] == "master", "info")
        expect("appendonly" in r.config_get("appendonly"), "config_get")
        expect(r.client_setname("tester") and r.client_getname() == "tester", "client names")
        expect(r.dbsize() >= 500, "dbsize")
        expect(r.execute_command("WAIT", 0, 100) >= 0, "wait")
        other = redis.Redis(host=host, port=port, db=3, decode_responses=True)
        other.set(p + "db", "three")
        expect(r.get(p + "db") is None and r.move(p + "n", 4) == 1, "databases are apart")
        r.close()
        other.close()


def half_closed(addresses):
    """As `printf ... | nc -N`: what was sent is answered although nothing more will come, then the node closes."""
    for host, port in addresses:
        for count in (1, 500):
            with socket.create_connection((host, port), 10) as s:
                s.sendall(b"SET half closed\r\nGET half\r\n" * count + b"GET ha")
                s.shutdown(socket.SHUT_WR)
                got = b""
                while piece := s.recv(1 << 16):
                    got += piece
            expect(got == b"+OK\r\n$6\r\nclosed\r\n" * count,
                   f"{2 * count} requests before the end of input were answered with {len(got)} bytes: {got[-80:]!r}")
    host, port = addresses[0]
    with socket.create_connection((host, port), 10) as s:
        s.sendall(b"WAIT 9 0\r\n")
        s.shutdown(socket.SHUT_WR)
        got = s.recv(100)
        expect(got == b":2\r\n", f"{got!r}: a WAIT without end is answered when its client sends no more")


def thousand_connections(address, count=1000):
    """All open at once, each with its own writes and reads, none starved."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 100:
        raise Skip(f"the open-file limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 100), hard))
    selector = selectors.DefaultSelector()
    clients = []
    for i in range(count):
        clients.append(Client(*address, timeout=10))
    for turn in range(3):
        for i, c in enumerate(clients):
            c.send_bytes(f"SET conn{i} {turn}.{i}\r\nGET conn{i}\r\n".encode())
            c.waiting = ["OK", f"{turn}.{i}".encode()]
            c.socket.setblocking(False)
            selector.register(c.socket, selectors.EVENT_READ, c)
        end = time.monotonic() + 20
        left = count
        while left:
            expect(time.monotonic() < end, f"{left} of {count} connections have no answer after 20 s")
            for key, _ in selector.select(1):
                c = key.data
                data = c.socket.recv(65536)
                expect(data, "the server closed a connection")
                c.parser.feed(data)
                while c.waiting and (value := c.parser.take()) is not Parser.INCOMPLETE:
                    wanted = c.waiting.pop(0)
                    expect(value == wanted, f"answer {value!r}, not {wanted!r}")
                    if not c.waiting:
                        selector.unregister(c.socket)
                        left -= 1
        for c in clients:
            c.socket.setblocking(True)
    for c in clients:
        c.close()


def too_big(address):
    with Client(*address, timeout=30) as c:
        reply = c.call("SET", "huge", b"h" * (17 << 20))
        expect(isinstance(reply, RespError) and reply.name == "TOOBIG", f"17 MiB answered {reply!r:.80}")
    with Client(*address, timeout=30) as c:
        expect(c.must("GET", "huge") is None, "what answered TOOBIG is there")


# --- a keyspace of many partitions ---

SPREAD = "spread"
LOGIN = ("--user", SPREAD, "--pass", "x", "--no-auth-warning")


def make_spread(demo):
    """A keyspace of 32 partitions, with all leaders known to every node."""
    node = ("--node", f"127.0.0.1:{ADMIN_PORT + demo.offset}")
    wait_until(lambda: run_limited([binary(), "ks", "list", *node], 20).returncode == 0, 10, "the cluster is founded")
    done = run_limited([binary(), "ks", "create", SPREAD, "partitions=hash:32", *node], 20)
    expect(done.returncode == 0, f"ks create: {done.stdout}{done.stderr}")

    def led():
        return all("cluster_state:ok" in cli(a, *LOGIN, "CLUSTER", "INFO") for a in demo.addresses)
    wait_until(led, 20, "every slot has a leader that every node knows")
    with Client(*demo.addresses[0]) as c:
        number = next(n for n in range(16, 100) if c.call("SELECT", str(n)) == "OK" and b"user=" + SPREAD.encode() in
                      c.must("CLIENT", "INFO"))
    return number


def cluster_cli(addresses):
    for a in addresses:
        words = "".join(f"SET c{i} {i}\nGET c{i}\n" for i in range(50))
        said = cli(a, "-c", *LOGIN, stdin="CLUSTER SLOTS\n" + words)
        expect("Redirected to slot" in said, "redis-cli -c that asked for the map is redirected")
        expect(said.count("OK") == 50 and "error" not in said.lower(), f"all SETs went through: {said[-300:]}")
        expect("MOVED" not in cli(a, *LOGIN, stdin=words), "a plain redis-cli is never told MOVED")
        expect("MOVED" in cli(a, *LOGIN, stdin="CLUSTER SLOTS\n" + words), "one that asked for the map is")
        check = cli(a, "--cluster", "check", f"{a[0]}:{a[1]}", "--user", SPREAD, "-a", "x", "--no-auth-warning")
        for line in ("All nodes agree about slots configuration", "All 16384 slots covered"):
            expect(line in check, f"redis-cli --cluster check says: {check[-500:]}")
        expect("quorate ks create" in cli(a, *LOGIN, "CLUSTER", "ADDSLOTS", "1"), "ADDSLOTS names what to use")


def cluster_benchmark(suite, address):
    for flags in (("-n", "5000"), ("-n", "50000", "-P", "16"), ("-n", "5000", "-c", "200")):
        rates = benchmark(address, "--cluster", "--user", SPREAD, "-a", "x", "-t", "set,get,incr", "-r", "10000", *flags)
        suite.say(" ".join(flags) + ": " + ", ".join(f"{t.split(' ')[0]} {int(r)}/s" for t, r in rates.items()))


def cluster_py(addresses):
    import redis  # pylint: disable=import-outside-toplevel
    from redis.cluster import RedisCluster  # pylint: disable=import-outside-toplevel
    for number, (host, port) in enumerate(addresses):
        p = f"cp{number}:"
        for replicas in (False, True):
            r = RedisCluster(host=host, port=port, username=SPREAD, password="x", decode_responses=True,
                             read_from_replicas=replicas)
            keys = [f"{p}{i}" for i in range(500)]
            for i, key in enumerate(keys):
                expect(r.set(key, i) is True, f"set {key}")
            for i, key in enumerate(keys):
                expect(r.get(key) == str(i), f"{key} through RedisCluster, replicas {replicas}")
            pipe = r.pipeline()
            for i in range(200):
                pipe.incr(f"{p}n{i}")
            expect(pipe.execute() == [1 + replicas] * 200, "a pipeline over all nodes")
            expect(r.mset({p + "{t}1": "1", p + "{t}2": "2"}) and r.mget(p + "{t}1", p + "{t}2") == ["1", "2"],
                   "keys with one {tag}")
            expect(r.exists(*keys[:100]) == 100, "EXISTS sent in parts")
            slot = r.cluster_keyslot(p + "{t}1")
            expect(r.cluster_countkeysinslot(slot) >= 2 and p + "{t}2" in r.cluster_get_keys_in_slot(slot, 100),
                   "the keys of a slot")
            for key in keys:
                r.delete(key)
            r.close()
        plain = redis.Redis(host=host, port=port, username=SPREAD, password="x", decode_responses=True)
        try:
            plain.mset({p + "foo": 1, p + "bar": 2, p + "a": 3, p + "b": 4})
            raise Failed("MSET over several partitions went through")
        except redis.ResponseError as error:
            expect(str(error).startswith("CROSSSLOT the keys '") and SPREAD in str(error), str(error))
        plain.close()


def many_look_like_one(addresses, number):
    import redis  # pylint: disable=import-outside-toplevel
    clients = [redis.Redis(host=h, port=p, db=number, decode_responses=True, socket_timeout=10) for h, p in addresses]
    first, last = clients[0], clients[-1]
    last.flushall()
    expect(first.randomkey() is None and first.dbsize() == 0, "empty after FLUSHALL")
    pipe = first.pipeline(transaction=False)
    for i in range(3000):
        pipe.set(f"m{i}", i)
    expect(all(pipe.execute()), "3,000 writes in a pipeline over 32 partitions")
    for c in clients:
        pipe = c.pipeline(transaction=False)
        for i in range(3000):
            pipe.get(f"m{i}")
        expect(pipe.execute() == [str(i) for i in range(3000)], "read in order through every node")
        expect(c.dbsize() == 3000 and len(set(c.keys("m*"))) == 3000, "DBSIZE and KEYS are about all partitions")
        for count in (1, 10, 997):
            if count == 1 and c is not first:
                continue
            found = list(c.scan_iter(count=count))
            expect(len(found) == len(set(found)) == 3000, f"SCAN COUNT {count} gave {len(found)} keys")
        expect(c.randomkey().startswith("m"), "RANDOMKEY")
    cursor, walked = 0, []
    while True:  # one step of a walk on each node in turn
        cursor, some = clients[len(walked) % 3].scan(cursor, count=100)
        walked += some
        if cursor == 0:
            break
    expect(sorted(walked) == sorted(f"m{i}" for i in range(3000)), "a cursor means the same on every node")
    pipe = first.pipeline(transaction=True)
    expect(pipe.set("{t}1", "1").incr("{t}1").execute() == [True, 2], "MULTI in one partition")
    expect(first.execute_command("WAIT", 2, 2000) == 2, "WAIT over partitions")
    session = first.execute_command("Q.SESSION", "OPEN")
    for turn in range(2):
        for i, c in enumerate(clients):
            expect(c.execute_command("Q.SESSION", "CALL", session, i + 1, "INCR", f"s{i}") == 1,
                   f"a session's call, time {turn + 1}, through node {i + 1}")
    expect(first.execute_command("Q.SESSION", "CLOSE", session) in (True, "OK", b"OK"), "a session's end")
    other = redis.Redis(host=addresses[0][0], port=addresses[0][1], decode_responses=True)
    expect(other.get("m1") is None, "the default keyspace is another one")
    last.flushdb()
    expect(first.dbsize() == 0, "empty after FLUSHDB")
    for c in clients + [other]:
        c.close()


# --- demo itself ---

def demo_restarts(suite, demo):
    with Client(*demo.addresses[0]) as c:
        for i in range(200):
            c.must("SET", f"kept{i}", f"value {i}")
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        started = time.monotonic()
        if how == signal.SIGKILL:
            demo.kill()
        else:
            code = demo.stop(how)
            expect(code == 0, f"demo ended with {code} on {how.name}")
        stopped = time.monotonic()
        demo.start()
        suite.say(f"{how.name}: stopped in {stopped - started:.1f} s, ready again in "
                  f"{time.monotonic() - stopped:.1f} s")
        with Client(*demo.addresses[2]) as c:
            for i in range(200):
                expect(c.must("GET", f"kept{i}") == f"value {i}".encode(), f"kept{i} is lost after {how.name}")


def demo_restarts_nodes(suite, demo):
    demo.stop()
    demo.start("--restart")
    leader, view = demo.leader()
    pid = next(n["pid"] for n in view["nodes"] if n["id"] == leader)
    expect(pid in demo.node_pids(), f"/cluster says that node {leader} is process {pid}: not demo's child")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: f"node {leader} died" in demo.output(), 5, "demo reports the death")

    def back():
        pids = demo.node_pids()
        return len(pids) == 3 and pid not in pids and cli_answers(demo.addresses[leader - 1])
    wait_until(back, 15, "demo --restart starts it again")
    suite.say(f"node {leader} was killed, reported and started again")


def cli_answers(address):
    try:
        with Client(*address, timeout=2) as c:
            return c.call("GET", "kept1") == b"value 1"
    except Exception:  # pylint: disable=broad-except
        return False


def second_demo_is_refused(demo):
    done = run_limited([binary(), "demo", "--nodes", "3", "--dir", demo.directory + "-other", "--port-offset",
                        str(demo.offset)], 20)
    said = done.stdout + done.stderr
    expect(done.returncode != 0, "a second demo on the same ports started")
    expect(str(demo.addresses[0][1]) in said and "--port-offset" in said,
           f"it names neither the port nor the flag that helps: {said[-400:]}")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--binary", help="the server (default: $QUORATE_BIN, then build/quorate)")
    words.add_argument("--server", help="HOST:PORT,... already running")
    args = words.parse_args()
    if args.binary:
        os.environ["QUORATE_BIN"] = os.path.abspath(args.binary)

    def against(suite, addresses, names):
        with suite.case("redis-cli: one-shots, options, ports parity, --pipe, --scan"):
            one_shots(addresses)
        with suite.case("redis-py: strings, keys, transactions, pipelines, scan, errors"):
            redis_py(addresses)
        with suite.case("a client that has shut down its sending side gets its replies"):
            half_closed(addresses)
        with suite.case("values of 0 B to 8 MiB are read back exactly through every node"):
            values_of_all_sizes(addresses)
        for address, name in zip(addresses, names):
            with suite.case(f"redis-benchmark against {name}: plain, -P 16, -P 100, -c 1000, 1 B to 8 MiB"):
                benchmarks(suite, address, name)
            with suite.case(f"1,000 connections at once to {name}"):
                thousand_connections(address)

    def body(suite):
        if args.server:
            addresses = [(h, int(p)) for h, p in (a.split(":") for a in args.server.split(","))]
            against(suite, addresses, [f"{h}:{p}" for h, p in addresses])
            return
        demo = Demo(os.path.join(suite.dir, "data"), free_offset())
        try:
            with suite.case("demo prints ready"):
                demo.start()
            leader, _ = demo.leader()
            names = [f"node {i + 1} ({'leader' if i + 1 == leader else 'follower'})" for i in range(3)]
            against(suite, demo.addresses, names)
            with suite.case("a value over the limit answers TOOBIG through every node"):
                for a in demo.addresses:
                    too_big(a)
            number = 0
            with suite.case("ks create: a keyspace of 32 partitions gets its leaders"):
                number = make_spread(demo)
            with suite.case("plain clients on many partitions: pipelines, KEYS, SCAN, DBSIZE, MULTI, WAIT, sessions"):
                many_look_like_one(demo.addresses, number)
            with suite.case("redis-cli -c and --cluster check, on every node"):
                cluster_cli(demo.addresses)
            with suite.case("redis-py's RedisCluster, from every node"):
                cluster_py(demo.addresses)
            with suite.case("redis-benchmark --cluster: plain, -P 16, -c 200"):
                cluster_benchmark(suite, demo.addresses[0])
            with suite.case("demo started again on its directory has the data"):
                demo_restarts(suite, demo)
            with suite.case("demo --restart reports a dead node and starts it again"):
                demo_restarts_nodes(suite, demo)
            with suite.case("a second demo on the same ports is refused and told what helps"):
                second_demo_is_refused(demo)
        finally:
            demo.kill()

    run("clients", 300, body)


if __name__ == "__main__":
    main()
