"""The watch on a container's writable layer, which has no quota of its own.

The storage driver would need another file system for one. So the layer is walked: at once when the host's free space has
fallen, and otherwise as often as its walks are cheap, because free space says nothing where others free what this program takes.
What is held counts, not what has a name: files that were unlinked and are still open or mapped, and the files that the engine
binds into a container (``/etc/hostname`` and the like), which lie beside the layer. Not seen is a file that lies unlinked in the
queue of a socket and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.sandbox.base import Limits
from harness.sandbox.docker.container import Container
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import walk_usage
from harness.sandbox.watch import Verdict

#: A smaller drop of the host's free space is ignored, unless the allowance itself is small.
_NOTICED_BYTES = 64 << 20
_NOTICED_FILES = 20_000
#: Files and directories in the layer: an honest entry unpacks a wheel or two.
MAX_FILES = 200_000

#: Files that the engine keeps for a container and binds into it, where its root may write them.
_BOUND = ("hosts", "hostname", "resolv.conf")

EVERY_S = 0.5
#: If the engine must be asked, it is asked at every tenth check.
_SLOW_EVERY = 10
#: Walks take at most this share of the time between two of them.
_WALKING = 1 / 20


def layer_check(container: Container, limits: Limits, docker_root: Path) -> Callable[[], Verdict | None]:
    """A check that ends the program when it wrote more into its own layer than allowed."""
    free = _free(docker_root)
    noticed = min(_NOTICED_BYTES, limits.layer_bytes // 4)
    looks, due = 0, 0.0

    def look() -> Verdict | None:
        nonlocal free, looks, due
        looks += 1
        now = _free(docker_root)
        began = time.monotonic()
        if free is not None and now is not None:
            wanted = began >= due or free[0] - now[0] > noticed or free[1] - now[1] > _NOTICED_FILES
            free = (max(free[0], now[0]), max(free[1], now[1]))
        else:
            # The engine's disk is not visible here: ask the engine, seldom.
            wanted = looks % _SLOW_EVERY == 0
        if not wanted:
            return None
        used = _used(container, limits, docker_root)
        ended = time.monotonic()
        due = ended + (ended - began) / _WALKING
        if used is None:
            return None  # unknown: asked again at the next check
        free = now
        size, files, full = used
        if not full:
            return None
        return Verdict(Ending.OUTPUT_LIMIT, f"{size} bytes in {files} files were written outside the output directory; "
                       f"{limits.layer_bytes} bytes are allowed.")

    return look


def _used(container: Container, limits: Limits, docker_root: Path) -> tuple[int, int, bool] | None:
    """Bytes, files, and whether that is too much."""
    upper = container.upper_directory
    if upper is not None and os.access(upper, os.R_OK | os.X_OK):
        size, files, full = walk_usage(Path(upper), limits.layer_bytes, MAX_FILES)
        size += sum(_blocks(docker_root / "containers" / container.ident / name) for name in _BOUND)
        size += unlinked_bytes(container.sampler.threads(), upper)
        return size, files, full or size > limits.layer_bytes
    told = container.layer_bytes()
    return None if told is None else (told, 0, told > limits.layer_bytes)


def unlinked_bytes(threads: list[int], upper: str) -> int:
    """Bytes on disk of files in a layer that have no name any more and that one of these threads holds open or mapped."""
    found: dict[tuple[int, int], int] = {}
    layers: set[int] = set()
    with contextlib.suppress(OSError):
        layers.add(Path(upper).stat().st_dev)
    for thread in threads:
        place = Path(f"/proc/{thread}")
        with contextlib.suppress(OSError):
            # A file of the layer has the device of the container's root, or of the layer's own file system; not a tmpfs's.
            layers.add((place / "root").stat().st_dev)
        for path in _held(place):
            with contextlib.suppress(OSError):
                facts = path.stat()
                if facts.st_nlink == 0 and facts.st_dev in layers:
                    found[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    return sum(found.values())


def _held(place: Path) -> Iterator[Path]:
    """What a thread has open (each may have a table of its own), and what it has mapped and calls deleted."""
    with contextlib.suppress(OSError):
        yield from (place / "fd").iterdir()
    with contextlib.suppress(OSError):
        for line in (place / "maps").read_bytes().splitlines():
            if line.endswith(b" (deleted)"):
                # The kernel names the link without the zeros that it writes at the beginning of a line.
                begin, end = (int(number, 16) for number in re.split(rb"[- ]", line, maxsplit=2)[:2])
                yield place / "map_files" / f"{begin:x}-{end:x}"


def _blocks(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.lstat().st_blocks * 512
    return 0


def _free(root: Path) -> tuple[int, int] | None:
    try:
        facts = os.statvfs(root)
    except OSError:
        return None
    return facts.f_bavail * facts.f_frsize, facts.f_favail
