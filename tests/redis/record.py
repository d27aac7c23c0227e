#!/usr/bin/python3
"""Record golden/*.txt from a real Redis: record.py [--redis PATH] [FAMILY...]

Starts its own server on a free loopback port without persistence, plays every family's script in RESP2
and again in RESP3, writes the raw replies, and stops the server. Scripts are in families.py.
"""
import os
import socket
import subprocess
import sys
import tempfile
import time

import families
import transcript

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = "7.0.15"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_server(program):
    port = free_port()
    directory = tempfile.mkdtemp()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
         "--proto-max-bulk-len", "16mb", "--enable-debug-command", "yes", "--dir", directory],
        stdout=subprocess.DEVNULL,
    )
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.05)
    process.kill()
    sys.exit("the server did not come up")


def record_line(line, connection, out):
    if line.startswith("!wait "):
        time.sleep(int(line[6:]) / 1000)
        out.append("@ wait " + line[6:])
        return
    matcher = ""
    if line.startswith("?"):
        matcher, _, line = line[1:].partition(" ")
    if line.startswith(">> "):
        raw = transcript.unescape(line[3:])
        out.append(line)
    else:
        words = transcript.split(line)
        raw = transcript.encode(words)
        out.append("> " + " ".join(transcript.quote(w) for w in words))
    if matcher == "close":
        out.append("<close " + transcript.escape(connection.ask_until_close(raw)))
        return
    reply = connection.ask(raw)
    if matcher.startswith("int:"):
        low, high = matcher[4:].split(":")
        assert transcript.matches("int", low + " " + high, reply), (line, reply)
        out.append("<int %s %s" % (low, high))
    elif matcher == "any":
        out.append("<any")
    else:
        out.append("<%s %s" % (matcher, transcript.escape(reply)))


def record(name, family, port):
    out = ["# Recorded from Redis %s by tests/redis/record.py: do not edit." % VERSION]
    if family.door:
        out.append("@ door")
    for proto in (2, 3):
        for part in family.parts:
            out += ["", "@ proto %d" % proto]
            connection = transcript.Connection("127.0.0.1", port, proto)
            for line in ["FLUSHALL"] + part:
                if line.startswith("#"):
                    out.append(line)
                elif line:
                    record_line(line, connection, out)
            connection.close()
    path = os.path.join(HERE, "golden", name + ".txt")
    with open(path, "w", encoding="latin-1", newline="\n") as f:
        f.write("\n".join(out) + "\n")
    print("%s: %d replies" % (path, sum(1 for x in out if x.startswith("<"))))


def main():
    arguments = sys.argv[1:]
    program = "redis-server"
    if arguments[:1] == ["--redis"]:
        program = arguments[1]
        arguments = arguments[2:]
    if VERSION not in subprocess.run([program, "--version"], capture_output=True, text=True).stdout:
        sys.exit("%s is not Redis %s" % (program, VERSION))
    chosen = arguments or sorted(families.FAMILIES)
    process, port = start_server(program)
    try:
        for name in chosen:
            record(name, families.FAMILIES[name], port)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
