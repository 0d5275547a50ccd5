# SPDX-License-Identifier: GPL-2.0-only
"""An AMD-V host: QEMU's own emulation (TCG) of a PC."""

import shutil
import socket
import subprocess

from .cache import HostError

NAME = "svm"
CPU_MODEL = "max,la57=off"

# One thread emulates all CPUs in turn, unless told otherwise. With one for each,
# QEMU before 8.1 translates code without a lock while another CPU may be
# patching it, and then runs the old code for ever: Linux, which patches its
# scheduler when a first VM is made, hangs or dies of an int3 every few boots.
SMP = 2

# A serial port takes what there is room for, so the agent sets the limit.
WINDOW = 2048

# With these, an instruction is a nanosecond and nothing depends on real time:
# a run repeats bit for bit, and RDTSC counts instructions.
_COUNT = ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm", "-seed", "1"]


def start(machine):
    """Start the emulator for a Machine; return its process and the line's two ends.

    The first serial port is the kernel log, a file; the second is a socket
    that carries the command's input and output.
    """
    ours, theirs = socket.socketpair()
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise HostError("qemu-system-x86_64 is missing: run 'scripts/deps host'")
    # The emulator ends with this program, however that ends.
    args = ["setpriv", "--pdeathsig", "KILL", qemu, "-nodefaults", "-no-user-config", "-M", "q35",
            "-accel", "tcg,thread=" + ("multi" if machine.parallel else "single"),
            "-cpu", machine.cpu_model or CPU_MODEL, "-m", machine.memory,
            "-display", "none", "-no-reboot",
            "-kernel", machine.kernel.vmlinux, "-initrd", machine.initrd,
            "-append", machine.append,
            "-chardev", f"file,id=log,path={machine.log}", "-serial", "chardev:log",
            "-chardev", f"socket,id=line,fd={theirs.fileno()}", "-serial", "chardev:line"]
    args += _COUNT if machine.count else ["-smp", str(machine.smp)]
    with theirs, open(machine.errors, "wb") as errors:
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                pass_fds=[theirs.fileno()], start_new_session=True)
    return process, ours, ours
