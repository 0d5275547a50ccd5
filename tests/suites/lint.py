# SPDX-License-Identifier: GPL-2.0-only
"""What reads the sources and complains: each tool is a test and must be silent."""

import re
import subprocess
from pathlib import Path

from testhost import cache, debugkernel, kernels, sources
from testhost.cache import REPO, HostError

from . import analysis

# checkpatch is about patches to Linux: what it says of paths in Linux' tree does
# not apply. The rest does, but for what Linux' headers offer and those of a C
# library do not, which goes for the ABI, too; its spelling (codespell has that); and the
# length of a line that is a message to the user, which is not to be split.
CHECKPATCH = ["--no-tree", "--strict", "--terse", "--no-summary", "--show-types", "-f",
              "--max-line-length=100"]
# A macro that visits all of something cannot but use its arguments more than once.
IGNORED = "FILE_PATH_CHANGES,TYPO_SPELLING,MACRO_ARG_REUSE"
NOT_KERNEL = ("PREFER_KERNEL_TYPES,BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,SSCANF_TO_KSTRTO,"
              "ENOSYS,EMBEDDED_FUNCTION_NAME,VOLATILE,ARRAY_SIZE,CAMELCASE,LONG_LINE_STRING")
# What no header declares: symbols of assembly, and functions that the linker wraps. What
# stands for entries of a table or for bytes of code, and not for a value. Names of members and
# types, which cannot be in parentheses. Types that are called as Linux calls them, where the
# module's sources are compiled without Linux.
FREESTANDING = "AVOID_EXTERNS,COMPLEX_MACRO,TRAILING_SEMICOLON,MACRO_ARG_PRECEDENCE,NEW_TYPEDEFS"
KERNEL = ("kmod", "arch", "tests/kunit", "tests/system/plant")
# Makes Documentation/sensitive-instructions.rst.
SENSITIVE = REPO / "tests/guests/sensitive/generate"
C = (".c", ".h", ".S")
USERLAND = ("userland", "uapi", "tests/bench", "tests/fuzz", "tests/guests/linux", "tests/host")


def tracked(*patterns):
    """Return the files that git knows and that exist, as patterns select them."""
    done = subprocess.run(["git", "-C", REPO, "ls-files", "-co", "--exclude-standard", "--",
                           *patterns], check=True, text=True, capture_output=True)
    return [line for line in sorted(set(done.stdout.splitlines())) if (REPO / line).is_file()]


def _silent(output):
    return "must say nothing" if output.strip() else ""


def checkpatch():
    """Return checkpatch.pl, which comes with Linux' source."""
    return debugkernel.source("6.1") / "scripts/checkpatch.pl"


def _checkpatch(report):
    """Every C, header and assembly file is of one of three kinds, by where it is."""
    kernel = {f for f in tracked(*KERNEL) if f.endswith(C)}
    userland = {f for f in tracked(*USERLAND) if f.endswith(C)}
    rest = {f for f in tracked() if f.endswith(C)} - kernel - userland
    for what, files, ignored in (("kernel", kernel, IGNORED),
                                 ("userland", userland, f"{IGNORED},{NOT_KERNEL}"),
                                 ("tests", rest, f"{IGNORED},{NOT_KERNEL},{FREESTANDING}")):
        name = f"lint checkpatch {what}"
        if report.wanted(name):
            report.command(name, ["perl", checkpatch(), *CHECKPATCH, "--ignore", ignored,
                                  *sorted(files)], _silent, cwd=REPO)


def _sparse(report, version):
    name = f"lint sparse {version}"
    if not report.wanted(name):
        return
    release, kdir = kernels.headers(version)
    work = cache.ROOT / "work" / f"sparse-{release}"

    def ours(output):
        # Linux' own headers have findings of their own.
        found = [line for line in output.splitlines()
                 if line.startswith(str(work)) and re.search(r": (warning|error):", line)]
        return "\n".join(found)

    with cache.lock(work.name):
        sources.sync(sources.snapshot(sources.MODULE), work)
        report.command(name, ["make", "-j2", "--no-print-directory", "-C", kdir, f"M={work}",
                              "C=2", "CF=-D__CHECK_ENDIAN__", "modules"], ours)


def _scripts():
    """Return the tracked files that are shell scripts."""
    found = []
    for name in tracked():
        with open(REPO / name, "rb") as f:
            first = f.readline()
        if re.match(rb"#!.*\b(ba)?sh\b", first) or (
                name.startswith(("tests/system/", "tests/fuzz/")) and name.endswith(".sh")):
            found.append(name)
    return found


def _kernel_doc(report):
    """Comments that describe functions and structures describe all of them."""
    # 6.1's script does not know all warnings.
    script = debugkernel.source("6.12") / "scripts/kernel-doc"
    files = [f for f in tracked("kmod", "arch", "uapi", "userland") if f.endswith((".c", ".h"))]
    report.command("lint kernel-doc", ["perl", script, "-none", "-Wall", "-Werror", *files],
                   _silent, cwd=REPO)


def _manual_pages(report):
    pages = tracked("Documentation/man")
    # Below warnings mandoc has remarks on style: lines longer than 80 characters.
    report.command("lint mandoc", ["mandoc", "-T", "lint", "-W", "warning", *pages], _silent,
                   cwd=REPO)
    for page in pages:
        report.command(f"lint groff {Path(page).name}",
                       ["groff", "-man", "-t", "-ww", "-z", "-Kutf8", page], _silent, cwd=REPO)


def _documentation(report):
    """The documentation is of one piece: no broken table or reference."""
    out = cache.ROOT / "docs" / "lint"
    report.command("lint sphinx", ["sphinx-build", "-q", "-E", "-W", "--keep-going", "-b", "html",
                                   "-d", out / "doctrees", REPO / "Documentation", out / "html"], _silent)


def _generated(report):
    """Compare pages of the documentation with what they are made from."""
    name = "lint sensitive-instructions.rst"
    if not report.wanted(name):
        return
    done = subprocess.run([SENSITIVE, "rst"], check=False, text=True, capture_output=True)
    page = REPO / "Documentation/sensitive-instructions.rst"
    if done.returncode:
        report.failed(name, done.stderr)
    elif done.stdout != page.read_text(encoding="utf-8"):
        report.failed(name, f"{page.relative_to(REPO)} is not what its table says; "
                            f"run {SENSITIVE.relative_to(REPO)} rst >{page.relative_to(REPO)}")
    else:
        report.passed(name)


def run(report):
    """Run every tool over its files."""
    try:
        for version in kernels.VERSIONS:
            _sparse(report, version)
        _checkpatch(report)
        if report.wanted("lint kernel-doc"):
            _kernel_doc(report)
        analysis.run(report)
    except HostError as error:
        report.failed("lint", str(error))
    _manual_pages(report)
    _documentation(report)
    _generated(report)
    report.command("lint shellcheck", ["shellcheck", "-x", "-P", "SCRIPTDIR", *_scripts()], _silent, cwd=REPO)
    programs = ["tests/check", "tests/host/run", "tests/host/demo", "tests/host/testhost", "tests/suites",
                "tests/bench/run", "tests/bench/yardstick", "tests/fuzz/run", "tests/unit/bench/run",
                "tests/unit/bench/test_yardstick.py", "tests/guests/sensitive/generate"]
    report.command("lint pylint", ["/usr/bin/pylint", "--rcfile", REPO / "tests/suites/pylintrc",
                                   *programs], cwd=REPO)
    report.command("lint codespell",
                   ["codespell", "--ignore-words", Path(__file__).with_name("spelling"),
                    *(f for f in tracked()
                      if not f.startswith((".cache", "tests/fuzz/user/corpus")))],
                   _silent, cwd=REPO)
