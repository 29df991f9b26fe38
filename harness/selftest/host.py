"""The host before and after: what a self-test, hostile programs and all, must not have changed or left.

Other programs use the host and the engine meanwhile, so only what can be traced to this self-test is looked at (by label, by
event, by path); what cannot, such as what the engine keeps on disk, is judged only where nothing else used it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness.sandbox import owner

#: The host's clock may be disciplined meanwhile, but not moved.
_CLOCK_S = 2.0
#: Growth of what the engine keeps (image layers, containers' layers, volumes), by its own account: its metadata may round up.
DATA_ROOT_BYTES = 16 << 20
#: How long the end of a process or a mount may take to be seen.
_PATIENCE_S = 30.0
#: Kernel settings that an escape would write, or change in passing.
_SETTINGS = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/randomize_va_space", "/proc/sys/kernel/yama/ptrace_scope", "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/proc/sys/fs/suid_dumpable", "/proc/sys/vm/overcommit_memory", "/sys/kernel/uevent_helper", "/etc/hostname", "/etc/passwd",
    "/etc/resolv.conf", "/etc/hosts", "/etc/crontab", "/etc/ld.so.preload")


@dataclass(frozen=True)
class Watch:
    """Whose traces to look for.

    Attributes:
        root: The self-test's directory.
        tournaments: Labels of its containers.
        api: The Docker engine's client, None without Docker.
    """

    root: Path
    tournaments: tuple[str, ...]
    api: Any = None


@dataclass(frozen=True)
class Facts:
    """What was seen at one time."""

    at: float
    clock: float
    hostname: str
    settings: dict[str, str]
    files: dict[str, str]
    networks: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    engine_bytes: int = 0
    left: tuple[str, ...] = field(default=())


def look(watch: Watch) -> Facts:
    """Observe the host; waits a moment for what is just ending."""
    until = time.monotonic() + _PATIENCE_S
    while (left := _left(watch)) and time.monotonic() < until:
        time.sleep(0.2)
    networks, volumes, images, kept = _engine(watch.api)
    return Facts(time.time(), time.time() - time.monotonic(), socket.gethostname(),
                 {path: _content(Path(path)) for path in _SETTINGS}, dict(_files(watch.root)), networks, volumes, images, kept,
                 tuple(left))


def differences(before: Facts, after: Facts, watch: Watch) -> list[str]:
    """What is left or changed, a sentence each."""
    found = list(after.left)
    if abs(after.clock - before.clock) > _CLOCK_S:
        found.append(f"the clock moved by {after.clock - before.clock:.1f} s")
    if after.hostname != before.hostname:
        found.append(f"the host is now called {after.hostname}")
    found += [f"{path} changed" for path in _SETTINGS if before.settings[path] != after.settings[path]]
    for path in sorted(before.files.keys() | after.files.keys()):
        if before.files.get(path) != after.files.get(path):
            found.append(f"{path} was {'removed' if path not in after.files else 'made or changed'}")
    if watch.api is not None:
        ours, others = _events(watch, before, after)
        found += [f"volume {name} of one of our containers is left" for name in sorted(after.volumes & ours)]
        found += [f"network {name} is new" for name in sorted(after.networks - before.networks)]
        grown = after.engine_bytes - before.engine_bytes
        if not others and grown > DATA_ROOT_BYTES:
            found.append(f"what the engine keeps grew by {grown >> 20} MiB")
    return found


def notes(before: Facts, after: Facts, watch: Watch) -> list[str]:
    """What could not be judged."""
    if watch.api is None:
        return ["The process sandbox does not isolate: rows that need isolation were left out."]
    if _events(watch, before, after)[1]:
        return ["Others used the Docker engine meanwhile: the growth of what it keeps was not judged."]
    grown = after.engine_bytes - before.engine_bytes
    return [f"What the engine keeps grew by {grown / (1 << 20):.1f} MiB ({DATA_ROOT_BYTES >> 20} are allowed)."]


def _left(watch: Watch) -> list[str]:
    left = [f"process {process.pid} ({name}) is left" for process, name in _processes(watch)]
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    # A mount on the directory itself, or one below it (the root field would name it for bind mounts elsewhere).
    left += [f"mount {line.split()[4]} is left" for line in mounts if f"{watch.root}/" in line]
    if watch.api is not None:
        for tournament in watch.tournaments:
            wanted = {"label": [f"{owner.TOURNAMENT}={tournament}"]}
            left += [f"container {found['Id'][:12]} is left" for found in watch.api.containers(all=True, filters=wanted)]
    return left


def _processes(watch: Watch) -> Iterator[tuple[psutil.Process, str]]:
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        if process.pid in mine:
            continue
        try:
            about = [process.cwd(), *process.cmdline(), *process.environ().values()]
            ended = process.status() == psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            continue
        if not ended and any(str(watch.root) in text for text in about):
            yield process, process.name()


def _engine(api: Any) -> tuple[frozenset[str], frozenset[str], frozenset[str], int]:  # noqa: ANN401 - untyped client
    if api is None:
        return frozenset(), frozenset(), frozenset(), 0
    used = api.df()
    kept = int(used.get("LayersSize") or 0) + sum(int(each.get("SizeRw") or 0) for each in used.get("Containers") or ())
    kept += sum(max(0, int((each.get("UsageData") or {}).get("Size") or 0)) for each in used.get("Volumes") or ())
    return (frozenset(found["Name"] for found in api.networks()),
            frozenset(found["Name"] for found in used.get("Volumes") or ()),
            frozenset(found["Id"] for found in used.get("Images") or ()), kept)


def _events(watch: Watch, before: Facts, after: Facts) -> tuple[set[str], bool]:
    """Volumes that our containers mounted, and whether anybody else used the engine."""
    events = list(watch.api.events(since=f"{before.at:.6f}", until=f"{after.at:.6f}", decode=True,
                                   filters={"type": ["container", "volume"], "event": ["create", "mount"]}))
    attributes = [((event.get("Actor") or {}).get("Attributes") or {}, event) for event in events]
    ours = {event["Actor"]["ID"] for facts, event in attributes if facts.get(owner.TOURNAMENT) in watch.tournaments}
    others = before.images != after.images or any(
        facts.get(owner.TOURNAMENT) not in (None, *watch.tournaments) for facts, _ in attributes)
    return {event["Actor"]["ID"] for facts, event in attributes if facts.get("container") in ours}, others


def _files(root: Path) -> Iterator[tuple[str, str]]:
    """What lies beside the state directories: names, modes, sizes, times, contents."""
    yield from ((str(path), "") for path in sorted(root.iterdir()) if path.name not in _OURS)
    for folder in ("outside", "data", "detected-data", "honest-entries"):
        for path in sorted((root / folder).rglob("*")):
            facts = path.lstat()
            yield str(path), f"{facts.st_mode:o} {facts.st_size} {facts.st_mtime_ns} {facts.st_nlink} {_content(path)}"


#: What the self-test itself makes in its directory.
_OURS: Sequence[str] = ("data", "detected-data", "outside", "honest-entries", "entries", "honest", "hostile", "detectors", "duels",
                        "owner")


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except OSError:
        return ""
