"""The files of an image are all in the host's memory before a container of it starts.

Containers of one image read the same files, and the kernel keeps in memory what was read: a page that is there already comes
faster than one from the disk, so what one program touched another could read back, a kilobyte at a time, runs later and in another
track. Nothing is remembered where everything is there: programs can add nothing then, and the seccomp filter keeps them from
putting anything out.

The alternative, putting everything out before every run, cost a torch entry 3 s a run (5.3 s to start instead of 2.3) and fails for
what a running neighbour has mapped. Reading costs once what the disk takes (5 s for an image of 6 GB; 0.8 s where it is there
already, 0.2 s for one of 250 MB), and afterwards a look at a counter, 0.3 ms; pages that the kernel takes back for lack of memory
are read again before the next start. Pages were seen to go with these counters at rest (DAMON is one that may do so): all is
read again from time to time, for two seconds of a hundred at the most.

Where the layers cannot be read from here (an engine elsewhere, no root) or need more than half of the memory that is
available, nothing is done, and that memory stays.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from docker import APIClient

from harness.sandbox.docker.client import ENGINE_FAILURES

#: The kernel reads no more at one call than the disk's read-ahead, which is 128 KiB unless somebody made it larger.
_STEP = 128 << 10
#: What was read is read again after this, seconds, or after so many times what reading took.
_AGAIN_S, _AGAIN_TIMES = 10.0, 50


class PageCache:
    """Of one engine. Its methods may be called from several threads."""

    def __init__(self, api: APIClient) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._layers: dict[str, list[Path]] = {}
        self._read: dict[Path, tuple[int, float]] = {}

    def settle(self, image: str) -> None:
        """Read an image's files into memory where they are not there."""
        with self._lock:
            taken = taken_back()
            if image not in self._layers:
                self._layers[image] = self._find_layers(image)
            began = time.monotonic()
            missing = [layer for layer in self._layers[image] if not self._holds(layer, taken, began)]
            if missing and self._fits(self._layers[image]):
                for layer in missing:
                    read_ahead(layer)
                ended = time.monotonic()
                again = ended + max(_AGAIN_S, _AGAIN_TIMES * (ended - began))
                self._read |= dict.fromkeys(missing, (taken, again))

    def _holds(self, layer: Path, taken: int, now: float) -> bool:
        """Whether what was read of a layer can be taken to be there still."""
        before, again = self._read.get(layer, (-1, 0.0))
        return before == taken and now < again

    def _find_layers(self, image: str) -> list[Path]:
        try:
            data = (self._api.inspect_image(image).get("GraphDriver") or {}).get("Data") or {}  # type: ignore[no-untyped-call]
        except ENGINE_FAILURES:
            return []
        paths = [Path(path) for key in ("UpperDir", "LowerDir") for path in (data.get(key) or "").split(":") if path]
        return paths if all(os.access(path, os.R_OK | os.X_OK) for path in paths) else []

    def _fits(self, layers: list[Path]) -> bool:
        others = [layer for layer in self._read if layer not in layers]
        needed = sum(facts.st_blocks * 512 for layer in (*layers, *others) for _, facts in _files(layer))
        return needed <= available_bytes() // 2


def read_ahead(root: Path) -> None:
    """Ask the kernel for every page of the files below a directory; costs little where they are in memory."""
    for path, facts in _files(root):
        with contextlib.suppress(OSError):
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME | os.O_NONBLOCK)
            try:
                for offset in range(0, facts.st_size, _STEP):
                    os.posix_fadvise(number, offset, _STEP, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(number)


def taken_back() -> int:
    """Pages that the kernel took back since the host started, for lack of memory and not for a container's own limit."""
    names = ("pgsteal_kswapd", "pgsteal_direct", "pgsteal_khugepaged", "pgsteal_proactive", "drop_pagecache")
    return sum(_kernel_says(Path("/proc/vmstat"), names))


def available_bytes() -> int:
    """Memory that programs can have, page cache that would go for them included."""
    return sum(_kernel_says(Path("/proc/meminfo"), ("MemAvailable:",))) << 10


def _kernel_says(path: Path, names: tuple[str, ...]) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            name, value, *_ = line.split()
            if name in names:
                yield int(value)


def _files(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    folders = [str(root)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False)
