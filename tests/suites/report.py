# SPDX-License-Identifier: GPL-2.0-only
"""Counts tests and says what became of each."""

import os
import subprocess
import sys
import threading
import time

DETAIL_LINES = 60


class Report:
    """The tests that have run; safe to use from several threads."""

    def __init__(self, only="", verbose=False):
        self._lock = threading.Lock()
        self._only = only
        self._verbose = verbose
        self._began = time.monotonic()
        self._passed = 0
        self._failures = []

    def wanted(self, name):
        """Tell whether the user asked for a test of this name."""
        return self._only in name

    def may_want(self, start):
        """Tell whether the user asked for tests whose names, not known yet, start so."""
        return self._only in start or any(self._only.startswith(f"{start[at:]} ")
                                          for at in range(len(start)))

    def _say(self, word, name, seconds, detail):
        took = f"  ({seconds:.1f} s)" if seconds is not None else ""
        print(f"{word} {name}{took}")
        lines = detail.rstrip().splitlines()
        if len(lines) > DETAIL_LINES:
            half = DETAIL_LINES // 2
            lines[half:-half] = [f"... {len(lines) - 2 * half} more lines ..."]
        for line in lines:
            print(f"     | {line}")
        sys.stdout.flush()

    def passed(self, name, detail="", seconds=None):
        """Count a test that passed."""
        with self._lock:
            self._passed += 1
            self._say("PASS", name, seconds, detail if self._verbose else "")

    def failed(self, name, detail, seconds=None):
        """Count a test that failed, and show why."""
        with self._lock:
            self._failures.append(name)
            self._say("FAIL", name, seconds, detail)

    def result(self, name, why, detail="", seconds=None):
        """Count a test that failed if there is a reason why."""
        if why:
            self.failed(name, f"{detail.rstrip()}\n{why}".lstrip(), seconds)
        else:
            self.passed(name, detail, seconds)

    def command(self, name, args, judge=None, **more):
        """Run a command as a test: judge(output) gives a reason to fail, or ""."""
        if not self.wanted(name):
            return
        began = time.monotonic()
        done = subprocess.run(args, check=False, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, **more)
        why = f"exit status {done.returncode}" if done.returncode else ""
        if not why and judge:
            why = judge(done.stdout)
        self.result(name, why, done.stdout, time.monotonic() - began)

    def limit(self, seconds):
        """After so long, fail: say what there is to say, and end."""
        def expire():
            self.failed("time", f"not done after {seconds:.0f} s; the rest was not run")
            self.close()
            os._exit(1)  # pylint: disable=protected-access

        timer = threading.Timer(seconds, expire)
        timer.daemon = True
        timer.start()

    def close(self):
        """Print the totals; return the exit status of it all."""
        print(f"\n{time.monotonic() - self._began:.0f} s")
        for name in self._failures:
            print(f"failed: {name}")
        print(f"{self._passed} passed, {len(self._failures)} failed", flush=True)
        return 1 if self._failures or not self._passed else 0
