"""What the store knows of a round, as arrays: results to put on a board, and the books of what has none yet.

Reads the 891,000 defense runs of a 2017-size final as one integer array each, never as objects.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, func, select, text
from sqlalchemy.orm import Session

from harness.store.models import DONE, AttemptRow, BatchRow, CounterRow, InputRow, RoundRow, RunRow, ScoreRow, SubmissionRow

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class StoredInput:
    """An input row, with the mask of images it holds still packed."""

    id: int
    batch_id: int
    kind: str
    digest: str
    produced: bytes
    parts: bytes | None


def conditions_of(round_row: RoundRow, submission: SubmissionRow, *, isolation: str) -> int:
    """The conditions that a submission's runs are recorded under in a round."""
    return round_row.served_conditions_id if isolation == "submission" and submission.serves else round_row.conditions_id


def inputs_of(session: Session, batches: Sequence[BatchRow]) -> dict[int, StoredInput]:
    """Every input of these batches by id."""
    ids = {batch.id for batch in batches}
    rows = session.execute(select(InputRow.id, InputRow.batch_id, InputRow.kind, InputRow.digest, InputRow.produced,
                                  InputRow.parts))
    return {row[0]: StoredInput(*row) for row in rows if row[1] in ids}


def done_runs(connection: Connection, submissions: Sequence[tuple[int, int]]) -> Rows:
    """Runs that have a result.

    Args:
        connection: The database.
        submissions: (submission id, conditions id) pairs.

    Returns:
        int64 [runs, 5]: submission id, input id, output id (0 where none), run id, attempt.
    """
    return _integers(connection, submissions, "submission_id, input_id, coalesce(output_id, 0), id, attempt", 5)


def done_pairs(connection: Connection, submissions: Sequence[tuple[int, int]]) -> Rows:
    """Submission id and input id of runs that have a result: int64 [runs, 2].

    At contest size this is asked for 891,000 rows. Each such run is in the index ``run_key``, so the table with its labels
    is not read; the few rows without a result are known from their own index and taken out.
    """
    rows = _integers(connection, submissions, "submission_id, input_id", 2, covered=True)
    asked = set(submissions)
    unfinished = np.array([(s, i) for s, i, c in unfinished_runs(connection) if (s, c) in asked], np.int64).reshape(-1, 2)
    if len(unfinished) and len(rows):
        width = int(max(rows[:, 1].max(), unfinished[:, 1].max())) + 1
        rows = rows[~np.isin(rows @ (width, 1), unfinished @ (width, 1))]
    return rows


def _integers(connection: Connection, submissions: Sequence[tuple[int, int]], columns: str, width: int, *,
              covered: bool = False) -> Rows:
    """Integer columns of the runs of (submission id, conditions id) pairs, read without an object for each row."""
    where = "" if covered else "AND state = 2"
    query = f"SELECT {columns} FROM run WHERE submission_id = ? AND conditions_id = ? {where}"  # noqa: S608 - our own columns
    parts = []
    for pair in submissions:
        found = connection.exec_driver_sql(query, pair)
        rows: Iterable[tuple[int, ...]] = found.cursor.fetchall() if found.cursor is not None else ()
        parts.append(np.fromiter(itertools.chain.from_iterable(rows), np.int64))
        found.close()
    return np.concatenate([np.zeros(0, np.int64), *parts]).reshape(-1, width)


#: One row for a whole range of runs: a Python object for each of 904,600 rows takes longer than all that follows. The text that
#: SQLite makes of a blob is its bytes, which the outer CAST gives back.
_RECORDS = """SELECT count(*), CAST(group_concat(record, '') AS BLOB) FROM score
WHERE run_id BETWEEN :first AND :last AND length(record) = :size"""


def score_records(connection: Connection, size: int, step: int = 50_000) -> Iterator[bytes]:
    """The score records of ``size`` bytes of all runs of all rounds, one after the other, in the order of their runs."""
    last = connection.scalar(select(func.max(ScoreRow.run_id))) or 0
    for first in range(0, last + 1, step):
        count, records = connection.exec_driver_sql(_RECORDS, {"first": first, "last": first + step - 1, "size": size}).one()
        if count * size != len(records or b""):
            msg = f"SQLite {sqlite3.sqlite_version} joined {count} blobs of {size} bytes to {len(records or b'')}"
            raise RuntimeError(msg)
        if records:
            yield records


def labels_of(connection: Connection, run_ids: Sequence[int]) -> dict[int, NDArray[np.int16]]:
    """Labels by run id, int16 [n] each, of those of the runs that have any."""
    found: dict[int, NDArray[np.int16]] = {}
    for start in range(0, len(run_ids), 500):
        some = select(RunRow.id, RunRow.labels).where(RunRow.id.in_(run_ids[start: start + 500]), RunRow.labels.is_not(None))
        found |= {run: np.frombuffer(labels or b"", np.int16) for run, labels in connection.execute(some)}
    return found


def unfinished_runs(connection: Connection) -> dict[tuple[int, int, int], tuple[int, int]]:
    """(submission, input, conditions) to (run id, attempt), of every run that has begun and has no result."""
    rows = connection.execute(select(RunRow.submission_id, RunRow.input_id, RunRow.conditions_id, RunRow.id, RunRow.attempt)
                              .where(text("state <> 2")))  # literally, or SQLite does not take the partial index
    return {(s, i, c): (run, attempt) for s, i, c, run, attempt in rows}


def suspects(connection: Connection, outcome: str) -> frozenset[int]:
    """Submissions that have a run without a result of which an attempt ended so."""
    rows = connection.execute(select(RunRow.submission_id).distinct().join(AttemptRow, AttemptRow.run_id == RunRow.id)
                              .where(text("state <> 2"), AttemptRow.outcome == outcome))
    return frozenset(submission for submission, in rows)


def next_ids(connection: Connection) -> tuple[int, int]:
    """The next free ids of runs and of inputs."""
    run = connection.scalar(select(func.max(RunRow.id))) or 0
    # Logs are kept by run id: the id of a run that was dropped on purpose is not given to another.
    run = max(run, connection.scalar(select(CounterRow.value).where(CounterRow.name == "last_run")) or 0)
    made = connection.scalar(select(func.max(InputRow.id))) or 0
    return run + 1, made + 1


def median_times(connection: Connection, submission_ids: Sequence[int]) -> dict[int, float]:
    """Median wall clock of a run by submission, seconds, over the newest results (of any round and conditions).

    The newest runs are found in the index alone: sorting a defense's 8,150 rows themselves would read them all.
    """
    newest = select(RunRow.id).where(RunRow.submission_id == bindparam("submission")).order_by(RunRow.id.desc()).limit(101)
    query = select(RunRow.wall_s).where(RunRow.id.in_(newest), RunRow.state == DONE, RunRow.wall_s.is_not(None))
    found: dict[int, float] = {}
    for submission_id in submission_ids:
        times = connection.scalars(query, {"submission": submission_id}).all()
        if times:
            found[submission_id] = float(np.median(np.array(times, np.float64)))
    return found
