"""Whether the host itself ran out of memory while a program ran: its kernel then kills any process, and no program is to blame.

A program that exceeds its own limit is killed in its own control group. Where everything on a host together wants more than there
is (a training job beside the contest is enough), the kernel kills programs that kept to their limits. It counts what it ends, but
counts those that met their limits too. So the count alone is no evidence: a program could end itself while another one meets its
limit. Little memory must have been seen as well, and that no program can bring about where all limits together fit into the host
(``harness run`` says where they do not).
"""

from __future__ import annotations

import re
from pathlib import Path

_PROC = Path("/proc")
_LEFT = re.compile(rb"^Mem(Total|Available):\s+(\d+) kB$", re.MULTILINE)
_ENDED = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
#: Share of the host's memory below which it counts as used up.
_LITTLE = 0.03


class HostMemory:
    """Watches the host's memory from now on.

    Args:
        proc: Where the kernel reports itself. Where it does not, the host is not to blame.
    """

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._ended = self._count()
        self._total, self._least = 0, 0
        self.look()

    def look(self) -> None:
        """See how much is left now."""
        left = self._left()
        if left is not None:
            total, available = left
            self._least = min(self._least, available) if self._total else available
            self._total = total

    def ran_out(self, given_back: int = 0) -> str:
        """A sentence where the kernel has killed programs since the beginning because the host had no memory left; else none.

        Args:
            given_back: Bytes that the program in question held at the most: they are free again.
        """
        ended = self._count()
        if self._ended is None or ended is None or ended <= self._ended:
            return ""
        left = self._left()
        if left is not None and self._total:
            self._least = min(self._least, max(0, left[1] - given_back))
        if not self._total or self._least > _LITTLE * self._total:
            return ""
        return (f"The host ran out of memory ({self._least >> 20} of {self._total >> 20} MiB were left), and its kernel killed "
                "programs that may have kept to their limits.")

    def _count(self) -> int | None:
        found = _ENDED.search(self._read("vmstat"))
        return int(found[1]) if found else None

    def _left(self) -> tuple[int, int] | None:
        found = {name: int(size) << 10 for name, size in _LEFT.findall(self._read("meminfo"))}
        return (found[b"Total"], found[b"Available"]) if len(found) == 2 else None  # noqa: PLR2004 - both

    def _read(self, name: str) -> bytes:
        try:
            return (self._proc / name).read_bytes()
        except OSError:
            return b""
