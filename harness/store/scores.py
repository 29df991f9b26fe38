"""Score records (``harness.scoring.records``) as rows: which runs have none, and putting them there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text

from harness.store import counters
from harness.store.facade import Transaction
from harness.store.models import BatchRow, ScoreRow

#: Counting first, in two indexes and one small table: where nothing is missing, which is nearly always, no run is read.
_COUNTS = text("""SELECT (SELECT count(*) FROM run) - (SELECT count(*) FROM run WHERE state <> 2),
(SELECT count(*) FROM score WHERE length(record) IN (SELECT value FROM json_each(:sizes)))""")
_WITHOUT = text("""SELECT run.id, run.submission_id, run.conditions_id, run.input_id, run.output_id, run.usable, run.outcome,
run.wall_s, run.labels, input.batch_id, submission.type FROM run JOIN input ON input.id = run.input_id
JOIN submission ON submission.id = run.submission_id LEFT JOIN score ON score.run_id = run.id
WHERE run.state = 2 AND (score.record IS NULL OR length(score.record) NOT IN (SELECT value FROM json_each(:sizes)))""")
_KEEP = text("INSERT OR REPLACE INTO score (run_id, record) VALUES (:run, :record)")


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has a result, as far as its record says it."""

    id: int
    submission_id: int
    conditions_id: int
    input_id: int
    output_id: int | None
    usable: int
    outcome: str
    wall_s: float | None
    answers: bytes | None
    batch_id: int
    track: str


def batch_sizes(transaction: Transaction) -> set[int]:
    """The numbers of images that batches of any round have."""
    return set(transaction.connection.scalars(select(BatchRow.size).distinct()))


def without_record(transaction: Transaction, sizes: Collection[int]) -> Iterator[EndedRun]:
    """The runs that have a result and no record of one of these sizes in bytes."""
    known = json.dumps(sorted(sizes))
    ended, whole = transaction.connection.execute(_COUNTS, {"sizes": known}).one()
    if ended != whole:
        for row in transaction.connection.execute(_WITHOUT, {"sizes": known}):
            yield EndedRun(*row)


def records(transaction: Transaction, size: int) -> Iterator[tuple[int, bytes]]:
    """Each record of so many bytes with the run that it is kept for."""
    query = select(ScoreRow.run_id, ScoreRow.record).where(func.length(ScoreRow.record) == size)
    return ((run, record) for run, record in transaction.connection.execute(query))


def drop_records(transaction: Transaction, runs: Collection[int]) -> None:
    """Take the records of these runs away."""
    transaction.connection.execute(text("DELETE FROM score WHERE run_id IN (SELECT value FROM json_each(:runs))"),
                                   {"runs": json.dumps(sorted(runs))})


def keep_records(transaction: Transaction, records: Sequence[tuple[int, bytes]]) -> None:
    """Put the records of runs, by id, in the place of those that are there."""
    if records:
        transaction.connection.execute(_KEEP, [{"run": run, "record": record} for run, record in records])
        counters.results_changed(transaction)
