"""Programs kept open between batches, within a budget of memory.

How many fit is measured: each open program reports what it held when it was frozen last, and before another is opened the least
recently used idle ones are closed until the newcomer's last known size (its limit, when unknown: at most a quarter of the
budget) fits. They are closed too when the host becomes short of memory (``close_idle``). A program is lent to one run at a time
and is frozen in between.

A frozen program keeps its GPU memory too, which nobody can measure for each: on a GPU as many are open as it has slots, so that
each has the share that a fresh program would have. A run of two programs has both on its slot; afterwards one of them is closed.

Such a run gets both in one call, or neither. No call waits for a program that somebody else has: where none is idle one more is
opened. So two runs that want each other's programs cannot wait for each other.
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

#: Digest of the submission, what of an opponent's code it is open with (a program that has read one opponent's is never lent for
#: another), and its GPU.
Key = tuple[str, tuple[str, str] | None, str | None]


@dataclass
class Loan:
    """An open program for one batch, or the report of why it failed to start; ``start_s`` is what opening it took.

    Of two that are lent together, one that is not there only because the other failed has neither.
    """

    session: Session | None
    report: RunReport | None
    workspace: Path
    start_s: float = 0.0

    def complete(self, request: RunRequest, name: str, array: Path | None, names: Sequence[str]) -> RunRequest:
        """The request with what only a session needs."""
        if array is None:
            return replace(request, output_name=name)
        return replace(request, output_name=name, array=array, names=tuple(names))


@dataclass(frozen=True)
class Wanted:
    """A program that a run needs open."""

    program: Program
    track: str
    limits: Limits


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
        keep: Whether a program stays open for the next run; otherwise each run has its own.
    """

    def __init__(self, sandbox: Sandbox, work: Path, budget_bytes: int, per_gpu: int = 1, *,
                 keep: bool = True) -> None:
        self._sandbox = sandbox
        self._work = work
        self._budget = budget_bytes
        self._per_gpu = per_gpu
        self._keep = keep
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
        with self._lend([Wanted(program, track, limits)], gpu, labels, cancel) as (loan,):
            yield loan

    @contextmanager
    def lend_both(self, first: Wanted, second: Wanted, gpu: str | None, labels: Mapping[str, str],
                  cancel: threading.Event) -> Iterator[tuple[Loan, Loan]]:
        """Lend two programs, or neither: where one fails to start, no session is in either loan."""
        with self._lend([first, second], gpu, labels, cancel) as (one, other):
            yield one, other

    @contextmanager
    def _lend(self, wanted: Sequence[Wanted], gpu: str | None, labels: Mapping[str, str],
              cancel: threading.Event) -> Iterator[list[Loan]]:
        numbers = [next(self._numbers) for _ in wanted]
        try:
            yield self._all_or_none(numbers, wanted, gpu, labels, cancel)
        finally:
            for number in numbers:
                self._give_back(number)

    def _all_or_none(self, numbers: Sequence[int], wanted: Sequence[Wanted], gpu: str | None, labels: Mapping[str, str],
                     cancel: threading.Event) -> list[Loan]:
        """What is idle is taken first, so that it does not make room for the rest, which is opened in a fixed order."""
        idle = self._take(numbers, [_key(want.program, gpu) for want in wanted])
        loans: dict[int, Loan] = {at: loan for at, loan in enumerate(idle) if loan is not None}
        for at in sorted(range(len(wanted)), key=lambda at: wanted[at].program.digest):
            if at not in loans:
                loans[at] = self._open(numbers[at], wanted[at], gpu, labels, cancel)
            if loans[at].session is None:
                for number in numbers:
                    self._give_back(number)
                return [loans[at] if other == at else Loan(None, None, loans[at].workspace) for other in range(len(wanted))]
        return [loans[at] for at in range(len(wanted))]

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

    def _take(self, numbers: Sequence[int], keys: Sequence[Key]) -> list[Loan | None]:
        """Lend what is idle of several programs, at one moment."""
        with self._lock:
            return [self._take_one(number, key) for number, key in zip(numbers, keys, strict=True)]

    def _take_one(self, number: int, key: Key) -> Loan | None:
        for at, opened in reversed(self._idle.items()):
            if opened.key == key:
                self._lent[number] = self._idle.pop(at)
                return Loan(opened.session, None, opened.workspace)
        return None

    def _open(self, number: int, wanted: Wanted, gpu: str | None, labels: Mapping[str, str], cancel: threading.Event) -> Loan:
        program, limits = wanted.program, wanted.limits
        workspace = self._work / f"session-{number}"
        session: Session | RunReport | None = None
        with self._lock:
            if gpu is not None:
                self._coming[gpu] += 1
        try:
            self._make_room(program, limits, gpu)
            began = time.monotonic()
            session = self._sandbox.open(program, wanted.track, workspace, limits, gpu, labels, cancel)
            start_s = time.monotonic() - began
        finally:
            with self._lock:
                if gpu is not None:
                    self._coming[gpu] -= 1
                if session is not None and not isinstance(session, RunReport):
                    self._lent[number] = _Open(_key(program, gpu), session, workspace)
        if isinstance(session, RunReport):
            shutil.rmtree(workspace, ignore_errors=True)
            return Loan(None, session, workspace)
        self.opened += 1
        self._arrays[program.digest] = session.accepts_arrays
        return Loan(session, None, workspace, start_s)

    def _give_back(self, number: int) -> None:
        opened = self._lent.get(number)
        if opened is None:
            return
        with self._lock:
            gpu = opened.key[-1]
            keep = self._keep and opened.session.alive and (gpu is None or self._count(gpu) <= self._per_gpu)
            self._sizes[opened.key[0]] = max(self._sizes.get(opened.key[0], 0), opened.session.memory_bytes)
            if keep:
                self._idle[number] = self._lent.pop(number)
        if not keep:
            # Counted until it is gone: what it holds is free only then.
            self._end(opened)
            with self._lock:
                del self._lent[number]

    def _make_room(self, program: Program, limits: Limits, gpu: str | None) -> None:
        need = self._sizes.get(program.digest, min(limits.memory_bytes, self._budget // 4))
        while (crowding := self._crowding(need, gpu)) is not None:
            self.evicted += 1
            self._end(crowding)

    def _crowding(self, need: int, gpu: str | None) -> _Open | None:
        """The next idle program to be closed for one that is coming, taken out; None where it has room."""
        with self._lock:
            beside = [number for number, opened in self._idle.items() if gpu is not None and opened.key[-1] == gpu]
            if beside and gpu is not None and self._count(gpu) > self._per_gpu:
                return self._idle.pop(beside[0])
            held = sum(o.session.memory_bytes for o in (*self._idle.values(), *self._lent.values()))
            if held + need <= self._budget or not self._idle:
                return None
            return self._idle.popitem(last=False)[1]

    def _count(self, gpu: str) -> int:
        return sum(o.key[-1] == gpu for o in (*self._idle.values(), *self._lent.values())) + self._coming[gpu]

    @staticmethod
    def _end(opened: _Open) -> None:
        opened.session.close()
        shutil.rmtree(opened.workspace, ignore_errors=True)

    def close_idle(self) -> bool:
        """Close the idle program that was used longest ago; False where none is idle."""
        with self._lock:
            if not self._idle:
                return False
            number, opened = self._idle.popitem(last=False)
            # Counted until it is gone, as one that is given back.
            self._lent[number] = opened
        self.evicted += 1
        self._end(opened)
        with self._lock:
            del self._lent[number]
        return True

    def close(self) -> None:
        """Close every idle program (lent ones end with their run)."""
        with self._lock:
            idle = list(self._idle.values())
            self._idle.clear()
        for opened in idle:
            self._end(opened)


def _key(program: Program, gpu: str | None) -> Key:
    target = program.target
    return program.digest, None if target is None else (target.digest, target.part), gpu
