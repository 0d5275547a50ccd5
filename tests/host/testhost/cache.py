# SPDX-License-Identifier: GPL-2.0-only
"""Where built things are kept: <repository>/.cache, keyed by content.

An entry is a directory that appears in one rename when it is complete, so a
reader never sees half of it. Builders of one kind hold that kind's lock, so
two runs at once build a thing only once.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
ROOT = Path(os.environ.get("UMBRA_CACHE") or REPO / ".cache")


class HostError(Exception):
    """The test host could not do its part; the message is for a person."""


def say(text):
    """Tell the user what takes time."""
    print(f"host: {text}", file=sys.stderr, flush=True)


def digest(*parts):
    """Return a short hash of strings, bytes and files (given as Path)."""
    h = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes()
        elif isinstance(part, str):
            part = part.encode()
        h.update(b"%d:" % len(part))
        h.update(part)
    return h.hexdigest()[:24]


@contextlib.contextmanager
def lock(name):
    """Hold the lock of this name against all other processes."""
    path = ROOT / "lock" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that builds {name}")
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def _prune(directory, keep, entries):
    """Drop the least recently used entries beyond @entries, never @keep.

    What was used within the last day stays: another run may be using it.
    """
    old = sorted((p for p in directory.iterdir() if p.name[0] != "."),
                 key=lambda p: p.stat().st_mtime)
    for path in old[:max(0, len(old) - entries)]:
        if path != keep and time.time() - path.stat().st_mtime > 86400:
            shutil.rmtree(path, ignore_errors=True)


def entry(kind, key, build, entries=12):
    """Return the directory of this kind and key, made by @build if absent.

    @build is called with an empty directory, under the lock of the kind.
    """
    final = ROOT / kind / key
    if not final.is_dir():
        with lock(kind):
            if not final.is_dir():
                final.parent.mkdir(parents=True, exist_ok=True)
                tmp = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
                try:
                    build(tmp)
                    tmp.chmod(0o755)
                    tmp.rename(final)
                finally:
                    shutil.rmtree(tmp, ignore_errors=True)
                _prune(final.parent, final, entries)
    os.utime(final)
    return final
