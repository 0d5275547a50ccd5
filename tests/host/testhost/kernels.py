# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of the test hosts (L1) and of the Linux guests in them (L2)."""

import dataclasses
import gzip
import json
import lzma
import os
import re
import struct
import subprocess
from pathlib import Path

from . import cache, debian
from .cache import HostError

VERSIONS = {"6.1": "linux-image-%s", "6.12": "linux-image-6.12-%s"}

# L1 boots Debian's generic kernel: it starts in 1.5 s, 0.2 s later than the
# cloud kernel, and is the one that people have on their machines, with machine
# checks, memory failure and every driver. L2 boots the cloud kernel, which has
# no driver that a guest of ours lacks.
HOST_FLAVOUR = "amd64"
GUEST_FLAVOUR = "cloud-amd64"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel ready to boot, and the modules that came with it."""

    release: str
    image: Path
    vmlinux: Path
    modules: Path


def _package(version, flavour):
    """Return name and version of the image package, asking apt only once."""
    record = cache.ROOT / "kernel" / f"{version}-{flavour}.json"
    if record.exists():
        known = json.loads(record.read_text(encoding="ascii"))
        return known["package"], known["version"]
    package = debian.resolve(VERSIONS[version] % flavour)
    if not re.match(rf"linux-image-{re.escape(version)}\b", package):
        raise HostError(f"apt offers {package} where Linux {version} is wanted: this needs Debian 12")
    known = {"package": package, "version": debian.version(package)}
    record.parent.mkdir(parents=True, exist_ok=True)
    fresh = record.with_suffix(f".new-{os.getpid()}")
    fresh.write_text(json.dumps(known), encoding="ascii")
    fresh.rename(record)
    return known["package"], known["version"]


def decompress(bzimage):
    """Return the ELF kernel inside a bzImage (Linux boot protocol 2.08 and later)."""
    image = bzimage.read_bytes()
    if image[0x202:0x206] != b"HdrS":
        raise HostError(f"{bzimage} is no Linux bzImage")
    setup = (image[0x1f1] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup * 512 + offset:setup * 512 + offset + length]
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    for magic, tool in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x02\x21\x4c\x18", "lz4")):
        if payload.startswith(magic):
            # Four bytes of length follow the compressed data, so the tools
            # complain of trailing garbage after they wrote everything.
            elf = subprocess.run([tool, "-q", "-d", "-c"], input=payload, check=False,
                                 capture_output=True).stdout
            if elf.startswith(b"\x7fELF"):
                return elf
    raise HostError(f"{bzimage} is compressed in a way that is not known here")


def host_kernel(version):
    """Return the L1 kernel of this version, fetched and unpacked if need be."""
    package, pkg_version = _package(version, HOST_FLAVOUR)

    def build(into):
        debian.unpack(package, pkg_version, into)
        bzimage = debian.the_one(into, "boot/vmlinuz-*")
        (into / "vmlinux").write_bytes(decompress(bzimage))

    tree = cache.entry("kernel", f"{package}_{pkg_version}", build)
    bzimage = debian.the_one(tree, "boot/vmlinuz-*")
    release = bzimage.name.removeprefix("vmlinuz-")
    return Kernel(release, bzimage, tree / "vmlinux", tree / "lib/modules" / release)


def guest_kernel(version):
    """Return the path of the L2 bzImage of this version."""
    package, pkg_version = _package(version, GUEST_FLAVOUR)
    tree = cache.entry("kernel", f"{package}_{pkg_version}",
                       lambda into: debian.unpack(package, pkg_version, into, "./boot"))
    return debian.the_one(tree, "boot/vmlinuz-*")


def _other_guest(package):
    """Return the tree of a package with a guest that is no Linux, asking apt only once."""
    record = cache.ROOT / "kernel" / f"{package}.version"
    if not record.exists():
        fresh = record.with_suffix(f".new-{os.getpid()}")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(debian.version(package), encoding="ascii")
        fresh.rename(record)
    version = record.read_text(encoding="ascii")
    return cache.entry("kernel", f"{package}_{version.replace(':', '_')}",
                       lambda into: debian.unpack(package, version, into, "./boot"))


def memtest():
    """Return memtest86+, which boots as a Linux kernel does, from Debian's package."""
    return debian.the_one(_other_guest("memtest86+"), "boot/memtest*x64.bin")


def xen():
    """Return Xen, a multiboot kernel of both 32-bit and 64-bit code, from Debian's package."""
    packed = debian.the_one(_other_guest("xen-hypervisor-4.17-amd64"), "boot/xen-4.17-amd64.gz")

    def build(into):
        (into / "xen").write_bytes(gzip.decompress(packed.read_bytes()))

    return cache.entry("kernel", "xen_" + cache.digest(str(packed)), build) / "xen"


def headers(version, flavour=HOST_FLAVOUR):
    """Return (release, build directory) to build modules against.

    The packages expect each other in /usr/src; here they find each other
    below one directory in the cache instead.
    """
    image, pkg_version = _package(version, flavour)
    release = image.removeprefix("linux-image-")
    base = release.removesuffix("-" + flavour)
    kbuild = base if version != "6.1" else "6.1"

    def build(into):
        for package in (f"linux-headers-{release}", f"linux-headers-{base}-common",
                        f"linux-kbuild-{kbuild}"):
            debian.unpack(package, pkg_version, into)
        makefile = into / f"usr/src/linux-headers-{release}/Makefile"
        makefile.write_text(
            "include $(dir $(lastword $(MAKEFILE_LIST)))"
            f"../linux-headers-{base}-common/Makefile\n", encoding="ascii")

    tree = cache.entry("headers", f"{release}_{pkg_version}", build)
    return release, tree / "usr/src" / f"linux-headers-{release}"


def module_closure(kernel, names):
    """Return {name: (content, [names it needs])} for modules and what they need.

    A module that this kernel has built in, or does not have, is left out.
    """
    files = {re.sub(r"\.ko(\.xz)?$", "", p.name).replace("-", "_"): p
             for p in kernel.modules.glob("kernel/**/*.ko*")}
    result = {}
    todo = list(names)
    while todo:
        name = todo.pop(0).replace("-", "_")
        if name in result or name not in files:
            continue
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        found = re.search(rb"\0depends=([^\0]*)\0", content)
        needs = [n.replace("-", "_") for n in found.group(1).decode().split(",") if n] if found else []
        result[name] = (content, needs)
        todo += needs
    return result
