# SPDX-License-Identifier: GPL-2.0-only
"""Archives that Linux unpacks as its initial file system ("newc" cpio).

Written here rather than by cpio(1), because device nodes then need no
privilege, and the same input gives the same bytes. Archives may be joined end
to end; a later file replaces an earlier one of the same name.
"""

import os
import shutil
import stat


class Archive:
    """An archive being written to @path."""

    def __init__(self, path):
        self._file = open(path, "wb")  # pylint: disable=consider-using-with
        self._ino = 0
        self._dirs = {""}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._member("TRAILER!!!", 0, 0)
        self._file.write(bytes(-self._file.tell() % 512))
        self._file.close()

    def _member(self, name, mode, size, rdev=(0, 0)):
        self._ino += 1
        encoded = os.fsencode(name) + b"\0"
        fields = (self._ino, mode, 0, 0, 1, 0, size, 0, 0, *rdev, len(encoded), 0)
        self._file.write(b"070701" + b"".join(b"%08X" % f for f in fields) + encoded)
        self._pad()

    def _pad(self):
        self._file.write(bytes(-self._file.tell() % 4))

    def _parents(self, name):
        parent = os.path.dirname(name)
        if parent not in self._dirs:
            self.directory(parent)

    def directory(self, name, mode=0o755):
        """Add a directory, and those above it."""
        name = name.strip("/")
        if name in self._dirs:
            return
        self._parents(name)
        self._dirs.add(name)
        self._member(name, stat.S_IFDIR | mode, 0)

    def data(self, name, content, mode=0o644):
        """Add a regular file with this content (bytes)."""
        name = name.strip("/")
        self._parents(name)
        self._member(name, stat.S_IFREG | mode, len(content))
        self._file.write(content)
        self._pad()

    def file(self, name, source, mode=None):
        """Add a regular file, copied from @source."""
        name = name.strip("/")
        self._parents(name)
        with open(source, "rb") as f:
            st = os.fstat(f.fileno())
            self._member(name, stat.S_IFREG | (mode or stat.S_IMODE(st.st_mode)), st.st_size)
            shutil.copyfileobj(f, self._file, 1 << 20)
        self._pad()

    def link(self, name, target):
        """Add a symbolic link."""
        name = name.strip("/")
        self._parents(name)
        content = os.fsencode(target)
        self._member(name, stat.S_IFLNK | 0o777, len(content))
        self._file.write(content)
        self._pad()

    def device(self, name, major, minor, mode=0o600):
        """Add a character device."""
        name = name.strip("/")
        self._parents(name)
        self._member(name, stat.S_IFCHR | mode, 0, (major, minor))

    def tree(self, name, source):
        """Add a file, a link or a directory with all that is in it."""
        if os.path.islink(source):
            self.link(name, os.readlink(source))
        elif os.path.isdir(source):
            self.directory(name)
            for child in sorted(os.listdir(source)):
                self.tree(f"{name}/{child}", os.path.join(source, child))
        else:
            self.file(name, source)
