"""Who owns a container: labels that say which harness process made it, so that cleanup never kills what a live one runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PREFIX = "harness"
OWNER = f"{PREFIX}.owner"
TOURNAMENT = f"{PREFIX}.tournament"
#: On the container that a code image is made in: no tournament's, and never started.
BUILDER = f"{PREFIX}.builder"


def labels_of(labels: Mapping[str, str]) -> dict[str, str]:
    """A container's labels: ours, and the caller's with our prefix."""
    return {PREFIX: "1", OWNER: myself(), **{f"{PREFIX}.{key}": str(value) for key, value in labels.items()}}


def myself() -> str:
    """This process: boot, process namespace, number, and start time (numbers are used again)."""
    return describe(os.getpid())


def describe(pid: int) -> str:
    """The same for any process of this namespace."""
    return f"{_place()}:{pid}:{_started(pid)}"


def alive(owner: str) -> bool:
    """Whether the owner may still live. One in another process namespace cannot be asked, so it may."""
    place, _, rest = owner.rpartition(":")[0].rpartition(":")
    if "unknown/unknown" in (place, _place()):
        return True
    boot, namespace = _place().split("/")
    owners_boot, _, owners_namespace = place.partition("/")
    if owners_boot != boot:
        return False
    if owners_namespace != namespace:
        return True
    if not rest.isdigit() or not _exists(int(rest)):
        return False
    # Where the kernel hides when it started, it may be the owner.
    return describe(int(rest)) == owner or _started(int(rest)) == ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # there, and somebody else's
    return True


@cache
def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()!s}".replace(":", "-")
    except OSError:
        return "unknown/unknown"


def _started(pid: int) -> str:
    try:
        # The name, field 2, may hold spaces and brackets; start time is field 22.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
