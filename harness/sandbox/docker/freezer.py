"""Freeze a container through its control group.

The engine can do it as well, by starting a program of its own: 18 ms for freezing and thawing, twice that on a busy host, where two
writes to a file take a third of one. A served program is frozen after every batch, so that was a seventh of the time of a
tournament of short runs. Where the group is not ours to write (no root, an engine elsewhere), the engine is asked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from harness.sandbox.docker.usage import group_file

#: The kernel stops the processes one after the other, and now and then misses one that is being born: let go and begun again, it
#: takes it. On a busy host a process has to have its turn before it stands.
_AGAIN_S = 0.1
_PATIENCE_S = 5.0


class Freezer:
    """Of one container; does nothing, and says so, where its control group cannot be written.

    Attributes:
        frozen: Whether it was stopped here, and not by the engine.
    """

    def __init__(self, ident: str) -> None:
        self.frozen = False
        self._state, self._stop, self._go = group_file(ident, ("freezer/{}/freezer.state",)), "FROZEN", "THAWED"
        self._told, self._stopped = self._state, "FROZEN"
        if self._state is None:
            self._state, self._stop, self._go = group_file(ident, ("{}/cgroup.freeze",)), "1", "0"
            self._told, self._stopped = group_file(ident, ("{}/cgroup.events",)), "frozen 1"
        self._members = self._state.with_name("cgroup.procs") if self._state is not None else None
        if self._state is not None and not os.access(self._state, os.W_OK):
            self._state = None

    def freeze(self) -> bool:
        """Freeze every process; whether all are frozen. Where not, none is."""
        if self._state is None or self._told is None:
            return False
        until = time.monotonic() + _PATIENCE_S
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                self._state.write_text(self._stop)
                if self._all_frozen(min(until, time.monotonic() + _AGAIN_S)):
                    self.frozen = True
                    return True
                self._state.write_text(self._go)
        self.thaw()
        return False

    def thaw(self) -> bool:
        """Thaw them; whether that was done."""
        self.frozen = False
        if self._state is None:
            return False
        try:
            self._state.write_text(self._go)
        except OSError:
            return False
        return True

    def emptied(self) -> bool | None:
        """Whether no process is left in it; None where that cannot be read. An emptied group can be stopped like any other."""
        try:
            return None if self._members is None else not self._members.read_bytes()
        except OSError as error:
            # The cgroup is removed shortly after its last process; reading it then gives ENODEV.
            return True if error.errno in (errno.ENOENT, errno.ENODEV) else None

    def _all_frozen(self, until: float) -> bool:
        while self._told is not None and self._stopped not in self._told.read_text().splitlines():
            if time.monotonic() > until:
                return False
            time.sleep(0.0002)
        return True
