# SPDX-License-Identifier: GPL-2.0-only
"""Measuring on this machine itself, where a tick is a cycle of its TSC."""

import os
import platform
import re
import subprocess
from pathlib import Path

from testhost import image, kernels, sources
from testhost.cache import REPO, HostError

from . import jobs, lines

SCRIPT = REPO / "tests/bench/column.sh"
LIMIT = 600


def _vendor():
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    for flag in ("svm", "vmx"):
        if re.search(rf"^flags.*\b{flag}\b", flags, re.M):
            return flag
    raise HostError("this machine's CPU has neither AMD-V nor VT-x, or its firmware has switched it off")


class ThisMachine:
    """This machine; needs root, and no other user of the CPU's virtualization."""

    name = "this"
    unit = "cycles"
    idle = None     # cycles pass while it is idle, too, and are its time
    at_once = 1
    boots_guests = False

    def __init__(self, kernel, nano, native_log=None):
        self.vendor = _vendor()
        self._guests = jobs.Guests(str(nano.resolve()), str(kernels.guest_kernel(kernel)),
                                   str(image.guest_initrd()))
        self._native_log = native_log
        self._running = None
        done = subprocess.run(["make", "-s", "-C", REPO, "module", "vmctl"], check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise HostError(f"umbra.ko or vmctl does not build:\n{done.stdout.rstrip()}")
        self._kvmrun = sources.kvmrun()

    def environment(self):
        """Return what this machine is, as far as column.sh does not tell."""
        return {"machine": platform.platform(), "guest_kernel": Path(self._guests.kernel).name}

    def stop(self):
        """End what runs: column.sh, which then restores what it changed."""
        if self._running:
            self._running.terminate()

    def guests(self):
        """Return where the guests are."""
        return self._guests

    def run_native(self, tests, workloads):
        """Return {row: cell} of what the guest said when it was booted without a hypervisor."""
        if not self._native_log:
            why = "boot nanobench.elf from the boot loader and give what it says with --native"
            return {row: {"skip": why} for row in [*tests, *workloads]}
        cells = lines.cells(self._native_log.read_text(encoding="utf-8", errors="replace"))
        missing = {"skip": "not in the file that --native names"}
        return {row: cells.get(row, missing) for row in [*tests, *workloads]}

    def run_column(self, column, todo, directory, progress):
        """Run jobs in one column; return what column.sh says. HostError if it failed."""
        joblist = Path(directory, "jobs")
        joblist.write_text("".join(job.line() for job in todo), encoding="utf-8")
        settings = [f"VMCTL={REPO}/userland/vmctl/vmctl", f"KVMRUN={self._kvmrun}",
                    f"UMBRA_KO={REPO}/umbra.ko", f"LIMIT={LIMIT}"]
        command = [*([] if os.geteuid() == 0 else ["sudo"]), "env", *settings, "sh", SCRIPT,
                   column.hypervisor, column.paging, joblist, directory]
        with subprocess.Popen(command, text=True, errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as process:
            self._running = process
            said = []
            for line in process.stdout:
                said.append(line.rstrip("\n"))
                progress(said[-1])
        self._running = None
        if process.returncode:
            raise HostError(f"column.sh ended with status {process.returncode}: {said[-1] if said else ''}")
        return said
