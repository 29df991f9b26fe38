"""A batch's pixels as files for a program: encoded once per node, copied for every run under names that reveal nothing.

No two runs see one inode. Hard links would cost less (measured for 100 files: 1 ms against 5 ms at 32x32 and 33 ms at 299x299),
but locks, watches, leases and the link count of a file reach everybody who has it open or beside it: two programs that run at the
same time could talk, and one could see how many others were given its input.
"""

from __future__ import annotations

import csv
import fcntl
import os
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from harness.formats.images import encode_png

Pixels = NDArray[np.uint8]

#: Every file a program sees has this time: 2017-07-01, the contest's first day. Any constant would do.
FILE_TIME_S = 1498867200
#: An input as one array, beside nothing else but target classes.
ARRAY = "images.npy"
TARGETS = "target_class.csv"
#: Linux's ioctl by which a file shares another's blocks, where the file system can; an inode of its own it has in any case.
_FICLONE = 0x40049409
_PIXEL_CACHE_BYTES = 512 << 20
_FILE_CACHE_BYTES = 4 << 30


@dataclass(frozen=True, eq=False)
class Layout:
    """Under which names and in which order a program finds the images of an input, as files and as rows of an array alike.

    Attributes:
        names: Fresh names of PNG files, 16 hexadecimal digits as in 2017's data, in their order.
        positions: intp [k], which image of the batch each of them is.
        size: Images of the batch, those that the input has not got included.
    """

    names: tuple[str, ...]
    positions: NDArray[np.intp]
    size: int

    @classmethod
    def draw(cls, produced: NDArray[np.bool_]) -> Self:
        """New names for the images that exist. Sorted by names that are drawn by chance, the images are in an order by chance."""
        positions = np.flatnonzero(produced)
        drawn = np.array([f"{secrets.token_hex(8)}.png" for _ in positions], np.str_)
        order = np.argsort(drawn)
        return cls(tuple(drawn[order].tolist()), positions[order], len(produced))

    def by_position(self) -> list[str | None]:
        """The name of each image of the batch; None for one that the input has not got."""
        names: list[str | None] = [None] * self.size
        for name, position in zip(self.names, self.positions.tolist(), strict=True):
            names[position] = name
        return names


class InputFiles:
    """Inputs of one node: pixels in memory and PNG files on disk, both bounded, least recently used evicted first."""

    def __init__(self, root: Path) -> None:
        self._root = root
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

    def stage_files(self, key: str, load: Callable[[], Pixels], layout: Layout, directory: Path) -> None:
        """Put the images of an input into ``directory``."""
        positions = layout.positions.tolist()
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            cached = self._ensure_files(key, load, positions)
            # In the order of the random names: inode numbers and creation times then reveal no more than the names.
            for name, position in zip(layout.names, positions, strict=True):
                _copy(cached / f"{position}.png", directory / name)
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
        for position in positions:
            data = encode_png(pixels[position])
            (directory / f"{position}.png").write_bytes(data)
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


def write_array(directory: Path, rows: Pixels) -> Path:
    """Put the images of an input into ``directory`` as one array, in the order of its layout."""
    path = directory / ARRAY
    np.save(path, rows)
    _finish(path)
    os.utime(directory, (FILE_TIME_S, FILE_TIME_S))
    return path


def write_files(directory: Path, names: Sequence[str], rows: Pixels) -> None:
    """Put images that are shown once into ``directory`` as PNG files, in the order of their names."""
    for name, pixels in zip(names, rows, strict=True):
        (directory / name).write_bytes(encode_png(pixels))
        _finish(directory / name)
    os.utime(directory, (FILE_TIME_S, FILE_TIME_S))


def write_targets(directory: Path, layout: Layout, targets: NDArray[np.int32]) -> None:
    """Say the target class of each image, as 2017 did."""
    path = directory / TARGETS
    with path.open("w", newline="", encoding="ascii") as file:
        csv.writer(file, lineterminator="\n").writerows(zip(layout.names, targets[layout.positions].tolist(), strict=True))
    _finish(path)
    os.utime(directory, (FILE_TIME_S, FILE_TIME_S))


def _finish(path: Path) -> None:
    """One mode and one time for everything that a program reads."""
    path.chmod(0o444)
    os.utime(path, (FILE_TIME_S, FILE_TIME_S))


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb", buffering=0) as new:
        with suppress(OSError):
            fcntl.ioctl(new, _FICLONE, old.fileno())
        if os.fstat(new.fileno()).st_size == 0:
            shutil.copyfileobj(old, new, 1 << 20)
        os.fchmod(new.fileno(), 0o444)
        os.utime(new.fileno(), (FILE_TIME_S, FILE_TIME_S))
