"""A raw RESP2 client: requests as bytes, replies as Python values, errors as values too.

Its own parser and not a library's, because the tests cut sockets in the middle of things, send before
they read, and need to know of each reply whether it came.
"""
import socket
import time


class RespError(str):
    """An error reply; name is its first word."""

    @property
    def name(self):
        return self.split(" ", 1)[0]


class Closed(Exception):
    """The connection ended (or could not be made)."""


def encode(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, str):
            word = word.encode()
        elif isinstance(word, int):
            word = b"%d" % word
        parts.append(b"$%d\r\n" % len(word))
        parts.append(word)
        parts.append(b"\r\n")
    return b"".join(parts)


class Parser:
    """feed() bytes, take() complete replies; INCOMPLETE while there is none."""

    INCOMPLETE = object()

    def __init__(self):
        self.bytes = bytearray()
        self.at = 0
        self.needed = 0  # do not try again below this many bytes: large values come in pieces

    def feed(self, data):
        self.bytes += data

    def take(self):
        if len(self.bytes) - self.at < max(self.needed, 1):
            return self.INCOMPLETE
        value, end = self._value(self.at)
        if value is self.INCOMPLETE:
            return value
        self.at = end
        self.needed = 0
        if self.at == len(self.bytes) or self.at > 1 << 20:
            del self.bytes[: self.at]
            self.at = 0
        return value

    def _value(self, at):
        line_end = self.bytes.find(b"\r\n", at)
        if line_end < 0:
            return self.INCOMPLETE, at
        kind, line, after = self.bytes[at : at + 1], self.bytes[at + 1 : line_end], line_end + 2
        if kind == b"+":
            return line.decode(), after
        if kind == b"-":
            return RespError(line.decode(errors="replace")), after
        if kind == b":":
            return int(line), after
        if kind == b"$":
            length = int(line)
            if length < 0:
                return None, after
            if len(self.bytes) < after + length + 2:
                self.needed = after + length + 2 - self.at
                return self.INCOMPLETE, at
            return bytes(self.bytes[after : after + length]), after + length + 2
        if kind == b"*":
            count = int(line)
            if count < 0:
                return None, after
            items = []
            for _ in range(count):
                item, after = self._value(after)
                if item is self.INCOMPLETE:
                    return item, at
                items.append(item)
            return items, after
        raise Closed(f"not RESP: {bytes(self.bytes[at:at + 40])!r}")


class Client:
    """Blocking. send() and receive() may be used apart, for pipelines and cut sockets."""

    def __init__(self, host, port, timeout=5.0):
        self.timeout = timeout
        try:
            self.socket = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise Closed(f"{host}:{port}: {error}") from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parser = Parser()

    def send(self, *words):
        self.send_bytes(encode(*words))

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def receive(self, timeout=None):
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            value = self.parser.take()
            if value is not Parser.INCOMPLETE:
                return value
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("no reply in time")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except socket.timeout as error:
                raise TimeoutError("no reply in time") from error
            except OSError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed("the server closed the connection")
            self.parser.feed(data)

    def call(self, *words, timeout=None):
        self.send(*words)
        return self.receive(timeout)

    def must(self, *words, timeout=None):
        """call(), and an error reply is an exception."""
        value = self.call(*words, timeout=timeout)
        if isinstance(value, RespError):
            raise AssertionError(f"{words[0]}: {value}")
        return value

    def pipeline(self, commands, timeout=None):
        self.send_bytes(b"".join(encode(*c) for c in commands))
        return [self.receive(timeout) for _ in commands]

    def close(self):
        self.socket.close()

    def cut(self):
        """Close at once with a reset: what is not read yet, on either side, is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
