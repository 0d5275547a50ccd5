# SPDX-License-Identifier: GPL-2.0-only
"""Fuzzers, for a bounded time each: see tests/fuzz. tests/fuzz/run has them run longer.

Those in user space are built with clang's libFuzzer; the others run on a test host.
"""

import dataclasses
import functools
import subprocess
import tempfile
import time
from pathlib import Path

from testhost import cache
from testhost.cache import REPO

from . import pool

FUZZ = REPO / "tests/fuzz"
USER = FUZZ / "user"
HOST_RUN = REPO / "tests/host/run"
# Time that a host may take beside what is asked of the fuzzer, and how much slower
# Bochs' time goes than ours.
BOOT = 240
SLOW = 6
# What a fuzzer in user space may take for one input, and in memory.
LIMITS = ("-timeout=20", "-rss_limit_mb=3000", "-max_len=4096")
# What a program complains of on standard error would drown what the fuzzer says.
QUIET = ("-close_fd_mask=2",)


@dataclasses.dataclass(frozen=True)
class Fuzzer:
    """One program with its arguments: in user space, or, if host is given, on such a host."""

    name: str
    program: str
    seconds: int
    host: tuple = None
    arguments: tuple = ()

    def _user(self, seconds, seed, found):
        work = cache.ROOT / "fuzz" / self.program
        return [USER / "build" / self.program, f"-max_total_time={seconds}", f"-seed={seed}", *LIMITS, *QUIET,
                "-print_final_stats=1", f"-artifact_prefix={work}/failed-", found, USER / "corpus" / self.program]

    def _on_host(self, seconds, seed):
        slow = SLOW if "--cpu" in self.host else 1
        files = [FUZZ / "build" / self.program]
        command = [f"./{self.program}", str(seconds), *self.arguments, str(seed)]
        if self.program == "abifuzz":
            files += [FUZZ / "abi.sh", REPO / "tests/system/lib.sh"]
            command = ["sh", "./abi.sh", *command[1:]]
        return [HOST_RUN, *self.host, "--timeout", str(BOOT + slow * seconds),
                *(f"--file={path}" for path in files), "--", *command]

    def command(self, seconds, seed, found):
        """Return the command that runs it for so long; found: a directory for new inputs."""
        return self._on_host(seconds, seed) if self.host is not None else self._user(seconds, seed, found)


# In this order; the times are those of "make check", 0: not there.
FUZZERS = (
    Fuzzer("abi", "abifuzz", 30, ("--debug",)),
    Fuzzer("guest", "guestfuzz", 15, (), ("hostile",)),
    Fuzzer("guest-debug", "guestfuzz", 10, ("--debug",), ("hostile",)),
    # On demand: Bochs takes minutes for some seconds of these.
    Fuzzer("guest-vmx", "guestfuzz", 0, ("--cpu", "vmx"), ("hostile",)),
    Fuzzer("guest-vmx-noug", "guestfuzz", 0, ("--cpu", "vmx-noug"), ("hostile",)),
    # On demand: what the emulators themselves do differently has not all been told apart.
    Fuzzer("compare", "guestfuzz", 0, (), ("compare",)),
    Fuzzer("compare-vmx", "guestfuzz", 0, ("--cpu", "vmx"), ("compare",)),
    *(Fuzzer(name, name, 5) for name in ("decoder", "executor", "loaders", "options", "devices")),
)


def build(fuzzers):
    """Build what these need; return what make said if it failed, else ""."""
    places = [FUZZ] if any(f.host is not None for f in fuzzers) else []
    places += [USER] if any(f.host is None for f in fuzzers) else []
    for place in places:
        with cache.lock("fuzz"):
            done = subprocess.run(["make", "-s", "-j2", "-C", place], check=False, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            return done.stdout
    return ""


def run_one(fuzzer, seconds, seed, keep=False):
    """Run a fuzzer, with inputs of earlier runs and keeping new ones, or not.

    Return (why it failed or "", what it said, seconds it took).
    """
    began = time.monotonic()
    work = cache.ROOT / "fuzz" / fuzzer.program
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        found = work / "corpus" if keep else Path(scratch)
        found.mkdir(exist_ok=True)
        done = subprocess.run(["setpriv", "--pdeathsig", "TERM", *fuzzer.command(seconds, seed, found)],
                              check=False, text=True, errors="replace", stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    why = f"exit status {done.returncode}" if done.returncode else ""
    return why, done.stdout, time.monotonic() - began


def jobs(report):
    """Return each for its time, once they are built."""
    fuzzers = [f for f in FUZZERS if f.seconds and report.wanted(f"fuzz {f.name}")]
    failure = build(fuzzers)
    if failure:
        report.failed("build fuzzers", failure)
        return []

    def one(fuzzer):
        why, said, seconds = run_one(fuzzer, fuzzer.seconds, 1)
        report.result(f"fuzz {fuzzer.name}", why, said, seconds)

    return [pool.Job(fuzzer.seconds, functools.partial(one, fuzzer)) for fuzzer in fuzzers]


def run(report):
    """Run them side by side."""
    pool.run(jobs(report), "fuzzers")
