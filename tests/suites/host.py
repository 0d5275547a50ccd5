# SPDX-License-Identifier: GPL-2.0-only
"""The test host itself: it must not lose, change or forgive anything."""

import array
import fcntl
import functools
import hashlib
import os
import subprocess
import tempfile
import termios
import time
from pathlib import Path

from testhost import cache, splat
from testhost.cache import REPO

from . import pool

RUN = [REPO / "tests/host/run", "--no-module", "--no-vmctl"]
_SEEN = (
    "WARNING: CPU: 1 PID: 5 at kmod/vm.c:12 umbra_vm_create+0x5/0x10 [umbra]",
    "[    1.5] BUG: unable to handle page fault for address: ffff888000000000",
    "[    1.5][   T12] BUG: KASAN: use-after-free in umbra_run+0x1/0x2",
    "kernel BUG at kmod/memory.c:33!",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "INFO: task vmctl:12 blocked for more than 120 seconds.",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [vmctl:31]",
    "WARNING: possible circular locking dependency detected",
    "BUG: scheduling while atomic: vmctl/31/0x00000002",
    "UBSAN: shift-out-of-bounds in arch/x86/mmu/walk.c:7:3",
    "general protection fault, probably for non-canonical address 0xdead: 0000 [#1] PREEMPT SMP",
    "BUG umbra_page (Not tainted): Objects remaining in umbra_page on __kmem_cache_shutdown()",
    "Kernel panic - not syncing: Fatal exception",
    "------------[ cut here ]------------",
    "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "unchecked MSR access error: RDMSR from 0xc0011029",
)
_FORGIVEN = (
    "traps: vmctl[12] general protection fault ip:401000 sp:7ffc error:0 in vmctl[401000+1000]",
    "vmctl[12]: segfault at 0 ip 0000000000401000 sp 00007ffc error 4 in vmctl[401000+1000]",
    "Speculative Return Stack Overflow: WARNING: See https://kernel.org/doc/html/latest/srso.html",
    "umbra: loading out-of-tree module taints kernel.",
    "clocksource: Switched to clocksource tsc",
    "umbra: AMD-V, nested paging, 16 ASIDs",
)


def _run(*args, **more):
    return subprocess.run([*RUN, *args], check=False, capture_output=True, **more)


def _equal(have, want, what):
    return "" if have == want else f"{what}: {have!r}, expected {want!r}"


def _arguments():
    args = ["a b", "q'uo\"te", "$HOME `id`", "", "*", "x\ny", "--", "\\"]
    done = _run("--", "printf", "[%s]\\n", *args, stdin=subprocess.DEVNULL)
    return (_equal(done.stdout.decode(), "".join(f"[{a}]\n" for a in args), "arguments")
            or _equal(done.returncode, 0, "status"))


def _data():
    data = os.urandom(100000)
    done = _run("--", "sh", "-c", "cat; echo errors >&2; exit 42", input=data)
    return (_equal(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest(), "data")
            or _equal(done.returncode, 42, "status")
            or _equal(done.stderr.strip().splitlines()[-1:], [b"errors"], "errors"))


def _files():
    with tempfile.TemporaryDirectory() as directory:
        source, back = Path(directory, "source"), Path(directory, "back")
        source.mkdir()
        data = os.urandom(100000)
        (source / "file").write_bytes(data)
        done = _run(f"--file={source}:/there/", f"--fetch=/there/source/file:{back}", "--", "true",
                    stdin=subprocess.DEVNULL)
        return (_equal(done.returncode, 0, "status")
                or _equal(back.read_bytes() == data, True, "a file that went there and back is the same"))


def _splat():
    done = _run("--", "sh", "-c", "echo 'WARNING: CPU: 0 PID: 1 at nothing' >/dev/kmsg; echo out",
                stdin=subprocess.DEVNULL)
    return (_equal(done.returncode, 125, "status after a splat")
            or _equal(done.stdout, b"out\n", "output")
            or _equal(b"WARNING: CPU: 0 PID: 1 at nothing" in done.stderr, True, "the splat is shown"))


def _panic():
    done = _run("--", "sh", "-c", "echo c >/proc/sysrq-trigger", stdin=subprocess.DEVNULL)
    return _equal(done.returncode, 125, "status after a panic")


def _timeout():
    began = time.monotonic()
    done = _run("--timeout", "20", "--", "sh", "-c", "printf partial; sleep 1000",
                stdin=subprocess.DEVNULL)
    return (_equal(done.returncode, 124, "status") or _equal(done.stdout, b"partial", "output")
            or _equal(time.monotonic() - began < 60, True, "ended in time"))


def _left_running():
    done = _run("--", "sh", "-c", "sleep 1000 & exit 7", stdin=subprocess.DEVNULL)
    return _equal(done.returncode, 7, "status")


def _usage():
    for args in ([], ["true"], ["--kernel", "5.0", "--", "true"], ["--smp", "0", "--", "true"],
                 ["--memory", "x", "--", "true"], ["--file", "/nonexistent", "--", "true"],
                 ["--count", "--smp", "2", "--", "true"], ["--count", "--tty", "--", "true"],
                 ["--cpu", "vmx", "--parallel", "--", "true"]):
        done = _run(*args, stdin=subprocess.DEVNULL)
        wrong = (_equal(done.returncode, 2, f"status of {args}")
                 or _equal(done.stderr.count(b"\n"), 1, f"lines of complaint about {args}"))
        if wrong:
            return wrong
    return ""


def _read(process):
    return process.stdout.read()


def _read_late(process):
    """Take nothing until the pipe holds all that it can, and then as it comes."""
    was, holds = 0, array.array("i", [0])
    while process.poll() is None and (not holds[0] or holds[0] != was):
        was = holds[0]
        time.sleep(1)
        fcntl.ioctl(process.stdout, termios.FIONREAD, holds)
    return process.stdout.read()


def _repeats():
    """A reader that comes late changes nothing, either."""
    runs = []
    with tempfile.TemporaryDirectory() as directory:
        for read in (_read, _read_late):
            log = Path(directory, str(len(runs)))
            with subprocess.Popen([*RUN, "--count", "--log", log, "--", "sh", "-c",
                                   "ls -R /sys | md5sum; seq 13000; cat /proc/stat"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
                output = read(process)
            runs.append((process.returncode, output[-3000:], log.read_bytes()))
    return _equal(runs[0], runs[1], "two runs") or _equal(runs[0][0], 0, "status")


def _bochs():
    data, more = os.urandom(1500), os.urandom(200000)
    with tempfile.TemporaryDirectory() as directory:
        source, back = Path(directory, "source"), Path(directory, "back")
        source.write_bytes(more)
        done = _run("--cpu", "vmx", "--smp", "2", "--kernel", "6.12", f"--file={source}:there",
                    f"--fetch=there:{back}", "--", "sh", "-c",
                    "cat; cat there; grep -q vmx /proc/cpuinfo && nproc >&2; exit 42", input=data)
        return (_equal(done.stdout == data + more, True, "input and a file come back the same")
                or _equal(done.stderr.strip().splitlines()[-1:], [b"2"], "CPUs with VT-x")
                or _equal(done.returncode, 42, "status")
                or _equal(back.read_bytes() == more, True, "a file that was fetched is the same"))


def _bochs_repeats():
    logs = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(2):
            log = Path(directory, str(number))
            done = _run("--cpu", "svm-bochs", "--count", "--log", log, "--", "sh", "-c",
                        "cat /proc/stat; echo 'WARNING: CPU: 0 PID: 1 at nothing' >/dev/kmsg",
                        stdin=subprocess.DEVNULL)
            logs.append((done.returncode, done.stdout, log.read_bytes()))
    return _equal(logs[0], logs[1], "two runs") or _equal(logs[0][0], 125, "status after a splat")


def _patterns():
    for line in _SEEN:
        if not splat.find(line):
            return f"not taken for a splat: {line}"
    for line in _FORGIVEN:
        if splat.find(line):
            return f"taken for a splat: {line}"
    return ""


TESTS = {"splat patterns": _patterns, "usage": _usage, "arguments": _arguments, "data": _data,
         "files": _files, "splat": _splat, "panic": _panic, "time-out": _timeout,
         "left running": _left_running, "count repeats": _repeats, "Bochs": _bochs,
         "Bochs repeats": _bochs_repeats}


def run(report):
    """Run each on a host of its own, side by side."""
    def one(name):
        began = time.monotonic()
        report.result(f"host {name}", TESTS[name](), seconds=time.monotonic() - began)

    cache.ROOT.mkdir(parents=True, exist_ok=True)
    pool.run([pool.Job(1, functools.partial(one, name)) for name in TESTS
              if report.wanted(f"host {name}")], "tests of the test host")
