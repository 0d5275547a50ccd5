# SPDX-License-Identifier: GPL-2.0-only
"""Unit tests in user space: each directory below tests/unit with a Makefile.

"make check" there runs its tests, which speak TAP (cmocka does when asked).
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
        if found.group(1):
            failures += 1
            report.failed(f"unit {name} {found.group(2)}", "\n".join(detail))
        else:
            report.passed(f"unit {name} {found.group(2)}")
        detail = []
    if done.returncode and not failures:
        report.failed(f"unit {name}", done.stdout, time.monotonic() - began)


def run(report):
    """Run every directory's tests, in a copy of the sources."""
    names = sorted(p.parent.name for p in (cache.REPO / "tests/unit").glob("*/Makefile"))
    if not any(report.wanted(f"unit {name}") for name in names):
        return
    with cache.lock("work-unit"):
        work = cache.ROOT / "work" / "unit"
        sources.sync(sources.snapshot(PARTS), work)
        for name in names:
            if report.wanted(f"unit {name}"):
                _run_directory(report, work, name)
