"""This machine as an engine: slots over one node, and a thread for each job under way.

A job needs a slot only while its program runs: its input is staged while the slots are busy with others, and its output is read
back while the slot already runs the next. A thread mostly waits, for a slot or for a container; the heavy part of reading back
happens in the readers' worker processes.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.engine.base import SlotView
from harness.engine.node import Node
from harness.execution.job import Finished, Job, Slot


class _StoppedError(Exception):
    """The engine stops: no job gets a slot any more."""


@dataclass(eq=False)
class _Place:
    slot: Slot
    job: Job | None = None
    since: float = 0.0
    rest_until: float = 0.0
    last: str = ""


@dataclass(eq=False)
class _Waiting:
    job: Job
    place: _Place | None = None
    told: threading.Event = field(default_factory=threading.Event)


class _Slots:
    """Each free slot is given to the job that suits it best, among equals to the one that has waited longest."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.places = [_Place(slot) for slot in slots]
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._stopped = False

    @contextmanager
    def hold(self, job: Job) -> Iterator[Slot]:
        """Wait for a slot and hold it.

        Raises:
            _StoppedError: ``stop`` was called.
        """
        waiting = _Waiting(job)
        with self._lock:
            if self._stopped:
                raise _StoppedError
            self._waiting.append(waiting)
            self._give()
        waiting.told.wait()
        place = waiting.place
        if place is None:
            raise _StoppedError
        try:
            yield place.slot
        finally:
            with self._lock:
                place.job = None
                self._give()

    def rest(self, slot: Slot, seconds: float) -> None:
        """Give a slot no job for a while."""
        with self._lock:
            for place in self.places:
                if place.slot == slot:
                    place.rest_until = time.monotonic() + seconds
        if not math.isinf(seconds):
            wake = threading.Timer(seconds, self._wake)
            wake.daemon = True
            wake.start()

    def usable(self) -> int:
        """Slots that are not out of service."""
        return sum(not math.isinf(place.rest_until) for place in self.places)

    def stop(self) -> None:
        """Turn away those that wait."""
        with self._lock:
            self._stopped = True
            for waiting in self._waiting:
                waiting.told.set()
            self._waiting.clear()

    def _wake(self) -> None:
        with self._lock:
            self._give()

    def _give(self) -> None:
        now = time.monotonic()
        while free := [place for place in self.places if place.job is None and place.rest_until <= now] if self._waiting else []:
            lasts = {place.last for place in self.places}
            waiting, place = min(((waiting, place) for waiting in self._waiting for place in free),
                                 key=lambda pair: _cost_of_start(pair[0].job, pair[1], lasts))
            self._waiting.remove(waiting)
            # The job last: whoever looks sees it with its own begin.
            place.since, place.last, place.job = now, waiting.job.program.digest, waiting.job
            waiting.place = place
            waiting.told.set()


def _cost_of_start(job: Job, place: _Place, lasts: set[str]) -> int:
    """How badly a job suits a slot: its own open program best, one that another slot is using worst."""
    if not job.served:
        return 1
    if job.program.digest == place.last:
        return 0
    return 2 if job.program.digest in lasts else 1


class LocalEngine:
    """Slots over one node.

    Args:
        node: Performs jobs; stays open when the engine stops.
        slots: The slots; at least one.
    """

    def __init__(self, node: Node, slots: Sequence[Slot]) -> None:
        self._node = node
        self._slots = _Slots(slots)
        self._count = len(slots)
        # As many as ``room`` lets in: two for each slot before its program has run, and two being read back.
        self._threads = ThreadPoolExecutor(4 * len(slots) + 1, "job")
        self._done: queue.SimpleQueue[Finished | Exception] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._before_slot = 0
        self._after_slot = 0
        self._stopped = False

    def room(self) -> int:
        """One job per usable slot and one staged ahead for each; less while reading back lags behind."""
        with self._lock:
            if self._after_slot > 2 * self._count:
                return 0
            return max(0, 2 * self.usable_slots() - self._before_slot)

    def submit(self, job: Job) -> None:
        """Take a job."""
        with self._lock:
            self._before_slot += 1
        self._threads.submit(self._perform, job)

    def _perform(self, job: Job) -> None:
        try:
            finished = self._node.perform(job, self._hold)
        except _StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - the border of a thread: a bug must end the command, not this job
            self._done.put(error)
            return
        with self._lock:
            self._after_slot -= 1
        self._done.put(finished)

    @contextmanager
    def _hold(self, job: Job) -> Iterator[Slot]:
        with self._slots.hold(job) as slot:
            yield slot
        with self._lock:
            self._before_slot -= 1
            self._after_slot += 1

    def wait(self, timeout_s: float) -> list[Finished]:
        """Ended jobs: waits for one, takes all.

        Raises:
            Exception: A bug of ours in one of the threads, as it was raised there.
        """
        found: list[Finished] = []
        try:
            ended = self._done.get(timeout=timeout_s)
            while True:
                if isinstance(ended, Exception):
                    raise ended
                found.append(ended)
                ended = self._done.get_nowait()
        except queue.Empty:
            return found

    def open_programs(self) -> Mapping[str, int]:
        """How many programs each submission (by digest) has open."""
        return self._node.open_programs()

    def close_programs(self) -> None:
        """Close every open program that no run uses."""
        self._node.close_programs()

    def rest(self, slot: Slot, seconds: float) -> None:
        """Give a slot no work for a while."""
        self._slots.rest(slot, seconds)

    def usable_slots(self) -> int:
        """Slots that are not out of service."""
        return self._slots.usable()

    def view(self) -> list[SlotView]:
        """What every slot does."""
        now = time.monotonic()
        return [SlotView(p.slot, job, now - p.since if job is not None else 0.0, p.rest_until > now)
                for p in self._slots.places for job in (p.job,)]

    def absent(self) -> Mapping[str, str]:
        """There is only this machine."""
        return {}

    def stop(self) -> None:
        """Cancel what runs and wait for it; nothing of it is recorded."""
        if self._stopped:
            return
        self._stopped = True
        self._node.cancel()
        self._slots.stop()
        self._threads.shutdown(cancel_futures=True)
