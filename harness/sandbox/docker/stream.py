"""A container's stdin, stdout and stderr over one attached socket.

Attached before the start, so that no byte is lost and the engine need not log (its log driver is ``none``: a program cannot
fill the host's disk with what it prints).
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from docker import APIClient

from harness.sandbox.pace import Pace

_HEADER = struct.Struct(">BxxxL")
_STDOUT, _STDERR = 1, 2
_CHUNK = 1 << 16


class AttachedStream:
    """Demultiplexes what a container prints; hands each piece to one of two sinks.

    Args:
        api: The engine.
        ident: A container that has not been started.
        stdin: Whether to send, too.
        on_stdout: Called with each piece of stdout.
        on_stderr: Called with each piece of stderr.
    """

    def __init__(self, api: APIClient, ident: str, on_stdout: Callable[[bytes], None],
                 on_stderr: Callable[[bytes], None], *, stdin: bool) -> None:
        wanted = {"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1}
        # The wrapper is kept: when it is collected the connection goes with it.
        self._wrapper: Any = api.attach_socket(ident, params=wanted)
        self._socket: socket.socket = getattr(self._wrapper, "_sock", self._wrapper)
        self._sinks = {_STDOUT: on_stdout, _STDERR: on_stderr}
        self._header = b""
        self._left = 0
        self._kind = _STDOUT
        self.ended = False
        self.last_data = time.monotonic()
        self._pace = Pace()

    def pump(self, timeout_s: float, *, paced: bool = True) -> None:
        """Read what there is for up to ``timeout_s``; returns early after a first piece, or at the end of the stream.

        Args:
            timeout_s: The most to wait for something to read.
            paced: Whether a flood is held back; not once the program is being ended.
        """
        if self.ended:
            time.sleep(timeout_s)
            return
        # The engine stops reading the program's pipe when nobody reads from it, so neither our CPU nor the engine's is spent on it.
        if paced and timeout_s > 0 and (timeout_s := self._pace.wait(timeout_s)) < 0:
            return
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return
        began, taken = time.monotonic(), 0
        while not self.ended:
            try:
                data = self._socket.recv(_CHUNK)
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return
            self.last_data = began
            self._pace.took(len(data), self._feed(data))
            taken += len(data)
            if taken >= _CHUNK:
                return
            if not select.select([self._socket], [], [], 0)[0]:
                return

    def send(self, data: bytes, timeout_s: float) -> bool:
        """Write to the program's stdin; False where it does not take it in time."""
        self._socket.settimeout(timeout_s)
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        finally:
            self._socket.settimeout(None)
        return True

    def close(self) -> None:
        """Close the connection; never raises."""
        for part in (self._socket, self._wrapper, getattr(self._wrapper, "_response", None)):
            try:
                if part is not None:
                    part.close()
            except (OSError, ValueError):
                continue

    def _feed(self, data: bytes) -> int:
        """Hand each stream its pieces; how many frames there were."""
        at = frames = 0
        while at < len(data):
            if self._left == 0:
                need = _HEADER.size - len(self._header)
                self._header += data[at:at + need]
                at += need
                if len(self._header) < _HEADER.size:
                    break
                self._kind, self._left = _HEADER.unpack(self._header)
                self._header = b""
                frames += 1
                continue
            # Not cut off the front: to move what is left for every frame of a byte would cost the square of the piece.
            piece = data[at:at + self._left]
            at += len(piece)
            self._left -= len(piece)
            self._sinks.get(self._kind, self._sinks[_STDOUT])(piece)
        return frames
