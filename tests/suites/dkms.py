# SPDX-License-Identifier: GPL-2.0-only
"""DKMS builds, installs and removes the module, in private trees."""

import os
import re
import shutil
import subprocess
import time

from testhost import cache, kernels, sources
from testhost.cache import REPO, HostError

PARTS = (*sources.MODULE, "dkms.conf")
# DKMS wants to be root, which in private trees may be a namespace's.
ROOT = [] if os.geteuid() == 0 else ["unshare", "-r"]
HEAD = 10  # lines of a log that a person surely reads


class Trees:
    """DKMS with source, build and installation trees of its own."""

    def __init__(self, work, release, kdir):
        conf = (REPO / "dkms.conf").read_text(encoding="ascii")
        self.name, self.version = (re.search(rf'^PACKAGE_{what}="(.*)"$', conf, re.M).group(1)
                                   for what in ("NAME", "VERSION"))
        self._work, self._release, self._kdir = work, release, kdir
        self.installed = f"install/{release}/updates/dkms/umbra.ko"
        shutil.rmtree(work, ignore_errors=True)
        for name in ("source", "tree", f"install/{release}"):
            (work / name).mkdir(parents=True)
        sources.sync(sources.snapshot(PARTS), work / "source" / f"{self.name}-{self.version}")
        self.output = ""

    def dkms(self, verb, *more, kdir=None, **env):
        """Run DKMS; return its exit status and keep its output."""
        args = [*ROOT, "dkms", verb, "--dkmstree", self._work / "tree", "--sourcetree",
                self._work / "source", "--installtree", self._work / "install",
                "-m", self.name, "-v", self.version, *more]
        if verb in ("build", "install"):
            args += ["-k", self._release, "--kernelsourcedir", kdir or self._kdir]
        if verb in ("install", "remove"):
            # It works on the machine's own /lib/modules.
            args.append("--no-depmod")
        # It would make a key in the machine's own tree to sign with.
        done = subprocess.run(args, check=False, text=True, errors="replace", cwd=self._work,
                              env={**os.environ, "sign_file": "/nonexistent", **env},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.output += f"$ dkms {verb}\n{done.stdout}"
        return done.returncode

    def modules(self):
        """Return what modules there are in the trees."""
        return [str(path.relative_to(self._work)) for path in self._work.rglob("*.ko*")]

    def status(self):
        """Return what DKMS thinks of the module."""
        at = len(self.output)
        self.dkms("status")
        return self.output[at:].partition("\n")[2]

    def log(self):
        """Return the head of the log of a build that failed."""
        logs = sorted((self._work / "tree").rglob("make.log"))
        text = logs[0].read_text(encoding="utf-8", errors="replace") if logs else ""
        return "\n".join(text.splitlines()[:HEAD])


def _whole_life(trees):
    """Add, build, install and remove; return what went wrong, or ""."""
    for verb in ("add", "build", "install"):
        if trees.dkms(verb):
            return f"dkms {verb} failed\n{trees.log()}"
    if trees.installed not in trees.modules() or "installed" not in trees.status():
        return f"the module is not installed as {trees.installed}"
    if trees.dkms("remove", "--all"):
        return "dkms remove failed"
    if "bad exit status" in trees.output:
        return "cleaning failed"
    if trees.modules() or trees.status().strip():
        return f"something is left: {trees.modules()} {trees.status()}"
    return ""


def _failure(trees, why, **how):
    """Build where that must fail; return what is wrong with how it does."""
    trees.output = ""
    if trees.dkms("add") or not trees.dkms("build", **how):
        return "dkms build should have failed"
    said = "\n".join(trees.output.splitlines()[:3 * HEAD]) + trees.log()
    if not re.search(why, said):
        return f"the first lines do not say '{why}':\n{trees.log()}"
    if trees.modules() or "built" in trees.status() or "installed" in trees.status():
        return f"something is left: {trees.modules()}"
    return "dkms remove failed" if trees.dkms("remove", "--all") else ""


def run(report):
    """Try it on both kernels; failures on the first."""
    for version in kernels.VERSIONS:
        name = f"build dkms {version}"
        if not report.wanted(name):
            continue
        began = time.monotonic()
        try:
            release, kdir = kernels.headers(version)
        except HostError as error:
            report.failed(name, str(error))
            continue
        work = cache.ROOT / "work" / f"dkms-{release}"
        with cache.lock(work.name):
            trees = Trees(work, release, kdir)
            why = _whole_life(trees)
            if not why and version == list(kernels.VERSIONS)[0]:
                why = (_failure(trees, "no compiler 'no-such-compiler'",
                                MAKEFLAGS="CC=no-such-compiler") or
                       _failure(trees, "headers .*(cannot be found|not be found)",
                                kdir=work / "no-such-headers"))
        report.result(name, why, trees.output, time.monotonic() - began)
