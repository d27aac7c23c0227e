"""Many clients in one thread: each is a connection to one node with one operation at a time, recorded.

Keys come in three kinds. Registers are SET to values never used twice and read; counters are incremented
and read: both are for the checker. A *ledger* key is SET once, by one client, and its acknowledged value
is remembered here, so that "no acknowledged write is missing" is also seen without the checker."""
import errno
import heapq
import random
import selectors
import socket
import threading
import time

from lib.history import NOT_DONE, now
from lib.resp import Parser, RespError, encode

SILENT_AFTER = 5.0   # a reply later than this is none; errors.md promises an error before
LATE_AFTER = 2.5     # the promise, and some air for a machine with two cores


class _Client:
    def __init__(self, load, number, target):
        self.load = load
        self.number = number
        self.target = self.next_target = target  # (node id, host, port)
        self.socket = None
        self.connected = False
        self.picking = False  # its keyspace
        self.operation = None
        self.writes = 0
        self.random = random.Random(load.seed * 1000 + number)
        self.process = load.history.process()
        self.generation = 0  # wakes that belong to an older state are ignored


class Load:
    """start(), then stop(); between them, kill what you like. `mix`: shares of set, get, incr, ledger."""

    def __init__(self, history, nodes, clients=50, registers=40, counters=8, think=0.01, seed=1,
                 mix=(35, 30, 25, 10), prefix="", value_bytes=0, keyspace=None):
        self.keyspace = keyspace
        self.history = history
        self.seed = seed
        self.think = think
        self.mix = mix
        self.registers = [f"{prefix}r{i}" for i in range(registers)]
        self.counters = [f"{prefix}n{i}" for i in range(counters)]
        self.prefix = prefix
        self.padding = "." * value_bytes
        self.ledger = {}        # key -> acknowledged value
        self.increments = {}    # counter -> [acknowledged, unknown]
        self.acks = {}          # node id -> acknowledged writes
        self.errors = {}        # name -> count
        self.texts = {}         # name -> the text of the latest one
        self.seconds = []       # of each acknowledged operation since the list was last taken
        self.late = []          # (seconds, node, what): replies beyond the promised time
        self.last_ack = {}      # node id -> monotonic ns of its latest acknowledged write
        self.clients = []
        for i in range(clients):
            node = nodes[i % len(nodes)]
            self.clients.append(_Client(self, i, (node.id, node.host, node.redis_port)))
        self.selector = selectors.DefaultSelector()
        self.wakes = []         # (time, tie, client, generation)
        self.ties = 0
        self.new_nodes = None   # where clients are to connect from now on
        self.stopping = False
        self.crash = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    # --- from outside ---

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        """Operations under way get their time; then they are open for ever."""
        self.stopping = True
        self.thread.join(SILENT_AFTER + 10)
        if self.crash:
            raise self.crash
        assert not self.thread.is_alive()
        return self

    def use(self, nodes):
        """Clients go to these nodes from now on, each when it is between two operations."""
        self.new_nodes = list(nodes)

    def take_seconds(self):
        taken, self.seconds = self.seconds, []
        return sorted(taken)

    @property
    def acknowledged(self):
        return sum(self.acks.values())

    def summary(self):
        errors = ", ".join(f"{n} {c}" for n, c in sorted(self.errors.items())) or "none"
        return f"{self.history.count} operations, {self.acknowledged} writes acknowledged, errors: {errors}"

    # --- the loop ---

    def _run(self):
        try:
            for c in self.clients:
                self._wake(c, c.random.random() * self.think)
            while not self._over():
                self._turn()
        except Exception as error:  # pylint: disable=broad-except
            self.crash = error
        for c in self.clients:
            self._drop(c)
        self.selector.close()

    def _over(self):
        return self.stopping and all(c.operation is None for c in self.clients)

    def _retarget(self):
        nodes, self.new_nodes = self.new_nodes, None
        for i, c in enumerate(self.clients):
            node = nodes[i % len(nodes)]
            c.next_target = (node.id, node.host, node.redis_port)

    def _turn(self):
        if self.new_nodes:
            self._retarget()
        wait = 0.05
        if self.wakes:
            wait = min(wait, max(0.0, self.wakes[0][0] - time.monotonic()))
        for key, events in self.selector.select(wait):
            self._on_event(key.data, events)
        at = time.monotonic()
        while self.wakes and self.wakes[0][0] <= at:
            _, _, client, generation = heapq.heappop(self.wakes)
            if generation == client.generation:
                self._on_time(client)

    def _wake(self, client, seconds):
        client.generation += 1
        self.ties += 1
        heapq.heappush(self.wakes, (time.monotonic() + seconds, self.ties, client, client.generation))

    def _on_time(self, c):
        if c.operation:
            self._close_operation(c, "unknown", error="(silence)")
            self._drop(c)
            self._wake(c, 0.05)
        elif self.stopping:
            return
        elif c.target != c.next_target:
            self._drop(c)
            c.target = c.next_target
            self._connect(c)
        elif c.socket is None:
            self._connect(c)
        elif not c.connected or c.picking:  # the connect itself hangs: a paused or cut node
            self._drop(c)
            self._wake(c, 0.05)
        else:
            self._begin(c)

    def _connect(self, c):
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = s.connect_ex(c.target[1:])
        if code not in (0, errno.EINPROGRESS):
            s.close()
            self._wake(c, 0.05)
            return
        c.socket, c.connected, c.parser = s, False, Parser()
        self.selector.register(s, selectors.EVENT_WRITE, c)
        self._wake(c, 2.0)

    def _on_event(self, c, events):
        if c.socket is None:
            return
        if not c.connected:
            if c.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._drop(c)
                self._wake(c, 0.05)
                return
            c.connected = True
            self.selector.modify(c.socket, selectors.EVENT_READ, c)
            if self.stopping:
                return
            if self.keyspace:
                self._pick_keyspace(c)
            else:
                self._begin(c)
        elif events & selectors.EVENT_READ:
            self._receive(c)

    def _pick_keyspace(self, c):
        c.picking = True
        try:
            c.socket.send(encode("AUTH", self.keyspace, "-"))
        except OSError:
            self._drop(c)
        self._wake(c, 2.0 if c.socket else 0.05)

    def _receive(self, c):
        try:
            data = c.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        at = now()
        if not data:
            self._close_operation(c, "unknown", error="(closed)")
            self._drop(c)
            self._wake(c, 0.05)
            return
        c.parser.feed(data)
        value = c.parser.take()
        if value is Parser.INCOMPLETE:
            return
        if c.picking:
            c.picking = False
            if value != "OK":  # it has no map yet
                self._drop(c)
            self._wake(c, 0.05 if value != "OK" else 0)
            return
        self._answered(c, value, at)
        if not self.stopping:
            self._wake(c, self.think * (0.5 + c.random.random()))

    def _drop(self, c):
        if c.socket is not None:
            self.selector.unregister(c.socket)
            c.socket.close()
            c.socket = None
            c.connected = c.picking = False

    # --- operations ---

    def _begin(self, c):
        kind = c.random.choices(("set", "get", "incr", "ledger"), self.mix)[0]
        value = None
        c.writes += 1
        if kind == "set":
            key, value = c.random.choice(self.registers), f"{c.number}.{c.writes}{self.padding}"
            words = ("SET", key, value)
        elif kind == "incr":
            key = c.random.choice(self.counters)
            words = ("INCR", key)
        elif kind == "ledger":
            key, value = f"{self.prefix}l{c.number}.{c.writes}", f"v{c.number}.{c.writes}{self.padding}"
            words = ("SET", key, value)
        else:
            key = c.random.choice(self.registers + self.counters)
            words = ("GET", key)
        c.operation = (kind, key, value, now())
        try:
            sent = c.socket.send(encode(*words))
            assert sent, "an empty socket takes a small request"
        except OSError:
            self._close_operation(c, "unknown", error="(closed)")
            self._drop(c)
            self._wake(c, 0.05)
            return
        self._wake(c, SILENT_AFTER)

    def _answered(self, c, reply, at):
        kind, key, value, invoked = c.operation
        seconds = (at - invoked) / 1e9
        if seconds > LATE_AFTER:
            self.late.append((seconds, c.target[0], f"{kind} {reply!r:.60}"))
        if isinstance(reply, RespError):
            done = "failed" if reply.name in NOT_DONE or kind == "get" else "unknown"
            self.texts[reply.name] = str(reply)
            self._close_operation(c, done, at, error=reply.name)
            return
        c.operation = None
        self.seconds.append(seconds)
        node = c.target[0]
        if kind == "get":
            text = None if reply is None else reply.decode()
            if text is None and key in self.counters:
                text = "0"
            self.history.add(c.process, "get", key, invoked, at, "ok", result=text)
            return
        self.acks[node] = self.acks.get(node, 0) + 1
        self.last_ack[node] = at
        if kind == "incr":
            self.increments.setdefault(key, [0, 0])[0] += 1
            self.history.add(c.process, "incr", key, invoked, at, "ok", value="1", result=str(reply))
            return
        if reply != "OK":
            raise AssertionError(f"SET answered {reply!r}")
        self.history.add(c.process, "set", key, invoked, at, "ok", value=value)
        if kind == "ledger":
            self.ledger[key] = value

    def _close_operation(self, c, outcome, at=None, error=""):
        if not c.operation:
            return
        kind, key, value, invoked = c.operation
        c.operation = None
        self.errors[error] = self.errors.get(error, 0) + 1
        op = {"ledger": "set"}.get(kind, kind)
        if kind == "incr":
            value = "1"
            if outcome == "unknown":
                self.increments.setdefault(key, [0, 0])[1] += 1
        if kind != "get":  # a read without an answer says nothing
            self.history.add(c.process, op, key, invoked, at or now(), outcome, value=value)
        if outcome == "unknown":
            c.process = self.history.process()


def read_back(history, nodes, load, seconds=20):
    """Read every register, counter and ledger key once through each node, into the history. A list of
    what is missing or wrong among the ledger and the counters; empty when all is there."""
    wrong = []
    ledger = list(load.ledger.items())
    for node in nodes:
        process = history.process()
        with node.client(timeout=seconds) as c:
            for key in load.registers + load.counters:
                invoked = now()
                reply = c.call("GET", key)
                if isinstance(reply, RespError):
                    wrong.append(f"node {node.id}: GET {key}: {reply}")
                    continue
                text = None if reply is None else reply.decode()
                if key in load.counters:
                    text = text or "0"
                    done, maybe = load.increments.get(key, (0, 0))
                    if not done <= int(text) <= done + maybe:
                        wrong.append(f"node {node.id}: {key} is {text} after {done} acknowledged and "
                                     f"{maybe} unknown increments")
                history.add(process, "get", key, invoked, now(), "ok", result=text)
            for start in range(0, len(ledger), 500):
                part = ledger[start : start + 500]
                invoked = now()
                replies = c.pipeline([("GET", k) for k, _ in part])
                returned = now()
                for (key, value), reply in zip(part, replies):
                    if isinstance(reply, RespError) or reply is None or reply.decode() != value:
                        wrong.append(f"node {node.id}: {key} was acknowledged as {value!r:.40}, is {reply!r:.40}")
                    if not isinstance(reply, RespError):
                        history.add(process, "get", key, invoked, returned, "ok",
                                    result=None if reply is None else reply.decode())
    return wrong


def judge(suite, history, cluster, load, check_seconds=300):
    """The three claims of every run: all acknowledged writes are there, the history is linearizable, and
    every answer came within the promised time."""
    from lib.report import Failed  # pylint: disable=import-outside-toplevel

    wrong = read_back(history, cluster.nodes, load)
    fine, said = history.check(cluster.binary, check_seconds)
    suite.say(load.summary())
    suite.say(said.splitlines()[-1] if said else "the checker said nothing")
    if wrong:
        raise Failed(f"{len(wrong)} wrong, first: {wrong[0]}")
    if not fine:
        raise Failed(f"{history.path}: {said[:2000]}")
    if load.late:
        worst = max(load.late)
        raise Failed(f"{len(load.late)} answers later than {LATE_AFTER} s, worst {worst[0]:.2f} s at node "
                     f"{worst[1]} ({worst[2]})")
