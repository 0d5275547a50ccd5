# SPDX-License-Identifier: GPL-2.0-only
"""The initial file system of a test host.

It is made of archives joined end to end: some that are cached (the root with
its programs and modules, the guests, KVM, umbra.ko with vmctl) and one that
holds the command and the files of this run.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import cache, kernels, sources
from .cache import HostError, say
from .cpio import Archive

HERE = Path(__file__).resolve().parents[1]
GUEST = cache.REPO / "tests/guests/linux"
BUSYBOX = Path("/bin/busybox")

# Modules that tests on the host may want to load.
MODULES = ("zram", "lz4", "zstd", "msr", "cpuid", "loop", "hwpoison-inject")
KVM_MODULES = ("kvm-amd", "kvm-intel")

FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": b"127.0.0.1 localhost\n",
}


def _compile(source, into):
    """Compile a small static program for the host or a guest."""
    done = subprocess.run(["gcc", "-static", "-Os", "-s", "-o", into, source], check=False,
                          text=True, capture_output=True)
    if done.returncode:
        raise HostError(f"{source} does not compile:\n{done.stderr}")


def _busybox(archive, skip=()):
    """Add busybox under all its names."""
    if not BUSYBOX.exists():
        raise HostError(f"{BUSYBOX} is missing: run 'scripts/deps host'")
    archive.file("bin/busybox", BUSYBOX, 0o755)
    names = subprocess.run([BUSYBOX, "--list-full"], check=True, capture_output=True, text=True)
    for name in names.stdout.split():
        if name != "bin/busybox" and os.path.basename(name) not in skip:
            archive.link(name, "/bin/busybox")


def _needed(closure, name, found):
    """Add to @found what a module needs, each after those it needs itself."""
    for need in closure[name][1]:
        if need in closure and need not in found:
            _needed(closure, need, found)
            found.append(need)
    return found


def _add_modules(archive, kernel, names):
    """Add kernel modules, and what they need, where modprobe finds them."""
    closure = kernels.module_closure(kernel, names)
    base = f"lib/modules/{kernel.release}"
    lines = []
    for name in sorted(closure):
        archive.data(f"{base}/{name}.ko", closure[name][0])
        # modprobe loads what is on the line from its end to its beginning.
        needed = reversed(_needed(closure, name, []))
        lines.append(f"{name}.ko:" + "".join(f" {n}.ko" for n in needed) + "\n")
    archive.data(f"{base}/modules.dep", "".join(lines).encode())


def root(kernel):
    """The host's programs and modules: busybox, init, agent."""
    def build(into):
        say("building the test host's root")
        _compile(HERE / "root/agent.c", into / "agent")
        with Archive(into / "cpio") as archive:
            for name in ("proc", "sys", "dev", "tmp", "run", "root", "mnt", "guests", "var/log",
                         "usr/bin", "usr/sbin", "sbin"):
                archive.directory(name)
            archive.device("dev/console", 5, 1)
            archive.device("dev/null", 1, 3, 0o666)
            _busybox(archive, skip=("init",))
            archive.file("init", HERE / "root/init", 0o755)
            archive.file("usr/sbin/umbra-agent", into / "agent", 0o755)
            for name, content in FILES.items():
                archive.data(name, content)
            _add_modules(archive, kernel, MODULES)
        (into / "agent").unlink()

    key = cache.digest(HERE / "root/init", HERE / "root/agent.c", BUSYBOX, Path(__file__),
                       Path(__file__).with_name("cpio.py"), kernel.release,
                       str(kernel.image.stat().st_mtime_ns))
    return cache.entry("root", key, build) / "cpio"


def kvm(kernel):
    """KVM's modules, beside the others: their index replaces the root's."""
    def build(into):
        with Archive(into / "cpio") as archive:
            _add_modules(archive, kernel, MODULES + KVM_MODULES)

    key = cache.digest(Path(__file__), kernel.release, str(kernel.image.stat().st_mtime_ns))
    return cache.entry("kvm", key, build) / "cpio"


def guest_initrd():
    """The Linux guest's initial file system: busybox and the demo's workload."""
    inputs = sorted(p for p in GUEST.iterdir() if p.is_file())

    def build(into):
        say("building the guest's initrd")
        programs = [p for p in inputs if p.suffix == ".c"]
        for program in programs:
            _compile(program, into / program.stem)
        with Archive(into / "initrd.img") as archive:
            for name in ("proc", "sys", "dev", "tmp", "root"):
                archive.directory(name)
            archive.device("dev/console", 5, 1)
            archive.device("dev/null", 1, 3, 0o666)
            _busybox(archive, skip=("init",))
            archive.file("init", GUEST / "init", 0o755)
            for program in programs:
                archive.file(f"bin/{program.stem}", into / program.stem, 0o755)
                (into / program.stem).unlink()

    key = cache.digest(BUSYBOX, Path(__file__), *inputs)
    return cache.entry("guest-initrd", key, build) / "initrd.img"


def guests():
    """What the host has in /guests: kernels and the initrd."""
    files = {f"linux-{version}": kernels.guest_kernel(version) for version in kernels.VERSIONS}
    files["memtest86+"] = kernels.memtest()
    files["xen"] = kernels.xen()
    if (GUEST / "init").exists():
        files["initrd.img"] = guest_initrd()

    def build(into):
        with Archive(into / "cpio") as archive:
            for name, path in files.items():
                archive.file(f"guests/{name}", path, 0o644)

    key = cache.digest(*(str(p) for p in files.values()))
    return cache.entry("guests", key, build, entries=4) / "cpio"


def libraries(program):
    """Return the shared libraries that a program loads, by the name it uses."""
    with open(program, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return []
    done = subprocess.run(["ldd", program], check=False, text=True, capture_output=True)
    missing = re.findall(r"(\S+) => not found", done.stdout)
    if missing:
        raise HostError(f"{program} needs libraries that are not installed: {', '.join(missing)}")
    return re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)


def _libraries_into(archive, program, done):
    for library in libraries(program):
        if library not in done:
            done.add(library)
            archive.file(library, os.path.realpath(library), 0o755)


def vmctl():
    """vmctl with its libraries, or None if the repository has no sources of it."""
    program = sources.vmctl()
    if program is None:
        return None

    def build(into):
        with Archive(into / "cpio") as archive:
            archive.file("usr/bin/vmctl", program, 0o755)
            _libraries_into(archive, program, set())

    return cache.entry("vmctl-cpio", cache.digest(program, Path(__file__)), build) / "cpio"


def split_file(argument):
    """Split SRC[:DST] into the source and the path on the host."""
    source, colon, target = argument.partition(":")
    if os.path.exists(argument) or not colon:
        source, target = argument, ""
    if not os.path.exists(source):
        raise FileNotFoundError(source)
    base = os.path.basename(os.path.abspath(source))
    if not target:
        target = base
    elif target.endswith("/"):
        target += base
    return source, os.path.normpath(os.path.join("/root", target))


def split_fetch(argument):
    """Split SRC[:DST] into the path on the host and the path here."""
    source, _, target = argument.partition(":")
    source = os.path.normpath(os.path.join("/root", source))
    return source, target or os.path.basename(source)


def _run_archive(path, command, files, module, parameters):
    """The archive of this run: the command, its files, umbra.ko."""
    with Archive(path) as archive:
        archive.data("lib/umbra/command", command)
        if module:
            archive.file("lib/umbra/umbra.ko", module)
            archive.data("lib/umbra/parameters", (" ".join(parameters) + "\n").encode())
        done = set()
        for source, target in files:
            archive.tree(target, source)
            if os.path.isfile(source) and os.access(source, os.X_OK):
                _libraries_into(archive, source, done)


def compose(directory, archives, command, files, module, parameters):
    """Join the archives and this run's own into one file; return its path."""
    own = Path(directory) / "run.cpio"
    _run_archive(own, command, files, module, parameters)
    whole = Path(directory) / "initrd"
    with open(whole, "wb") as out:
        for part in [*archives, own]:
            with open(part, "rb") as f:
                shutil.copyfileobj(f, out, 1 << 22)
    own.unlink()
    return whole


def run_directory():
    """Return a directory for the files of one run; the caller removes it.

    What runs that were killed have left is removed here.
    """
    parent = cache.ROOT / "run"
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob("host-*-*"):
        if not os.path.exists(f"/proc/{old.name.split('-')[1]}"):
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"host-{os.getpid()}-", dir=parent)
