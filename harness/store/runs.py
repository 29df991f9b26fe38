"""Runs as reports ask for them: counts, times, and the few that a person looks at; never all 899,100 as objects."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, false, func, or_, select

from harness.store.facade import Transaction
from harness.store.models import SOUND, AttemptRow, InputRow, RunRow, SlotRow, SubmissionRow
from harness.store.values import DONE, RUNNING, TASK, StoredBatch


@dataclass(frozen=True)
class Scope:
    """Which runs are meant.

    Attributes:
        submissions: (submission id, conditions id) pairs: runs of these under these.
        except_on: Ids of inputs whose runs are not meant.
    """

    submissions: tuple[tuple[int, int], ...]
    except_on: frozenset[int] = frozenset()

    def where(self) -> ColumnElement[bool]:
        """As a condition; for the modules of this package alone."""
        ids: dict[int, list[int]] = defaultdict(list)
        for submission, conditions in self.submissions:
            ids[conditions].append(submission)
        meant = or_(false(), *(and_(RunRow.conditions_id == c, RunRow.submission_id.in_(those)) for c, those in ids.items()))
        if not self.except_on:
            return meant
        # Those that do not belong are the few. One parameter, however many: SQLite takes 32,766 at most.
        others = func.json_each(json.dumps(sorted(self.except_on))).table_valued("value")
        return and_(meant, RunRow.input_id.not_in(select(others.c.value)))


@dataclass(frozen=True)
class RunCount:
    """How many runs of a submission are in a state, with an outcome."""

    submission_id: int
    state: int
    outcome: str | None
    runs: int


@dataclass(frozen=True)
class StoredRun:
    """One run with what it was run on; ``kind`` is the input's."""

    id: int
    input_id: int
    batch_id: int
    kind: str
    attempt: int
    outcome: str | None
    wall_s: float | None


@dataclass(frozen=True)
class MeasuredRun:
    """What a run with a result took."""

    wall_s: float | None
    start_s: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    slot: str | None
    started_at: float


@dataclass(frozen=True)
class StoredAttempt:
    """An attempt of which evidence is kept.

    Attributes:
        last: The number of its run's last attempt.
    """

    number: int
    last: int
    outcome: str
    exit_code: int | None
    evidence: dict[str, Any]


def counts(transaction: Transaction, scope: Scope) -> list[RunCount]:
    """Runs by submission, state and outcome."""
    found = transaction.connection.execute(
        select(RunRow.submission_id, RunRow.state, RunRow.outcome, func.count())
        .where(scope.where()).group_by(RunRow.submission_id, RunRow.state, RunRow.outcome))
    return [RunCount(*row) for row in found]


def made(transaction: Transaction, scope: Scope, batches: Iterable[StoredBatch]) -> list[tuple[int, int]]:
    """(batch id, input id) of what runs with a result on these batches made; an input id of 0 for nothing."""
    found = transaction.connection.execute(
        select(InputRow.batch_id, RunRow.output_id).join(InputRow, InputRow.id == RunRow.input_id)
        .where(scope.where(), RunRow.state == DONE, InputRow.batch_id.in_([batch.id for batch in batches])))
    return [(batch, output or 0) for batch, output in found]


def outputs(transaction: Transaction, scope: Scope) -> dict[tuple[int, int], int]:
    """What runs with a result made, by the submission and the input that it was given; an input id of 0 for nothing."""
    found = transaction.connection.execute(
        select(RunRow.submission_id, RunRow.input_id, RunRow.output_id).where(scope.where(), RunRow.state == DONE))
    return {(submission, given): output or 0 for submission, given, output in found}


def ended_on(transaction: Transaction, scope: Scope, inputs: Iterable[int]) -> frozenset[tuple[int, int]]:
    """(submission id, input id) of the runs with a result on these inputs, of which there may be any number."""
    asked = func.json_each(json.dumps(sorted(inputs))).table_valued("value")
    found = transaction.connection.execute(select(RunRow.submission_id, RunRow.input_id).where(
        scope.where(), RunRow.state == DONE, RunRow.input_id.in_(select(asked.c.value))))
    return frozenset((submission, given) for submission, given in found)


def made_by_any(transaction: Transaction, scope: Scope) -> list[int]:
    """Ids of the inputs that runs made, on whatever batch."""
    return [output or 0 for output in transaction.connection.scalars(
        select(RunRow.output_id).where(scope.where(), RunRow.output_id.is_not(None)))]


def inputs_of_kind(transaction: Transaction, batches: Iterable[StoredBatch], kind: str) -> list[tuple[int, int]]:
    """(batch id, input id) of the inputs of one kind on these batches."""
    found = transaction.connection.execute(select(InputRow.batch_id, InputRow.id).where(
        InputRow.batch_id.in_([batch.id for batch in batches]), InputRow.kind == kind))
    return [(batch, made) for batch, made in found]


def tasks(transaction: Transaction, batches: Iterable[StoredBatch]) -> list[tuple[int, int, str]]:
    """(batch id, input id, kind) of these batches as attacks are or were given them, under whatever bound."""
    found = transaction.connection.execute(select(InputRow.batch_id, InputRow.id, InputRow.kind).where(
        InputRow.batch_id.in_([batch.id for batch in batches]), InputRow.kind.startswith(TASK)))
    return [(batch, task, kind) for batch, task, kind in found]


def every_input(transaction: Transaction) -> frozenset[int]:
    """The ids of all inputs."""
    return frozenset(transaction.connection.scalars(select(InputRow.id)))


def listed(transaction: Transaction, scope: Scope, *, failed_only: bool) -> list[StoredRun]:
    """The runs; only those with another outcome than ``ok``, where that is wanted."""
    query = (select(RunRow.id, InputRow.id, InputRow.batch_id, InputRow.kind, RunRow.attempt, RunRow.outcome, RunRow.wall_s)
             .join(InputRow, InputRow.id == RunRow.input_id).where(scope.where()))
    if failed_only:
        query = query.where(RunRow.outcome.is_not(None), RunRow.outcome != "ok")
    return [StoredRun(*row) for row in transaction.connection.execute(query)]


def measured(transaction: Transaction, scope: Scope) -> list[MeasuredRun]:
    """What runs with a result took."""
    found = transaction.connection.execute(
        select(RunRow.wall_s, RunRow.start_s, RunRow.cpu_s, RunRow.peak_memory_bytes, RunRow.slot, RunRow.started_at)
        .where(scope.where(), RunRow.state == DONE))
    return [MeasuredRun(*row) for row in found]


def newest_times(transaction: Transaction, submissions: Sequence[tuple[int, int]],
                 most: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """When and how long the newest runs with a result ran, of these (submission id, conditions id) pairs.

    Args:
        transaction: To read in.
        submissions: Whose runs.
        most: How many runs are looked at.

    Returns:
        float64 [runs, 6], seconds: began, waited, start, wall, prepare, collect, NaN where it was not measured; and the slots.
    """
    newest = transaction.connection.scalar(select(func.max(RunRow.id))) or 0
    # Filtered here: asked for the submissions' runs, SQLite goes through all of them by its index and sorts.
    rows = transaction.connection.execute(
        select(RunRow.started_at, RunRow.waited_ms, RunRow.start_s, RunRow.wall_s, RunRow.prepare_ms, RunRow.collect_ms,
               RunRow.slot, RunRow.submission_id, RunRow.conditions_id)
        .where(RunRow.id > newest - most, RunRow.state == DONE, RunRow.slot.is_not(None))).all()
    asked = set(submissions)
    kept = [row for row in rows if (row[7], row[8]) in asked]
    times = np.array([row[:6] for row in kept], np.float64).reshape(-1, 6)
    times[:, [1, 4, 5]] /= 1000
    return times, tuple(str(row[6]) for row in kept)


def slots_of_runs(transaction: Transaction) -> list[tuple[int, str, float]]:
    """Id, slot and begin of every run that has a result, of any round."""
    found = transaction.connection.execute(
        select(RunRow.id, RunRow.slot, RunRow.started_at).where(RunRow.state == DONE, RunRow.slot.is_not(None)))
    return [(run, str(slot), began) for run, slot, began in found]


def running(transaction: Transaction) -> list[tuple[str, int, float]]:
    """Submission's name, batch id and begin of the runs that have begun and not ended, the oldest first."""
    found = transaction.connection.execute(
        select(SubmissionRow.name, InputRow.batch_id, RunRow.started_at)
        .join(SubmissionRow, SubmissionRow.id == RunRow.submission_id).join(InputRow, InputRow.id == RunRow.input_id)
        .where(RunRow.state == RUNNING).order_by(RunRow.started_at))
    return [(name, batch, began) for name, batch, began in found]


def attempt(transaction: Transaction, run: StoredRun) -> StoredAttempt | None:
    """What is kept of a run's last attempt."""
    row = transaction.connection.execute(select(AttemptRow.outcome, AttemptRow.exit_code, AttemptRow.evidence).where(
        AttemptRow.run_id == run.id, AttemptRow.number == run.attempt)).one_or_none()
    return None if row is None else StoredAttempt(run.attempt, run.attempt, row[0], row[1], json.loads(row[2]))


def attempts(transaction: Transaction, scope: Scope) -> list[StoredAttempt]:
    """Every attempt of which evidence is kept."""
    found = transaction.connection.execute(
        select(AttemptRow.number, RunRow.attempt, AttemptRow.outcome, AttemptRow.exit_code, AttemptRow.evidence)
        .join(RunRow, RunRow.id == AttemptRow.run_id).where(scope.where()))
    return [StoredAttempt(number, last, outcome, code, json.loads(evidence)) for number, last, outcome, code, evidence in found]


def labels(transaction: Transaction, scope: Scope) -> Iterator[NDArray[np.int16]]:
    """The answers of runs of labelling submissions, int16 [n] each, where there are any."""
    found = transaction.connection.scalars(select(RunRow.labels).where(scope.where(), RunRow.labels.is_not(None), SOUND))
    return (np.frombuffer(answered or b"", np.int16) for answered in found)


def slots(transaction: Transaction) -> list[tuple[str, float, dict[str, Any]]]:
    """Name, first seen, and facts of every slot that ever existed, the oldest first."""
    found = transaction.connection.execute(select(SlotRow.name, SlotRow.seen_at, SlotRow.facts).order_by(SlotRow.seen_at))
    return [(name, seen_at, json.loads(facts)) for name, seen_at, facts in found]
