# SPDX-License-Identifier: GPL-2.0-only
"""Which lines the tests run: a table by file, of the module and of vmctl.

The module is counted by gcov in a kernel that supports it: under system tests, on emulated
hosts of AMD-V and VT-x, and under KUnit. What runs in user space, vmctl in these tests and
the unit tests, is counted by clang. A line counts as run if it ran in any of them.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from testhost import cache, debugkernel, sources
from testhost.cache import HostError

from . import kunit, pool, system, unit

VERSION = "6.1"
# How the names of tests begin, by the options of their host: all that tells one path of the
# module from another.
CHOICE = {"": "", "--cpu vmx": "", "--cpu vmx-noug": "", "--cpu vmx-noept": "",
          "--cpu vmx-skylake": "", "--cpu svm-bochs": "entry-failure"}
# These take long, and go over the same lines again and again.
LEFT_OUT = re.compile(r"memflush|memsem|memtest|nanobench|linux-mtrr|linux-options|hostmem.nested|hostmem.shadow,1"
                      r"|linux-boot.*(6\.12|6\.1,4)|state-moving.both-[mps]")
WANTED = 85
ARCHIVE = "/tmp/counted.tar"


class Lines:
    """Which lines of which files there are, and which of them have run."""

    def __init__(self):
        self._files = {}

    def add(self, path, number, ran):
        """Take in what one count has of a line."""
        lines = self._files.setdefault(str(path), {})
        lines[number] = lines.get(number, False) or ran

    def table(self):
        """Return the table: file, lines, percent of them that ran; and its sums."""
        rows, sums = [], {}
        for path, lines in sorted(self._files.items()):
            ran = sum(lines.values())
            rows.append((path, len(lines), ran))
            part = path.split("/")[0]
            sums[part] = [a + b for a, b in zip(sums.get(part, (0, 0)), (len(lines), ran))]
        rows += [(f"all of {part}", *counts) for part, counts in sorted(sums.items())]
        out = [f"{'file':<40} {'lines':>6} {'run':>6}"]
        for path, count, ran in rows:
            share = 100 * ran / count
            out.append(f"{path:<40} {count:>6} {share:>5.1f}%{'' if share >= WANTED else '  <'}")
        return "\n".join(out)


def _ours(path, root):
    """Return a path in the repository, if that is what a copy of it below @root was."""
    path = os.path.normpath(path)
    if not path.startswith(f"{root}/"):
        return None
    path = path[len(str(root)) + 1:]
    return path if path.startswith(("arch/", "kmod/", "userland/")) else None


def _take_gcov(lines, archive, work):
    """Add what a kernel counted in a module that was built in @work."""
    for old in work.rglob("*.gcda"):
        old.unlink()
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.rpartition(f"{work}/")[2]
            if member.isfile() and name != member.name:
                (work / name).write_bytes(tar.extractfile(member).read())
    counted = sorted(work.rglob("*.gcda"))
    if not counted:
        raise HostError(f"the kernel counted nothing of what was built in {work}")
    for data in counted:
        done = subprocess.run(["gcov", "--json-format", "--stdout", data], check=True, cwd=work,
                              capture_output=True, text=True)
        for document in done.stdout.splitlines():
            document = json.loads(document)
            for file in document["files"]:
                path = _ours(os.path.join(document["current_working_directory"], file["file"]), work)
                if path:
                    for line in file["lines"]:
                        lines.add(path, line["line_number"], line["count"] > 0)


def _take_clang(lines, raw, programs, root):
    """Add what programs built below @root by clang counted."""
    profiles = [path for path in raw.rglob("*.profraw") if path.stat().st_size]
    if not profiles:
        raise HostError(f"{programs[0]} counted nothing")
    merged = raw / "merged"
    subprocess.run(["llvm-profdata", "merge", "-o", merged, *profiles], check=True,
                   capture_output=True)
    objects = [arg for program in programs[1:] for arg in ("-object", program)]
    done = subprocess.run(["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}",
                           programs[0], *objects], check=True, capture_output=True, text=True)
    path = None
    for line in done.stdout.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            path = _ours(value, root)
        elif key == "DA" and path:
            number, count = value.split(",")[:2]
            lines.add(path, int(number), int(count) > 0)


class _Boot(system.Boot):
    """A boot whose last test collects what was counted."""

    def __init__(self, report, options, tests, directory):
        super().__init__(report, VERSION, options, tests)
        self.archive = directory / "counted.tar"


def _boots(report, module, vmctl, directory):
    """Return the hosts to boot, each with its tests."""
    tests = {host: [] for host in CHOICE}
    for test in system.all_tests():
        if (VERSION in test.versions and test.host in CHOICE and
                test.name.startswith(CHOICE[test.host]) and
                not LEFT_OUT.search(test.name)):
            tests[test.host].append(test)
    boots = []
    for number, (host, chosen) in enumerate(tests.items()):
        own = directory / f"host-{number}"
        own.mkdir(parents=True)
        options = (f"--coverage {host} --no-vmctl --module-file={module} --file={vmctl}:/usr/bin/vmctl "
                   f"--env=LLVM_PROFILE_FILE=/tmp/counted/vmctl/%c%p.profraw "
                   f"--fetch={ARCHIVE}:{own / 'counted.tar'}")
        last = system.Test("collect", host, (), 120, ())
        boots.append(_Boot(report, options,
                           [*(dataclasses.replace(t, timeout=2 * t.timeout) for t in chosen), last], own))
    return boots


def _system_tests(report, lines, directory):
    """Count the module and vmctl under system tests."""
    release, kdir = debugkernel.headers(VERSION, "coverage")
    module, work = sources.module_for_coverage(release, kdir)
    vmctl = sources.vmctl_for_coverage()
    system.build_programs(report, {debugkernel.kernel(VERSION, "coverage").release: (release, kdir)})
    boots = _boots(report, module, vmctl, directory)
    pool.run(boots, "system tests")
    raw = directory / "vmctl"
    for number, boot in enumerate(boots):
        _take_gcov(lines, boot.archive, work)
        with tarfile.open(boot.archive) as tar:
            for member in tar:
                if member.name.endswith(".profraw"):
                    target = raw / f"{number}-{Path(member.name).name}"
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(tar.extractfile(member).read())
    _take_clang(lines, raw, [vmctl], vmctl.parents[2])


def _kunit(report, lines, directory):
    """Count the module under its tests in the kernel."""
    release, kdir = debugkernel.headers(VERSION, "coverage")
    module, work = sources.module_for_coverage(release, kdir, tests=True)
    archive = directory / "kunit.tar"
    report.command("coverage kunit",
                   [system.RUN, "--coverage", "--no-module", "--no-vmctl", "--append", "log_buf_len=4M",
                    f"--timeout={kunit.TIMEOUT}", f"--file={module}", f"--file={kunit.KUNIT / 'load.sh'}",
                    f"--file={system.DIRECTORY / 'collect'}", f"--fetch={ARCHIVE}:{archive}", "--",
                    "sh", "-c", "sh ./load.sh && sh -eu ./collect"])
    _take_gcov(lines, archive, work)


def _unit_tests(report, lines, directory):
    """Count what unit tests run in user space, of the module's logic, too."""
    work = cache.ROOT / "work" / "unit-coverage"
    sources.sync(sources.snapshot(unit.PARTS), work)
    for makefile in sorted((work / "tests/unit").glob("*/Makefile")):
        place = makefile.parent
        raw = directory / f"unit-{place.name}"
        raw.mkdir()
        report.command(f"coverage unit {place.name}",
                       ["make", "-s", "-C", place, f"CC={' '.join(sources.CLANG_COVERAGE)}",
                        "ASAN=", "SANITIZE=", "check"],
                       env={**os.environ, "LLVM_PROFILE_FILE": f"{raw}/%c%p.profraw"})
        programs = [path for path in sorted((place / "build").glob("*"))
                    if path.is_file() and path.suffix not in (".o", ".a", ".d", ".log")]
        if programs:
            _take_clang(lines, raw, programs, work)


def run(report):
    """Run the tests, and print the table."""
    if not report.wanted("coverage"):
        return
    began = time.monotonic()
    directory = cache.ROOT / "coverage"
    lines = Lines()
    try:
        with cache.lock("coverage"):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
            _unit_tests(report, lines, directory)
            _kunit(report, lines, directory)
            _system_tests(report, lines, directory)
    except (HostError, FileNotFoundError, subprocess.CalledProcessError) as error:
        report.failed("coverage", str(error), time.monotonic() - began)
    else:
        report.passed("coverage", seconds=time.monotonic() - began)
        print(f"\n{lines.table()}\n", flush=True)
