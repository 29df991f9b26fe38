"""The only writer of runs: a thread that commits whatever has gathered since its last commit.

A commit waits for the disk (a millisecond or more). Committing every run by itself would cap a tournament at the disk's flush
rate, and not waiting at all would lose results; so results gather while the disk flushes and go into the next commit together.
Order is kept: a run's start is never committed after its finish, an input never after the run that names it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, insert, update
from sqlalchemy.exc import SQLAlchemyError

from harness import faults
from harness.errors import StoreError
from harness.store.database import explained
from harness.store.logs import LogStore
from harness.store.models import AttemptRow, CounterRow, DuelRow, InputRow, RunRow, ScoreRow, SlotRow
from harness.store.values import DONE, RUNNING, crc_of


@dataclass(frozen=True, slots=True)
class NewInput:
    """An input beside the clean ones: what an attack run made, or what is put together of such."""

    id: int
    batch_id: int
    kind: str
    digest: str
    produced: bytes
    stored_bytes: int
    parts: bytes | None = None
    changed: bytes | None = None


@dataclass(frozen=True, slots=True)
class RunStart:
    """An attempt starts; ``new`` where the run has no row yet."""

    id: int
    submission_id: int
    input_id: int
    conditions_id: int
    attempt: int
    started_at: float
    new: bool


@dataclass(frozen=True, slots=True)
class PlayedDuel:
    """The result of a duel by queries (``models.DuelRow``)."""

    opponent_outcome: str
    opponent_s: float
    batches: int
    counts: bytes
    findings: bytes


@dataclass(frozen=True, slots=True)
class RunFinish:
    """An attempt ended. ``state`` is DONE where it counts, OPEN where the run is to be tried again.

    ``record`` is what scoring reads of a run that is DONE.
    """

    id: int
    attempt: int
    state: int
    outcome: str
    output_id: int | None
    labels: bytes | None
    usable: int
    wall_s: float
    start_s: float
    cpu_s: float | None
    peak_memory_bytes: int | None
    slot: str | None = None
    prepare_ms: int | None = None
    waited_ms: int | None = None
    collect_ms: int | None = None
    beside: int | None = None
    load_percent: int | None = None
    record: bytes | None = None
    duel: PlayedDuel | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept of an attempt besides its row."""

    run_id: int
    number: int
    outcome: str
    started_at: float
    slot: str
    exit_code: int | None
    wall_s: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Log:
    """The tails of a run's output."""

    run_id: int
    attempt: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """What a slot is: as JSON, a GPU's name, driver, memory and clock, or the processor's."""

    name: str
    seen_at: float
    facts: str


Item = NewInput | RunStart | RunFinish | Evidence | Log | SlotFacts

_FINISH = (
    update(RunRow)
    .where(RunRow.id == bindparam("run"), RunRow.attempt == bindparam("started_as"), RunRow.state == RUNNING)
    .values({name: bindparam(name) for name in (
        "state", "outcome", "output_id", "labels", "usable", "wall_s", "start_s", "cpu_s", "peak_memory_bytes", "slot",
        "prepare_ms", "waited_ms", "collect_ms", "beside", "load_percent", "crc")})
)
_RESTART = (
    update(RunRow)
    .where(RunRow.id == bindparam("run"))
    .values(state=RUNNING, attempt=bindparam("as_attempt"), started_at=bindparam("began"), outcome=None)
)
#: For accepted results only: a late one has no run that is done by its attempt.
_SCORE = f"""INSERT OR IGNORE INTO score (run_id, record)
SELECT :run, :record WHERE EXISTS (SELECT 1 FROM run WHERE id = :run AND attempt = :attempt AND state = {DONE})"""  # noqa: S608

_DUEL = f"""INSERT OR REPLACE INTO duel (run_id, opponent_outcome, opponent_s, batches, counts, findings, crc)
SELECT :run, :opponent_outcome, :opponent_s, :batches, :counts, :findings, crc(:counts, :findings)
WHERE EXISTS (SELECT 1 FROM run WHERE id = :run AND attempt = :attempt AND state = {DONE})"""  # noqa: S608


class Recorder:
    """Accepts items from the scheduler at any time and makes them durable in order."""

    def __init__(self, engine: Engine, logs: LogStore, path: Path) -> None:
        self._engine = engine
        self._logs = logs
        self._path = path
        self._items: deque[Item] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._busy = False
        self._failure: StoreError | None = None
        self.commits = 0
        self.refused_late = 0
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def put(self, *items: Item) -> None:
        """Hand over items; returns at once.

        Raises:
            StoreError: An earlier commit failed (disk full, database locked); nothing after it is recorded.
        """
        with self._wake:
            if self._failure is not None:
                raise self._failure
            self._items.extend(items)
            self._wake.notify_all()

    def flush(self) -> None:
        """Wait until everything handed over is durable.

        Raises:
            StoreError: A commit failed.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._failure is not None or (not self._items and not self._busy))
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Commit what is left and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: bool(self._items) or self._closing)
                if not self._items:
                    return
                items = list(self._items)
                self._items.clear()
                self._busy = True
            failure = self._commit(items)
            with self._wake:
                self._busy = False
                self._failure = failure
                self._wake.notify_all()
            if failure is not None:
                return

    def _commit(self, items: Sequence[Item]) -> StoreError | None:
        try:
            self._logs.save([(i.run_id, i.attempt, i.stdout, i.stderr) for i in items if isinstance(i, Log)])
            with self._engine.begin() as connection:
                faults.reach("before-commit")
                self._write(connection, items)
                faults.reach("in-commit")
            faults.reach("after-commit")
            self.commits += 1
        except StoreError as error:
            return error
        except (SQLAlchemyError, OSError, _sqlite_error()) as error:
            return explained(self._path, error)
        return None

    def _write(self, connection: Connection, items: Sequence[Item]) -> None:
        """One transaction. Starts go before finishes, inputs before both: no row refers to one that does not exist yet."""
        inputs: list[dict[str, Any]] = [asdict(i) for i in items if isinstance(i, NewInput)]
        if inputs:
            connection.execute(insert(InputRow), inputs)
        starts = [i for i in items if isinstance(i, RunStart)]
        fresh = [{"id": i.id, "submission_id": i.submission_id, "input_id": i.input_id, "conditions_id": i.conditions_id,
                  "attempt": i.attempt, "started_at": i.started_at, "state": RUNNING} for i in starts if i.new]
        if fresh:
            connection.execute(insert(RunRow), fresh)
        # A run may start, fail and start again within one commit: its steps are replayed in order.
        steps = [i for i in items if isinstance(i, RunFinish) or (isinstance(i, RunStart) and not i.new)]
        if all(isinstance(step, RunFinish) for step in steps):
            if steps:
                ends = [step for step in steps if isinstance(step, RunFinish)]
                accepted = connection.execute(_FINISH, [_finish_values(end) for end in ends]).rowcount
                self.refused_late += len(ends) - max(accepted, 0)
                _score(connection, ends)
        else:
            for step in steps:
                self._step(connection, step)
        evidence = [asdict(i) for i in items if isinstance(i, Evidence)]
        if evidence:
            connection.execute(insert(AttemptRow).prefix_with("OR REPLACE"), evidence)
        slots = [asdict(i) for i in items if isinstance(i, SlotFacts)]
        if slots:
            connection.execute(insert(SlotRow).prefix_with("OR REPLACE"), slots)
        if any(isinstance(i, RunFinish) for i in items):
            connection.execute(update(CounterRow).where(CounterRow.name == "results").values(value=CounterRow.value + 1))

    def _step(self, connection: Connection, step: Item) -> None:
        if isinstance(step, RunFinish):
            self.refused_late += 1 - connection.execute(_FINISH, _finish_values(step)).rowcount
            _score(connection, [step])
        elif isinstance(step, RunStart):
            for result in (ScoreRow, DuelRow):
                connection.execute(delete(result).where(result.run_id == step.id))
            connection.execute(_RESTART, {"run": step.id, "as_attempt": step.attempt, "began": step.started_at})


def _score(connection: Connection, ends: Sequence[RunFinish]) -> None:
    records = [{"run": end.id, "attempt": end.attempt, "record": end.record} for end in ends if end.record is not None]
    if records:
        connection.exec_driver_sql(_SCORE, records)
    duels = [{"run": end.id, "attempt": end.attempt, **asdict(end.duel)} for end in ends if end.duel is not None]
    if duels:
        connection.exec_driver_sql(_DUEL, duels)


def _finish_values(item: RunFinish) -> dict[str, Any]:
    return {"run": item.id, "started_as": item.attempt, "state": item.state, "outcome": item.outcome,
            "output_id": item.output_id, "labels": item.labels, "usable": item.usable, "wall_s": item.wall_s,
            "start_s": item.start_s, "cpu_s": item.cpu_s, "peak_memory_bytes": item.peak_memory_bytes, "slot": item.slot,
            "prepare_ms": item.prepare_ms, "waited_ms": item.waited_ms, "collect_ms": item.collect_ms,
            "beside": item.beside, "load_percent": item.load_percent, "crc": crc_of(item.labels)}


def _sqlite_error() -> type[Exception]:
    import sqlite3  # noqa: PLC0415 - only the log store speaks to sqlite3 directly

    return sqlite3.Error
