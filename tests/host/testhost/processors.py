# SPDX-License-Identifier: GPL-2.0-only
"""The processors that a test host may have, by the name given to --cpu.

Each is a module with NAME, SMP (how many CPUs a host has unless told
otherwise), and start(machine), which starts its emulator.
"""

import dataclasses
import socket
from pathlib import Path

from . import svm
from .kernels import Kernel

ALL = {module.NAME: module for module in (svm,)}


@dataclasses.dataclass
class Machine:
    """What an emulator is asked to boot."""

    kernel: Kernel
    initrd: Path
    append: str
    memory: str
    smp: int
    count: bool
    parallel: bool
    cpu_model: str
    log: Path
    errors: Path
    line: socket.socket
