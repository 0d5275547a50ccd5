# SPDX-License-Identifier: GPL-2.0-only
"""Tests that run on an emulated host: tests/system/*.sh, many in one boot.

A test is a shell script for busybox that fails by its exit status. Comments in
its first lines, "# KEY: VALUE", say more:

  # each: NAME=a,b,c    run it once per value, $NAME set; several lines multiply
  # host: OPTIONS       run it on a host with these options of tests/host/run;
                        several lines: on each of these hosts
  # timeout: SECONDS    instead of 120
  # files: PATH...      what else of the repository it needs, beside it
"""

import dataclasses
import itertools
import os
import re
import shlex
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from testhost import cache, kernels, splat
from testhost.cache import REPO

DIRECTORY = REPO / "tests/system"
BARE = REPO / "tests/guests/bare"
HARNESS = DIRECTORY / "harness"
RUN = REPO / "tests/host/run"
MARK = "@@umbra-test"
LIMIT = 120
# An emulated host that shares two CPUs with another one is slower by half.
JOBS = max(1, min(4, (os.cpu_count() or 1)))


@dataclasses.dataclass(frozen=True)
class Test:
    """A script with one choice of its variables, on one kind of host."""

    script: str
    host: str
    settings: tuple
    timeout: int
    files: tuple

    @property
    def name(self):
        """What it is called, without the host's kernel."""
        choice = ",".join([value for _, value in self.settings] + ([self.host.replace(" ", "=")] if self.host else []))
        return self.script.removesuffix(".sh") + (f"[{choice}]" if choice else "")


def _values(text):
    """Return the values of an "each" line; "@bare" are all bare-metal guests."""
    if text == "@bare":
        return sorted(p.stem for p in (BARE / "build").glob("*.elf"))
    return text.split(",")


def _parse(path):
    """Return the tests that a script stands for."""
    hosts, each, timeout, files = [], [], LIMIT, []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"# (each|host|timeout|files): *(.*)", line)
        if not found:
            if line and not line.startswith("#"):
                break
            continue
        key, value = found.groups()
        if key == "each":
            name, _, values = value.partition("=")
            each.append([(name, v) for v in _values(values)])
        elif key == "host":
            hosts.append("" if value == "default" else value)
        elif key == "timeout":
            timeout = int(value)
        else:
            files += value.split()
    return [Test(path.name, host, settings, timeout, tuple(files))
            for host in hosts or [""] for settings in itertools.product(*each)]


class Boot:
    """Tests that share a host, in as few boots as they let it live."""

    def __init__(self, report, kernel, host, tests):
        self._report = report
        self._kernel = kernel
        self._host = host
        self._tests = {test.name: test for test in tests}
        self._log = ""

    def _full(self, name):
        return f"system {self._kernel} {name}"

    def _command(self, tests, log):
        files = {str(HARNESS), str(DIRECTORY / "lib.sh")}
        for test in tests:
            files.add(str(DIRECTORY / test.script))
            for pattern in test.files:
                files.update(str(p) for p in REPO.glob(pattern))
        args = [RUN, "--kernel", self._kernel, "--log", log, *shlex.split(self._host),
                "--timeout", str(120 + 2 * sum(test.timeout for test in tests))]
        args += [f"--file={path}" for path in sorted(files)]
        args += ["--", "sh", "./harness"]
        for test in tests:
            args.append("\t".join([test.name, test.script, str(test.timeout),
                                   *(f"{k}={v}" for k, v in test.settings)]))
        return args

    def _run_once(self, tests):
        """Run tests on one boot; return the results and what the host itself said.

        Results are {name: [status or None, seconds, output]} for each test that began.
        """
        results, name, outside = {}, None, []
        log = cache.ROOT / "run" / f"log-{os.getpid()}-{threading.get_ident()}"
        with subprocess.Popen(self._command(tests, log), stdin=subprocess.DEVNULL, text=True,
                              errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            complaints = []
            reader = threading.Thread(target=lambda: complaints.extend(process.stderr))
            reader.start()
            for line in process.stdout:
                found = re.match(rf"{MARK} (begin|end) (\S+)(?: (\d+) ([\d.]+))?", line)
                if not found:
                    (results[name][2] if name else outside).append(line)
                elif found.group(1) == "begin":
                    name = found.group(2)
                    results[name] = [None, 0.0, []]
                elif name:
                    results[name][:2] = [int(found.group(3)), float(found.group(4))]
                    name = None
            reader.join()
        self._log = log.read_text(encoding="utf-8") if log.exists() else ""
        log.unlink(missing_ok=True)
        status = process.returncode
        return results, "".join(outside + complaints) if status else "", status

    def _splats(self):
        """Return {test's name: its first splat} from the host's log."""
        found = {}
        for part in self._log.split(f"{MARK} ")[1:]:
            name, _, text = part.partition("\n")
            line = splat.find(text)
            if line:
                at = text.find(line)
                found[name.strip()] = text[max(0, at - 200):at + 3000]
        return found

    def _judge(self, test, result, splats):
        status, seconds, output = result
        why = ""
        if test.name in splats:
            why = "the host's kernel complains:\n" + splats[test.name]
        elif status is None:
            why = "the host died"
        elif status in (124, 143):
            why = f"no end after {test.timeout} s"
        elif status:
            why = f"exit status {status}"
        self._report.result(self._full(test.name), why, "".join(output), seconds)

    def run(self):
        """Run all tests, with a new boot after each that kills its host."""
        left = [t for t in self._tests.values() if self._report.wanted(self._full(t.name))]
        while left:
            results, complaint, status = self._run_once(left)
            splats = self._splats()
            for name, result in results.items():
                if result[0] is None and name not in splats:
                    result[2].append(complaint)
                self._judge(self._tests[name], result, splats)
            if status and not splats and all(r[0] is not None for r in results.values()):
                self._report.failed(self._full(f"host {self._host}".strip()), complaint)
                if not results:
                    for test in left:
                        self._report.failed(self._full(test.name), "not run: no host")
                    return
            left = [test for test in left if test.name not in results]


def all_tests():
    """Return all tests that there are."""
    return [test for path in sorted(DIRECTORY.glob("*.sh")) if path.name != "lib.sh"
            for test in _parse(path)]


def run(report):
    """Boot hosts of both kernels side by side, and run the tests on them."""
    if (BARE / "Makefile").exists():
        with cache.lock("bare-guests"):
            done = subprocess.run(["make", "-s", "-j2", "-C", BARE], check=False, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        if done.returncode:
            report.failed("build bare-metal guests", done.stdout)
    groups = {}
    for test in all_tests():
        groups.setdefault(test.host, []).append(test)
    boots = [Boot(report, kernel, host, group) for host, group in groups.items()
             for kernel in kernels.VERSIONS]
    began = time.monotonic()
    with ThreadPoolExecutor(JOBS) as pool:
        for done in [pool.submit(boot.run) for boot in boots]:
            done.result()
    print(f"     system tests took {time.monotonic() - began:.0f} s", flush=True)
