# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages, downloaded and unpacked but never installed."""

import os
import re
import subprocess
from pathlib import Path

from . import cache
from .cache import HostError, say


def _apt(*args, cwd=None):
    """Run one apt tool and return its output."""
    try:
        done = subprocess.run(args, cwd=cwd, text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError as error:
        raise HostError(f"{args[0]} is missing: the test host needs Debian 12") from error
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise HostError(f"{' '.join(args[:2])} failed: {reason[-1] if reason else 'no reason given'}"
                        " (is the network up, and has 'scripts/deps' been run?)")
    return done.stdout


def resolve(meta):
    """Return the package that a kernel's meta package stands for now."""
    for line in _apt("apt-cache", "depends", "--important", meta).splitlines():
        found = re.match(r"\s+Depends: (linux-image-\S+)", line)
        if found:
            return found.group(1)
    raise HostError(f"apt knows no package behind {meta}: run 'scripts/deps', which updates its lists")


def version(package):
    """Return the version that apt would download."""
    for line in _apt("apt-cache", "show", "--no-all-versions", package).splitlines():
        if line.startswith("Version: "):
            return line.split()[1]
    raise HostError(f"apt knows no package {package}")


def unpack(package, pkg_version, into, only=None):
    """Unpack a package's files into the directory @into.

    @only: take just the files below this path of the package, as "./boot".
    """
    directory = cache.ROOT / "download"
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{package}_{pkg_version.replace(':', '%3a')}_"
    if not list(directory.glob(name + "*.deb")):
        say(f"downloading {package} {pkg_version}")
        args = ["apt-get", "-q", "-o", "Dpkg::Use-Pty=0"]
        if os.geteuid() == 0:
            args += ["-o", "APT::Sandbox::User=root"]
        _apt(*args, "download", f"{package}={pkg_version}", cwd=directory)
    deb = next(iter(directory.glob(name + "*.deb")), None)
    if not deb:
        raise HostError(f"apt-get download left no {name}*.deb in {directory}")
    say(f"unpacking {package}")
    try:
        if only:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as tar:
                subprocess.run(["tar", "-x", "-C", into, only], stdin=tar.stdout, check=True)
        else:
            subprocess.run(["dpkg-deb", "-x", deb, into], check=True)
    except subprocess.CalledProcessError as error:
        deb.unlink()
        raise HostError(f"{deb.name} does not unpack and was removed; try again") from error
    deb.unlink()


def the_one(tree, pattern):
    """Return the path below a tree that matches a pattern."""
    found = sorted(Path(tree).glob(pattern))
    if not found:
        raise HostError(f"no {pattern} below {tree}")
    return found[0]
