# SPDX-License-Identifier: GPL-2.0-only
"""Another kernel takes over the host, in order or after a panic, while guests run.

It must find every CPU as after a reset: see tests/system/programs/kexec.c. The host's
log is all that is left to look at, so each case is a host of its own, which is ended
when the second kernel has counted its CPUs.
"""

import dataclasses
import os
import subprocess
import time

from testhost import cache
from testhost.cache import REPO

from . import pool, system
from .report import Report

CPUS = 2
LIMIT = 600
KEXEC = system.PROGRAMS / "build/kexec"
# Of the second kernel, which has the first one's version and no file system.
ARGUMENTS = "console=ttyS0,115200 panic=-1"
# After what the second kernel says that, and what.
BEGINS = {"now": "kexec_core: Starting", "crash": "sysrq triggered crash"}
UP = f"smp: Brought up 1 node, {CPUS} CPUs"


@dataclasses.dataclass(frozen=True)
class Case:
    """A way to get there, on one host."""

    report: Report
    kernel: str
    cpu: str
    how: str
    paging: str
    weight: int = LIMIT

    @property
    def name(self):
        """What it is called."""
        return f"kexec {self.kernel} {self.how}[{self.paging},--cpu={self.cpu}]"

    def _wait(self, process, log):
        """Return why the second kernel has not come up, or ""."""
        began = time.monotonic()
        while time.monotonic() - began < LIMIT:
            ended = process.poll() is not None
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            if UP in text.partition(BEGINS[self.how])[2]:
                return ""
            if ended:
                break
            time.sleep(0.5)
        return f"the second kernel does not start {CPUS} CPUs; the log ends with:\n" + text[-2000:]

    def run(self):
        """Run it, and report."""
        if not self.report.wanted(self.name):
            return
        log = cache.ROOT / "run" / f"log-{os.getpid()}-{id(self)}"
        began = time.monotonic()
        args = ["setpriv", "--pdeathsig", "TERM", system.RUN, "--kernel", self.kernel, "--cpu", self.cpu,
                "--smp", str(CPUS), "--append", "crashkernel=256M", "--log", log, f"--file={KEXEC}",
                "--", "./kexec", self.how, self.paging, f"/guests/linux-{self.kernel}", ARGUMENTS]
        with subprocess.Popen(args, cwd=REPO, stdin=subprocess.DEVNULL, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            why = self._wait(process, log)
            process.terminate()
            output = process.communicate()[0]
        self.report.result(self.name, why, output, time.monotonic() - began)
        log.unlink(missing_ok=True)


CASES = (("6.1", "svm", "now", "shadow"), ("6.12", "svm", "crash", "nested"),
         ("6.1", "vmx", "now", "shadow"), ("6.12", "vmx", "crash", "nested"))
# Of them these in "make check"; all by name.
CHOICE = (("6.1", "svm", "now", "shadow"), ("6.12", "vmx", "crash", "nested"))


def jobs(report, cases=CHOICE):
    """Return the cases, those of the choice or others."""
    system.build_programs(report)
    return [Case(report, *case) for case in cases]


def run(report):
    """Run them side by side."""
    pool.run(jobs(report, CASES), "tests of kexec")
