# SPDX-License-Identifier: GPL-2.0-only
"""The line between a run and the agent on the host (see root/agent.c)."""

import os
import struct


class Channel:
    """Frames over a line: a type, a length, that many bytes."""

    def __init__(self, incoming, outgoing, window):
        self._incoming = incoming
        self._outgoing = outgoing
        self._window = window
        self._received = b""
        self._under_way = 0

    def fileno(self):
        """For select()."""
        return self._incoming.fileno()

    def close(self):
        """Let go of the line."""
        self._incoming.close()
        self._outgoing.close()

    def receive(self):
        """Return the frames that have arrived as (type, bytes); None at the end."""
        try:
            data = os.read(self._incoming.fileno(), 65536)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        if not data:
            return None
        self._received += data
        frames = []
        while len(self._received) >= 3:
            kind, length = struct.unpack_from("<cH", self._received)
            if len(self._received) < 3 + length:
                break
            frames.append((kind.decode("latin-1"), self._received[3:3 + length]))
            self._received = self._received[3 + length:]
        for kind, data in frames:
            if kind == "a":
                self._under_way -= struct.unpack("<H", data)[0]
        return frames

    def send(self, kind, data=b""):
        """Send one frame; False if the host is gone."""
        try:
            self._outgoing.sendall(struct.pack("<cH", kind.encode(), len(data)) + data)
            return True
        except OSError:
            return False

    @property
    def room(self):
        """How many bytes of input the host takes now."""
        return self._window - self._under_way

    def send_input(self, data):
        """Send input for the command, at most .room bytes; none ends it."""
        self._under_way += len(data)
        return self.send("i", data)
