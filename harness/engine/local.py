"""This machine as an engine: one thread per slot, with the harness's own work beside the containers.

A job passes three stages: its input is laid out by a helper thread while the slots are busy with others, a slot runs the
program, and another helper reads back what it left while the slot already runs the next. A slot is a thread because it mostly
waits for a container; the heavy part of reading back happens in the reader's worker processes.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.engine.base import Finished, Slot, SlotView
from harness.engine.hostload import HostLoad, Load
from harness.event_log import facts
from harness.execute import Executor
from harness.job import Job, Performed, Prepared, RunResult
from harness.sandbox.outcomes import Ending
from harness.trace import Tracer

#: A program is killed within a second of its limit; one that was killed later was not watched.
LATE_S = 1.0

_LOG = logging.getLogger(__name__)

_Staged = tuple[Job, "Future[Prepared | RunResult]", float]


class _Quiet:
    """Lets runs go side by side, and one that must be alone go alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._alone = 0

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        with self._changed:
            if alone:
                self._alone += 1  # from now on nobody else starts
                self._changed.wait_for(lambda: self._together == 0)
            else:
                self._changed.wait_for(lambda: self._alone == 0)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._alone -= alone
                self._changed.notify_all()


class _Staging:
    """Jobs handed over and not begun, taken by what suits the slot, else in order; a None ends one slot."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: list[_Staged] = []
        self._ends = 0

    def put(self, staged: _Staged | None) -> None:
        with self._changed:
            if staged is None:
                self._ends += 1
            else:
                self._jobs.append(staged)
            self._changed.notify()

    def get(self, cost: Callable[[Job], int]) -> _Staged | None:
        """The cheapest job for who asks; jobs that are there are taken before an end."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._ends)
            if not self._jobs:
                self._ends -= 1
                return None
            best = min(range(len(self._jobs)), key=lambda at: cost(self._jobs[at][0]))
            return self._jobs.pop(best)


@dataclass
class _Worker:
    slot: Slot
    job: Job | None = None
    since: float = 0.0
    rest_until: float = 0.0
    last: str = ""
    thread: threading.Thread | None = field(default=None, repr=False)


class LocalEngine:
    """Slots of this machine.

    Args:
        executor: Performs jobs.
        slots: The slots; at least one.
        helpers: Threads for laying out and reading back.
        open_programs: How many programs each submission has open (from the session pool).
        tracer: Where to record what every slot does.
        settle: Called with a GPU's name after a run on it was killed, before the slot goes on; what it says is kept.
    """

    def __init__(self, executor: Executor, slots: Sequence[Slot], helpers: int = 2,
                 open_programs: Callable[[], Mapping[str, int]] = dict, tracer: Tracer | None = None,
                 settle: Callable[[str], str] | None = None) -> None:
        self._executor = executor
        self._open_programs = open_programs
        self._tracer = tracer
        self._settle = settle
        self._before = ThreadPoolExecutor(helpers, "prepare")
        self._after = ThreadPoolExecutor(helpers, "collect")
        self._staged = _Staging()
        self._done: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._cancel = threading.Event()
        self._bug: Exception | None = None
        self._quiet = _Quiet()
        self._hostload = HostLoad()
        self._lock = threading.Lock()
        self._before_slot = 0
        self._after_slot = 0
        self._workers = [_Worker(slot) for slot in slots]
        for worker in self._workers:
            worker.thread = threading.Thread(target=self._work, args=(worker,), name=worker.slot.name, daemon=True)
            worker.thread.start()

    def room(self) -> int:
        """One job per usable slot and one laid out ahead for each; less while reading back lags behind."""
        with self._lock:
            if self._after_slot > 2 * len(self._workers):
                return 0
            return max(0, 2 * self.usable_slots() - self._before_slot)

    def submit(self, job: Job) -> None:
        """Take a job."""
        with self._lock:
            self._before_slot += 1
        self._staged.put((job, self._before.submit(self._prepare, job), time.monotonic()))

    def _prepare(self, job: Job) -> Prepared | RunResult:
        began = time.monotonic()
        prepared = self._executor.prepare(job)
        self._trace("prepare", "prepare", job, began)
        return prepared

    def _work(self, worker: _Worker) -> None:
        while (staged := self._next(worker)) is not None:
            try:
                self._execute(worker, *staged)
            except Exception as error:  # noqa: BLE001 - the border of a thread: a bug must end the command, not this slot
                self._bug = error

    def _execute(self, worker: _Worker, job: Job, future: Future[Prepared | RunResult], submitted: float) -> None:
        prepared = future.result()
        with self._quiet.turn(alone=job.alone):
            worker.since = began = time.monotonic()
            worker.job, worker.last = job, job.program.digest
            began_at = time.time()
            busy = sum(other.job is not None for other in self._workers)
            ended = self._executor.perform(prepared, worker.slot.gpu, self._cancel)
            load = self._hostload.since(began)
            if isinstance(prepared, Prepared):
                ended = self._free_gpu(worker.slot, ended)
            worker.job = None
        # A served program's outputs were read before the slot was given on.
        read = time.monotonic() - (ended.collect_s if isinstance(ended, RunResult) else 0.0)
        self._trace(worker.slot.name, "run", job, began, read)
        if isinstance(ended, RunResult):
            self._trace(worker.slot.name, "read back", job, read)
        with self._lock:
            self._before_slot -= 1
            self._after_slot += 1
        self._after.submit(self._collect, job, ended, worker.slot, began - submitted, began_at, busy, load)

    def _next(self, worker: _Worker) -> _Staged | None:
        """The next job, not before the slot has rested; None when the engine stops."""
        while (pause := worker.rest_until - time.monotonic()) > 0:
            if self._cancel.wait(min(pause, 3600.0)):
                return None
        staged = self._staged.get(lambda job: self._cost_of_start(worker, job))
        if worker.rest_until > time.monotonic() and staged is not None:
            # Sent to rest while waiting here: another slot takes it.
            self._staged.put(staged)
            return self._next(worker)
        return staged

    def _cost_of_start(self, worker: _Worker, job: Job) -> int:
        """How badly a staged job suits a slot: its own open program best, one that another slot is using worst."""
        if not job.served:
            return 1
        if job.program.digest == worker.last:
            return 0
        return 2 if any(other.last == job.program.digest for other in self._workers) else 1

    def _collect(self, job: Job, ended: Performed | RunResult, slot: Slot, waited_s: float, began_at: float, busy: int,
                 load: Load) -> None:
        began = time.monotonic()
        try:
            result = self._executor.collect(ended)
        except Exception as error:  # noqa: BLE001 - the border of a thread, as in `_work`
            self._bug = error
            return
        self._trace("collect", "collect", job, began)
        with self._lock:
            self._after_slot -= 1
        # A program killed long after its limit was not watched at its limit: it may have ended in time.
        late = result.report.wall_s - job.limits.time_limit_s
        self._done.put(Finished(job, slot, result, waited_s, began_at, busy, load.per_core,
                                overloaded=load.overloaded or late > LATE_S))

    def _free_gpu(self, slot: Slot, ended: Performed | RunResult) -> Performed | RunResult:
        if self._settle is None or slot.gpu is None or ended.report.ending is Ending.FINISHED:
            return ended
        said = self._settle(slot.gpu)
        if said:
            _LOG.info("A GPU was waited for after a run on it was killed.", extra=facts(slot=slot.name, found=said))
        return replace(ended, report=replace(ended.report, detail=f"{ended.report.detail} {said}".strip())) if said else ended

    def _trace(self, track: str, stage: str, job: Job, began: float, ended: float | None = None) -> None:
        if self._tracer is not None:
            self._tracer.span(track, stage, job, began, time.monotonic() if ended is None else ended)

    def wait(self, timeout_s: float) -> list[Finished]:
        """Ended jobs: waits for one, takes all.

        Raises:
            Exception: A bug of ours in one of the threads, as it was raised there.
        """
        if self._bug is not None:
            raise self._bug
        found: list[Finished] = []
        try:
            found.append(self._done.get(timeout=timeout_s))
            while True:
                found.append(self._done.get_nowait())
        except queue.Empty:
            return found

    def open_programs(self) -> Mapping[str, int]:
        """How many programs each submission (by digest) has open."""
        return self._open_programs()

    def rest(self, slot: Slot, seconds: float) -> None:
        """Give a slot no work for a while."""
        for worker in self._workers:
            if worker.slot == slot:
                worker.rest_until = time.monotonic() + seconds

    def usable_slots(self) -> int:
        """Slots that are not out for good."""
        return sum(not math.isinf(worker.rest_until) for worker in self._workers)

    def view(self) -> list[SlotView]:
        """What every slot does."""
        now = time.monotonic()
        return [SlotView(w.slot, w.job, now - w.since if w.job is not None else 0.0, w.rest_until > now)
                for w in self._workers]

    def stop(self) -> None:
        """Cancel what runs and wait for it; nothing of it is recorded."""
        if self._cancel.is_set():
            return
        self._cancel.set()
        for _ in self._workers:
            self._staged.put(None)
        self._before.shutdown(cancel_futures=False)
        for worker in self._workers:
            if worker.thread is not None:
                worker.thread.join()
        self._after.shutdown()
        self._hostload.close()
