"""The processes that a program consists of: all descendants of its supervisor, which inherits orphans.

The kernel has no list of them that is available everywhere, so every process of the host is asked for its parent: 2 ms with 165 of
them (psutil takes 6), and a served program is frozen and thawed hundreds of times a minute. So a process that was seen not to be
ours is not asked again for a second: it cannot become one, and in that time its number is nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_FORGET_S = 1.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_HAS_PROC = Path("/proc/self/stat").exists()
#: The kernel's letters for stopped, stopped by a tracer, ended and not waited for, and being removed.
_STANDING = (b"T", b"t", b"Z", b"X", b"x")


@dataclass(frozen=True)
class Member:
    """One process at the moment of a look.

    Attributes:
        parent: Process id of its parent.
        stands: Whether it is stopped, or has ended and waits for its parent to notice.
        rss_bytes: Resident memory.
    """

    parent: int
    stands: bool
    rss_bytes: int


@dataclass(frozen=True)
class Look:
    """What was seen at once.

    Attributes:
        members: By process id.
        whole: Whether no process ended meanwhile of which it is not known that it was a stranger: it may have left a child behind
            that the look missed. On a busy host some process ends in most looks, mostly a stranger that was seen to be one.
    """

    members: dict[int, Member]
    whole: bool

    @property
    def rss_bytes(self) -> int:
        """Resident memory of all; pages that they share count for each."""
        return sum(member.rss_bytes for member in self.members.values())


class Family:
    """Of one program.

    Args:
        root: Process id of its supervisor, which does not count.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._strangers: frozenset[int] = frozenset()
        self._forgotten_at = 0.0

    def look(self) -> Look:
        """See who belongs to it now."""
        now = time.monotonic()
        if now - self._forgotten_at > _FORGET_S:
            self._strangers, self._forgotten_at = frozenset(), now
        before = frozenset(psutil.pids())
        asked = before - self._strangers
        seen = dict(_facts(asked))
        members = self._descendants(seen)
        lost = asked - frozenset(psutil.pids())
        whole = not lost & (members.keys() | (asked - seen.keys()))
        if whole:
            self._strangers = (self._strangers & before) | seen.keys() - members.keys() - lost
        return Look(members, whole)

    def _descendants(self, seen: dict[int, Member]) -> dict[int, Member]:
        children: dict[int, list[int]] = {}
        for pid, member in seen.items():
            children.setdefault(member.parent, []).append(pid)
        found: dict[int, Member] = {}
        heads = [self._root]
        while heads:
            for pid in children.get(heads.pop(), []):
                if pid not in found:
                    found[pid] = seen[pid]
                    heads.append(pid)
        return found


def _facts(pids: frozenset[int]) -> Iterator[tuple[int, Member]]:
    """What is known of those that are still there."""
    for pid in pids:
        with contextlib.suppress(OSError, psutil.Error):
            yield pid, _from_kernel(pid) if _HAS_PROC else _from_psutil(psutil.Process(pid))


def _from_kernel(pid: int) -> Member:
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    # Behind the program's own name, which may hold brackets and blanks: its state, its parent, and as the 22nd its resident pages.
    fields = data[data.rindex(b")") + 2:].split()
    return Member(int(fields[1]), fields[0] in _STANDING, int(fields[21]) * _PAGE_BYTES)


def _from_psutil(process: psutil.Process) -> Member:
    stands = process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return Member(process.ppid(), stands, process.memory_info().rss)
