# SPDX-License-Identifier: GPL-2.0-only
"""Hosts that Bochs emulates: VT-x, and a second view of AMD-V.

Bochs has no way to boot a kernel that it is given, and reading one from an
emulated disk takes long. So an image of what the memory holds when Linux starts
(kernel, initial file system, command line) is put there before power-on, and an
option ROM (../bochs/boot.S) enters the kernel by the PVH boot protocol.
"""

import dataclasses
import os
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from . import cache
from .cache import HostError

BIOS = Path("/usr/share/bochs/BIOS-bochs-latest")
VGA_BIOS = Path("/usr/share/vgabios/vgabios.bin")
BOOT = Path(__file__).resolve().parents[1] / "bochs/boot.S"

# Bochs gives memory to the guest in blocks of this size.
BLOCK = 0x20000

# As in boot.S: the start info, a page before the kernel's lowest address, and
# what follows it; where the option ROM is and puts the memory map.
START_INFO = 0x1000000 - BLOCK
MODULE = START_INFO + 64
ENTRY = START_INFO + 96
COMMAND_LINE = START_INFO + 256
ROM = 0xd0000
MEMORY_MAP = 0x8000
_START_INFO_MAGIC = 0x336ec578
_NOTE_PHYS32_ENTRY = 18
_PT_LOAD = 1
_PT_NOTE = 4

# The line's output is printed on a parallel port, which takes a few instructions a
# byte; input comes over the second serial port, which drops what overflows its 16
# bytes.
PRINTER = 0x378
WINDOW = 6

# Without mitigations of what this CPU has not; with a halt, whose time Bochs skips,
# and without a wait for better clocks than the one that counts instructions.
APPEND = "mitigations=off clocksource=tsc idle=halt"

_CONFIG = """\
config_interface: textconfig
display_library: term, options="hideIPS"
plugin_ctrl: speaker=0
cpu: model={model}, count={smp}, ips=200000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
romimage: file={bios}, options=fastboot
vgaromimage: file={vga_bios}
optromimage1: file={rom}, address={rom_at:#x}
optramimage1: file={image}, address={image_at:#x}
vga: extension=none, update_freq=1, realtime=0
clock: sync=none, time0=1700000000
com1: enabled=1, mode=file, dev={log}
com2: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
parport1: enabled=1, file={printer}
log: {errors}
panic: action=fatal
error: action={report}
info: action={report}
debug: action=ignore
"""


def _rom():
    """Return the option ROM, assembled; its bytes add up to zero."""
    def build(into):
        objects = into / "boot.o"
        for args in (["gcc", "-c", "-o", objects, BOOT],
                     ["ld", "-m", "elf_i386", "-Ttext=0", "--oformat=binary", "-o", into / "flat",
                      objects]):
            if args[0] == "gcc":
                args.insert(1, "-m32")
            done = subprocess.run(args, check=False, text=True, capture_output=True)
            if done.returncode:
                raise HostError(f"{BOOT.name} does not assemble:\n{done.stderr}")
        code = (into / "flat").read_bytes().ljust(511, b"\0")
        (into / "rom").write_bytes(code + bytes([-sum(code) % 256]))

    return cache.entry("bochs-rom", cache.digest(BOOT, Path(__file__)), build) / "rom"


def _notes(data):
    """Yield (type, content) of the notes in an ELF note segment."""
    at = 0
    while at + 12 <= len(data):
        name, size, kind = struct.unpack_from("<III", data, at)
        at += 12 + (name + 3 & ~3)
        yield kind, data[at:at + size]
        at += size + 3 & ~3


def _load_kernel(image, vmlinux):
    """Put a kernel's segments into the image; return (its entry, its end)."""
    entry, end = None, 0
    with open(vmlinux, "rb") as elf:
        header = elf.read(64)
        offset, size, count = (struct.unpack_from("<Q", header, 32)[0],
                               *struct.unpack_from("<HH", header, 54))
        elf.seek(offset)
        table = elf.read(size * count)
        for number in range(count):
            kind, _, at, _, paddr, filesz, memsz = struct.unpack_from("<IIQQQQQ", table, number * size)
            if kind == _PT_LOAD:
                elf.seek(at)
                image.seek(paddr - START_INFO)
                image.write(elf.read(filesz))
                end = max(end, paddr + memsz)
            elif kind == _PT_NOTE:
                elf.seek(at)
                for note, content in _notes(elf.read(filesz)):
                    if note == _NOTE_PHYS32_ENTRY:
                        entry = int.from_bytes(content, "little")
    if not entry:
        raise HostError(f"{vmlinux} has no entry for PVH (CONFIG_PVH)")
    return entry, end


def _make_image(path, machine, append):
    """Write the memory image; return its size."""
    with open(path, "wb") as image:
        entry, end = _load_kernel(image, machine.kernel.vmlinux)
        initrd = end + 0x1fffff & ~0x1fffff
        image.seek(initrd - START_INFO)
        with open(machine.initrd, "rb") as f:
            shutil.copyfileobj(f, image, 1 << 22)
        size = image.tell()
        image.seek(0)
        image.write(struct.pack("<IIIIQQQQII", _START_INFO_MAGIC, 1, 0, 1, MODULE, COMMAND_LINE,
                                0, MEMORY_MAP, 0, 0))
        image.seek(MODULE - START_INFO)
        image.write(struct.pack("<QQQQ", initrd, size - (initrd - START_INFO), 0, 0))
        image.seek(ENTRY - START_INFO)
        image.write(struct.pack("<I", entry))
        image.seek(COMMAND_LINE - START_INFO)
        image.write(append.encode() + b"\0")
    return size


def _make_script(path, size):
    """Write what Bochs' debugger does first.

    Bochs reads an image as if memory were one piece, but gives it out block by
    block, in the order in which blocks are touched. Touched in ascending order
    before anything else is, they are one piece.
    """
    touch = (f"xp /1 {at:#x}\n" for at in range(START_INFO, START_INFO + size, BLOCK))
    path.write_text("".join(touch) + "c\n", encoding="ascii")


def _append(machine):
    """Return what all hosts have on the kernel's command line.

    The debug kernel keeps programs away from I/O ports: the line is the serial port alone.
    """
    return APPEND if machine.debug else f"{APPEND} umbra_printer={PRINTER:#x}"


def _mebibytes(memory):
    """Return what --memory says, in MiB."""
    return int(memory.rstrip("MG")) * (1024 if memory.endswith("G") else 1)


@dataclasses.dataclass(frozen=True)
class Bochs:
    """One of Bochs' CPU models, by the name that --cpu has for it."""

    NAME: str
    model: str
    append: str = ""
    SMP: int = 1
    WINDOW: int = WINDOW

    def version(self):
        """Return the emulator's name and version, and the CPU that it emulates."""
        done = subprocess.run(["bochs-bin", "--help"], check=False, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL)
        found = re.search(r"Bochs x86 Emulator [\d.]+", done.stdout + done.stderr)
        return f"{found.group(0) if found else 'Bochs'}, {self.model}"

    def start(self, machine):
        """Start the emulator for a Machine; return its process and the line's two ends."""
        bochs = shutil.which("bochs-bin")
        for part in (bochs, BIOS, VGA_BIOS):
            if not part or not Path(part).exists():
                raise HostError(f"{part or 'bochs-bin'} is missing: run 'scripts/deps host'")
        directory = machine.log.parent
        image, script, config = (directory / name for name in ("image", "script", "config"))
        size = _make_image(image, machine, f"{_append(machine)} {self.append} {machine.append}")
        machine.initrd.unlink()
        _make_script(script, size)
        printer = directory / "printer"
        os.mkfifo(printer)
        printed = open(os.open(printer, os.O_RDONLY | os.O_NONBLOCK), "rb")  # pylint: disable=consider-using-with
        with socket.create_server(("127.0.0.1", 0)) as server:
            config.write_text(_CONFIG.format(
                model=machine.cpu_model or self.model, smp=machine.smp, memory=_mebibytes(machine.memory),
                bios=BIOS, vga_bios=VGA_BIOS, rom=_rom(), rom_at=ROM, image=image, image_at=START_INFO,
                log=machine.log, port=server.getsockname()[1], errors=machine.errors,
                printer=printer, report="report" if machine.report else "ignore"), encoding="utf-8")
            args = ["setpriv", "--pdeathsig", "KILL", bochs, "-q", "-unlock", "-f", config, "-rc", script]
            with open(directory / "tty", "wb") as said:
                process = subprocess.Popen(  # pylint: disable=consider-using-with
                    args, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                    env={"TERM": "xterm", "PATH": "/usr/bin:/bin"}, start_new_session=True)
            server.settimeout(0.2)
            while True:
                try:
                    line = server.accept()[0]
                    return process, line if machine.debug else printed, line
                except TimeoutError as error:
                    if process.poll() is not None:
                        lines = (directory / "tty").read_text(errors="replace").splitlines()
                        raise HostError("Bochs does not start: " + " ".join(lines[-2:])) from error


# CPUID has fewer logical CPUs than cores in Intel's models, of which Linux 6.12 warns.
FEWER_CORES = "clearcpuid=ht"

PROCESSORS = (
    Bochs("vmx", "corei7_haswell_4770", FEWER_CORES),
    # Bochs gives a wrong size for the state that XSAVES would save.
    Bochs("vmx-skylake", "corei7_skylake_x", "noxsaves clearcpuid=xsavec,ht"),
    Bochs("vmx-noug", "corei5_lynnfield_750", FEWER_CORES),
    Bochs("vmx-noept", "core2_penryn_t9600", FEWER_CORES),
    Bochs("svm-bochs", "zambezi"),
    Bochs("svm-bochs-nonpt", "turion64_tyler"),
)
