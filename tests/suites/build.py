# SPDX-License-Identifier: GPL-2.0-only
"""The module against every kernel, with gcc and clang, and by DKMS; vmctl; the monitor over KVM."""

import re
import shutil
from pathlib import Path

from testhost import cache, kernels, sources
from testhost.cache import HostError

from . import dkms

CLANG = Path(__file__).with_name("clang-kernel")
FLAVOURS = (kernels.HOST_FLAVOUR, kernels.GUEST_FLAVOUR)

# Debian's headers come without vmlinux, and of another build of the compiler.
_NOISE = re.compile(r"Skipping BTF generation|the compiler differs from|"
                    r"The kernel was built by|You are using:|"
                    r"make\[?\d*\]?: warning: .*jobserver")


def no_warnings(output, of=""):
    """Return the first warning that a compiler, linker or objtool gave of a path."""
    for line in output.splitlines():
        if re.search(r"\bwarning:", line, re.I) and line.startswith(of) and not _NOISE.search(line):
            return f"warnings are not allowed: {line.strip()}"
    return ""


def _fresh(work, parts):
    """Copy sources to where nothing is: only what is compiled gives warnings."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sources.sync(sources.snapshot(parts), work)


def _module(report, version, flavour, compiler):
    name = f"build umbra.ko {version} {flavour} {compiler}"
    if not report.wanted(name):
        return
    release, kdir = kernels.headers(version, flavour)
    work = cache.ROOT / "work" / f"matrix-{release}-{compiler}"
    args = ["make", "-j2", "--no-print-directory", "-C", kdir, f"M={work}", "W=1", "modules"]
    if compiler == "clang":
        # No objtool: this clang cannot make the thunks it looks for.
        args += [f"CC={CLANG}", "objtool=true"]
    with cache.lock(work.name):
        _fresh(work, sources.MODULE)
        report.command(name, args, no_warnings if compiler == "gcc" else
                       lambda output: no_warnings(output, str(work)))


def run(report):
    """Build everything in copies of the sources."""
    for version in kernels.VERSIONS:
        for flavour in FLAVOURS:
            for compiler in ("gcc", "clang"):
                try:
                    _module(report, version, flavour, compiler)
                except HostError as error:
                    report.failed(f"build umbra.ko {version} {flavour} {compiler}", str(error))
    for compiler in ("gcc", "clang"):
        work = cache.ROOT / "work" / f"matrix-userland-{compiler}"
        with cache.lock(work.name):
            _fresh(work, (*sources.USERLAND, sources.KVMRUN))
            for what, where in (("vmctl", "userland"), ("kvmrun", sources.KVMRUN)):
                report.command(f"build {what} {compiler}",
                               ["make", "-j2", "-C", work / where, f"CC={compiler}"], no_warnings)
    dkms.run(report)
