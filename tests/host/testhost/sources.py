# SPDX-License-Identifier: GPL-2.0-only
"""Builds umbra.ko and vmctl in copies of the sources, one copy per target.

The copies let builds for several kernels, by several runs, go on at once, and
leave the repository clean. A copy is kept and brought up to date file by file,
so a second build compiles only what changed.
"""

import os
import shutil
import subprocess
from pathlib import Path

from . import cache
from .cache import HostError, say

MODULE = ("Kbuild", "kmod", "arch", "uapi")
KUNIT = (*MODULE, "tests/kunit", "tests/unit/mmu")
USERLAND = ("userland", "uapi", "arch")
KVMRUN = "tests/bench/kvmrun"
PLANT = "tests/system/plant"
# Counters in a file that is mapped all the time: a program that is killed has counted, too.
CLANG_COVERAGE = ("clang", "-fprofile-instr-generate", "-fcoverage-mapping",
                  "-mllvm", "-runtime-counter-relocation")
_SKIPPED = (".o", ".ko", ".cmd", ".mod", ".a", ".d", ".pyc", ".s", ".symvers", ".order", "~", ".swp")


def _files(parts):
    """Return the source files below these parts of the repository, sorted."""
    found = []
    for part in parts:
        top = cache.REPO / part
        if top.is_file():
            found.append(Path(part))
        for directory, dirs, names in os.walk(top):
            dirs[:] = sorted(d for d in dirs if not d.startswith("."))
            for name in sorted(names):
                path = Path(directory, name)
                if not name.startswith(".") and not name.endswith(_SKIPPED) and path.is_file():
                    found.append(path.relative_to(cache.REPO))
    return found


def _is_binary(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def snapshot(parts):
    """Return {path: content} of the sources below these parts of the repository."""
    return {path: (cache.REPO / path).read_bytes() for path in _files(parts)
            if not _is_binary(cache.REPO / path)}


def sync(sources, into):
    """Make the source files of a work tree those of the snapshot."""
    into.mkdir(parents=True, exist_ok=True)
    listing = into / ".sources"
    old = set(listing.read_text(encoding="utf-8").splitlines()) if listing.exists() else set()
    for gone in old - {str(path) for path in sources}:
        (into / gone).unlink(missing_ok=True)
    for path, content in sources.items():
        copy = into / path
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            shutil.copymode(cache.REPO / path, copy)
    listing.write_text("\n".join(str(path) for path in sources), encoding="utf-8")


def make(directory, what, *args):
    """Run make in a work tree; its output is shown only when it fails."""
    say(f"building {what}")
    done = subprocess.run(["make", "-j2", *args], cwd=directory, check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise HostError(f"{what} does not build:\n{done.stdout.rstrip()}")
    return done.stdout


def _key(sources, *more):
    return cache.digest(*more, *(part for path, content in sources.items()
                                 for part in (str(path), content)))


def module(release, kdir):
    """Return umbra.ko built for a kernel in its build directory, without debug data."""
    sources = snapshot(MODULE)
    if Path("Kbuild") not in sources:
        raise HostError("there is no Kbuild, so no umbra.ko to load (--no-module does without)")

    def build(into):
        work = cache.ROOT / "work" / f"module-{release}"
        sync(sources, work)
        make(work, f"umbra.ko for {release}", "-C", kdir, f"M={work}", "modules")
        shutil.copy(work / "umbra.ko", into / "umbra.ko.debug")
        subprocess.run(["objcopy", "--strip-debug", work / "umbra.ko", into / "umbra.ko"], check=True)

    return cache.entry(f"module-{release}", _key(sources, str(kdir)), build) / "umbra.ko"


def module_for_coverage(release, kdir, tests=False):
    """Return (umbra.ko or umbra_kunit.ko, where it was built), with counters for gcov.

    It is not kept: gcov wants what the compiler wrote beside the objects.
    """
    name, parts, more = (("umbra_kunit", KUNIT, ["UMBRA_KUNIT=y"]) if tests else
                         ("umbra", MODULE, []))
    work = cache.ROOT / "work" / f"{name}-{release}"
    sync(snapshot(parts), work)
    make(work, f"{name}.ko with counters", "-C", kdir, f"M={work}", "GCOV_PROFILE=y", *more, "modules")
    return work / f"{name}.ko", work


def vmctl_for_coverage():
    """Return vmctl with clang's counters, built anew."""
    work = cache.ROOT / "work" / "userland-coverage"
    sync(snapshot(USERLAND), work)
    make(work / "userland", "vmctl with counters", f"CC={' '.join(CLANG_COVERAGE)}")
    return work / "userland/vmctl/vmctl"


def kunit(release, kdir):
    """Return umbra_kunit.ko, the module with the tests of tests/kunit."""
    sources = snapshot(KUNIT)

    def build(into):
        work = cache.ROOT / "work" / f"kunit-{release}"
        sync(sources, work)
        make(work, f"umbra_kunit.ko for {release}", "-C", kdir, f"M={work}", "UMBRA_KUNIT=y", "modules")
        subprocess.run(["objcopy", "--strip-debug", work / "umbra_kunit.ko", into / "umbra_kunit.ko"],
                       check=True)

    return cache.entry(f"kunit-{release}", _key(sources, str(kdir)), build) / "umbra_kunit.ko"


def plant(release, kdir):
    """Return plant.ko, with which tests have entries refused, built for a kernel."""
    sources = snapshot((*MODULE, PLANT))

    def build(into):
        work = cache.ROOT / "work" / f"plant-{release}"
        sync(sources, work)
        make(work, f"plant.ko for {release}", "-C", kdir, f"M={work / PLANT}", f"UMBRA={work}", "modules")
        subprocess.run(["objcopy", "--strip-debug", work / PLANT / "plant.ko", into / "plant.ko"], check=True)

    return cache.entry(f"plant-{release}", _key(sources, str(kdir)), build) / "plant.ko"


def vmctl():
    """Return vmctl, or None if the repository has no sources of it."""
    sources = snapshot(USERLAND)
    if Path("userland/Makefile") not in sources:
        return None

    def build(into):
        work = cache.ROOT / "work" / "userland"
        sync(sources, work)
        make(work / "userland", "vmctl")
        shutil.copy(work / "userland/vmctl/vmctl", into / "vmctl")

    return cache.entry("vmctl", _key(sources), build) / "vmctl"


def kvmrun():
    """Return kvmrun, the monitor over KVM."""
    sources = snapshot((*USERLAND, KVMRUN))

    def build(into):
        work = cache.ROOT / "work" / "kvmrun"
        sync(sources, work)
        make(work / KVMRUN, "kvmrun")
        shutil.copy(work / KVMRUN / "kvmrun", into / "kvmrun")

    return cache.entry("kvmrun", _key(sources), build) / "kvmrun"
