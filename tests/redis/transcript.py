"""Transcripts: requests and the raw replies a server gave to them.

    # a comment
    @ proto 2            a new connection that speaks RESP2 (3: says HELLO 3 first)
    @ door               only a whole server can replay what follows (connections, MULTI, raw bytes)
    @ wait 30            milliseconds
    > SET k "a b"        a request: words quoted as in redis-cli
    >> *1\\r\\n$x\\r\\n      raw bytes instead; \\{66000:x} is 66000 times x
    < +OK\\r\\n            the reply must be just this; \\r \\n \\\\ and \\xHH stand for bytes
    <int 9990 10000      an integer between these, both included
    <set *2\\r\\n...       an array of these elements in any order
    <scan *2\\r\\n...      a SCAN reply: any cursor, these elements in any order
    <any                 any whole reply
    <close -ERR\\r\\n      all bytes until the server closes the connection
"""
import socket
import time


def escape(data):
    out = []
    for b in data:
        c = chr(b)
        if c == "\\":
            out.append("\\\\")
        elif c == "\r":
            out.append("\\r")
        elif c == "\n":
            out.append("\\n")
        elif 32 <= b < 127:
            out.append(c)
        else:
            out.append("\\x%02x" % b)
    return "".join(out)


def unescape(text):
    out = bytearray()
    i = 0
    while i < len(text):
        c = text[i]
        if c != "\\":
            out += c.encode("latin-1")
            i += 1
        elif text[i + 1] == "x":
            out.append(int(text[i + 2 : i + 4], 16))
            i += 4
        elif text[i + 1] == "{":
            end = text.index("}", i)
            count, _, byte = text[i + 2 : end].partition(":")
            out += byte.encode() * int(count)
            i = end + 1
        else:
            out.append({"r": 13, "n": 10, "\\": 92}[text[i + 1]])
            i += 2
    return bytes(out)


def quote(word):
    """One word of a request, so that redis-cli's rules (and the inline protocol's) read it back."""
    if word and all(33 <= b < 127 and b not in b"\"'\\" for b in word):
        return word.decode()
    out = ['"']
    for b in word:
        c = chr(b)
        if c in '"\\':
            out.append("\\" + c)
        elif 32 <= b < 127:
            out.append(c)
        else:
            out.append("\\x%02x" % b)
    return "".join(out) + '"'


def split(line):
    """The words of a line in redis-cli's quoting (double quotes and plain words are all we write)."""
    words = []
    i = 0
    while i < len(line):
        if line[i] == " ":
            i += 1
            continue
        word = bytearray()
        if line[i] == '"':
            i += 1
            while line[i] != '"':
                if line[i] == "\\":
                    if line[i + 1] == "x":
                        word.append(int(line[i + 2 : i + 4], 16))
                        i += 4
                        continue
                    i += 1
                    word += {"n": b"\n", "r": b"\r", "t": b"\t"}.get(line[i], line[i].encode())
                else:
                    word += line[i].encode("latin-1")
                i += 1
            i += 1
        else:
            while i < len(line) and line[i] != " ":
                word += line[i].encode("latin-1")
                i += 1
        words.append(bytes(word))
    return words


def encode(words):
    out = b"*%d\r\n" % len(words)
    for w in words:
        out += b"$%d\r\n%s\r\n" % (len(w), w)
    return out


class Connection:
    def __init__(self, host, port, proto):
        self.socket = socket.create_connection((host, port), timeout=20)
        self.file = self.socket.makefile("rb")
        if proto == 3:
            self.ask(encode([b"HELLO", b"3"]))

    def close(self):
        self.file.close()
        self.socket.close()

    def ask(self, raw):
        self.socket.sendall(raw)
        return self.read_reply()

    def ask_until_close(self, raw):
        self.socket.sendall(raw)
        return self.file.read()

    def read_reply(self):
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the server closed the connection")
        kind = line[:1]
        if kind in b"$=!":
            size = int(line[1:])
            return line if size < 0 else line + self.file.read(size + 2)
        if kind in b"*~>%|":
            count = max(int(line[1:]), 0) * (2 if kind in b"%|" else 1)
            return line + b"".join(self.read_reply() for _ in range(count))
        return line


def elements(raw):
    """The elements of an aggregate, raw, behind its header."""
    at = raw.index(b"\n") + 1
    out = []
    while at < len(raw):
        end = reply_end(raw, at)
        out.append(raw[at:end])
        at = end
    return raw[: raw.index(b"\n") + 1], out


def reply_end(raw, at):
    line_end = raw.index(b"\n", at) + 1
    kind = raw[at : at + 1]
    if kind in b"$=!":
        size = int(raw[at + 1 : line_end])
        return line_end if size < 0 else line_end + size + 2
    if kind in b"*~>%|":
        count = max(int(raw[at + 1 : line_end]), 0) * (2 if kind in b"%|" else 1)
        for _ in range(count):
            line_end = reply_end(raw, line_end)
    return line_end


def matches(matcher, expected, got):
    """Whether a reply is what a '<' line with this matcher and text asks for."""
    if matcher == "any":
        return True
    if matcher == "int":
        low, high = (int(x) for x in expected.split())
        return got[:1] == b":" and low <= int(got[1:]) <= high
    wanted = unescape(expected)
    if matcher in ("", "close"):
        return got == wanted
    if got[:1] != wanted[:1] or got[:1] not in b"*~":
        return False
    if matcher == "set":
        return sorted(elements(got)[1]) == sorted(elements(wanted)[1])
    if matcher == "scan":
        return sorted(elements(elements(got)[1][1])[1]) == sorted(elements(elements(wanted)[1][1])[1])
    raise ValueError("unknown matcher " + matcher)


class Failure:
    def __init__(self, where, request, wanted, got):
        self.text = "%s: %s\n    wanted %s\n    got    %s" % (where, request, wanted, got)


def replay(path, host, port):
    """Replay a file. Returns (passed, failures)."""
    passed, failures = 0, []
    connection = None
    request, until_close, raw = None, None, None
    for number, line in enumerate(open(path, encoding="latin-1", newline="\n"), 1):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        if line.startswith("@ proto "):
            if connection:
                connection.close()
            connection = Connection(host, port, int(line[8:]))
        elif line.startswith("@ wait "):
            time.sleep(int(line[7:]) / 1000)
        elif line.startswith("@ "):
            continue
        elif line.startswith(">> "):
            request, raw = line, unescape(line[3:])
        elif line.startswith("> "):
            request, raw = line, encode(split(line[2:]))
        elif line.startswith("<"):
            matcher, _, expected = line[1:].partition(" ")
            try:
                got = connection.ask_until_close(raw) if matcher == "close" else connection.ask(raw)
            except (OSError, EOFError) as problem:
                got = str(problem).encode()
            if matches(matcher, expected, got):
                passed += 1
            else:
                failures.append(
                    Failure("%s:%d" % (path, number), request, line[1:].strip(), escape(got))
                )
    if connection:
        connection.close()
    return passed, failures
