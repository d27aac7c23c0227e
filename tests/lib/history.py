"""Records what clients asked and learned, one JSON line per operation (docs/formats/history.md), for
`quorate check`. Times are CLOCK_MONOTONIC nanoseconds, taken just before the send and just after the
receive, in one process. An operation whose outcome is not known is open for ever, so its client goes on
under a new process number."""
import json
import subprocess
import threading
import time

# Errors that promise that the command was not done (docs/formats/errors.md).
NOT_DONE = {"NOQUORUM", "OVERLOADED", "DISKFULL", "TOOBIG", "NOTREADY"}

now = time.monotonic_ns


class History:
    def __init__(self, path):
        self.path = path
        self.file = open(path, "w", encoding="ascii")
        self.lock = threading.Lock()
        self.processes = 0
        self.count = 0

    def process(self):
        with self.lock:
            self.processes += 1
            return self.processes

    def add(self, process, op, key, invoked, returned, outcome, value=None, result=None, level=None, session=None,
            part=None):
        """level: the words of `CLIENT LEVEL`, of a read; None: linearizable. session: operations of the same one, over
        several processes, are one program order. part: keys of the same one share a partition's log."""
        line = {"process": process, "op": op, "key": key}
        line.update({name: word for name, word in (("level", level), ("session", session), ("part", part))
                     if word is not None})
        if value is not None:
            line["value"] = value
        if outcome == "ok" and op != "set":
            line["result"] = result
        line["invoke"] = invoked
        if outcome != "unknown":
            line["return"] = returned
        line["outcome"] = outcome
        text = json.dumps(line, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(text)
            self.count += 1

    def close(self):
        with self.lock:
            if not self.file.closed:
                self.file.close()

    def check(self, binary, seconds=300):
        """(linearizable, what the checker said). Closes the file."""
        self.close()
        done = subprocess.run([binary, "check", self.path], capture_output=True, text=True,
                              timeout=seconds, check=False)
        said = (done.stdout + done.stderr).strip()
        return done.returncode == 0 and "undecided" not in said, said
