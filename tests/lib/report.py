"""Cases of one script, counted; the last line is `N passed, N failed, N skipped`.

    suite = Suite("quorum", limit=120)
    with suite.case("a write without quorum answers NOQUORUM"):
        ...                     # an exception fails the case, Skip skips it with its reason
    sys.exit(suite.finish())
"""
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback


LOG_LINES = 12


class Skip(Exception):
    """The machine cannot show this; the text says why."""


class Failed(Exception):
    """A claim that did not hold."""


class TimeLimit(BaseException):
    """The script's own time is over. Not an Exception, so that no case swallows it."""


def expect(claim, text):
    if not claim:
        raise Failed(text)


def wait_until(condition, seconds, what, every=0.02):
    """Poll until condition() is true; its value. Never a fixed sleep in place of a condition. `what` is words or makes them."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise Failed(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(every)


class Suite:
    def __init__(self, name, limit):
        self.name = name
        self.passed = self.failed = self.skipped = 0
        self.dir = tempfile.mkdtemp(prefix=f"quorate-{name}-")
        self.keep = False
        signal.signal(signal.SIGALRM, self._out_of_time)
        signal.signal(signal.SIGTERM, self._stopped)
        signal.setitimer(signal.ITIMER_REAL, limit)
        self.limit = limit

    def _out_of_time(self, *_):
        raise TimeLimit(f"the script's limit of {self.limit} s is over")

    def _stopped(self, *_):
        raise TimeLimit("asked to stop")

    def say(self, text):
        print(f"    {text}", flush=True)

    @contextlib.contextmanager
    def case(self, claim):
        started = time.monotonic()
        try:
            yield
        except Skip as reason:
            self.skipped += 1
            print(f"skipped: {claim}: {reason}", flush=True)
        except (Exception, TimeLimit) as error:
            self.failed += 1
            self.keep = True
            print(f"FAILED: {claim} ({time.monotonic() - started:.1f} s)", flush=True)
            if isinstance(error, Failed):
                print(f"    {error}", flush=True)
            else:
                traceback.print_exc(file=sys.stdout)
            if isinstance(error, TimeLimit):
                raise
        else:
            self.passed += 1
            print(f"ok: {claim} ({time.monotonic() - started:.1f} s)", flush=True)

    def _show_logs(self):
        """The end of each node's log: the directory may be gone where only this output is kept."""
        for folder, _, names in sorted(os.walk(self.dir)):
            for name in sorted(names):
                if not name.startswith("node") or not name.endswith(".log"):
                    continue
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                    lines = f.read().splitlines()[-LOG_LINES:]
                print(f"    the end of {os.path.relpath(os.path.join(folder, name), self.dir)}:")
                for line in lines:
                    print(f"      {line:.200}")

    def finish(self):
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self.keep:
            self._show_logs()
            print(f"    logs and histories are kept in {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0


def run(name, limit, body):
    """A script's main: body(suite), then the count, whatever happened. Exits."""
    suite = Suite(name, limit)
    try:
        body(suite)
    except TimeLimit as limit_over:
        if not suite.failed:
            suite.failed += 1
            suite.keep = True
        print(f"FAILED: {name}: {limit_over}", flush=True)
    except KeyboardInterrupt:
        suite.failed += 1
    except Skip as reason:
        suite.skipped += 1
        print(f"skipped: {name}: {reason}", flush=True)
    except Exception as error:  # pylint: disable=broad-except
        suite.failed += 1
        suite.keep = True
        print(f"FAILED: {name}", flush=True)
        if isinstance(error, Failed):
            print(f"    {error}", flush=True)
        else:
            traceback.print_exc(file=sys.stdout)
    sys.exit(suite.finish())


def run_cases(name, limit, cases):
    """A suite's main: (what it claims, what tries it with a directory), all of them or those that the words of the command line
    are part of."""
    wanted = sys.argv[1:]

    def body(suite):
        for claim, case in cases:
            if wanted and not any(w in claim for w in wanted):
                continue
            with suite.case(claim):
                case(suite.dir)

    run(name, limit, body)
