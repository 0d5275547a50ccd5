# SPDX-License-Identifier: GPL-2.0-only
"""Runs what takes long side by side: as many jobs at a time as there are CPUs.

A job has a method run() and a weight, about the seconds that it may take.
"""

import dataclasses
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# An emulated host that shares two CPUs with another one is slower by half.
JOBS = max(1, min(4, os.cpu_count() or 1))


@dataclasses.dataclass(frozen=True)
class Job:
    """A function to call."""

    weight: float
    run: Callable[[], None]


def run(jobs, what):
    """Run jobs; say what they were and how long they took."""
    began = time.monotonic()
    # The longest first, so that at the end no CPU waits for another.
    jobs = sorted(jobs, key=lambda job: -job.weight)
    with ThreadPoolExecutor(JOBS) as pool:
        for done in [pool.submit(job.run) for job in jobs]:
            done.result()
    if jobs:
        print(f"     {what} took {time.monotonic() - began:.0f} s", flush=True)
