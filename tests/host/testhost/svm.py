# SPDX-License-Identifier: GPL-2.0-only
"""An AMD-V host: QEMU's own emulation (TCG) of a PC."""

import contextlib
import fcntl
import os
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

_MACHINE = ["-nodefaults", "-no-user-config", "-M", "q35", "-display", "none", "-no-reboot"]


def _qemu():
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise HostError("qemu-system-x86_64 is missing: run 'scripts/deps host'")
    return qemu


def _command():
    # The emulator ends with this program, however that ends.
    return ["setpriv", "--pdeathsig", "KILL", _qemu(), *_MACHINE]


def version():
    """Return the emulator's name and version, and the CPU that it emulates."""
    done = subprocess.run([_qemu(), "--version"], check=True, text=True, capture_output=True)
    return f"{done.stdout.splitlines()[0]}, TCG, -cpu {CPU_MODEL}"


def start_guest(guest):
    """Start the emulator with a guest on the bare machine; return its process.

    It counts instructions. The guest's first serial port is a file; a value
    written to port 0xf4 ends it, as under "vmctl run --debug-exit".
    """
    args = [*_command(), "-accel", "tcg,thread=single", "-cpu", CPU_MODEL, "-m", guest.memory,
            "-kernel", guest.kernel, "-append", guest.append,
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-chardev", f"file,id=log,path={guest.log}", "-serial", "chardev:log", *_COUNT]
    if guest.initrd:
        args += ["-initrd", guest.initrd]
    with open(guest.errors, "wb") as errors:
        return subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                start_new_session=True)


def _line(count):
    """Return the two ends of the command's line, and the emulator's option for its own.

    A socket, of which some hundred bytes that nobody has read yet, one by one, are
    all that it holds. The emulator then has the host wait, in its own time, which
    runs ahead of a reader's: not where a run is to repeat. There it is a pipe of a
    size that nothing fills, and with input there is none.
    """
    if not count:
        ours, theirs = socket.socketpair()
        return ours, theirs, f"socket,id=line,fd={theirs.fileno()}"
    ours, theirs = (os.fdopen(fd, mode, buffering=0) for fd, mode in zip(os.pipe(), ("rb", "wb")))
    with contextlib.suppress(OSError):
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 1 << 20)
    return ours, theirs, f"file,id=line,path=/proc/self/fd/{theirs.fileno()}"


def start(machine):
    """Start the emulator for a Machine; return its process and the line's two ends.

    The first serial port is the kernel log, a file; the second carries the
    command's input and output.
    """
    ours, theirs, line = _line(machine.count)
    args = [*_command(), "-accel", "tcg,thread=" + ("multi" if machine.parallel else "single"),
            "-cpu", machine.cpu_model or CPU_MODEL, "-m", machine.memory,
            "-kernel", machine.kernel.vmlinux, "-initrd", machine.initrd,
            "-append", machine.append,
            "-chardev", f"file,id=log,path={machine.log}", "-serial", "chardev:log",
            "-chardev", line, "-serial", "chardev:line"]
    args += _COUNT if machine.count else ["-smp", str(machine.smp)]
    with theirs, open(machine.errors, "wb") as errors:
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            args, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            pass_fds=[theirs.fileno()], start_new_session=True)
    return process, ours, ours
