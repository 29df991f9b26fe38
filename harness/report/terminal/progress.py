"""From the scheduler and its engine to the live screen: events become a ``Snapshot``."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from harness.engine.base import Engine
from harness.execution.job import Finished
from harness.report.terminal.live import LiveProgress
from harness.scheduling.board import DONE
from harness.scheduling.scheduler import Scheduler
from harness.tournament.machine import Summary, Watcher
from harness.tournament.round_loader import Round
from harness.views.progress import SlotView, Snapshot

#: The picture need not be newer than this, and making it costs the scheduler's thread.
_EVERY_S = 0.25


class ProgressWatcher(Watcher):
    """Shows a round while it runs.

    Args:
        say: Prints a line for the person.
        tell: Prints how the round ended.
    """

    def __init__(self, say: Callable[[str], None], tell: Callable[[Summary], None]) -> None:
        self._say, self._tell = say, tell
        self._live = LiveProgress()
        self._scheduler: Scheduler | None = None
        self._engine: Engine | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        """The watcher; the screen appears with the first run."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Leave the last picture on the screen."""
        if self._scheduler is not None:
            self._live.update(self._snapshot())
            self._live.__exit__(kind, error, traceback)

    def prepared(self, scheduler: Scheduler, engine: Engine, round_: Round, removed: list[str]) -> None:
        """The round is about to start."""
        del round_, removed
        self._scheduler, self._engine = scheduler, engine
        self._live.__enter__()

    def say(self, text: str) -> None:
        """Print it."""
        self._say(text)

    def ended(self, summary: Summary) -> None:
        """Print how the round ended."""
        self._tell(summary)

    def finished(self, finished: Finished) -> None:
        """A run ended; the next tick shows it."""

    def tick(self) -> None:
        """Show a new picture where the last one is old enough."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            self._live.update(self._snapshot())

    def _snapshot(self) -> Snapshot:
        assert self._scheduler is not None  # noqa: S101 - set together in `prepared`
        assert self._engine is not None  # noqa: S101
        board, progress = self._scheduler.board, self._scheduler.progress
        left = self._scheduler.remaining_s()
        slots = []
        for view in self._engine.view():
            job = view.job
            what = "" if job is None else f"{job.name} on batch {job.batch.index}"
            slots.append(SlotView(view.slot.name, what, view.since_s, job.limits.time_limit_s if job else None, view.resting,
                                  view.slot.node))
        return Snapshot(board.counts()[DONE], board.total, progress.failed, dict(progress.outcomes), tuple(slots),
                        left / max(1, self._engine.usable_slots()) if left is not None else None, self._engine.absent())
