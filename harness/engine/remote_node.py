"""A node with its slots, as another machine's engine has it: everything that comes in or goes out can be pickled.

It does not know Ray. Whoever gives jobs has to send a heartbeat: a node that hears nothing for a while ends its programs and its
process.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness import __version__
from harness.config import TournamentConfig
from harness.engine.local import LocalEngine
from harness.engine.node import Node, check_memory, choose_slots, sweep
from harness.engine.trace import Span, Tracer
from harness.errors import EngineError
from harness.execution.job import Finished, Job, Slot
from harness.sandbox.base import MovableImages, Sandbox
from harness.store.artifacts import ArtifactStore, open_blobs
from harness.store.blobs import DamagedError
from harness.store.recorder import SlotFacts
from harness.store.stored_images import StoredImages
from harness.store.transfer import FetchedCode, StoredPixels

#: Seconds without a word from the head after which it is taken for lost.
SILENCE_S = 60.0
_NOTICE_EVERY_S = 1.0


@dataclass(frozen=True)
class Duty:
    """What every node of a contest gets.

    Attributes:
        place: Of the artifact store, as the head has it.
        label: Of the tournament's containers.
        make_sandbox: Makes the sandbox that the head chose, with its scratch directory.
        slots: As the command line has it, or None.
        gpus: The same.
        silence_s: As ``SILENCE_S``.
        tracing: Whether to note what every slot does.
    """

    config: TournamentConfig
    place: str
    label: str
    make_sandbox: Callable[[Path], Sandbox]
    slots: int | None = None
    gpus: Literal["auto", "none"] | tuple[str, ...] | None = None
    silence_s: float = SILENCE_S
    tracing: bool = False


@dataclass(frozen=True)
class About:
    """What a node reports about itself.

    Attributes:
        version: Of the harness there.
        token: Whether the cluster there asks for a token.
        trouble: Why it can do nothing; empty where it can.
        remark: What a person should know.
        removed: What a killed harness had left there.
    """

    version: str
    token: bool
    slots: tuple[Slot, ...] = ()
    facts: tuple[SlotFacts, ...] = ()
    trouble: str = ""
    remark: str = ""
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What happened on a node since the last one.

    Attributes:
        slots: By name: the run that it has (None where it is idle), for how long, whether it rests.
        spans: What was traced.
    """

    finished: tuple[Finished, ...]
    open_programs: Mapping[str, int]
    slots: Mapping[str, tuple[int | None, float, bool]]
    spans: tuple[Span, ...] = ()


class RemoteNode:
    """The process of a node. Its methods may be called from several threads at once.

    Args:
        duty: What to do.
        name: Of this node; its slots carry it.
        cores: How many of this machine's it may use.
    """

    def __init__(self, duty: Duty, name: str, cores: int) -> None:
        self._duty = duty
        self._heard = time.monotonic()
        self._closed = False
        self._closing = threading.Lock()
        self._node: Node | None = None
        self._engine: LocalEngine | None = None
        self._stored: StoredImages | None = None
        self._tracer = Tracer() if duty.tracing else None
        try:
            self._about = self._begin(name, cores)
        except EngineError as error:
            self._about = replace(_myself(), trouble=str(error))
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def _begin(self, name: str, cores: int) -> About:
        duty = self._duty
        state = _own_directory(duty.label, name)
        blobs = open_blobs(duty.place, state)
        if not blobs.has(probe_name(duty.label)):
            raise EngineError(f"It does not see the artifact store {duty.place}.",
                              "Name an object store, or a directory that every machine has, as `store.artifacts`.")
        workers = duty.config.workers
        asked = duty.slots or (workers.slots if workers.slots != "auto" else max(1, int(cores / duty.config.sandbox.cpus)))
        config = duty.config.model_copy(update={"state": state})
        slots = tuple(replace(slot, name=f"{name}/{slot.name}", node=name) for slot in choose_slots(config, asked, duty.gpus))
        remark = check_memory(slots, config)
        sandbox = duty.make_sandbox(state / "work")
        removed = sweep(sandbox, state, duty.label)
        if isinstance(sandbox, MovableImages):
            self._stored = StoredImages(open_blobs(duty.place, state, cached=False), sandbox)
        self._node = Node.here(config, StoredPixels(blobs), sandbox, ArtifactStore(blobs), slots, self._tracer,
                               code=FetchedCode(blobs, state / "submissions"), stored=self._stored)
        self._engine = LocalEngine(self._node, slots)
        return replace(_myself(), slots=slots, facts=tuple(self._node.facts), remark=remark, removed=tuple(removed))

    def about(self) -> About:
        """What it is; counts as a heartbeat."""
        self._heard = time.monotonic()
        return self._about

    def hear(self) -> None:
        """The head is there."""
        self._heard = time.monotonic()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs."""
        if self._engine is not None and not self._closed:
            for job in jobs:
                self._engine.submit(job)

    def wait(self, timeout_s: float) -> Report:
        """What has happened, as soon as something has."""
        self._heard = time.monotonic()
        if self._engine is None or self._closed:
            return Report((), {}, {})
        finished = tuple(self._engine.wait(timeout_s))
        return Report(finished, dict(self._engine.open_programs()), {
            view.slot.name: (view.job.run_id if view.job else None, view.since_s, view.resting) for view in self._engine.view()},
            self._tracer.take() if self._tracer is not None else ())

    def rest(self, slot: Slot, seconds: float) -> None:
        """Give a slot no work for a while."""
        if self._engine is not None:
            self._engine.rest(slot, seconds)

    def close_programs(self) -> None:
        """Close every open program that no run uses."""
        if self._node is not None:
            self._node.close_programs()

    def close(self) -> None:
        """End all that runs and remove the work files."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            if self._stored is not None:
                self._stored.cancel()
            if self._engine is not None:
                self._engine.stop()
            if self._node is not None:
                self._node.close()

    def _listen(self) -> None:
        while not self._closed:
            time.sleep(_NOTICE_EVERY_S)
            if time.monotonic() - self._heard > self._duty.silence_s and not self._closed:
                self.close()
                # No one is left to answer; an orderly exit would wait for threads that wait for the head.
                os._exit(0)


def probe_name(label: str) -> str:
    """The name under which the head stores what every node has to see."""
    return f"probe/{hashlib.sha256(label.encode()).hexdigest()}"


def probe(place: str, state: Path, label: str) -> None:
    """Let nodes find out whether they see the same store.

    Raises:
        StoreError: The store cannot be used.
    """
    blobs = open_blobs(place, state)
    try:
        blobs.load(probe_name(label), _same)
    except DamagedError:
        blobs.save(probe_name(label), b"seen")


def _same(data: bytes) -> bytes:
    if data != b"seen":
        raise DamagedError("it is another")
    return data


def _myself() -> About:
    return About(__version__, os.environ.get("RAY_AUTH_MODE", "").lower() == "token")


def own_root() -> Path:
    """Where this machine keeps files of contests run from other machines."""
    return Path(tempfile.gettempdir()) / f"harness-{os.geteuid()}"


def _own_directory(label: str, name: str) -> Path:
    """This node's directory for a tournament: copies of what it fetched, and scratch.

    Raises:
        EngineError: It is somebody else's.
    """
    root = own_root()
    try:
        root.mkdir(mode=0o711, exist_ok=True)
        found = root.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EngineError(f"{root} is not a directory of this user.", "Remove it.")
        state = root / hashlib.sha256(f"{label}\0{name}".encode()).hexdigest()[:16]
        state.mkdir(mode=0o711, exist_ok=True)
    except OSError as error:
        raise EngineError(f"{root} cannot be written ({error.strerror}).",
                          "Free some space, or set TMPDIR before `ray start`.") from None
    return state
