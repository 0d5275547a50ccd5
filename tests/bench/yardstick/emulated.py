# SPDX-License-Identifier: GPL-2.0-only
"""Measuring on an emulated host, where a tick is an instruction."""

import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

from testhost import cache, image, kernels, processors, sources
from testhost.cache import REPO, HostError

from . import jobs, lines

RUN = REPO / "tests/host/run"
SCRIPT = REPO / "tests/bench/column.sh"
TIMEOUT = 1800
NATIVE_TIMEOUT = 600
REMOTE = "/tmp/results"
LIST_SIZE = 1 << 17

# What the TSC of a processor counts, and how many of them pass in a nanosecond that is idle.
UNITS = {"svm": ("instructions", 1.0)}
OTHER_UNIT = ("ticks", 0.2)


class Emulated:
    """An emulated processor, the hosts that have it, and the guests for both."""

    at_once = 16

    def __init__(self, processor, kernel, nano):
        self.name = processor
        self.vendor = processor.partition("-")[0]
        self.unit, self.idle = UNITS.get(processor, OTHER_UNIT)
        self.kernel = kernel
        self._processor = processors.ALL[processor]
        self.boots_guests = hasattr(self._processor, "start_guest")
        # The same for all columns, whatever becomes of the sources meanwhile.
        self._nano = nano
        self._module = sources.module(*kernels.headers(kernel))
        self._monitors = {"vmctl": sources.vmctl(), "kvmrun": sources.kvmrun()}
        self._running = set()
        self._guests = jobs.Guests("nanobench.elf", f"/guests/linux-{kernel}", "/guests/initrd.img")

    def environment(self):
        """Return what the emulator is."""
        return {"emulator": self._processor.version(), "guest_kernel": kernels.guest_kernel(self.kernel).name}

    def stop(self):
        """End what runs."""
        for process in list(self._running):
            process.terminate()

    def guests(self):
        """Return where the guests are on a host."""
        return self._guests

    def _boot(self, kernel, append, initrd=None):
        with tempfile.TemporaryDirectory(prefix="umbra-bench-") as directory:
            guest = processors.Guest(kernel=kernel, initrd=initrd, append=append, memory=jobs.MEMORY,
                                     log=Path(directory, "log"), errors=Path(directory, "errors"))
            process = self._processor.start_guest(guest)
            self._running.add(process)
            try:
                process.wait(NATIVE_TIMEOUT)
            except subprocess.TimeoutExpired as error:
                raise HostError("a guest that runs natively does not end") from error
            finally:
                self._running.discard(process)
                if process.poll() is None:
                    process.kill()
                    process.wait()
            errors = guest.errors.read_text(encoding="utf-8", errors="replace").strip()
            if errors:
                raise HostError(f"the emulator says: {errors.splitlines()[-1]}")
            return guest.log.read_text(encoding="utf-8", errors="replace")

    def boot_nano(self, append):
        """Boot the bare-metal guest on the emulated machine itself; return what it says."""
        return self._boot(self._nano, append)

    def run_native(self, tests, workloads):
        """Return {row: cell} of what runs without a hypervisor."""
        if not self.boots_guests:
            why = f"the emulator of {self.name} boots no guest without a host"
            return {row: {"skip": why} for row in [*tests, *workloads]}
        cells = {}
        if tests:
            console = self.boot_nano(f"only={','.join(tests)}")
            cells = {test: cell for test, cell in lines.cells(console).items() if test in tests}
            for test in tests:
                cells.setdefault(test, {"fail": "the guest ended early"})
        for workload in workloads:
            console = self._boot(kernels.guest_kernel(self.kernel), jobs.linux_append(workload),
                                image.guest_initrd())
            cells[workload] = jobs.busy(console, workload, self)
        return cells

    def _command(self, column, joblist, fetched):
        # All columns' commands and lists have one length, so that their hosts' memory is laid out alike.
        inner = (f"mkdir {REMOTE} && sh column.sh {column.hypervisor:5} {column.paging} jobs {REMOTE} && "
                 f"tar -cz -f {REMOTE}.tgz -C {REMOTE} .")
        return ["setpriv", "--pdeathsig", "TERM", RUN, "--cpu", self.name, "--kernel", self.kernel,
                "--count", "--kvm", "--timeout", str(TIMEOUT), "--module-file", self._module, "--no-vmctl",
                *(f"--file={path}:{name}" for name, path in self._monitors.items()),
                "--env", "VMCTL=./vmctl", "--env", "KVMRUN=./kvmrun", "--env", "UMBRA_KO=/lib/umbra/umbra.ko",
                f"--file={SCRIPT}", f"--file={joblist}:jobs", f"--file={self._nano}:nanobench.elf",
                f"--fetch={REMOTE}.tgz:{fetched}",
                "--", "sh", "-c", inner]

    def run_column(self, column, todo, directory, progress):
        """Run jobs on a host of their own; return how it went, as column.sh says it.

        What they leave is put into @directory; progress(line) is called for
        each line. Raises HostError if the host failed.
        """
        joblist, fetched = Path(directory, "jobs"), Path(directory, "results.tgz")
        text = "".join(job.line() for job in todo)
        joblist.write_text(text.ljust(-(-len(text) // LIST_SIZE) * LIST_SIZE, "\n"), encoding="utf-8")
        with subprocess.Popen(self._command(column, joblist, fetched), stdin=subprocess.DEVNULL, text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self._running.add(process)
            said = []
            for line in process.stdout:
                said.append(line.rstrip("\n"))
                progress(said[-1])
            complaint = process.stderr.read()
        self._running.discard(process)
        if process.returncode:
            found = re.findall(r"^host: (.*)", complaint, re.M)
            raise HostError(found[-1] if found else f"exit status {process.returncode}: {complaint[-500:]}")
        with tarfile.open(fetched) as archive:
            archive.extractall(directory)
        return said


def nanobench():
    """Return the bare-metal guest, built."""
    directory = REPO / "tests/guests/nanobench"
    if not (directory / "Makefile").exists():
        raise HostError("there is no tests/guests/nanobench to measure")
    with cache.lock("nanobench"):
        done = subprocess.run(["make", "-s", "-C", directory], check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise HostError(f"nanobench does not build:\n{done.stdout.rstrip()}")
    return directory / "build/nanobench.elf"
