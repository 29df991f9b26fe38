"""What a container uses, read from its control group on the host.

A file read costs microseconds, the engine's own statistics a second. The group goes with the program, so these are the last
samples before its end.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PLACES = ("docker/{}", "system.slice/docker-{}.scope")


class CgroupSampler:
    """CPU seconds and memory of one container; everything None where the host's control groups cannot be read.

    Attributes:
        cpu_s: CPU seconds of all its processes, at the last sample.
        peak_memory_bytes: The most memory charged to it, page cache included, at the last sample.
    """

    def __init__(self, ident: str) -> None:
        self.cpu_s: float | None = None
        self.peak_memory_bytes: int | None = None
        self._cpu = group_file(ident, ("cpuacct/{}/cpuacct.usage", "{}/cpu.stat"))
        self._peak = group_file(ident, ("memory/{}/memory.max_usage_in_bytes", "{}/memory.peak"))
        self._threads = group_file(ident, ("memory/{}/tasks", "{}/cgroup.threads"))
        self._stat = group_file(ident, ("memory/{}/memory.stat", "{}/memory.stat"))

    def sample(self) -> None:
        """Read once."""
        text = _read(self._cpu)
        if text is not None:
            match = re.search(r"^usage_usec (\d+)", text, re.MULTILINE)
            self.cpu_s = int(match[1]) / 1e6 if match else int(text) / 1e9
        text = _read(self._peak)
        if text is not None:
            self.peak_memory_bytes = int(text)

    def threads(self) -> list[int]:
        """Numbers of all threads in it, as the host counts them."""
        return [int(number) for number in (_read(self._threads, 1 << 24) or "").split()]

    def held_bytes(self) -> int:
        """Memory that stays taken while it is frozen: anonymous and shared, without page cache."""
        values = dict(re.findall(r"^(\w+) (\d+)$", _read(self._stat) or "", re.MULTILINE))
        if "total_rss" in values:
            return int(values["total_rss"]) + int(values.get("total_shmem", 0))
        return int(values.get("anon", 0)) + int(values.get("shmem", 0))


def group_file(ident: str, patterns: tuple[str, ...]) -> Path | None:
    """The first of a container's control files that is there; ``{}`` in a pattern stands for the container's group."""
    if not ident:
        return None
    for pattern in patterns:
        for place in _PLACES:
            path = _ROOT / pattern.format(place.format(ident))
            if path.exists():
                return path
    return None


def _read(path: Path | None, most: int = 1 << 16) -> str | None:
    if path is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.read(descriptor, most).decode()
        finally:
            os.close(descriptor)
    return None
