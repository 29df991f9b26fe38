"""A batch's pixels as files for a program: made once per node, shared under names that say nothing.

The canonical PNG files of an input are encoded once, in a random order (so that neither inode numbers nor times tell which
clean image is which), and every run gets hard links to them under fresh random names. Where the sandbox does not isolate, a
run gets copies: a link would let one program change the next one's input.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.random import default_rng  # by name: numpy loads it lazily, and two threads that do so at once recurse without end
from numpy.typing import NDArray

from harness.images import encode_png

Pixels = NDArray[np.uint8]

#: Every file a program sees carries this time: 2017-07-01, the contest's first day. Any constant would do.
FILE_TIME_S = 1498867200
_PIXEL_CACHE_BYTES = 512 << 20
_FILE_CACHE_BYTES = 4 << 30


def random_names(count: int) -> list[str]:
    """Fresh names of PNG files, 16 hexadecimal digits as in 2017's data."""
    return [f"{secrets.token_hex(8)}.png" for _ in range(count)]


class Materials:
    """Inputs of one node: pixels in memory and PNG files on disk, both bounded, least recently used out first."""

    def __init__(self, root: Path, *, share: bool) -> None:
        self._root = root
        self._share = share
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._pixels: OrderedDict[str, Pixels] = OrderedDict()
        self._files: OrderedDict[str, int] = OrderedDict()

    def pixels(self, key: str, load: Callable[[], Pixels]) -> Pixels:
        """The pixels of an input, uint8 [n, height, width, 3], loaded once."""
        with self._lock:
            found = self._pixels.get(key)
            if found is not None:
                self._pixels.move_to_end(key)
                return found
        made = load()
        with self._lock:
            self._pixels[key] = made
            while sum(p.nbytes for p in self._pixels.values()) > _PIXEL_CACHE_BYTES and len(self._pixels) > 1:
                self._pixels.popitem(last=False)
        return made

    def lay_out(self, key: str, load: Callable[[], Pixels], positions: Sequence[int], names: Sequence[str],
                directory: Path) -> None:
        """Put image ``positions[i]`` of an input into ``directory`` under ``names[i]``."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            cached = self._ensure_files(key, load, positions)
            for position, name in zip(positions, names, strict=True):
                if self._share:
                    os.link(cached / f"{position}.png", directory / name)
                else:
                    shutil.copyfile(cached / f"{position}.png", directory / name)
                    os.utime(directory / name, (FILE_TIME_S, FILE_TIME_S))
        os.utime(directory, (FILE_TIME_S, FILE_TIME_S))

    def _ensure_files(self, key: str, load: Callable[[], Pixels], positions: Sequence[int]) -> Path:
        directory = self._root / key
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
                return directory
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        pixels = self.pixels(key, load)
        size = 0
        for position in default_rng(secrets.randbits(64)).permutation(positions):
            data = encode_png(pixels[position])
            path = directory / f"{position}.png"
            path.write_bytes(data)
            path.chmod(0o444)
            os.utime(path, (FILE_TIME_S, FILE_TIME_S))
            size += len(data)
        with self._lock:
            self._files[key] = size
            self._evict(keep=key)
        return directory

    def _evict(self, keep: str) -> None:
        while sum(self._files.values()) > _FILE_CACHE_BYTES and len(self._files) > 1:
            oldest = next(iter(self._files))
            if oldest == keep or self._making[oldest].locked():
                return
            del self._files[oldest]
            shutil.rmtree(self._root / oldest, ignore_errors=True)
