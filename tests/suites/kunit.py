# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the module inside a kernel: umbra_kunit.ko is loaded on hosts started with --debug.

Kernels print results (KTAP) in their log, each version a little differently, and do not fail
a test for what KASAN or lockdep found meanwhile. So: each case that the sources have must have
a result, the end must have come, and the log must be free of splats; after the module is
unloaded kmemleak scans for what it left.

"make check" runs them on the kernel that the debug suite needs in any case; "make kunit"
and "tests/check kunit" run them on both.
"""

import functools
import re
import subprocess
import time

from testhost import cache, debugkernel, kernels, sources
from testhost.cache import REPO, HostError

from . import pool

KUNIT = REPO / "tests/kunit"
RUN = REPO / "tests/host/run"
END = "umbra_kunit: all suites have run"
TIMEOUT = 600

# The host's CPU has 5-level paging with one of them, so that its own tables are of both kinds.
_CPU = {"6.1": [], "6.12": ["--cpu-model", "max"]}

_STAMP = re.compile(r"^\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")
_RESULT = re.compile(r" {4}(not )?ok \d+ -? ?(\w+)(?: # (SKIP)\b.*)?")


def _cases():
    """Return the names of all suites and cases, as the sources have them."""
    found = []
    for path in sorted(KUNIT.glob("test_*.c")):
        text = path.read_text(encoding="utf-8")
        suites = re.findall(r'\.name = "(umbra_\w+)"', text)
        cases = re.findall(r"KUNIT_CASE(?:_PARAM|_SLOW)?\((\w+)", text)
        if len(suites) != 1 or not cases:
            raise HostError(f"{path.name}: not one suite with cases")
        found += [(suites[0], case) for case in cases]
    return found


def parse(log):
    """Return {(suite, case): (verdict, the lines before it)} of a kernel's log."""
    results, suite, detail = {}, None, []
    for line in log.splitlines():
        line = _STAMP.sub("", line.rstrip())
        begin = re.fullmatch(r" *# Subtest: (umbra_\w+)", line)
        result = _RESULT.fullmatch(line)
        if begin:
            suite, detail = begin.group(1), []
        elif result and suite:
            verdict = "failed" if result.group(1) else "skipped" if result.group(3) else "passed"
            results.setdefault((suite, result.group(2)), (verdict, detail))
            detail = []
        elif suite:
            detail.append(line)
    return results


def _report_cases(report, version, cases, log):
    results = parse(log)
    # Of a host that has not got that far it is enough to say so once.
    if not results:
        return
    for suite, case in cases:
        name = f"kunit {version} {suite} {case}"
        if not report.wanted(name):
            continue
        verdict, detail = results.get((suite, case), ("has no result", []))
        report.result(name, "" if verdict == "passed" else verdict, "\n".join(detail))


def _run(report, version, cases):
    """Build, boot, load and report, for one kernel."""
    name = f"kunit {version} host"
    release, kdir = debugkernel.headers(version)
    module = sources.kunit(release, kdir)
    began = time.monotonic()
    done = subprocess.run(
        ["setpriv", "--pdeathsig", "TERM", RUN, "--debug", "--kernel", version, *_CPU[version],
         "--no-module", "--no-vmctl", "--append", "log_buf_len=4M", "--timeout", str(TIMEOUT),
         f"--file={module}", f"--file={KUNIT / 'load.sh'}", "--", "sh", "./load.sh"],
        check=False, text=True, errors="replace", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _report_cases(report, version, cases, done.stdout)
    why = ""
    if done.returncode:
        why = f"exit status {done.returncode}"
    elif not any(_STAMP.sub("", line) == END for line in done.stdout.splitlines()):
        why = "the tests did not come to their end"
    # This one is of all tests together, so a choice of them does not leave it out.
    report.result(name, why, done.stderr, time.monotonic() - began)


def jobs(report, versions=tuple(kernels.VERSIONS)[:1]):
    """Return a host for each of the kernels, by default for the first."""
    def one(version):
        try:
            _run(report, version, cases)
        except HostError as error:
            report.failed(f"kunit {version} host", str(error))

    cache.ROOT.mkdir(parents=True, exist_ok=True)
    cases = _cases()
    names = ["host", *(f"{suite} {case}" for suite, case in cases)]
    return [pool.Job(TIMEOUT, functools.partial(one, version)) for version in versions
            if any(report.wanted(f"kunit {version} {name}") for name in names)]


def run(report):
    """Run all tests on both kernels: somebody asked for it by name."""
    pool.run(jobs(report, tuple(kernels.VERSIONS)), "tests in kernels")
