# SPDX-License-Identifier: GPL-2.0-only
"""One run of a host, from power-on to its end."""

import contextlib
import fcntl
import functools
import os
import select
import shutil
import signal
import struct
import sys
import termios
import time
import tty
from pathlib import Path

from . import debugkernel, image, kernels, processors, sources, splat
from .cache import HostError
from .channel import Channel

TIMED_OUT = 124
HOST_FAILED = 125
ESCAPE = 0x1d  # Ctrl-], as telnet has it
LOG_TAIL = 40
GRACE = 20  # seconds that a host lives on after it said that it hangs

# The kernel's log starts with what is a warning or worse and is complete once
# init runs. Time comes from the TSC, which the emulator keeps in step on all
# CPUs; the detectors of lock-ups and stalls get patience, as the emulator
# shares its CPUs with other work.
APPEND = ("console=ttyS0 loglevel=5 panic=-1 oops=panic nokaslr no_timer_check tsc=reliable "
          "random.trust_cpu=on cryptomgr.notests watchdog_thresh=20 "
          "rcupdate.rcu_cpu_stall_timeout=60")


class Log:
    """The kernel log of the host, as it grows."""

    def __init__(self, path, options):
        self._path = path
        self._at = 0
        self._show = options.verbose
        try:
            self._copy = open(options.log, "wb") if options.log else None  # pylint: disable=consider-using-with
        except OSError as error:
            raise HostError(f"{options.log}: {error.strerror}") from error
        self.text = ""

    def follow(self):
        """Take in what is new; return it."""
        new = ""
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as f:
            f.seek(self._at)
            new = f.read()
            self._at += len(new)
            if self._copy:
                self._copy.write(new)
                self._copy.flush()
            new = new.decode("utf-8", "replace").replace("\r\n", "\n")
            self.text += new
            if self._show and new:
                sys.stderr.write(new)
                sys.stderr.flush()
        return new

    def tail(self, around=None):
        """Return the end of the log, or what surrounds a line of it."""
        lines = self.text.splitlines()
        first = max(0, len(lines) - LOG_TAIL)
        for number, line in enumerate(lines):
            if around and around in line:
                first = max(0, number - 3)
                break
        return "\n".join("  | " + line for line in lines[first:first + LOG_TAIL])


def _command_file(options):
    """What the agent reads: how to run the command, its arguments, environment."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
           "HOME": "/root", "USER": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8"}
    if options.terminal:
        env["TERM"] = os.environ.get("TERM", "vt100")
    for setting in options.env:
        name, _, value = setting.partition("=")
        env[name] = value
    strings = options.command + [f"{k}={v}" for k, v in env.items()] + list(options.fetch)
    head = (f"terminal {int(options.terminal)} input {int(options.input)} "
            f"args {len(options.command)} env {len(env)} files {len(options.fetch)}\n")
    return head.encode() + b"".join(os.fsencode(s) + b"\0" for s in strings)


@contextlib.contextmanager
def _raw_terminal(wanted):
    """Pass every key to the host for as long as this lasts."""
    if not wanted:
        yield
        return
    saved = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


def _write(fd, data):
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:
            select.select([], [fd], [])


class Session:
    """A host that runs, its command, and what became of both."""

    def __init__(self, options, channel, process, log):
        self._options = options
        self._channel = channel
        self._process = process
        self._log = log
        self._running = False
        self._input = options.input
        self.status = None
        self.failure = None
        self.timed_out = False
        self.finished = False
        self._fetched = None

    def _handle(self, kind, data):
        if kind == "r":
            self._running = True
            self._send_size()
        elif kind == "o":
            _write(1, data)
        elif kind == "e":
            _write(2, data)
        elif kind == "x":
            self.status = data[0]
            self._running = False
        elif kind == "F":
            self._fetch(self._options.fetch[os.fsdecode(data)])
        elif kind == "f":
            self._fetched.write(data)
        elif kind == "m" and not self.failure:
            self.failure = data.decode("utf-8", "replace")
        elif kind == "q":
            self._fetch(None)
            self.finished = True

    def _fetch(self, path):
        """Write what follows into this file; None ends the last one."""
        if self._fetched:
            self._fetched.close()
        try:
            self._fetched = open(path, "wb") if path else None  # pylint: disable=consider-using-with
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}") from error

    def _send_size(self, *_):
        if self._options.terminal and self._running:
            rows, columns = 24, 80
            with contextlib.suppress(OSError):
                size = struct.unpack_from("HH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
                rows, columns = size if all(size) else (rows, columns)
            self._channel.send("w", struct.pack("<HH", rows, columns))

    def _read_input(self):
        """Pass on input; False when the user asks to end the host."""
        data = os.read(0, self._channel.room)
        if self._options.terminal and ESCAPE in data:
            return False
        if not data:
            self._input = False
        self._channel.send_input(data)
        return True

    def _serve(self, deadline):
        log_at = 0.0
        while not self.finished:
            wanted = [self._channel]
            if self._running and self._input and self._channel.room > 0:
                wanted.append(0)
            now = time.monotonic()
            if deadline and now >= deadline:
                self.timed_out = True
                return
            if now - log_at >= 0.2:
                log_at = now
                if splat.hangs(self._log.follow()):
                    deadline = min(deadline or now + GRACE, now + GRACE)
            ready = select.select(wanted, [], [], 0.2)[0]
            if self._channel in ready:
                frames = self._channel.receive()
                if frames is None:
                    return
                for frame in frames:
                    self._handle(*frame)
            if 0 in ready and not self._read_input():
                self.failure = "ended by Ctrl-]"
                return

    def run(self, deadline):
        """Carry on until the host ends, or must."""
        if self._options.terminal:
            signal.signal(signal.SIGWINCH, self._send_size)
        try:
            with _raw_terminal(self._options.terminal and os.isatty(0)):
                self._serve(deadline)
            if self.finished:
                with contextlib.suppress(Exception):
                    self._process.wait(10)
        finally:
            if self._process.poll() is None:
                self._process.terminate()
                with contextlib.suppress(Exception):
                    self._process.wait(5)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._log.follow()


def _prepare(options, directory):
    """Build what is missing; return the Machine to start."""
    purpose = "debug" if options.debug else "coverage" if options.coverage else None
    if purpose:
        kernel = debugkernel.kernel(options.kernel, purpose)
        headers = functools.partial(debugkernel.headers, purpose=purpose)
    else:
        kernel, headers = kernels.host_kernel(options.kernel), kernels.headers
    archives = [image.root(kernel), image.guests()]
    if options.kvm:
        archives.append(image.kvm(kernel))
    module = None
    if options.module:
        module = (Path(options.module_file) if options.module_file
                  else sources.module(*headers(options.kernel)))
    vmctl = image.vmctl() if options.vmctl else None
    if vmctl:
        archives.append(vmctl)
    initrd = image.compose(directory, archives, _command_file(options), options.files,
                           module, options.module_param)
    directory = Path(directory)
    return processors.Machine(
        kernel=kernel, debug=bool(purpose), initrd=initrd, memory=options.memory, smp=options.smp, count=options.count,
        parallel=options.parallel,
        append=" ".join([APPEND, *options.append]), cpu_model=options.cpu_model,
        log=directory / "log", errors=Path(options.emulator_log or directory / "errors").absolute(),
        report=bool(options.emulator_log))


def _verdict(session, machine, options, log):
    """Return the exit status, having said what went wrong with the host."""
    found = splat.find(log.text)
    if found:
        reason = f"the host's kernel reports: {found}"
    elif session.failure:
        reason = session.failure
    elif session.timed_out:
        reason = f"no end after {options.timeout} seconds"
    elif not session.finished:
        errors = machine.errors.read_text(encoding="utf-8", errors="replace").strip()
        reason = "the host died" + (f": {errors}" if errors else "")
    else:
        return session.status
    print(f"host: {reason}", file=sys.stderr)
    print(log.tail(found), file=sys.stderr, flush=True)
    return TIMED_OUT if session.timed_out and not found else HOST_FAILED


def run(options):
    """Boot a host, run the command there, return the exit status."""
    processor, channel = processors.ALL[options.cpu], None
    directory = image.run_directory()
    try:
        machine = _prepare(options, directory)
        log = Log(machine.log, options)
        process, *line = processor.start(machine)
        channel = Channel(*line, processor.WINDOW)
        deadline = time.monotonic() + options.timeout if options.timeout else None
        session = Session(options, channel, process, log)
        session.run(deadline)
        return _verdict(session, machine, options, log)
    except HostError as error:
        print(f"host: {error}", file=sys.stderr)
        return HOST_FAILED
    finally:
        if channel:
            channel.close()
        shutil.rmtree(directory, ignore_errors=True)
