# SPDX-License-Identifier: GPL-2.0-only
"""One measurement: all columns, each on a host of its own, and the table of them."""

import dataclasses
import datetime
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from testhost.cache import REPO, HostError

from . import columns, jobs, lines

FORMAT = 1


@dataclasses.dataclass
class Choice:
    """What is to be measured."""

    columns: tuple
    rows: tuple     # empty: all
    exits: bool     # count those of the tests, too
    at_once: int    # so many hosts
    kvm_exits: bool = True  # if any are counted, those under KVM, too


def revision():
    """Return what git calls these sources."""
    done = subprocess.run(["git", "-C", REPO, "describe", "--always", "--dirty", "--abbrev=12"], check=False,
                          text=True, capture_output=True)
    return done.stdout.strip() or "unknown"


def select(listing, wanted):
    """Return (tests, workloads) that are wanted, in the usual order; ValueError names an unknown one."""
    unknown = [name for name in wanted if name not in listing and name not in jobs.WORKLOADS]
    if unknown:
        raise ValueError(f"there is no test '{unknown[0]}' (--list names them)")
    return ([name for name in listing if not wanted or name in wanted],
            [name for name in jobs.WORKLOADS if not wanted or name in wanted])


def environment_of(text):
    """Return {name: value} of what column.sh says of its host."""
    return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)


def _outcomes(said, directory):
    """Return ({job: outcome}, reason why there are none)."""
    outcomes = {}
    for line in said:
        found = re.match(r"JOB (\S+) (\d+)$", line)
        if found:
            name, status = found.groups()
            outcomes[name] = jobs.Outcome.read(directory, name, int(status))
        elif line.startswith("SKIP "):
            return {}, line.removeprefix("SKIP ")
    return outcomes, ""


def _column(host, column, tests, workloads, iterations, progress):
    """Return ({row: cell}, environment) of a column."""
    todo = jobs.plan(column, host.guests(), tests, workloads, iterations)
    done = 0

    def follow(line):
        nonlocal done
        if line.startswith("JOB "):
            done += 1
            progress(f"{column.title}: {done} of {len(todo)}")

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as directory:
        try:
            said = host.run_column(column, todo, directory, follow)
            outcomes, skipped = _outcomes(said, directory)
            progress(f"{column.title}: {len(outcomes)} guests in {time.monotonic() - began:.0f} s", True)
            if skipped:
                return {row: {"skip": skipped} for row in [*tests, *workloads]}, {}
            with open(f"{directory}/environment", encoding="utf-8", errors="replace") as f:
                environment = environment_of(f.read())
            return jobs.results(outcomes, tests, workloads, iterations, host), environment
        except (HostError, OSError, ValueError) as error:
            progress(f"{column.title}: {error}", True)
            return {row: {"fail": str(error).splitlines()[0]} for row in [*tests, *workloads]}, {}


def list_tests(host):
    """Return the tests that there are, as lines.listing() does."""
    if host.boots_guests:
        return lines.listing(host.boot_nano("list"))
    why = "it says nothing"
    todo = [jobs.nano(host.guests(), "list", "list")]
    for column in columns.ALL.values():
        if not column.hypervisor:
            continue
        with tempfile.TemporaryDirectory(prefix="umbra-bench-") as directory:
            try:
                said = host.run_column(column, todo, directory, lambda line: None)
            except HostError as error:
                why = str(error)
                continue
            outcomes, skipped = _outcomes(said, directory)
            found = lines.listing(outcomes["list"].console) if "list" in outcomes else {}
            if found:
                return found
            why = skipped or jobs.why(outcomes.get("list")) or why
    raise HostError(f"no hypervisor runs the guest: {why}")


def _native(host, tests, workloads):
    """Return {row: cell} of the guests that run on no hypervisor."""
    rows = [*tests, *workloads]
    try:
        return host.run_native(tests, workloads)
    except HostError as error:
        return {row: {"fail": str(error).splitlines()[0]} for row in rows}


def measure(host, choice, progress):
    """Measure; return the table as bench.json holds it. ValueError: an unknown test is wanted.

    progress(text, lasting=False) is told how far it is; some of it is worth keeping.
    """
    listing = list_tests(host)
    tests, workloads = select(listing, choice.rows)
    wanted = [columns.ALL[name] for name in choice.columns]
    iterations = {test: jobs.COUNTED * listing[test][1] for test in tests} if choice.exits else {}
    cells, environments = {}, {}
    with ThreadPoolExecutor(min(choice.at_once, host.at_once)) as pool:
        running = {column.name: pool.submit(_column, host, column, tests, workloads,
                                            iterations if choice.kvm_exits or column.hypervisor != "kvm" else {},
                                            progress)
                   for column in wanted if column.hypervisor}
        if columns.NATIVE in wanted:
            running[columns.NATIVE.name] = pool.submit(lambda: (_native(host, tests, workloads), {}))
        try:
            for name, result in running.items():
                cells[name], environments[name] = result.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            host.stop()
            raise
    environments.pop(columns.NATIVE.name, None)
    rows = [{"name": name, "what": listing[name][0] if name in listing else jobs.WHAT[name],
             "kind": "test" if name in listing else "workload",
             "cells": {column: cells[column][name] for column in choice.columns if name in cells[column]}}
            for name in [*tests, *workloads]]
    return {
        "format": FORMAT, "host": host.name, "unit": host.unit, "columns": list(choice.columns),
        "environment": {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                        "revision": revision(), **host.environment(), "columns": environments},
        "rows": rows,
    }
