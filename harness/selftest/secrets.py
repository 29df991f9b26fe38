"""Things that no submission may see, planted on the host with one mark that can be recognised wherever it turns up.

The mark stands beside every true label, in the database (as the honest entries' team), in the honest entries' code, in files, in
this process's environment, in the memory of an open file, and is told to whoever connects to a port, to an abstract socket or
to a socket file. A hunter knows the beginning of the mark only, and prints what it finds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import Self

#: Never whole in a file, so that neither this one nor its compiled form is a find.
PREFIX = "-".join(["SELFTEST", "SECRET", ""])  # noqa: FLY002 - see above
_VARIABLE = "HARNESS_SELFTEST_SECRET"


class Secrets:
    """The mark and all places where it lies. A context manager: leaving it takes them away.

    Args:
        root: The self-test's directory; files are planted in ``root/outside``.
    """

    def __init__(self, root: Path) -> None:
        self.value = PREFIX + secrets.token_hex(16)
        self._outside = root / "outside"
        self._sockets: list[socket.socket] = []
        self.visitors: list[str] = []
        self.planted: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Plant it."""
        self._outside.mkdir()
        canary = self._outside / "canary.txt"
        canary.write_text(f"{self.value}\n", encoding="ascii")
        # Readable for all: what keeps a submission from it is the sandbox, not a mode.
        canary.chmod(0o644)
        os.environ[_VARIABLE] = self.value
        port = self._listen(socket.AF_INET, ("0.0.0.0", 0))  # noqa: S104 - every address that a container could reach
        name = f"harness-selftest-{secrets.token_hex(4)}"
        self._listen(socket.AF_UNIX, f"\0{name}")
        outside = os.open(self._outside, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # By the open directory: an address of a socket has 107 bytes, and a person's TMPDIR may be longer.
            self._listen(socket.AF_UNIX, f"/proc/self/fd/{outside}/socket")
        finally:
            os.close(outside)
        self.planted = {
            "canary": str(canary), "labels": str(self._outside.parent / "data" / "metadata.csv"), "port": str(port[1]),
            "abstract": name, "socket": str(self._outside / "socket"), "host": socket.gethostname(), "pid": str(os.getpid()),
            "address": _own_address()}
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        os.environ.pop(_VARIABLE, None)
        for listener in self._sockets:
            # A thread that waits in accept() wakes at a shutdown, not at a close.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def lies_in(self, path: Path) -> bool:
        """Whether a file holds the mark."""
        return self.value.encode() in path.read_bytes()

    def answers(self) -> bool:
        """Whether the planted port tells the mark to whoever reaches it."""
        before = len(self.visitors)
        try:
            with socket.create_connection(("127.0.0.1", int(self.planted["port"])), timeout=5) as connection:
                told = connection.recv(100).decode("ascii", "replace")
        except OSError:
            return False
        del self.visitors[before:]
        return told == self.value

    def _listen(self, family: int, address: tuple[str, int] | str) -> tuple[str, int]:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen()
        self._sockets.append(listener)
        threading.Thread(target=self._tell, args=[listener], name="selftest-secret", daemon=True).start()
        bound: tuple[str, int] = listener.getsockname() if family == socket.AF_INET else ("", 0)
        return bound

    def _tell(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            self.visitors.append(str(address))
            with contextlib.suppress(OSError), connection:
                connection.sendall(self.value.encode())


def _own_address() -> str:
    """The address with which this host would reach the world; loopback where it has none. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"
