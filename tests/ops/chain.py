"""A load that any consistent cut through its keys can be judged by."""
import threading

from lib.report import expect, wait_until
from lib.resp import Closed, RespError

CHAIN = 8  # keys of one writer, written one after another, each when the one before is acknowledged


class Load:
    """Writers whose values tell in which order they were acknowledged: key i of a writer never is ahead of key i - 1, in any
    consistent cut. A copier reads the last one through another node and writes it elsewhere: its copy never is ahead
    of what it copied. What was not answered is written again: values only grow."""

    RETRIABLE = ("UNKNOWN", "NOQUORUM", "OVERLOADED")

    def __init__(self, cluster, number, writers=6):
        self.cluster, self.number = cluster, number
        self.stopped = threading.Event()
        self.errors = []
        self.acknowledged = {}  # key: the last value that was
        self.issued = {}        # key: the last value that was asked for
        self.threads = [threading.Thread(target=self._guard, args=(f, w)) for w in range(writers)
                        for f in (self._write, self._copy)]

    def _guard(self, body, w):
        try:
            body(w)
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))

    def _call(self, connection, *words):
        """The reply, over another connection if need be; None when it is time to stop. `connection` is [client, place]."""
        while not self.stopped.is_set():
            try:
                if connection[0] is None:
                    connection[1] += 1
                    node = self.cluster.nodes[connection[1] % len(self.cluster.nodes)]
                    connection[0] = node.client(timeout=10)
                    selected = connection[0].call("SELECT", str(self.number))
                    if isinstance(selected, RespError):
                        raise Closed(str(selected))
                reply = connection[0].call(*words)
                if not isinstance(reply, RespError):
                    return reply
                if reply.name not in self.RETRIABLE:
                    raise RuntimeError(str(reply))
            except (Closed, OSError):
                if connection[0]:
                    connection[0].close()
                connection[0] = None
                self.stopped.wait(0.02)
        return None

    def _set(self, connection, key, value):
        self.issued[key] = value
        if self._call(connection, "SET", key, str(value)) is None:
            return False
        self.acknowledged[key] = value
        return True

    def _write(self, w):
        connection, n = [None, w], 0
        while not self.stopped.is_set():
            n += 1
            for i in range(CHAIN):
                if not self._set(connection, f"w{w}:{i}", n):
                    return

    def _copy(self, w):
        connection = [None, w + 1]
        while not self.stopped.is_set():
            seen = self._call(connection, "GET", f"w{w}:{CHAIN - 1}")
            if isinstance(seen, bytes):
                self._set(connection, f"copy{w}", int(seen))

    def goes_on(self, seconds=30):
        """Every writer gets another acknowledgement."""
        before = dict(self.acknowledged)
        wait_until(lambda: self.errors or all(self.acknowledged[k] > v for k, v in before.items() if k.endswith(":0")),
                   seconds, "the load goes on")

    def __enter__(self):
        for t in self.threads:
            t.start()
        wait_until(lambda: self.errors or len(self.acknowledged) >= len(self.threads) // 2 * CHAIN, 30, "the load runs")
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for t in self.threads:
            t.join()


def read_all(node, number):
    """Every key of a keyspace with its value."""
    found, cursor = {}, b"0"
    with node.client(timeout=20) as c:
        c.call("SELECT", str(number))
        while True:
            cursor, keys = c.call("SCAN", cursor, "COUNT", "1000")
            for key in keys:
                found[key.decode()] = c.call("GET", key)
            if cursor == b"0":
                return found


def judge(found, load, before, issued, writers):
    values = {key: int(value) for key, value in found.items() if key.startswith(("w", "copy"))}
    for key, least in before.items():
        expect(values.get(key, 0) >= least, f"{key} was acknowledged at {least} before, restored: {values.get(key)}")
    for key, value in values.items():
        expect(value <= issued[key], f"{key} is {value}, at most {issued[key]} was written")
    for w in range(writers):
        chain = [values.get(f"w{w}:{i}", 0) for i in range(CHAIN)]
        for i in range(1, CHAIN):
            expect(chain[i - 1] >= chain[i], f"writer {w}: key {i} has what came after key {i - 1}: {chain}")
        expect(chain[0] - chain[-1] <= 1, f"writer {w}: {chain}")
        expect(values.get(f"copy{w}", 0) <= chain[-1], f"copy {w} is ahead of what it copied")
