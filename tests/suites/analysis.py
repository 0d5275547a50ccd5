# SPDX-License-Identifier: GPL-2.0-only
"""Static analysis: coccinelle, clang-tidy and cppcheck, each of which must be silent.

What is switched off, and why, is beside this file in analysis/. A file that was
found in order with these headers and by these rules is not looked at again.
"""

import os
import re
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testhost import cache, debugkernel, kernels, sources
from testhost.cache import REPO

HERE = Path(__file__).with_name("analysis")
CLANG_KERNEL = Path(__file__).with_name("clang-kernel")
MODULE = ("kmod", "arch", "uapi")
PROGRAMS = ("userland", "uapi")
# How userland/Makefile calls the compiler, as far as it matters.
PROGRAM_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-pthread", f"-I{REPO}/userland", f"-I{REPO}/uapi")

# Semantic patches that cannot say anything here, by name:
SKIPPED = {
    "badzero.cocci": "needs a compiler of OCaml; sparse warns of the same",
    "check_bq27xxx_data.cocci": "is about one driver, and needs a compiler of OCaml",
    "minmax.cocci": "takes a minute, to say where min() would be shorter",
}


def each(report, name, jobs):
    """Run tools side by side as one test.

    Each job is (key, arguments, options of subprocess.run, function that leaves
    of the output what counts). A job whose key was silent before is not run.
    """
    if not report.wanted(name):
        return
    began = time.monotonic()
    clean = cache.ROOT / "lint"
    clean.mkdir(parents=True, exist_ok=True)

    def one(job):
        key, args, options, ours = job
        mark = clean / key
        if mark.exists():
            mark.touch()
            return ""
        done = subprocess.run(args, check=False, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, **options)
        said = ours(done.stdout).strip()
        if not said and done.returncode:
            said = f"{args[0]}: exit status {done.returncode}\n{done.stdout}"
        if not said:
            mark.touch()
        return said

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        said = [text for text in pool.map(one, jobs) if text]
    month_ago = time.time() - 30 * 86400
    for mark in clean.iterdir():
        if mark.stat().st_mtime < month_ago:
            mark.unlink(missing_ok=True)
    report.result(name, "must say nothing" if said else "", "\n".join(said),
                  time.monotonic() - began)


def _files(parts, suffixes):
    """Return the repository's files below these parts, as {path: content}."""
    return {path: content for path, content in sources.snapshot(parts).items()
            if path.suffix in suffixes}


def _flat(files):
    return [part for path, content in files.items() for part in (str(path), content)]


def coccinelle(report):
    """Linux' semantic patches, in report mode, over the module."""
    name = "lint coccinelle"
    if not report.wanted(name):
        return
    tree = debugkernel.source("6.1")
    files = _files(MODULE, (".c", ".h"))
    work = cache.ROOT / "work" / "coccinelle"
    version = subprocess.run(["spatch", "--version"], check=True, capture_output=True).stdout

    def job(rule):
        options = re.findall(r"^// Options: (.*)", rule.read_text(encoding="utf-8"), re.M)
        args = ["spatch", "-D", "report", "--no-show-diff", "--very-quiet", "--cocci-file", rule,
                *shlex.split(" ".join(options)), "--no-includes", "--include-headers",
                "--dir", ".", "-I", tree / "include"]
        return (cache.digest(version, rule, *_flat(files)), args, {"cwd": work},
                lambda output: "\n".join(line for line in output.splitlines()
                                         if "should " not in line or "metavariable" not in line))

    rules = [rule for rule in sorted((tree / "scripts/coccinelle").rglob("*.cocci"))
             if rule.name not in SKIPPED]
    with cache.lock(work.name):
        sources.sync(files, work)
        each(report, name, [job(rule) for rule in rules])


def _kernel_flags(work, path):
    """Return how the kernel's build system compiled a file there, as clang has it."""
    record = work / path.with_name(f".{path.stem}.o.cmd")
    command = record.read_text(encoding="utf-8").splitlines()[0].partition(":=")[2]
    args = shlex.split(command.partition(";")[0])[1:]
    output = args.index("-o")
    args = args[:output] + args[output + 2:]
    flags = [arg for arg in args if not arg.endswith(".c") and arg != "-c" and
             not re.match(r"-Wp,-MM?D", arg)]
    shown = subprocess.run([CLANG_KERNEL, *flags], check=True, text=True, capture_output=True,
                           env={**os.environ, "CLANG_KERNEL_SHOW": "1"})
    return shown.stdout.splitlines()


def _in(directory):
    """Return a filter of clang-tidy's output: findings in files of this directory."""
    def ours(output):
        found, keep = [], False
        for line in output.splitlines():
            if re.search(r": (warning|error): ", line):
                keep = line.startswith(str(directory))
            if keep and not re.match(r"\d+ warnings?", line):
                found.append(line)
        return "\n".join(found)
    return ours


def clang_tidy_module(report):
    """clang-tidy over the module, with the flags that built it for sparse."""
    name = "lint clang-tidy module"
    if not report.wanted(name):
        return
    release, kdir = kernels.headers("6.1")
    work = cache.ROOT / "work" / f"sparse-{release}"
    files = _files((*MODULE, "Kbuild"), (".c", ".h", ""))
    config = HERE / "tidy-kernel.yml"
    headers = [str(kdir), CLANG_KERNEL, config,
               *_flat({p: c for p, c in files.items() if p.suffix != ".c"})]
    with cache.lock(work.name):
        sources.sync(sources.snapshot(sources.MODULE), work)
        subprocess.run(["make", "-s", "-j2", "-C", kdir, f"M={work}", "modules"], check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        jobs = []
        for path, content in files.items():
            if path.suffix == ".c" and (work / path.with_name(f".{path.stem}.o.cmd")).exists():
                args = ["clang-tidy", "--quiet", f"--config-file={config}",
                        f"--header-filter={work}/.*", work / path, "--",
                        *_kernel_flags(work, path)]
                jobs.append((cache.digest(str(path), content, *headers), args, {"cwd": kdir},
                             _in(work)))
        each(report, name, jobs)


def clang_tidy_programs(report):
    """clang-tidy over what runs in user space."""
    config = HERE / "tidy-userland.yml"
    files = _files(PROGRAMS, (".c", ".h"))
    headers = [config, *_flat({p: c for p, c in files.items() if p.suffix == ".h"})]
    jobs = [(cache.digest(str(path), content, *headers),
             ["clang-tidy", "--quiet", f"--config-file={config}",
              f"--header-filter={REPO}/.*", REPO / path, "--", *PROGRAM_FLAGS],
             {"cwd": REPO}, _in(REPO))
            for path, content in files.items() if path.suffix == ".c"]
    each(report, "lint clang-tidy programs", jobs)


def cppcheck(report):
    """cppcheck over the module, with a sketch of Linux, and over programs."""
    common = ["cppcheck", "-q", "-j2", "--enable=warning,portability,performance,style",
              "--inline-suppr", "--std=c11", "--platform=unix64", "--error-exitcode=1",
              "--template={file}:{line}: {id}: {message}", "-D__x86_64__",
              f"--suppressions-list={HERE / 'cppcheck.suppressions'}"]
    sketch = HERE / "cppcheck.h"
    for what, parts, more in (
            ("module", MODULE, [f"--include={sketch}", "-D__KERNEL__", "-DCONFIG_X86_64",
                                "-DUMBRA_VERSION=\"\"", "-Ikmod", "-Iarch/x86", "-Iuapi"]),
            ("programs", PROGRAMS, ["--library=posix,gnu", "-D_GNU_SOURCE", "-Iuserland",
                                    "-Iuapi"])):
        files = _files(parts, (".c", ".h"))
        args = [*common, *more, *(str(path) for path in files if path.suffix == ".c")]
        key = cache.digest(HERE / "cppcheck.suppressions", sketch, " ".join(map(str, args)),
                           *_flat(files))
        each(report, f"lint cppcheck {what}", [(key, args, {"cwd": REPO}, lambda output: output)])


def run(report):
    """Run all of them."""
    coccinelle(report)
    clang_tidy_module(report)
    clang_tidy_programs(report)
    cppcheck(report)
