"""How fast a program's output is read: rate-limited by bytes and by pieces.

One process of the harness reads what all slots print. A flood is read at this rate and no faster: the program's pipe fills up, so
the program blocks, and its flood costs its own time. Bytes alone are no measure: written one at a time, each comes as a frame of
its own and costs as much as a kilobyte.
"""

from __future__ import annotations

import time

_BYTES_PER_S = 16 << 20
#: A frame costs 2 microseconds: a flood of them takes a twentieth of a core.
_PIECES_PER_S = 25_000
#: Waking up to read costs as much as this many frames.
_PIECES_A_READ = 10
#: What may be read at once before the limit applies: honest programs never notice it.
_BURST_S = 0.1


class Pace:
    """Of one program."""

    def __init__(self) -> None:
        self._due = 0.0

    def took(self, size: int, pieces: int = 0) -> None:
        """Count one read."""
        cost = max(size / _BYTES_PER_S, (pieces + _PIECES_A_READ) / _PIECES_PER_S)
        self._due = max(self._due, time.monotonic() - _BURST_S) + cost

    def wait(self, most_s: float) -> float:
        """Wait until the next read is due, ``most_s`` at the most; what is left of ``most_s``, below 0 where it is not due yet."""
        wait_s = self._due - time.monotonic()
        if wait_s <= 0:
            return most_s
        time.sleep(min(wait_s, most_s))
        return most_s - wait_s
