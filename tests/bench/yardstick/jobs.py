# SPDX-License-Identifier: GPL-2.0-only
"""What is run in a column, and what is read out of what it leaves.

The bare-metal guest is run once for its ticks, with all its tests, in memory that
the host has found and cleared before, which is no business of a hypervisor. How often a
test exits is the difference of two more runs, one with twice as many
iterations, so that starting the guest does not count. The Linux guest is run
once for each workload, and its exits are the difference to booting alone.
KVM's exits are traced, which costs time, so that is done in runs of their own.
"""

import dataclasses
import json
import re
from pathlib import Path

from . import lines, reasons

MEMORY = "256M"
NANO = "nano"
BOOT = "boot"

# How often each workload of the Linux guest does its thing (tests/guests/linux/bench.c).
WORKLOADS = {BOOT: None, "forkwait": 300, "exec-storm": 100, "pipe-pingpong": 4000, "file-scan": 20}
WHAT = {
    BOOT: "Linux, from power-on to user space",
    "forkwait": f"Linux, {WORKLOADS['forkwait']} forks and waits",
    "exec-storm": f"Linux, {WORKLOADS['exec-storm']} forks, execs and waits",
    "pipe-pingpong": f"Linux, {WORKLOADS['pipe-pingpong']} round trips of a byte between two processes",
    "file-scan": f"Linux, mapping, changing and unmapping a file of 4M {WORKLOADS['file-scan']} times",
}
# No XSAVE: not every column's guest has it, and it is a few percent of what a kernel does.
LINUX_APPEND = "console=ttyS0 panic=-1 quiet noxsave umbra.test=bench"

# Exits are counted of so many times the operations that a round of the test has.
COUNTED = 8


@dataclasses.dataclass(frozen=True)
class Guests:
    """Where the guests are, on the host that runs them."""

    nano: str
    kernel: str
    initrd: str


@dataclasses.dataclass(frozen=True)
class Job:
    """One guest to run."""

    name: str
    arguments: tuple
    huge: str = "-"
    traced: bool = False

    def line(self):
        """Return it as column.sh reads it."""
        return "\t".join([self.name, self.huge, str(int(self.traced)), *self.arguments]) + "\n"


@dataclasses.dataclass
class Outcome:
    """What became of a job."""

    status: int
    console: str = ""
    errors: str = ""
    stats: dict = dataclasses.field(default_factory=dict)
    histogram: str = None

    @staticmethod
    def read(directory, name, status):
        """Return what column.sh left of a job."""
        def text(kind):
            path = Path(directory, f"{name}.{kind}")
            return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

        return Outcome(status, text("console"), text("errors").strip(),
                       json.loads(text("json") or "{}"), text("exits") or None)


def is_huge(test):
    """Tell whether a test is about pages of 2M, which the host's memory then has, too."""
    return bool(re.search(r"\b2m\b", test, re.I))


def linux_append(workload):
    """Return the kernel's command line for a workload."""
    count = WORKLOADS[workload]
    return f"{LINUX_APPEND} umbra.bench={workload}" + (f" umbra.count={count}" if count else "")


def nano(guests, name, append, huge=False, traced=False, more=()):
    """Return a job of the bare-metal guest."""
    return Job(name, ("--kernel", guests.nano, "--append", append, "--memory", MEMORY, "--debug-exit", *more),
               "always" if huge else "never", traced)


def _linux(guests, workload, traced):
    return Job(f"{'trace' if traced else 'linux'}.{workload}",
               ("--kernel", guests.kernel, "--initrd", guests.initrd,
                "--append", linux_append(workload), "--memory", MEMORY), traced=traced)


def needed(workloads):
    """Return the workloads that must run for these: all are compared with booting."""
    return list(dict.fromkeys([BOOT, *workloads])) if workloads else []


def plan(column, guests, tests, workloads, iterations):
    """Return the jobs of a column.

    @tests, @workloads: what is wanted, by name. @iterations: for each test of which
    number of iterations exits are counted; none of them are if it is empty.
    """
    jobs = []
    for huge in (False, True):
        chosen = [test for test in tests if is_huge(test) == huge]
        if chosen:
            jobs.append(nano(guests, f"{NANO}.{'2m' if huge else '4k'}", f"only={','.join(chosen)}", huge,
                             more=("--prealloc",)))
    traced = column.hypervisor == "kvm"
    for test in tests if iterations else ():
        for factor in (1, 2):
            count = factor * iterations[test]
            jobs.append(nano(guests, f"exits.{test}.{factor}", f"only={test} iterations={count}",
                              is_huge(test), traced))
    for workload in needed(workloads):
        jobs.append(_linux(guests, workload, False))
        if traced and iterations:
            jobs.append(_linux(guests, workload, True))
    return jobs


def exits(outcome, vendor):
    """Return {reason: count} of a guest's exits, from Umbra's counters or KVM's tracepoint."""
    if outcome.histogram is not None:
        return reasons.parse_histogram(outcome.histogram, vendor)
    if "exits" in counters(outcome):  # KVM's, without a tracepoint that counts
        return {"any": counters(outcome)["exits"]}
    return {reason: figures["count"] for reason, figures in outcome.stats.get("exits", {}).items()
            if figures["count"]}


def counters(outcome):
    """Return {name: count} of what else was counted."""
    return dict(outcome.stats.get("counters", {}))


def difference(more, less, divisor):
    """Return how much each figure grew, divided; without those that did not grow."""
    grown = {name: (count - less.get(name, 0)) / divisor for name, count in more.items()}
    return {name: value for name, value in grown.items() if value > 0}


def why(outcome):
    """Return why a guest failed, or ""."""
    if outcome is None:
        return "was not run"
    if outcome.status in (124, 137, 143):
        return "no end in time"
    if outcome.status not in (0, 1) or outcome.errors:
        return outcome.errors.splitlines()[-1] if outcome.errors else f"exit status {outcome.status}"
    return ""


def _exits_of_test(outcomes, test, iterations, vendor):
    """Return what an iteration exits for and counts, as a part of a cell."""
    once, twice = (outcomes.get(f"exits.{test}.{factor}") for factor in (1, 2))
    for outcome in (once, twice):
        reason = why(outcome)
        if reason:
            return {"exits_fail": reason}
    return {"exits": difference(exits(twice, vendor), exits(once, vendor), iterations),
            "counters": difference(counters(twice), counters(once), iterations),
            "exits_iterations": iterations}


def _tests(outcomes, tests, iterations, vendor):
    measured = {}
    problem = ""
    for kind in ("4k", "2m"):
        outcome = outcomes.get(f"{NANO}.{kind}")
        if outcome is None:
            continue
        measured.update(lines.cells(outcome.console))
        problem = problem or why(outcome)
        if not problem and not lines.complete(outcome.console):
            problem = "the guest ended early"
    result = {}
    for test in tests:
        cell = measured.get(test, {"fail": problem or "the guest says nothing of it"})
        if "ticks" in cell and iterations:
            cell.update(_exits_of_test(outcomes, test, iterations[test], vendor))
        result[test] = cell
    return result


def busy(console, workload, host):
    """Return what a workload took without the time for which its guest was idle.

    @host.idle: ticks in a nanosecond, or None if idle time counts like any other.
    """
    cell = lines.cells(console).get(workload, {"fail": "the guest did not come to its end"})
    if "ticks" in cell and host.idle is not None:
        cell["ticks"] -= cell.get("idle", 0) * host.idle
    return cell


def _workload(outcomes, workload, host):
    """Return the cell of a workload."""
    outcome = outcomes.get(f"linux.{workload}")
    cell = busy(outcome.console if outcome else "", workload, host)
    if "ticks" not in cell:
        return {"fail": why(outcome) or cell["fail"]}
    source, base = outcome, outcomes.get(f"linux.{BOOT}")
    if f"trace.{workload}" in outcomes:
        source, base = outcomes[f"trace.{workload}"], outcomes.get(f"trace.{BOOT}")
    if why(source) or why(base):
        return {**cell, "exits_fail": why(source) or why(base)}
    none = workload == BOOT
    cell["exits"] = difference(exits(source, host.vendor), {} if none else exits(base, host.vendor), 1)
    cell["counters"] = difference(counters(source), {} if none else counters(base), 1)
    return cell


def results(outcomes, tests, workloads, iterations, host):
    """Return {row: cell} of a column from the outcomes of its jobs."""
    cells = _tests(outcomes, tests, iterations, host.vendor)
    for workload in workloads:
        cells[workload] = _workload(outcomes, workload, host)
    return cells
