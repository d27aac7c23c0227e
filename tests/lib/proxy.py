"""A TCP proxy for one directed pair of nodes: where network namespaces are not allowed, links are cut here.

Cutting holds the bytes, as a network does that drops packets: neither side hears of it. Healing resets
what was held, because the bytes in between are gone."""
import selectors
import socket
import threading


class Proxy:
    """Listens on `port`, forwards to `target`. forward: what the dialling side sends; backward: answers."""

    def __init__(self, port, target):
        self.target = target
        self.cut_forward = self.cut_backward = False
        self.lock = threading.Lock()
        self.pairs = {}   # socket -> (other, is the dialling side)
        self.tainted = set()
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def cut(self, forward=True, backward=True):
        self.cut_forward, self.cut_backward = forward, backward

    def heal(self):
        self.cut_forward = self.cut_backward = False
        with self.lock:
            for s in list(self.tainted):
                self._drop(s)
            self.tainted.clear()

    def close(self):
        self.closing = True
        self.thread.join(2)

    def _drop(self, s):
        other, _ = self.pairs.pop(s, (None, False))
        for one in (s, other):
            if one is None:
                continue
            self.pairs.pop(one, None)
            try:
                self.selector.unregister(one)
            except (KeyError, ValueError):
                pass
            one.close()

    def _accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(self.target, 1)
        except OSError:
            near.close()
            return
        for s in (near, far):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(1)
        self.pairs[near], self.pairs[far] = (far, True), (near, False)
        for s in (near, far):
            self.selector.register(s, selectors.EVENT_READ)

    def _pump(self, s):
        other, dialling = self.pairs[s]
        try:
            data = s.recv(1 << 16)
            if self.cut_forward if dialling else self.cut_backward:
                self.tainted.add(s)
                if data:
                    return
            if data:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(s)

    def _run(self):
        while not self.closing:
            for key, _ in self.selector.select(0.05):
                with self.lock:
                    if key.fileobj is self.listener:
                        self._accept()
                    elif key.fileobj in self.pairs:
                        self._pump(key.fileobj)
        with self.lock:
            for s in list(self.pairs):
                self._drop(s)
        self.listener.close()


class Proxies:
    """The cuts of lib/namespaces.py with one proxy per directed pair; what i dials to j goes through it."""

    def __init__(self, cluster):
        self.pairs = {}
        port = 9379 + cluster.offset
        for a in cluster.nodes:
            own = {}
            for b in cluster.nodes:
                if a is b:
                    continue
                self.pairs[a.id, b.id] = Proxy(port, ("127.0.0.1", b.peer_port))
                own[b.id] = port
                port += 1
            a.peers = lambda a=a, own=own: ",".join(
                f"{n.id}=127.0.0.1:{own.get(n.id, n.peer_port)}" for n in cluster.nodes)

    def cut(self, source, target):
        self.pairs[source, target].cut_forward = True
        self.pairs[target, source].cut_backward = True

    def heal(self):
        for p in self.pairs.values():
            p.heal()

    def close(self):
        for p in self.pairs.values():
            p.close()


def isolate(net, one, others):
    for o in others:
        net.cut(one.id, o.id)
        net.cut(o.id, one.id)
