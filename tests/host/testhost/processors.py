# SPDX-License-Identifier: GPL-2.0-only
"""The processors that a test host may have, by the name given to --cpu.

Each has a NAME, SMP (how many CPUs a host has unless told otherwise), WINDOW (how
many bytes of input may be under way to it), version(), which names its emulator,
and start(machine), which starts the emulator and returns the process with what
to receive from the agent on the host by and a socket to send to it. One that has
a start_guest(guest) starts the same machine with a guest instead of a host,
and returns the process.
"""

import dataclasses
from pathlib import Path

from . import bochs, svm
from .kernels import Kernel

ALL = {processor.NAME: processor for processor in (svm, *bochs.PROCESSORS)}


@dataclasses.dataclass
class Machine:
    """What an emulator is asked to boot."""

    kernel: Kernel
    debug: bool
    initrd: Path
    append: str
    memory: str
    smp: int
    count: bool
    parallel: bool
    cpu_model: str
    log: Path
    errors: Path
    report: bool


@dataclasses.dataclass
class Guest:
    """What an emulator is asked to boot without a host."""

    kernel: Path
    initrd: Path
    append: str
    memory: str
    log: Path
    errors: Path
