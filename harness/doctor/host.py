"""The host itself: free disk space, memory, clocks."""

from __future__ import annotations

import os
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from harness.doctor.check import Check
from harness.execution.outputs.confine import MEASURES
from harness.execution.outputs.decoder_process import ReaderError, measures

#: A tournament's database, artifacts and one container's writable layer need about this much.
SCARCE_BYTES = 10 << 30
TOO_LITTLE_BYTES = 1 << 30
SCARCE_INODES = 100_000
#: An engine on the same host answers within milliseconds; more means that it runs on another clock.
CLOCK_SKEW_S = 5.0
#: No working clock shows a time before this was written.
WRITTEN = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


def _existing(path: Path) -> Path:
    """The nearest directory above a path that exists."""
    return next(each for each in [path, *path.resolve().parents] if each.is_dir())


def room(name: str, path: Path) -> Check:
    """Free bytes and inodes on a path's file system, as an unprivileged program may use them."""
    try:
        facts = os.statvfs(_existing(path))
    except OSError as error:
        return Check(name, "warn", f"{path} cannot be inspected ({error.strerror})", "Run this as the user that owns it.")
    return judge_room(name, str(path), facts.f_bavail * facts.f_frsize, facts.f_favail if facts.f_files else None)


def engine_room(root: str) -> Check:
    """The same for the engine's data, which lies at ``root`` on the engine's own host."""
    if root and os.path.isdir(root):  # noqa: PTH112 - a path of another program's
        return room("disk of the engine", Path(root))
    where = f"at {root}, which is not on this host" if root else "at an unknown place"
    return Check("disk of the engine", "warn", f"its data are {where}: their free space is unknown",
                 "Check it on the engine's own host.")


def judge_room(name: str, path: str, free_bytes: int, free_inodes: int | None) -> Check:
    """The verdict on a file system; ``free_inodes`` None where it has no fixed number of them."""
    inodes = "" if free_inodes is None else f" and {free_inodes:,} inodes"
    what = f"{free_bytes / (1 << 30):.1f} GiB{inodes} free at {path}"
    few = free_inodes is not None and free_inodes < SCARCE_INODES
    if free_bytes < TOO_LITTLE_BYTES:
        return Check(name, "fail", what, "Free at least 10 GiB, or put it on another disk.")
    if free_bytes < SCARCE_BYTES or few:
        return Check(name, "warn", what, "Free at least 10 GiB and 100,000 inodes before a contest.")
    return Check(name, "ok", what)


def writable(path: Path) -> Check:
    """Whether the state directory can be written, tried with a file that is removed again."""
    try:
        place = _existing(path)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
    except OSError as error:
        return Check("state directory", "fail", f"{path} cannot be written ({error.strerror})",
                     "Change its owner, or name another with `state:` in the tournament file.")
    return Check("state directory", "ok", f"{path} can be written" if place == path else f"{path} can be made")


def memory(slots: int, memory_bytes: int, total_bytes: int | None) -> Check:
    """Whether all slots together may use what each one may."""
    if total_bytes is None:
        return Check("memory", "warn", "how much this host has is unknown: the kernel does not say",
                     "Compare workers.slots times sandbox.memory with it yourself.")
    asked = f"{slots} slots of {memory_bytes / (1 << 30):.1f} GiB on a host of {total_bytes / (1 << 30):.1f} GiB"
    if memory_bytes > total_bytes:
        return Check("memory", "fail", asked, "Lower sandbox.memory: one run may use more than the host has.")
    if slots * memory_bytes > total_bytes:
        return Check("memory", "warn", asked,
                     "Lower sandbox.memory or workers.slots: one submission can exhaust memory for the others.")
    return Check("memory", "ok", asked)


def read_engine_time(text: str) -> float | None:
    """The engine's RFC 3339 time (nanoseconds, any offset) as a time stamp, None where it is none."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if not match:
        return None
    whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).timestamp()
    return whole + float(match[2] or 0)


def clock(engine_time: str, *, pause_s: float = 0.05) -> Check:
    """Whether the clocks can be trusted: the wall clock to date results, the monotonic one to limit runs."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(pause_s)
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    return judge_clock(wall, drift, read_engine_time(engine_time))


def judge_clock(wall: float, drift: float, engine: float | None) -> Check:
    """The verdict on the clocks; times in seconds since 1970."""
    step = "Synchronise the clock (chrony or systemd-timesyncd). Limits use the monotonic clock and do not depend on it."
    if wall < WRITTEN:
        return Check("clock", "warn", f"it shows {datetime.fromtimestamp(wall, UTC):%Y-%m-%d}", step)
    if drift > CLOCK_SKEW_S:
        return Check("clock", "warn", f"it jumped by {drift:.1f} s while being checked", step)
    if engine is not None and abs(engine - wall) > CLOCK_SKEW_S:
        return Check("clock", "warn", f"the engine's clock differs by {abs(engine - wall):.0f} s from this host's", step)
    return Check("clock", "ok", f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M} UTC, steady")


def decoders() -> Check:
    """How far the processes that decode untrusted images are confined."""
    try:
        held = measures()
    except ReaderError as error:
        return Check("decoders", "fail", str(error), "Free memory and processes, and check again.")
    missing = [words for name, words in MEASURES.items() if name not in held]
    if not missing:
        return Check("decoders", "ok", "as nobody, without network, files or unneeded system calls")
    return Check("decoders", "warn", f"they run without {', without '.join(missing)}",
                 "Run the harness as root, on x86_64 or aarch64.")
