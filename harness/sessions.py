"""Programs kept open between batches, within a budget of memory.

How many fit is measured: each open program reports what it held when it was frozen last, and before another is opened the least
recently used idle ones are closed until the newcomer's last known size (its limit, when unknown: at most a quarter of the
budget) fits. A program is lent to one run at a time and is frozen in between.
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
from typing import Literal

from harness.sandbox.base import Limits, Program, RunReport, RunRequest, Sandbox, Session

Key = tuple[str, str | None]


@dataclass
class Loan:
    """An open program for one batch, or the report of why it did not come up; ``start_s`` is what opening it took."""

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
    """Opens, lends, keeps and closes serving programs."""

    def __init__(self, sandbox: Sandbox, work: Path, budget_bytes: int) -> None:
        self._sandbox = sandbox
        self._work = work
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._idle: OrderedDict[int, _Open] = OrderedDict()
        self._lent: dict[int, _Open] = {}
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

    @contextmanager
    def lend(self, program: Program, kind: Literal["attack", "defense"], limits: Limits, gpu: str | None,
             labels: Mapping[str, str], cancel: threading.Event) -> Iterator[Loan]:
        """Lend an open program, opening one where none is idle (given up when ``cancel`` is set)."""
        opened = self._take((program.digest, gpu))
        start_s = 0.0
        if opened is None:
            self._make_room(program, limits)
            workspace = self._work / f"session-{next(self._numbers)}"
            began = time.monotonic()
            session = self._sandbox.open(program, kind, workspace, limits, gpu, labels, cancel)
            if isinstance(session, RunReport):
                shutil.rmtree(workspace, ignore_errors=True)
                yield Loan(None, session, workspace)
                return
            start_s = time.monotonic() - began
            self.opened += 1
            self._arrays[program.digest] = session.accepts_arrays
            opened = _Open((program.digest, gpu), session, workspace)
        number = next(self._numbers)
        with self._lock:
            self._lent[number] = opened
        try:
            yield Loan(opened.session, None, opened.workspace, start_s)
        finally:
            self._give_back(number, opened)

    def _take(self, key: Key) -> _Open | None:
        with self._lock:
            for number, opened in reversed(self._idle.items()):
                if opened.key == key:
                    return self._idle.pop(number)
        return None

    def _give_back(self, number: int, opened: _Open) -> None:
        with self._lock:
            del self._lent[number]
            self._sizes[opened.key[0]] = max(self._sizes.get(opened.key[0], 0), opened.session.memory_bytes)
            if opened.session.alive:
                self._idle[number] = opened
                return
        self._end(opened)

    def _make_room(self, program: Program, limits: Limits) -> None:
        need = self._sizes.get(program.digest, min(limits.memory_bytes, self._budget // 4))
        while True:
            with self._lock:
                held = sum(o.session.memory_bytes for o in (*self._idle.values(), *self._lent.values()))
                if held + need <= self._budget or not self._idle:
                    return
                _, oldest = self._idle.popitem(last=False)
            self.evicted += 1
            self._end(oldest)

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
