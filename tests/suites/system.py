# SPDX-License-Identifier: GPL-2.0-only
"""Tests that run on an emulated host: tests/system/*.sh, many in one boot.

A test is a shell script for busybox that fails by its exit status. Comments in
its first lines, "# KEY: VALUE", say more:

  # each: NAME=a,b,c    run it once per value, $NAME set; several lines multiply
  # host: OPTIONS       run it on a host with these options of tests/host/run;
                        several lines: on each of these hosts; with both kernels
                        unless OPTIONS name one
  # also: OPTIONS [NAME=a,b]...
                        run it on that host, too, which costs more: with Linux 6.1
                        alone unless OPTIONS say otherwise, and only with these values
  # timeout: SECONDS    instead of 240; a third of it on Bochs
  # files: PATH...      what else of the repository it needs, beside it
"""

import dataclasses
import itertools
import os
import re
import shlex
import shutil
import subprocess
import threading

from testhost import cache, kernels, sources, splat
from testhost.cache import REPO

from . import pool

DIRECTORY = REPO / "tests/system"
BARE = REPO / "tests/guests/bare"
NANOBENCH = REPO / "tests/guests/nanobench"
HARNESS = DIRECTORY / "harness"
PROGRAMS = DIRECTORY / "programs"
PLANT = DIRECTORY / "plant/build"
RUN = REPO / "tests/host/run"
MARK = "@@umbra-test"
LIMIT = 240
# On Bochs, whose clock is slow but counts instructions, a third of what tests allow is plenty.
BOCHS_SHARE = 3
# What a host may take of this machine's time to be built and to start, and to end.
START_LIMIT = 1800
END_LIMIT = 400
DEFAULT_CPU = "svm"


@dataclasses.dataclass(frozen=True)
class Test:
    """A script with one choice of its variables, on one kind of host."""

    script: str
    host: str
    settings: tuple
    timeout: int
    files: tuple
    versions: tuple = tuple(kernels.VERSIONS)

    @property
    def name(self):
        """What it is called, without the host's kernel."""
        choice = ",".join([value for _, value in self.settings] + ([self.host.replace(" ", "=")] if self.host else []))
        return self.script.removesuffix(".sh") + (f"[{choice}]" if choice else "")

    @property
    def cpu(self):
        """The processor of its host."""
        return _cpu(self.host)


def _cpu(host):
    """Return the processor that these options choose."""
    words = shlex.split(host)
    return words[words.index("--cpu") + 1] if "--cpu" in words else DEFAULT_CPU


def _values(text):
    """Return the values of an "each" line; "@bare" are all bare-metal guests."""
    if text == "@bare":
        return sorted(p.stem for p in (BARE / "build").glob("*.elf"))
    return text.split(",")


def _host(line, versions):
    """Split a line that names a host into (host, versions of its kernel, {variable: values})."""
    words = line.split()
    only = {name: value.split(",") for name, equals, value in (w.partition("=") for w in words)
            if equals and name.isupper()}
    host = [w for w in words if w.partition("=")[0] not in only]
    if "--kernel" in host:
        at = host.index("--kernel")
        versions = tuple(host[at + 1].split(","))
        del host[at:at + 2]
    return " ".join(host), versions, only


def _parse(path):
    """Return the tests that a script stands for."""
    hosts, also, each, timeout, files = [], [], [], LIMIT, []
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r"# (each|host|also|timeout|files): *(.*)", line)
        if not found:
            if line and not line.startswith("#"):
                break
            continue
        key, value = found.groups()
        if key == "each":
            name, _, values = value.partition("=")
            each.append([(name, v) for v in _values(values)])
        elif key == "host":
            hosts.append(_host("" if value == "default" else value, tuple(kernels.VERSIONS)))
        elif key == "also":
            also.append(_host(value, ("6.1",)))
        elif key == "timeout":
            timeout = int(value)
        else:
            files += value.split()
    choices = list(itertools.product(*each))
    if not hosts:
        hosts.append(_host("", tuple(kernels.VERSIONS)))
    return [Test(path.name, host, settings,
                 timeout // (1 if _cpu(host) == DEFAULT_CPU else BOCHS_SHARE), tuple(files), versions)
            for host, versions, only in hosts + also for settings in choices
            if all(value in only.get(name, [value]) for name, value in settings)]


@dataclasses.dataclass
class Running:
    """A test that has begun: no status yet means that it has not ended."""

    name: str
    status: int = None
    seconds: float = 0.0
    output: str = ""


class Watchdog:
    """Ends a process that has gone on for too long after the last call."""

    def __init__(self, process, seconds):
        self._process = process
        self._lock = threading.Lock()
        self._timer = None
        self.bitten = False
        self.expect(seconds)

    def _bite(self):
        self.bitten = True
        self._process.terminate()

    def expect(self, seconds):
        """Wait for so long from now; None: no longer."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._timer = threading.Timer(seconds, self._bite) if seconds else None
            if self._timer:
                self._timer.daemon = True
                self._timer.start()


class Boot:
    """Tests that share a host, in as few boots as they let it live."""

    def __init__(self, report, kernel, host, tests):
        self._report = report
        self._kernel = kernel
        self._host = host
        self._tests = {test.name: test for test in tests}
        self._log = cache.ROOT / "run" / f"log-{os.getpid()}-{id(self)}"
        self._watchdog = None

    @property
    def weight(self):
        """At most so many seconds."""
        return sum(test.timeout for test in self._tests.values())

    def _full(self, name):
        return f"system {self._kernel} {name}"

    def _command(self, tests):
        files = {str(HARNESS), str(DIRECTORY / "lib.sh")}
        for test in tests:
            files.add(str(DIRECTORY / test.script))
            for pattern in test.files:
                files.update(str(p) for p in REPO.glob(pattern))
        # A host ends with this program, however that ends.
        args = ["setpriv", "--pdeathsig", "TERM"]
        args += [RUN, "--kernel", self._kernel, "--log", self._log, *shlex.split(self._host),
                "--timeout", str(START_LIMIT + 2 * sum(test.timeout for test in tests))]
        args += [f"--file={path}" for path in sorted(files)]
        args += ["--", "sh", "./harness"]
        for test in tests:
            args.append("\t".join([test.name, test.script, str(test.timeout),
                                   f"CPU={test.cpu}",
                                   *(f"{k}={v}" for k, v in test.settings)]))
        return args

    def _splat(self, name):
        """Return what the host's kernel complained of during a test, or ""."""
        log = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        text = log.partition(f"{MARK} {name}\n")[2].partition(f"{MARK} ")[0]
        line = splat.find(text)
        at = text.find(line) if line else 0
        return text[max(0, at - 200):at + 3000] if line else ""

    def _judge(self, running):
        """Report a test; return whether the host complained."""
        test, status = self._tests[running.name], running.status
        complaint = self._splat(test.name)
        why = ""
        if complaint:
            why = "the host's kernel complains:\n" + complaint
        elif status is None:
            why = "the host hangs" if self._watchdog.bitten else "the host died"
        elif status in (124, 143):
            why = f"no end after {test.timeout} s"
        elif status:
            why = f"exit status {status}"
        self._report.result(self._full(test.name), why, running.output, running.seconds)
        return bool(complaint)

    def _follow(self, lines):
        """Report tests as they end; return those that began, and the last one.

        A test is judged when the next begins: by then the host's log is complete.
        """
        begun, last, complained = set(), None, False
        for line in lines:
            found = re.match(rf"{MARK} (begin|end) (\S+)(?: (\d+) ([\d.]+))?", line)
            if found and found.group(1) == "begin":
                if last:
                    complained |= self._judge(last)
                last = Running(found.group(2))
                begun.add(last.name)
                # It keeps the time itself, by its own clock, slow as that may be, unless it hangs.
                self._watchdog.expect(60 + 4 * self._tests[last.name].timeout)
            elif found and last:
                last.status, last.seconds = int(found.group(3)), float(found.group(4))
                self._watchdog.expect(END_LIMIT)
            elif last:
                last.output += line
        return begun, last, complained

    def _run_once(self, tests):
        """Run tests on one boot; return the names of those that are done with."""
        with subprocess.Popen(self._command(tests), stdin=subprocess.DEVNULL, text=True,
                              errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            said = []
            reader = threading.Thread(target=lambda: said.extend(process.stderr))
            reader.start()
            self._watchdog = Watchdog(process, START_LIMIT)
            begun, last, complained = self._follow(process.stdout)
            reader.join()
            self._watchdog.expect(None)
        complaint = "".join(said) if process.returncode else ""
        alive = bool(last) and last.status is not None
        if last and not alive:
            last.output += complaint
        if last:
            complained |= self._judge(last)
        if not begun:
            for test in tests:
                self._report.failed(self._full(test.name), f"no host to run it on\n{complaint}")
            begun = {test.name for test in tests}
        elif process.returncode and alive and not complained:
            self._report.failed(self._full(f"host {self._host}".strip()), complaint)
        return begun

    def run(self):
        """Run all tests, with a new boot after each that kills its host."""
        left = [t for t in self._tests.values() if self._report.wanted(self._full(t.name))]
        while left:
            done = self._run_once(left)
            left = [test for test in left if test.name not in done]
        self._log.unlink(missing_ok=True)


def all_tests():
    """Return all tests that there are."""
    return [test for path in sorted(DIRECTORY.glob("*.sh")) if path.name != "lib.sh"
            for test in _parse(path)]


def build_programs(report, kernel_headers=None):
    """Build what the tests need beside them, for Debian's kernels or others, by their release."""
    for what, directory in (("bare-metal guests", BARE), ("nanobench", NANOBENCH),
                            ("programs of system tests", PROGRAMS)):
        with cache.lock(what.replace(" ", "-")):
            done = subprocess.run(["make", "-s", "-j2", "-C", directory], check=False, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        if done.returncode:
            report.failed(f"build {what}", done.stdout)
    PLANT.mkdir(exist_ok=True)
    if kernel_headers is None:
        kernel_headers = {headers[0]: headers for headers in map(kernels.headers, kernels.VERSIONS)}
    for release, headers in kernel_headers.items():
        try:
            shutil.copy(sources.plant(*headers), PLANT / f"plant-{release}.ko")
        except cache.HostError as error:
            report.failed(f"build plant.ko for {release}", str(error))


def jobs(report):
    """Return hosts of both kernels with the tests to run on them."""
    build_programs(report)
    groups = {}
    for test in all_tests():
        for version in test.versions:
            groups.setdefault((test.host, version), []).append(test)
    return [Boot(report, kernel, host, group) for (host, kernel), group in groups.items()]


def run(report):
    """Boot them side by side, and run the tests on them."""
    pool.run(jobs(report), "system tests")
