"""Everything that one machine needs to run jobs: sandbox, open programs, input files, output readers, facts about itself.

An engine owns slots and threads and hands a node one job after another; neither cares whether that engine runs on the same machine.
Besides the sandboxes only this module asks a host for its cores, its memory, its GPUs and how busy it is: a scheduler that did
would be right about its own machine and wrong about all others (a test forbids it).
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, Self

from harness.config import TournamentConfig
from harness.engine import gpu as gpus
from harness.engine import host_memory as hostmemory
from harness.engine.host_load import HostLoad
from harness.engine.trace import Tracer
from harness.errors import EngineError
from harness.event_log import facts
from harness.execution.executor import Executor, Images, Stages
from harness.execution.job import Finished, Job, Performed, Prepared, RunResult, Slot
from harness.execution.session_pool import SessionPool
from harness.files import found_below
from harness.sandbox.base import Sandbox
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import unmount_leftovers
from harness.store.artifacts import ArtifactStore
from harness.store.recorder import SlotFacts
from harness.store.stored_images import StoredImages

#: A program is killed within a second of its limit; one killed later was not being watched.
LATE_S = 1.0
#: Share of the free memory that programs kept open may hold (`session_memory: auto`); the rest is for runs and the host.
SESSION_MEMORY_SHARE = 0.7
#: Temporary copies of code older than this are stale, seconds.
_SUBMIT_S = 600.0
#: Jobs whose input is staged at once, and jobs whose output is read back at once.
_HELPERS = 2

_LOG = logging.getLogger(__name__)

#: Gives a job a slot for as long as its program runs.
Hold = Callable[[Job], AbstractContextManager[Slot]]


class Node:
    """One machine that performs jobs. ``perform`` may be called from many threads at once.

    Args:
        executor: Performs a job's stages.
        sessions: The programs that the executor keeps open, if it keeps any.
        settle: Called with a GPU's name after a run on it was killed, before the slot is used again; what it says is kept.
        tracer: Where to record what every slot does.

    Attributes:
        facts: What times measured on its slots belong to.
    """

    def __init__(self, executor: Stages, *, sessions: SessionPool | None = None, settle: Callable[[str], str] | None = None,
                 tracer: Tracer | None = None, facts: Sequence[SlotFacts] = ()) -> None:
        self.facts = facts
        self._executor = executor
        self._sessions = sessions
        self._settle = settle
        self._tracer = tracer
        self._cancel = threading.Event()
        self._preparing = threading.Semaphore(_HELPERS)
        self._collecting = threading.Semaphore(_HELPERS)
        self._together = _SharedOrAlone()
        self._hostload = HostLoad()
        self._relief = None if sessions is None else hostmemory.Relief(sessions.close_idle)

    @classmethod
    def here(cls, config: TournamentConfig, images: Images, sandbox: Sandbox, artifacts: ArtifactStore, slots: Sequence[Slot],
             tracer: Tracer | None = None, code: Callable[[str], Path] | None = None, stored: StoredImages | None = None) -> Self:
        """This machine as a tournament file wants it to be used; ``code`` as for the executor, where not in the state directory.

        ``stored`` as for the executor.
        """
        work = config.state / "work"
        sessions = _sessions(config, sandbox, work)
        executor = Executor(images, sandbox, artifacts, work, sessions, code or (config.state / "submissions").joinpath, stored)
        found = gpus.detect() if any(slot.gpu for slot in slots) else ()
        # With several slots on one GPU it is unknown whose memory it is that stays.
        settles = found and config.workers.slots_per_gpu == 1
        return cls(executor, sessions=sessions, settle=_settling(found, sessions).wait if settles else None, tracer=tracer,
                   facts=_facts(slots, found))

    def perform(self, job: Job, hold: Hold) -> Finished:
        """Take a job from its input to its stored result; a slot is held only while its program runs."""
        taken = time.monotonic()
        # An image that takes minutes to pull holds up no other job.
        prepared: Prepared | RunResult | None = self._executor.bring(job)
        if prepared is None:
            with self._preparing:
                began = time.monotonic()
                prepared = self._executor.prepare(job)
                self._trace("prepare", "prepare", job, began)
        with hold(job) as slot, self._together.turn(alone=job.alone) as busy:
            began, began_at = time.monotonic(), time.time()
            ended = self._executor.perform(prepared, slot.gpu, self._cancel)
            load = self._hostload.since(began)
            if isinstance(prepared, Prepared):
                ended = self._free_gpu(slot, ended)
            self._trace_run(slot, job, began, ended)
        with self._collecting:
            collecting = time.monotonic()
            result = self._executor.collect(ended)
            self._trace("collect", "collect", job, collecting)
        # A program killed long after its limit was not watched at its limit: it may have ended in time.
        late = result.report.wall_s - job.limits.time_limit_s
        return Finished(job, slot, result, waited_s=began - taken, began_at=began_at, busy=busy, load_per_core=load.per_core,
                        overloaded=load.overloaded or late > LATE_S)

    def _free_gpu(self, slot: Slot, ended: Performed | RunResult) -> Performed | RunResult:
        if self._settle is None or slot.gpu is None or ended.report.ending is Ending.FINISHED:
            return ended
        said = self._settle(slot.gpu)
        if said:
            _LOG.info("A GPU was waited for after a run on it was killed.", extra=facts(slot=slot.name, found=said))
        return replace(ended, report=replace(ended.report, detail=f"{ended.report.detail} {said}".strip())) if said else ended

    def _trace_run(self, slot: Slot, job: Job, began: float, ended: Performed | RunResult) -> None:
        # A served program's outputs were read before the slot was released.
        read = time.monotonic() - (ended.collect_s if isinstance(ended, RunResult) else 0.0)
        self._trace(slot.name, "run", job, began, read)
        if isinstance(ended, RunResult):
            self._trace(slot.name, "read back", job, read)

    def _trace(self, track: str, stage: str, job: Job, began: float, ended: float | None = None) -> None:
        if self._tracer is not None:
            self._tracer.span(track, stage, job, began, time.monotonic() if ended is None else ended)

    def open_programs(self) -> Mapping[str, int]:
        """How many programs each submission (by digest) has open."""
        return {} if self._sessions is None else self._sessions.open_programs()

    def close_programs(self) -> None:
        """Close every open program that no run uses."""
        if self._sessions is not None:
            self._sessions.close()

    def cancel(self) -> None:
        """End the programs that run; their jobs end as cancelled."""
        self._cancel.set()

    def close(self) -> None:
        """End all that it started and remove its work files; call it once nothing is performed any more."""
        self.cancel()
        self._hostload.close()
        if self._relief is not None:
            self._relief.close()
        self._executor.close()


class _SharedOrAlone:
    """Lets runs go concurrently, and one that must be alone go alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._alone = 0

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[int]:
        """Wait for one's turn; gives how many run then, oneself included."""
        with self._changed:
            if alone:
                self._alone += 1  # from now on nobody else starts
                self._changed.wait_for(lambda: self._running == 0)
            else:
                self._changed.wait_for(lambda: self._alone == 0)
            self._running += 1
            busy = self._running
        try:
            yield busy
        finally:
            with self._changed:
                self._running -= 1
                self._alone -= alone
                self._changed.notify_all()


def choose_slots(config: TournamentConfig, slots: int | None = None,
                 wanted: Literal["auto", "none"] | Sequence[str] | None = None) -> tuple[Slot, ...]:
    """The slots of this machine that the tournament file asks for, or the command line instead of it.

    Raises:
        EngineError: A GPU that is asked for, by name or kind, is not there, or which there are is not known.
    """
    workers = config.workers
    asked = slots or workers.slots
    count = asked if isinstance(asked, int) else max(1, int((os.cpu_count() or 1) / config.sandbox.cpus))
    wanted = workers.gpus if wanted is None else wanted
    found = gpus.detect() if wanted != "none" else ()
    if workers.require.gpu is not None:
        if wanted == "none":
            raise EngineError(f"GPUs of the kind {workers.require.gpu} are asked for (workers.require), and none (gpus: none).",
                              "Leave one of the two out: workers.gpus: none (or --gpus none), or workers.require.")
        found = gpus.of_kind(found, workers.require.gpu)
    return gpus.make_slots(found, wanted, cpu_slots=count, per_gpu=workers.slots_per_gpu)


def check_memory(slots: Sequence[Slot], config: TournamentConfig) -> str:
    """A sentence where the slots' programs together may use more memory than this machine has, else none.

    Raises:
        EngineError: One run alone may use more than that.
    """
    return hostmemory.check_slots(len(slots), config.sandbox.memory)


def _facts(slots: Sequence[Slot], found: Sequence[gpus.Gpu]) -> list[SlotFacts]:
    host = {"machine": platform.machine(), "cores": os.cpu_count(), "memory_bytes": hostmemory.total_bytes()}
    known = {gpu.uuid: gpu for gpu in found}
    return [SlotFacts(slot.name, time.time(), json.dumps(
        host | ({"gpu": asdict(known[slot.gpu])} if slot.gpu in known else {}))) for slot in slots]


def sweep(sandbox: Sandbox, state: Path, label: str) -> list[str]:
    """Remove what an earlier, killed harness of a tournament left on this machine; call it only while holding its lock.

    Args:
        sandbox: Where its programs ran.
        state: The state directory, or a node's own.
        label: Of its containers.

    Returns:
        What was removed.
    """
    removed = sandbox.cleanup(label)
    work = state / "work"
    if work.exists():
        removed += unmount_leftovers(work)
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    # Programs of other users must not read in here; the sandbox opens what a program may see.
    work.chmod(0o711)
    return removed + _half_written(state)


def _half_written(state: Path) -> list[str]:
    """Remove files and directories that were being written and had not been named yet."""
    removed = []
    for path in (path for place in ("artifacts", "cache") for path in found_below(state / place, ".", ".tmp")):
        with suppress(OSError):  # what a file system does not let go is no reason not to run
            path.unlink()
            removed.append(path)
    # Only we write there, and we hold the lock; a `harness submit` may be copying code beside us right now.
    old = time.time() - _SUBMIT_S
    root, names, _ = next(os.walk(state / "submissions"), ("", [], []))
    for path in (Path(root, name) for name in names if name.startswith(".") and "-" in name):
        if _untouched(path, old):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return [f"half-written {path}" for path in removed]


def _untouched(directory: Path, since: float) -> bool:
    """Whether a directory and all below it are as they were; a directory's own time says nothing of the files deeper in it."""
    try:
        return all(path.lstat().st_mtime < since for path in (directory, *directory.rglob("*")))
    except OSError:
        return False  # it is changing right now


def _sessions(config: TournamentConfig, sandbox: Sandbox, work: Path) -> SessionPool | None:
    if config.sandbox.isolation != "submission":
        return None
    budget = config.workers.session_memory
    if budget == "auto":
        free = hostmemory.available_bytes()
        if free is None:
            raise EngineError("How much memory is free on this host is unknown: the kernel does not say.",
                              "Write `session_memory` under `workers` in the tournament file.")
        budget = int(free * SESSION_MEMORY_SHARE)
    return SessionPool(sandbox, work, budget, config.workers.slots_per_gpu)


def _settling(found: Sequence[gpus.Gpu], sessions: SessionPool | None) -> gpus.Settling:
    return gpus.Settling(found) if sessions is None else gpus.Settling(found, open_on=sessions.open_on)
