"""The watch on a container's writable layer, which has no quota of its own.

The storage driver would need another file system for one. The host's free space is cheap to ask, and only when it falls is
the layer walked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from harness.sandbox.base import Limits
from harness.sandbox.docker.container import Container
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import walk_usage
from harness.sandbox.watch import Verdict

#: A fall of the host's free space by less is nobody's concern, unless the allowance itself is small.
_NOTICED_BYTES = 64 << 20
_NOTICED_FILES = 20_000
#: Files and directories in the layer: an honest entry unpacks a wheel or two.
MAX_FILES = 200_000

EVERY_S = 0.5
_SLOW_EVERY = 10


def layer_check(container: Container, limits: Limits, docker_root: Path) -> Callable[[], Verdict | None]:
    """A look that ends the program when it wrote more into its own layer than allowed."""
    free = _free(docker_root)
    noticed = min(_NOTICED_BYTES, limits.layer_bytes // 4)
    looks = 0

    def look() -> Verdict | None:
        nonlocal free, looks
        looks += 1
        now = _free(docker_root)
        if free is not None and now is not None:
            fell = free[0] - now[0] > noticed or free[1] - now[1] > _NOTICED_FILES
            free = (max(free[0], now[0]), max(free[1], now[1]))
        else:
            # The engine's disk is not ours to see: ask the engine, seldom.
            fell = looks % _SLOW_EVERY == 0
        if not fell:
            return None
        free = now
        return _verdict(container, limits)

    return look


def _verdict(container: Container, limits: Limits) -> Verdict | None:
    upper = container.upper_directory
    if upper is not None and os.access(upper, os.R_OK | os.X_OK):
        usage = walk_usage(Path(upper), limits.layer_bytes, MAX_FILES)
        size, files, full = usage
    else:
        size, files = container.layer_bytes(), 0
        full = size > limits.layer_bytes
    if not full:
        return None
    return Verdict(Ending.OUTPUT_LIMIT, f"{size} bytes in {files} files were written outside the output directory; "
                   f"{limits.layer_bytes} bytes are allowed.")


def _free(root: Path) -> tuple[int, int] | None:
    try:
        facts = os.statvfs(root)
    except OSError:
        return None
    return facts.f_bavail * facts.f_frsize, facts.f_favail
