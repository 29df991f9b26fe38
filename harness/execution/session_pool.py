"""Programs kept open between batches, within a budget of memory.

How many fit is measured: each open program reports what it held when it was frozen last, and before another is opened the least
recently used idle ones are closed until the newcomer's last known size (its limit, when unknown: at most a quarter of the
budget) fits. A program is lent to one run at a time and is frozen in between.

A frozen program keeps its GPU memory too, which nobody can measure for each: on a GPU as many are open as it has slots, so that
each has the share that a fresh program would have.
"""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.sandbox.base import Limits, Program, RunReport, RunRequest, Sandbox, Session

Key = tuple[str, str | None]


@dataclass
class Loan:
    """An open program for one batch, or the report of why it failed to start; ``start_s`` is what opening it took."""

    session: Session | None
    report: RunReport | None
    workspace: Path
    start_s: float = 0.0

    def complete(self, request: RunRequest, name: str, array: Path | None, names: Sequence[str]) -> RunRequest:
        """The request with what only a session needs."""
        if array is None:
            return replace(request, output_name=name)
        return replace(request, output_name=name, array=array, names=tuple(names))


@dataclass
class _Open:
    key: Key
    session: Session
    workspace: Path


class SessionPool:
    """Opens, lends, keeps and closes serving programs.

    Args:
        sandbox: Where they run.
        work: Where their workspaces lie.
        budget_bytes: Host memory that they may hold together.
        per_gpu: How many may be open on one GPU: its slots.
    """

    def __init__(self, sandbox: Sandbox, work: Path, budget_bytes: int, per_gpu: int = 1) -> None:
        self._sandbox = sandbox
        self._work = work
        self._budget = budget_bytes
        self._per_gpu = per_gpu
        self._lock = threading.Lock()
        self._idle: OrderedDict[int, _Open] = OrderedDict()
        self._lent: dict[int, _Open] = {}
        self._coming: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._arrays: dict[str, bool] = {}
        self._numbers = itertools.count()
        self.opened = self.evicted = 0

    def takes_arrays(self, program: Program) -> bool:
        """Whether the program said, when it was open last, that it takes pixels as an array."""
        return self._arrays.get(program.digest, False)

    def open_programs(self) -> Counter[str]:
        """How many programs each submission (by digest) has open, lent ones included."""
        with self._lock:
            return Counter(opened.key[0] for opened in (*self._idle.values(), *self._lent.values()))

    def open_on(self, gpu: str) -> int:
        """How many programs are open on a GPU, those that are just coming up or going down included."""
        with self._lock:
            return self._count(gpu)

    @contextmanager
    def lend(self, program: Program, track: str, limits: Limits, gpu: str | None,
             labels: Mapping[str, str], cancel: threading.Event) -> Iterator[Loan]:
        """Lend an open program, opening one where none is idle (given up when ``cancel`` is set)."""
        number = next(self._numbers)
        loan = self._take(number, (program.digest, gpu))
        if loan is None:
            loan = self._open(number, program, track, limits, gpu, labels, cancel)
        if loan.session is None:
            yield loan
            return
        try:
            yield loan
        finally:
            self._give_back(number)

    @contextmanager
    def beside(self, gpu: str) -> Iterator[None]:
        """Close what is idle on a GPU for a fresh program there, and keep its place until that has ended."""
        with self._lock:
            self._coming[gpu] += 1
        try:
            while (crowding := self._crowding(0, gpu)) is not None:
                self.evicted += 1
                self._end(crowding)
            yield
        finally:
            with self._lock:
                self._coming[gpu] -= 1

    def _take(self, number: int, key: Key) -> Loan | None:
        """Lend an idle program; where none is, its place on the GPU is taken for the one to come."""
        with self._lock:
            for at, opened in reversed(self._idle.items()):
                if opened.key == key:
                    self._lent[number] = self._idle.pop(at)
                    return Loan(opened.session, None, opened.workspace)
            if key[1] is not None:
                self._coming[key[1]] += 1
        return None

    def _open(self, number: int, program: Program, track: str, limits: Limits, gpu: str | None,
              labels: Mapping[str, str], cancel: threading.Event) -> Loan:
        workspace = self._work / f"session-{number}"
        session: Session | RunReport | None = None
        try:
            self._make_room(program, limits, gpu)
            began = time.monotonic()
            session = self._sandbox.open(program, track, workspace, limits, gpu, labels, cancel)
            start_s = time.monotonic() - began
        finally:
            with self._lock:
                if gpu is not None:
                    self._coming[gpu] -= 1
                if session is not None and not isinstance(session, RunReport):
                    self._lent[number] = _Open((program.digest, gpu), session, workspace)
        if isinstance(session, RunReport):
            shutil.rmtree(workspace, ignore_errors=True)
            return Loan(None, session, workspace)
        self.opened += 1
        self._arrays[program.digest] = session.accepts_arrays
        return Loan(session, None, workspace, start_s)

    def _give_back(self, number: int) -> None:
        opened = self._lent[number]
        if not opened.session.alive:
            # Counted until it is gone: what it holds is free only then.
            self._end(opened)
        with self._lock:
            del self._lent[number]
            self._sizes[opened.key[0]] = max(self._sizes.get(opened.key[0], 0), opened.session.memory_bytes)
            if opened.session.alive:
                self._idle[number] = opened

    def _make_room(self, program: Program, limits: Limits, gpu: str | None) -> None:
        need = self._sizes.get(program.digest, min(limits.memory_bytes, self._budget // 4))
        while (crowding := self._crowding(need, gpu)) is not None:
            self.evicted += 1
            self._end(crowding)

    def _crowding(self, need: int, gpu: str | None) -> _Open | None:
        """The next idle program to be closed for one that is coming, taken out; None where it has room."""
        with self._lock:
            beside = [number for number, opened in self._idle.items() if gpu is not None and opened.key[1] == gpu]
            if beside and gpu is not None and self._count(gpu) > self._per_gpu:
                return self._idle.pop(beside[0])
            held = sum(o.session.memory_bytes for o in (*self._idle.values(), *self._lent.values()))
            if held + need <= self._budget or not self._idle:
                return None
            return self._idle.popitem(last=False)[1]

    def _count(self, gpu: str) -> int:
        return sum(o.key[1] == gpu for o in (*self._idle.values(), *self._lent.values())) + self._coming[gpu]

    @staticmethod
    def _end(opened: _Open) -> None:
        opened.session.close()
        shutil.rmtree(opened.workspace, ignore_errors=True)

    def close(self) -> None:
        """Close every idle program (lent ones end with their run)."""
        with self._lock:
            idle = list(self._idle.values())
            self._idle.clear()
        for opened in idle:
            self._end(opened)
