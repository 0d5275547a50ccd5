# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of our own: with every check that Linux has of itself, or with gcov.

Built from Debian's source package, small, in about six minutes, once.
"""

import re
import subprocess
from pathlib import Path

from . import cache, debian
from .cache import HostError, say
from .kernels import Kernel

CONFIGS = Path(__file__).resolve().parents[1] / "debug"
# By what such a kernel is for.
FRAGMENTS = {"debug": ("base.config", "checks.config"),
             "coverage": ("base.config", "coverage.config")}


def source(version):
    """Return Linux' source tree of this version, from Debian's package."""
    package = f"linux-source-{version}"
    record = cache.ROOT / "source" / f"{version}.version"
    if record.exists():
        pkg_version = record.read_text(encoding="ascii")
    else:
        pkg_version = debian.version(package)

    def build(into):
        unpacked = into / "unpacked"
        unpacked.mkdir()
        debian.unpack(package, pkg_version, unpacked)
        tarball = debian.the_one(unpacked, "usr/src/linux-source-*.tar.xz")
        subprocess.run(["tar", "-xJf", tarball, "-C", into, "--strip-components=1"], check=True)
        subprocess.run(["rm", "-r", unpacked], check=True)

    tree = cache.entry("source", f"{package}_{pkg_version}", build)
    record.write_text(pkg_version, encoding="ascii")
    return tree


# The emulator enters the kernel where KASAN has no shadow memory yet (PVH): these run there.
_EARLY = [f"KASAN_SANITIZE_{name}.o=n" for name in ("enlighten", "string", "physaddr")]


def _make(tree, out, *args):
    with open(out / "build.log", "ab") as log:
        done = subprocess.run(["make", "-s", "-C", tree, f"O={out}", "ARCH=x86_64",
                               "KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=umbra",
                               "KBUILD_BUILD_HOST=umbra", *_EARLY, *args],
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise HostError(f"the kernel does not build; see {out}/build.log")


def _configure(tree, out, purpose):
    """Make the configuration; every option asked for must have come true.

    One that no Kconfig of this version knows is another version's.
    """
    _make(tree, out, "tinyconfig")
    fragments = [CONFIGS / name for name in FRAGMENTS[purpose]]
    subprocess.run([tree / "scripts/kconfig/merge_config.sh", "-m", "-O", out, out / ".config",
                    *fragments], check=True, cwd=tree, stdout=subprocess.DEVNULL)
    _make(tree, out, "olddefconfig")
    have = (out / ".config").read_text(encoding="ascii").splitlines()
    known = {name for path in tree.rglob("Kconfig*") if path.is_file()
             for name in re.findall(r"^(?:menu)?config (\w+)$",
                                    path.read_text(encoding="utf-8", errors="replace"), re.M)}
    for fragment in fragments:
        for line in fragment.read_text(encoding="ascii").splitlines():
            name, equals, value = line.partition("=")
            if not equals or name.removeprefix("CONFIG_") not in known:
                continue
            if (f"{name}=y" in have or f"{name}=m" in have) if value == "n" else line not in have:
                raise HostError(f"{fragment.name}: {line} does not come true in this kernel")


def build_tree(version, purpose):
    """Return the tree to build modules in, with the kernel, built if need be.

    It stays where it was built, as kernel trees hold their own paths.
    """
    tree = source(version)
    key = cache.digest(str(tree), *(CONFIGS / name for name in FRAGMENTS[purpose]))
    out = cache.ROOT / f"{purpose}-kernel" / f"{version}-{key}"
    complete = out / "complete"
    if not complete.exists():
        with cache.lock(f"{purpose}-kernel-{version}"):
            if not complete.exists():
                out.mkdir(parents=True, exist_ok=True)
                say(f"building a {purpose} kernel {version}; this takes several minutes, once")
                _configure(tree, out, purpose)
                _make(tree, out, "-j2", "vmlinux", "modules_prepare")
                # No module of Linux' own is built, so vmlinux exports all there is.
                (out / "Module.symvers").write_bytes((out / "vmlinux.symvers").read_bytes())
                complete.touch()
    return out


def headers(version, purpose="debug"):
    """Return (release, build directory) to build modules against."""
    out = build_tree(version, purpose)
    release = (out / "include/config/kernel.release").read_text(encoding="ascii").strip()
    return f"{release}-{purpose}", out


def kernel(version, purpose="debug"):
    """Return the kernel to boot."""
    release, out = headers(version, purpose)
    return Kernel(release.removesuffix(f"-{purpose}"), out / "vmlinux", out / "vmlinux",
                  out / "no-modules")
