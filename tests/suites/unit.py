# SPDX-License-Identifier: GPL-2.0-only
"""Unit tests in user space: each directory below tests/unit with a Makefile.

"make check" there runs its tests, which speak TAP (cmocka does when asked). What they are
called is known only when they have run: who asks for some has to name the directory, too.
"""

import os
import re
import subprocess
import time

from testhost import cache, sources

PARTS = ("userland", "uapi", "arch", "kmod", "tests/unit", "tests/bench", "tests/host")


def _run_directory(report, work, name):
    began = time.monotonic()
    done = subprocess.run(["make", "-s", "-C", work / "tests/unit" / name, "check"], check=False,
                          env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"}, text=True,
                          errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    failures = 0
    detail = []
    for line in done.stdout.splitlines():
        found = re.match(r"(not )?ok \d+\s*-?\s*(.*)", line)
        if not found:
            detail.append(line)
            continue
        full = f"unit {name} {found.group(2)}"
        failures += bool(found.group(1))
        if report.wanted(full) and found.group(1):
            report.failed(full, "\n".join(detail))
        elif report.wanted(full):
            report.passed(full)
        detail = []
    if done.returncode and not failures:
        report.failed(f"unit {name}", done.stdout, time.monotonic() - began)


def run(report):
    """Run every directory's tests, in a copy of the sources."""
    names = sorted(p.parent.name for p in (cache.REPO / "tests/unit").glob("*/Makefile"))
    names = [name for name in names if report.may_want(f"unit {name}")]
    if not names:
        return
    with cache.lock("work-unit"):
        work = cache.ROOT / "work" / "unit"
        sources.sync(sources.snapshot(PARTS), work)
        for name in names:
            _run_directory(report, work, name)
